"""Parked two-wheelers: without rider, standing still, where parking is forbidden. One real picture shows one."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from dispatcher.belief import OPENS_AT
from ingest.frame import Fix, Frame, frame_id
from ingest.geo import latlon_from_offset
from models.card import find_card
from models.taxonomy import Taxonomy
from vision.camera import Camera, picture_from_road
from vision.detections import Detections
from vision.no_parking import NoParking, NoParkingUnreadable
from vision.parked import BICYCLE, KIND, MOST, MOTORCYCLE, PERSON, Parked, riderless
from vision.sight import open_sight
from vision.sighting import Evidence, Sighting
from vision.stretch import Found
from vision.worker import Worker

SAMPLE = Path(__file__).parents[2] / "datasets" / "sample"
HOME = (22.54, 114.06)
START = datetime(2026, 11, 20, 8, tzinfo=UTC)
SIZE = (1280, 720)
CAMERA = Camera(hfov_deg=70.0, height_m=1.6, pitch_deg=-3.0, yaw_deg=0.0)


def area(path: Path, west: float, south: float, east: float, north: float) -> Path:
    """A no-parking rectangle, metres from HOME."""
    corners = [(west, south), (east, south), (east, north), (west, north), (west, south)]
    ring = [latlon_from_offset(*HOME, *corner)[::-1] for corner in corners]
    shape = {"type": "Polygon", "coordinates": [[list(map(float, lonlat)) for lonlat in ring]]}
    feature = {"type": "Feature", "properties": {"name": "东门步行街"}, "geometry": shape}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}), encoding="utf8")
    return path


def frame(north: float, seconds: float, jpeg: bytes = b"", size_wh: tuple[int, int] = SIZE) -> Frame:
    time = START + timedelta(seconds=seconds)
    lat, lon = latlon_from_offset(*HOME, 0.0, north)
    fix = Fix(time=time, lat=lat, lon=lon, speed_mps=5.0, heading_deg=0.0, accuracy_m=2.0)
    name = frame_id("bus-1", "front", time)
    return Frame(
        id=name, vehicle="bus-1", camera="front", time=time, fix=fix, jpeg=jpeg, size_wh=size_wh, file=f"{seconds}.jpg"
    )


def boxes(*rows: tuple[int, tuple[float, float, float, float]]) -> Detections:
    xyxy = np.array([box for _, box in rows], np.float32).reshape(-1, 4)
    return Detections(xyxy, np.full(len(rows), 0.9, np.float32), np.array([label for label, _ in rows], np.int64))


BIKE = (100.0, 200.0, 200.0, 300.0)


@pytest.mark.parametrize(
    ("others", "alone"),
    [
        ([], 1),
        ([(PERSON, (120.0, 120.0, 180.0, 270.0))], 0),  # in the saddle
        ([(PERSON, (190.0, 120.0, 250.0, 320.0))], 1),  # beside it
        ([(PERSON, (110.0, 260.0, 190.0, 400.0))], 1),  # in front of it, lower
        ([(PERSON, (110.0, 20.0, 190.0, 190.0))], 1),  # on a balcony above
        ([(MOTORCYCLE, (102.0, 198.0, 204.0, 300.0))], 1),  # the same thing, told twice
        ([(2, (90.0, 190.0, 210.0, 310.0))], 1),  # a car
    ],
)
def test_who_sits_on_it_rides_it(others: list[tuple[int, tuple[float, float, float, float]]], alone: int) -> None:
    assert len(riderless(boxes((BICYCLE, BIKE), *others))) == alone


def test_nothing_told_is_nothing_alone() -> None:
    assert len(riderless(Detections.empty())) == 0


def test_a_real_scooter_is_seen_near_an_area_and_costs_nothing_elsewhere(tmp_path: Path) -> None:
    """0053.jpg shows an electric scooter on the pavement, nobody on it."""
    jpeg = (SAMPLE / "0053.jpg").read_bytes()
    main = [find_card("streetscape-v1")]
    here = open_sight(main, no_parking=str(area(tmp_path / "here.geojson", -30, -30, 30, 30)))
    (shown,) = here.detect([frame(0, 0, jpeg, (640, 480))])
    assert isinstance(shown, list)
    (scooter,) = [one for one in shown if one.kind == KIND]
    assert scooter.box_xyxy[0] > 480
    assert scooter.box_xyxy[1] > 340
    assert here.model.count("@sha256:") == 2
    assert here.recall[KIND] == 0.0
    parked = Parked(NoParking.read(area(tmp_path / "away.geojson", 100, 100, 130, 130)))
    assert not parked.near(frame(0, 0))
    assert parked.near(frame(90, 0)) is False  # 100 m east of it
    assert parked.looks == 0


def worker(tmp_path: Path, where: Callable[[float], tuple[float, float]], no_parking: tuple[float, ...]) -> Worker:
    """A worker before whose camera one two-wheeler is at `where` (metres east and north of HOME) at each second."""
    parked = Parked(NoParking.read(area(tmp_path / "areas.geojson", *no_parking)))

    def detect(frames: object) -> list[list[Found]]:
        return [_seen(one) for one in frames]  # type: ignore[attr-defined]

    def _seen(one: Frame) -> list[Found]:
        seconds = (one.time - START).total_seconds()
        east, north = where(seconds)
        ahead = north - (one.fix.lat - HOME[0]) * 110_741.0
        if not 6 < ahead < 25:
            return []
        ((u, v),) = picture_from_road(np.array([[ahead, east]]), SIZE, CAMERA)
        return [Found(kind=KIND, confidence=0.8, box_xyxy=(u - 40, v - 60, u + 40, v))]

    def picture(one: Frame, box: tuple[float, float, float, float]) -> Evidence:
        return Evidence(uri=None, sha256=None, box_xyxy=None, missing="no picture")

    return Worker(
        detect,  # type: ignore[arg-type]
        {"front": CAMERA},
        Taxonomy.read(),
        picture,
        model="test@sha256:0",
        recall={},
        judged=parked.judged,
    )


def told(one: Worker, frames: int) -> list[Sighting]:
    """The sightings of a drive north at 5 m/s, a frame every 4 m."""
    out = []
    for i in range(frames):
        out += one.work([frame(4.0 * i, 0.8 * i)])
    return [item for _, item in [*out, *one.flush()] if isinstance(item, Sighting)]  # type: ignore[misc]


EVERYWHERE = (-50.0, -50.0, 50.0, 100.0)


def test_what_stands_in_the_area_is_one_candidate_of_its_matter(tmp_path: Path) -> None:
    (sighting,) = told(worker(tmp_path, lambda _: (3.0, 30.0), EVERYWHERE), 10)
    assert (sighting.kind, sighting.matter) == (KIND, "09010")
    assert sighting.frames >= 3
    assert sighting.confidence == MOST < OPENS_AT  # one pass alone opens no case


@pytest.mark.parametrize(
    ("where", "no_parking", "frames"),
    [
        (lambda _: (3.0, 30.0), (-50.0, 60.0, 50.0, 100.0), 10),  # outside
        (lambda _: (3.0, 30.0), EVERYWHERE, 4),  # two frames show it
        (lambda s: (3.0, 14.0 + 4.0 * s), EVERYWHERE, 16),  # pushed along at four metres a second
    ],
)
def test_what_moves_is_outside_or_is_seen_too_briefly_is_not_told(
    tmp_path: Path, where: Callable[[float], tuple[float, float]], no_parking: tuple[float, ...], frames: int
) -> None:
    assert told(worker(tmp_path, where, no_parking), frames) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "no GeoJSON"),
        ('{"features": []}', "holds no area"),
        ('{"features": [{"geometry": {"type": "Point", "coordinates": [114, 22]}}]}', "feature 0 is no polygon"),
        ('{"features": [{"geometry": null}]}', "feature 0"),
        (
            '{"features": [{"geometry": {"type": "Polygon", "coordinates": [[[500,0],[501,0],[501,1],[500,0]]]}}]}',
            "WGS-84",
        ),
    ],
)
def test_areas_that_cannot_be_read_stop_the_worker(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "areas.geojson"
    path.write_text(text, encoding="utf8")
    with pytest.raises(NoParkingUnreadable, match=reason):
        NoParking.read(path)
