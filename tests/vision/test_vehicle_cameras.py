"""Cameras by vehicle: of every vehicle, of those of a pattern, of one; and how buses and taxis carry them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingest.frame import Fix, Frame, frame_id
from ingest.memory import MemoryBroker, MemoryBus
from ingest.mounting import parse_mounting
from ingest.rejected import Rejected
from jiexun.publish import Publisher
from models.taxonomy import Taxonomy
from vision.camera import DEFAULT_CAMERAS, KINDS, Camera, Cameras, camera_of, read_cameras
from vision.sighting import Evidence, Sighting
from vision.stretch import Found
from vision.worker import Worker

FILE = """
[right]
height_m = 1.5

[vehicle."bus-*"]
kind = "bus"

[vehicle."bus-04*".right]
height_m = 2.4

[vehicle.bus-0417.right]
yaw_deg = 80.0
"""
NOON = datetime(2026, 11, 20, 4, tzinfo=UTC)


@pytest.fixture
def cameras(tmp_path: Path) -> Cameras:
    path = tmp_path / "cameras.toml"
    path.write_text(FILE, encoding="utf-8")
    return read_cameras(path)


@pytest.mark.parametrize(
    ("vehicle", "height_m", "yaw_deg"),
    [("taxi-1", 1.5, 90.0), ("bus-0500", 2.2, 90.0), ("bus-0418", 2.4, 90.0), ("bus-0417", 1.5, 80.0)],
)
def test_a_vehicles_own_table_comes_before_its_pattern_and_that_before_all(
    cameras: Cameras, vehicle: str, height_m: float, yaw_deg: float
) -> None:
    camera = camera_of(vehicle, "right", {}, cameras)
    assert (camera.height_m, camera.yaw_deg) == (height_m, yaw_deg)


def test_a_bus_carries_every_camera_as_buses_do(cameras: Cameras) -> None:
    front = camera_of("bus-0417", "front", {}, cameras)
    assert front == replace(DEFAULT_CAMERAS["front"], **KINDS["bus"])
    assert camera_of("taxi-1", "front", {}, cameras) == DEFAULT_CAMERAS["front"]


def test_what_a_frame_says_of_its_camera_comes_first(cameras: Cameras) -> None:
    told = asdict(replace(DEFAULT_CAMERAS["right"], height_m=2.9))
    assert camera_of("bus-0417", "right", told, cameras).height_m == 2.9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[vehicle."bus-*"]\nkind = "tram"', r"\[vehicle.bus-\*\]: kind must be one of bus, taxi, got"),
        ("[vehicle.bus-1.right]\nheight_m = 9", r"\[vehicle.bus-1.right\]: height_m must be a number from 0.3 to 6"),
        ("[vehicle.bus-1]\nright = 3", r"\[vehicle.bus-1.right\]: expected a table"),
        ("[vehicle]\nbus-1 = 3", r"\[vehicle.bus-1\]: expected tables by camera"),
        ("vehicle = 3", "vehicle must hold tables"),
    ],
)
def test_a_wrong_table_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "cameras.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_cameras(path)


def frame(vehicle: str, camera: str = "front") -> Frame:
    fix = Fix(time=NOON, lat=22.54, lon=114.05, speed_mps=5.0, heading_deg=0.0, accuracy_m=2.0)
    id = frame_id(vehicle, camera, NOON)
    return Frame(id=id, vehicle=vehicle, camera=camera, time=NOON, fix=fix, jpeg=b"", size_wh=(1280, 720), file=id)


def placed(vehicle: str, camera: str, cameras: Cameras) -> list[Sighting | Rejected]:
    """What a worker makes of one box, low in the middle of the picture."""

    def detect(frames: Sequence[Frame]) -> list[list[Found] | ValueError]:
        return [[Found(kind="garbage", confidence=0.8, box_xyxy=(600.0, 450.0, 680.0, 600.0))] for _ in frames]

    def picture(of: Frame, box: tuple[float, float, float, float]) -> Evidence:
        return Evidence(uri=f"{of.id}.jpg", sha256=of.id, box_xyxy=(0, 0, 1, 1))

    worker = Worker(detect, cameras, Taxonomy.read(), picture, model="test@sha256:0", recall={"garbage": 0.8})
    out = [*worker.work([frame(vehicle, camera)]), *worker.flush()]
    items = [item[1] if isinstance(item, tuple) else item for item in out]
    return [item for item in items if isinstance(item, Sighting | Rejected)]


def test_the_same_box_lies_farther_away_from_a_higher_lens(cameras: Cameras) -> None:
    level = Cameras(cameras.every, {"high": {"front": Camera(hfov_deg=70, height_m=3.2, pitch_deg=-2, yaw_deg=0)}})
    (near,), (far,) = placed("taxi-1", "front", level), placed("high", "front", level)
    assert isinstance(near, Sighting)
    assert isinstance(far, Sighting)
    assert far.lat - 22.54 == pytest.approx(2 * (near.lat - 22.54), rel=1e-3)


def test_a_camera_that_only_some_vehicles_have_is_unknown_of_the_others() -> None:
    own = Cameras(own={"bus-*": {"roof": DEFAULT_CAMERAS["front"]}})
    (found,), (refused,) = placed("bus-1", "roof", own), placed("taxi-1", "roof", own)
    assert isinstance(found, Sighting)
    assert isinstance(refused, Rejected)
    assert "camera 'roof' is not described" in refused.reason


def test_published_frames_say_how_their_own_vehicles_camera_is_mounted(cameras: Cameras) -> None:
    broker = MemoryBroker()

    class Two:
        left_out = repeats = unlisted = 0
        rejected: tuple[Rejected, ...] = ()

    Publisher(MemoryBus(broker), mounted=cameras.of).publish([frame("bus-0418"), frame("taxi-1")], Two())  # type: ignore[arg-type]
    records = [record for log in broker.logs.values() for record in log]
    heights = {(r.header("ce_vehicle") or b"").decode(): parse_mounting(r)["height_m"] for r in records}
    assert heights == {"bus-0418": 2.2, "taxi-1": 1.6}
