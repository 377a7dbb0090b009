"""Real pictures with real positions flow through: a car's 4K camera, and a walk whose pictures know no time.

The pictures are not part of the repository. JIEXUN_TRACKS names the folder that holds `mapillary_tools` and
`opensfm_lund` (both BSD-2), as their projects publish them.
"""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ingest.drive import open_drive
from ingest.frame import Frame
from ingest.smooth import read_smooth
from ingest.video import open_video

FOLDER = os.environ.get("JIEXUN_TRACKS")
NOW = datetime(2026, 11, 21, tzinfo=UTC)

pytestmark = pytest.mark.skipif(
    FOLDER is None, reason="REAL PICTURES NOT READ: JIEXUN_TRACKS names no folder with mapillary_tools and opensfm_lund"
)


def copied(name: str, pattern: str, to: Path) -> list[str]:
    found = sorted((Path(FOLDER or "") / name).glob(pattern))
    assert found, f"{FOLDER}/{name} has no {pattern}"
    for path in found:
        shutil.copy(path, to)
    return [path.name for path in found]


def test_pictures_of_a_car_have_their_place_time_speed_and_course(tmp_path: Path) -> None:
    copied("mapillary_tools", "*.JPG", tmp_path)
    drive = open_drive(tmp_path, now=NOW, zone=UTC)
    assert drive.rejected == ()
    first, second = drive.rows
    assert first.time == datetime(2018, 6, 8, 20, 24, 11, tzinfo=UTC)
    assert (first.fix.lat, first.fix.lon) == pytest.approx((45 + 31.0142 / 60, -(122 + 34.3659 / 60)), abs=1e-6)
    assert (first.fix.speed_mps, first.fix.heading_deg) == pytest.approx((22.95 / 3.6, 270.89))
    assert second.fix.heading_deg == pytest.approx(271.27)
    assert [isinstance(frame, Frame) for frame in drive.frames()] == [True, True]


def test_a_walk_without_times_is_refused_picture_by_picture_and_told_what_lacks(tmp_path: Path) -> None:
    names = copied("opensfm_lund", "*.jpg", tmp_path)
    drive = open_drive(tmp_path, now=NOW, zone=UTC)
    assert len(drive) == 0
    assert {item.file for item in drive.rejected} == set(names)
    assert all("no time in its EXIF" in item.reason for item in drive.rejected)


def test_a_walk_flows_through_when_a_table_tells_its_times(tmp_path: Path) -> None:
    names = copied("opensfm_lund", "*.jpg", tmp_path)
    start = datetime(2026, 11, 20, 8, 15, tzinfo=UTC)
    times = [f"{name},{start + timedelta(seconds=8 * i):%Y-%m-%dT%H:%M:%SZ}" for i, name in enumerate(names)]
    (tmp_path / "frames.csv").write_text("\n".join(["file,time", *times]))
    drive = open_drive(tmp_path, now=NOW, zone=UTC, every_m=0)
    assert (len(drive), drive.rejected, drive.unlisted) == (29, (), 0)
    assert [row.file for row in drive.rows] == names
    assert (drive.rows[0].fix.lat, drive.rows[0].fix.lon) == pytest.approx((55.698167, 13.195389), abs=1e-6)
    assert all(row.fix.heading_deg is not None for row in drive.rows)
    assert all(isinstance(frame, Frame) for frame in drive.frames())


def test_a_film_along_a_drawn_track_is_placed(tmp_path: Path) -> None:
    copied("mapillary_tools", "sample-5s.mp4", tmp_path)
    copied("mapillary_tools", "*.gpx", tmp_path)
    track, rejected = read_smooth(tmp_path / "sf_30km_h.gpx")
    assert rejected == []
    video = open_video(tmp_path / "sample-5s.mp4", track)
    assert video.rejected == ()
    assert len(video) == pytest.approx(5.7 * 30 / 3.6 / 4, abs=2)  # 30 km/h, a frame every 4 m
    assert sum(isinstance(frame, Frame) for frame in video.frames()) == len(video)
