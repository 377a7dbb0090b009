"""Roll, distortion and the sureness of a mounting, checked against OpenCV's own lens and plain trigonometry."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streets import SIZE_WH, pixels

from ingest.frame import Fix
from ingest.geo import latlon_from_offset
from ingest.mounting import mounting_headers, parse_mounting
from ingest.record import Record
from vision.camera import DEFAULT_CAMERAS, Camera, camera_of, picture_from_road, read_cameras, road_from_picture
from vision.geotag import geotag
from vision.look import looked_cells

PLAIN = Camera(hfov_deg=90.0, height_m=1.6, pitch_deg=-4.0, yaw_deg=0.0)
BENT = replace(PLAIN, roll_deg=3.0, k1=-0.12, k2=0.015)
FIX = Fix(time=datetime(2026, 11, 20, tzinfo=UTC), lat=22.54, lon=114.05, heading_deg=0.0)


@given(
    roll=st.floats(-20, 20),
    k1=st.floats(-0.12, 0.2),
    k2=st.floats(0.0, 0.05),
    forward=st.floats(3, 40),
    right=st.floats(-8, 8),
)
def test_road_to_picture_and_back_through_any_lens(
    roll: float, k1: float, k2: float, forward: float, right: float
) -> None:
    camera = replace(PLAIN, roll_deg=roll, k1=k1, k2=k2)
    road = np.array([[forward, right]])
    uv = picture_from_road(road, SIZE_WH, camera)
    if np.isfinite(uv).all() and (uv >= 0).all() and (uv <= SIZE_WH).all():
        assert road_from_picture(uv, SIZE_WH, camera) == pytest.approx(road, rel=1e-5, abs=1e-4)


def test_a_rolled_lens_that_distorts_shows_points_where_opencv_shows_them() -> None:
    road = np.array([[5.0, 1.0], [8.0, -3.0], [20.0, 4.0]])
    street = np.stack([road[:, 1], np.full(3, BENT.height_m), road[:, 0]], axis=1)
    assert picture_from_road(road, SIZE_WH, BENT) == pytest.approx(pixels(street, np.zeros(3), 0.0, BENT), abs=1e-6)
    focal = BENT.focal_px(SIZE_WH[0])
    matrix = np.array([[focal, 0, SIZE_WH[0] / 2], [0, focal, SIZE_WH[1] / 2], [0, 0, 1]])
    xy = np.array([[0.4, -0.2], [-0.9, 0.5]])
    shown = np.stack(replace(BENT, roll_deg=0.0).shown(xy[:, 0], xy[:, 1]), axis=1) * focal + np.array(SIZE_WH) / 2
    rays = np.concatenate([xy, np.ones((2, 1))], axis=1)
    opencv, _ = cv2.projectPoints(rays, np.zeros(3), np.zeros(3), matrix, np.array([BENT.k1, BENT.k2, 0, 0]))
    assert shown == pytest.approx(opencv[:, 0], abs=1e-6)


def test_a_camera_rolled_clockwise_shows_what_is_to_its_right_higher() -> None:
    (level,) = picture_from_road(np.array([[10.0, 3.0]]), SIZE_WH, PLAIN)
    (rolled,) = picture_from_road(np.array([[10.0, 3.0]]), SIZE_WH, replace(PLAIN, roll_deg=5.0))
    assert rolled[1] < level[1] - 10


def test_the_field_of_view_is_that_of_the_whole_picture_also_through_a_lens_that_distorts() -> None:
    for camera in (PLAIN, replace(PLAIN, k1=-0.12, k2=0.015)):
        focal = camera.focal_px(1280)
        x, y = camera.unrolled(640 / focal, 0.0)
        assert (x, y) == pytest.approx((1.0, 0.0), abs=1e-9)  # tan 45°


def test_geotag_places_what_a_rolled_and_bent_lens_shows_where_it_stands() -> None:
    (foot,) = picture_from_road(np.array([[12.0, -3.0]]), SIZE_WH, BENT)
    box = np.array([[foot[0] - 10, foot[1] - 40, foot[0] + 10, foot[1]]])
    assert geotag(box, SIZE_WH, BENT, FIX).enu == pytest.approx(np.array([[-3.0, 12.0]]), abs=1e-4)


def test_an_unsure_mounting_makes_positions_less_sure() -> None:
    camera = DEFAULT_CAMERAS["front"]
    (foot,) = picture_from_road(np.array([[15.0, 0.0]]), SIZE_WH, camera)
    box = np.array([[foot[0] - 10, foot[1] - 40, foot[0] + 10, foot[1]]])
    known = geotag(box, SIZE_WH, camera, FIX).covariance[0]
    pitch = geotag(box, SIZE_WH, replace(camera, pitch_sigma_deg=0.6), FIX).covariance[0]
    yaw = geotag(box, SIZE_WH, replace(camera, yaw_sigma_deg=1.5), FIX).covariance[0]
    along = ((15.0**2 + 1.6**2) / 1.6 * np.radians(0.6)) ** 2  # what 0.6° of pitch are at 15 m
    assert pitch[1, 1] - known[1, 1] == pytest.approx(along, rel=1e-3)
    assert yaw[0, 0] - known[0, 0] == pytest.approx((15.0 * np.radians(1.5)) ** 2, rel=1e-3)


def test_a_lens_that_folds_the_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cameras.toml"
    path.write_text("[front]\nhfov_deg = 120.0\nk1 = -0.3\n")
    with pytest.raises(ValueError, match="fold the picture"):
        read_cameras(path)


def test_the_headers_of_a_frame_carry_all_of_a_mounting() -> None:
    told = {"hfov_deg": 90.0, "height_m": 1.6, "pitch_deg": 0.0, "yaw_deg": 0.0, "roll_deg": 3.0, "k1": -0.12}
    headers = mounting_headers(told | {"k2": 0.0, "pitch_sigma_deg": 0.2, "yaw_sigma_deg": 0.3})
    assert len(headers) == 8  # a distortion of zero is not said
    read = parse_mounting(Record(topic="frames", key=None, value=b"", headers=headers))
    expected = replace(PLAIN, pitch_deg=0.0, roll_deg=3.0, k1=-0.12, pitch_sigma_deg=0.2, yaw_sigma_deg=0.3)
    assert camera_of("bus-1", "front", read, {}) == expected


def test_a_lens_ahead_of_the_antenna_moves_all_it_places_and_looked_at() -> None:
    camera = DEFAULT_CAMERAS["right"]
    bus = replace(camera, ahead_m=6.0, right_m=1.0)
    east = replace(FIX, heading_deg=90.0)
    (foot,) = picture_from_road(np.array([[8.0, 0.0]]), SIZE_WH, camera)
    box = np.array([[foot[0] - 10, foot[1] - 40, foot[0] + 10, foot[1]]])
    moved = geotag(box, SIZE_WH, bus, east).enu - geotag(box, SIZE_WH, camera, east).enu
    assert moved == pytest.approx(np.array([[6.0, -1.0]]))  # ahead is east, right is south
    shifted = latlon_from_offset(east.lat, east.lon, 6.0, -1.0)
    there = replace(east, lat=shifted[0], lon=shifted[1])
    assert looked_cells(bus, SIZE_WH, east) == looked_cells(camera, SIZE_WH, there)


def test_without_a_heading_the_lever_makes_the_ring_wider() -> None:
    camera = DEFAULT_CAMERAS["front"]
    (foot,) = picture_from_road(np.array([[8.0, 0.0]]), SIZE_WH, camera)
    box = np.array([[foot[0] - 10, foot[1] - 40, foot[0] + 10, foot[1]]])
    somewhere = replace(FIX, heading_deg=None)
    wider = geotag(box, SIZE_WH, replace(camera, ahead_m=6.0), somewhere).covariance
    assert wider - geotag(box, SIZE_WH, camera, somewhere).covariance == pytest.approx(np.array([18 * np.eye(2)]))
