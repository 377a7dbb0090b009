"""`jiexun calibrate`: real photographs as the walls of a street that a known camera drives through."""

from __future__ import annotations

import csv
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ingest.frame import rfc3339
from vision.camera import Camera, read_cameras

sys.path.append(str(Path(__file__).parent / "vision"))
from streets import rendered, straight_way, street_of

SAMPLE = Path(__file__).parent.parent / "datasets" / "sample"
SIZE = (560, 315)
START = datetime(2026, 11, 20, 8, 15, tzinfo=UTC)
STEP_M = 4.5
FRAMES = 24
SPEED_MPS = 9.0
TRUE = {
    "front": Camera(hfov_deg=80.0, height_m=1.6, pitch_deg=-4.2, yaw_deg=3.1, k1=-0.1),
    "right": Camera(hfov_deg=80.0, height_m=1.6, pitch_deg=-2.0, yaw_deg=85.0, roll_deg=2.0),
}
CAMERAS = """# our bus
[front]  # windscreen
hfov_deg = 80.0    # by the wall
pitch_deg = -2.0   # a guess
k1 = -0.1

[right]
hfov_deg = 80.0
"""
Run = Callable[..., tuple[int, Any, str]]


@pytest.fixture(scope="session")
def street_drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 100 m through the street, seen by two cameras of one bus."""
    folder = tmp_path_factory.mktemp("street")
    random = np.random.default_rng(7)
    pictures = [cv2.imread(str(path)) for path in sorted(SAMPLE.glob("*.jpg"))]
    walls = street_of(pictures, FRAMES * STEP_M, random)
    way = straight_way(random, FRAMES, STEP_M, nod_deg=0.3)
    rows = []
    for i, (lens, heading, nod) in enumerate(zip(way.lens, way.heading_deg, way.nod_deg, strict=True)):
        for name, camera in TRUE.items():
            nodding = replace(camera, pitch_deg=camera.pitch_deg + nod) if name == "front" else camera
            file = f"{name}-{i:03d}.jpg"
            cv2.imwrite(str(folder / file), rendered(walls, lens, heading, nodding, SIZE))
            time = rfc3339(START + timedelta(seconds=i * STEP_M / SPEED_MPS))
            lat = 22.54 + lens[2] / 110_750
            rows.append(
                [file, time, f"{lat:.7f}", "114.0532", SPEED_MPS, f"{heading % 360:.1f}", 3.0, "bus-0417", name]
            )
    with (folder / "frames.csv").open("w", newline="") as file_out:
        csv.writer(file_out).writerows([HEADER, *rows])
    (folder / "cameras.toml").write_text(CAMERAS)
    return folder


HEADER = ["file", "time", "lat", "lon", "speed_mps", "heading_deg", "accuracy_m", "vehicle", "camera"]


@pytest.fixture
def drive(street_drive: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(street_drive, tmp_path / "drive"))


def test_a_drive_calibrates_its_cameras_and_the_file_keeps_what_a_person_wrote(run: Run, drive: Path) -> None:
    status, document, table = run("calibrate", drive, "--write", "--json")
    assert status == 0
    front, right = document["cameras"]
    assert (front["camera"], right["camera"]) == ("front", "right")
    for angle in ("pitch", "yaw"):
        assert front[f"{angle}_deg"] == pytest.approx(
            getattr(TRUE["front"], f"{angle}_deg"), abs=3 * front[f"{angle}_sigma_deg"]
        )
        assert front[f"{angle}_sigma_deg"] < 0.5
    assert right["yaw_deg"] == pytest.approx(85.0, abs=3 * right["yaw_sigma_deg"])
    assert right["roll_deg"] == pytest.approx(2.0, abs=3 * right["roll_sigma_deg"])
    assert right["pitch_deg"] is None
    assert "does not tell the pitch" in right["notes"][0]
    assert "bus-0417" in table
    written = (drive / "cameras.toml").read_text()
    assert document["written"] == str(drive / "cameras.toml")
    assert "# our bus\n[front]  # windscreen\nhfov_deg = 80.0    # by the wall\n" in written
    cameras = read_cameras(drive / "cameras.toml")
    assert cameras["front"].pitch_deg == pytest.approx(front["pitch_deg"], abs=0.006)
    assert cameras["front"].pitch_sigma_deg == pytest.approx(front["pitch_sigma_deg"], abs=0.006)
    assert cameras["right"].roll_deg == pytest.approx(right["roll_deg"], abs=0.006)
    assert cameras["right"].pitch_deg == -2.0


def test_without_write_nothing_is_changed(run: Run, drive: Path) -> None:
    status, document, _ = run("calibrate", drive, "--camera", "front", "--vehicle", "bus-0417", "--json")
    assert status == 0
    assert [camera["camera"] for camera in document["cameras"]] == ["front"]
    assert document["written"] is None
    assert (drive / "cameras.toml").read_text() == CAMERAS


def test_the_sample_drive_is_refused_with_a_reason_and_nothing_is_written(run: Run, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(SAMPLE, tmp_path / "sample"))
    before = (folder / "cameras.toml").read_bytes()
    status, document, told = run("calibrate", folder, "--json")
    assert status == 0
    (right,) = document["cameras"]
    assert right["refused"].startswith("only ")
    assert right["pitch_deg"] is right["yaw_deg"] is right["roll_deg"] is None
    assert "not calibrated" in told
    status, _, told = run("calibrate", folder, "--write", "--json")
    assert status == 1
    assert "nothing was written" in told
    assert (folder / "cameras.toml").read_bytes() == before


def test_unrelated_photographs_on_a_straight_track_do_not_fit_together(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "unrelated"
    folder.mkdir()
    files = sorted(path.name for path in SAMPLE.glob("*.jpg"))[:20]
    rows = []
    for i, file in enumerate(files):
        shutil.copy(SAMPLE / file, folder)
        time = rfc3339(START + timedelta(seconds=i * 0.5))
        rows.append([file, time, 22.54 + i * 4.5 / 110_750, 114.0532, 9.0, 0.0, 3.0, "bus-0417", "front"])
    with (folder / "frames.csv").open("w", newline="") as file_out:
        csv.writer(file_out).writerows([HEADER, *rows])
    status, document, _ = run("calibrate", folder, "--json")
    assert status == 0
    (front,) = document["cameras"]
    assert front["pairs"] == 19
    assert front["pairs_told"] <= 3  # chance
    assert "tell which way the camera went" in front["refused"]


def test_one_table_for_two_vehicles_is_not_written(run: Run, drive: Path) -> None:
    lines = (drive / "frames.csv").read_text().splitlines()
    last = lines[-2].replace("bus-0417", "taxi-9")
    assert last.endswith("front")
    (drive / "frames.csv").write_text("\n".join([*lines, last]) + "\n")
    status, _, told = run("calibrate", drive, "--vehicle", "bus-0417", "--camera", "front", "--write")
    assert status == 1
    assert "bus-0417 and taxi-9" in told
    assert (drive / "cameras.toml").read_text() == CAMERAS


def test_a_camera_that_the_drive_lacks_is_told_with_those_it_has(run: Run, drive: Path) -> None:
    status, _, told = run("calibrate", drive, "--camera", "rear")
    assert status == 1
    assert "bus-0417 front, bus-0417 right" in told
