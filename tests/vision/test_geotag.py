"""A box's foot is placed where the road is, with an honest error."""

import math
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from ingest.frame import Fix
from vision.camera import (
    DEFAULT_CAMERAS,
    Camera,
    ground_from_road,
    picture_from_road,
    read_cameras,
    road_from_ground,
    road_from_picture,
)
from vision.geotag import RANGE_LIMIT_M, geotag

SIZE = (1280, 720)
LEVEL = Camera(hfov_deg=90.0, height_m=1.5, pitch_deg=0.0, yaw_deg=0.0)


def fix(**more: float) -> Fix:
    return Fix(time=datetime(2026, 11, 20, tzinfo=UTC), lat=22.54, lon=114.05, **more)


def test_a_ray_45_degrees_down_meets_the_road_one_lens_height_ahead() -> None:
    # With 90 degrees across 1280 px the focal length is 640 px: 640 px below the centre is 45 degrees down.
    road = road_from_picture(np.array([[640.0, 360.0 + 640.0]]), SIZE, LEVEL)
    assert road == pytest.approx(np.array([[1.5, 0.0]]))


def test_a_foot_at_the_horizon_is_nowhere() -> None:
    assert np.isinf(road_from_picture(np.array([[640.0, 360.0], [0.0, 100.0]]), SIZE, LEVEL)).all()


@pytest.mark.parametrize(
    "camera", [LEVEL, *DEFAULT_CAMERAS.values(), Camera(hfov_deg=60, height_m=2.4, pitch_deg=-12, yaw_deg=30)]
)
def test_road_to_picture_and_back(camera: Camera) -> None:
    rng = np.random.default_rng(1)
    road = np.stack([rng.uniform(4, 30, 200), rng.uniform(-5, 5, 200)], axis=1)
    back = road_from_picture(picture_from_road(road, SIZE, camera), SIZE, camera)
    assert back == pytest.approx(road, rel=1e-6)


@pytest.mark.parametrize(
    ("bearing", "east", "north"), [(0.0, 1.0, 10.0), (90.0, 10.0, -1.0), (180.0, -1.0, -10.0), (270.0, -10.0, 1.0)]
)
def test_ten_metres_ahead_and_one_to_the_right(bearing: float, east: float, north: float) -> None:
    ground = ground_from_road(np.array([[10.0, 1.0]]), bearing)
    assert ground == pytest.approx(np.array([[east, north]]))
    assert road_from_ground(ground, bearing) == pytest.approx(np.array([[10.0, 1.0]]))


def box_at(forward: float, right: float, camera: Camera) -> np.ndarray:
    u, v = picture_from_road(np.array([[forward, right]]), SIZE, camera)[0]
    return np.array([[u - 20, v - 60, u + 20, v]])


def test_a_right_camera_of_an_eastbound_bus_sees_south() -> None:
    camera = DEFAULT_CAMERAS["right"]
    spots = geotag(box_at(8.0, 0.0, camera), SIZE, camera, fix(heading_deg=90.0))
    assert spots.enu == pytest.approx(np.array([[0.0, -8.0]]), abs=1e-6)


def test_the_error_of_range_grows_with_the_square_of_distance_and_is_that_of_the_pitch() -> None:
    camera = DEFAULT_CAMERAS["front"]
    sigma = {}
    for forward in (10.0, 20.0):
        spots = geotag(box_at(forward, 0.0, camera), SIZE, camera, fix(heading_deg=0.0))
        sigma[forward] = math.sqrt(spots.covariance[0, 1, 1])
    assert sigma[20.0] / sigma[10.0] == pytest.approx(4.0, rel=0.15)
    pitch_alone = (20.0**2 + 1.6**2) / 1.6 * math.radians(0.6)
    assert pitch_alone < sigma[20.0] < 1.5 * pitch_alone


def test_the_propagated_covariance_is_that_of_a_simulation() -> None:
    camera = DEFAULT_CAMERAS["front"]
    box = box_at(12.0, 3.0, camera)
    spots = geotag(box, SIZE, camera, fix(heading_deg=40.0))
    rng = np.random.default_rng(2)
    edge = 4.0 + 0.03 * 60
    points = []
    for _ in range(4000):
        moved = box + np.array([[0, 0, 0, rng.normal(0, edge)]])
        moved[:, [0, 2]] += rng.normal(0, edge)
        wrong = Camera(
            hfov_deg=70,
            height_m=1.6 * (1 + rng.normal(0, 0.05)),
            pitch_deg=-2 + rng.normal(0, 0.6),
            yaw_deg=rng.normal(0, 1.5),
        )
        feet = np.stack([(moved[:, 0] + moved[:, 2]) / 2, moved[:, 3]], axis=1)
        points.append(ground_from_road(road_from_picture(feet, SIZE, wrong), 40.0 + wrong.yaw_deg)[0])
    assert spots.covariance[0] == pytest.approx(np.cov(np.array(points).T), rel=0.25, abs=0.05)


def test_without_heading_a_thing_is_somewhere_around_the_vehicle() -> None:
    camera = DEFAULT_CAMERAS["front"]
    spots = geotag(box_at(10.0, 0.0, camera), SIZE, camera, fix())
    assert spots.enu == pytest.approx(np.zeros((1, 2)))
    assert spots.covariance[0].trace() > 100.0  # 10 m in every direction


def test_no_boxes_give_no_spots() -> None:
    spots = geotag(np.zeros((0, 4)), SIZE, LEVEL, fix(heading_deg=0.0))
    assert spots.enu.shape == (0, 2)
    assert spots.covariance.shape == (0, 2, 2)


def test_a_small_far_thing_is_left_out_and_a_large_one_in_the_sky_is_vague() -> None:
    horizon = 360.0
    far = [600.0, horizon - 20, 610.0, horizon + 5]
    large = [500.0, horizon - 300, 700.0, horizon - 10]
    spots = geotag(np.array([far, large]), SIZE, LEVEL, fix(heading_deg=0.0))
    assert spots.keep.tolist() == [1]
    assert spots.range_m[0] < RANGE_LIMIT_M
    assert math.sqrt(spots.covariance[0, 1, 1]) > 5.0


def test_a_box_cut_by_the_lower_edge_is_less_sure_of_its_range() -> None:
    camera = DEFAULT_CAMERAS["front"]
    whole = geotag(np.array([[600.0, 500, 700, 715]]), SIZE, camera, fix(heading_deg=0.0))
    cut = geotag(np.array([[600.0, 500, 700, 720]]), SIZE, camera, fix(heading_deg=0.0))
    assert cut.covariance[0, 1, 1] > 2 * whole.covariance[0, 1, 1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[front]\nhfov_deg = 400", "hfov_deg"),
        ("[front]\nheight_m = true", "height_m"),
        ("[front\n", "cameras.toml"),
        ("front = 3", "table"),
    ],
)
def test_a_wrong_cameras_file_is_refused_by_field(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "cameras.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=words):
        read_cameras(path)


def test_a_cameras_file_adds_to_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "cameras.toml"
    path.write_text('[right]\nhfov_deg = 60.0\n["rear-left"]\nyaw_deg = -150')
    cameras = read_cameras(path)
    assert cameras["right"] == Camera(hfov_deg=60.0, height_m=1.6, pitch_deg=-2.0, yaw_deg=90.0)
    assert cameras["rear-left"].yaw_deg == -150.0
    assert cameras["front"] == DEFAULT_CAMERAS["front"]
