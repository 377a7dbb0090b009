"""Video: frames by metres along a track."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest

from ingest.frame import Fix, Frame
from ingest.geo import latlon_from_offset
from ingest.jpeg import read_header
from ingest.rejected import Rejected
from ingest.source import Source
from ingest.track import Track
from ingest.video import open_video

START = datetime(2026, 11, 20, 8, tzinfo=UTC)
FPS, FRAMES = 10, 40


def track(seconds: int, mps: float = 5.0) -> Track:
    places = [(s, latlon_from_offset(22.54, 114.05, s * mps, 0)) for s in range(seconds + 1)]
    return Track(Fix(time=START + timedelta(seconds=s), lat=lat, lon=lon) for s, (lat, lon) in places)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds at 10 frames a second; frame n is of grey 6 n."""
    path = tmp_path_factory.mktemp("film") / "drive.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (160, 96))
    for n in range(FRAMES):
        writer.write(np.full((96, 160, 3), 6 * n, np.uint8))
    writer.release()
    return path


def pictures(source: Source) -> list[Frame]:
    found = list(source.frames())
    assert not [item for item in found if isinstance(item, Rejected)]
    return [item for item in found if isinstance(item, Frame)]


def test_frames_are_kept_by_metres_and_are_the_right_pictures(film: Path) -> None:
    video = open_video(film, track(5), vehicle="bus-1", camera="right")
    assert [row.file for row in video.rows] == [
        f"drive.mp4#t={t}" for t in ("0.000", "0.800", "1.600", "2.400", "3.200")
    ]
    assert (len(video), video.left_out, video.rejected) == (5, FRAMES - 5, ())
    for frame, n in zip(pictures(video), (0, 8, 16, 24, 32), strict=True):
        image = cv2.imdecode(np.frombuffer(frame.jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        assert image.mean() == pytest.approx(6 * n, abs=4)
        assert read_header(frame.jpeg) == frame.size_wh == (160, 96)
        assert frame.time == frame.fix.time == START + timedelta(seconds=n / FPS)
        assert (frame.vehicle, frame.camera) == ("bus-1", "right")
        assert frame.fix.heading_deg == pytest.approx(90, abs=0.1)


def test_the_start_moves_the_film_along_the_track(film: Path) -> None:
    video = open_video(film, track(10), start=START + timedelta(seconds=5), every_m=0)
    assert len(video) == FRAMES
    assert video.rows[0].time == START + timedelta(seconds=5)
    assert [frame.id for frame in pictures(video)] == [row.id for row in video.rows]


def test_frames_beyond_the_track_are_rejected_as_one_stretch(film: Path) -> None:
    video = open_video(film, track(2), every_m=4.0)
    (item,) = video.rejected  # a track of 2 s, and 1 s on: 3.1 s is the first beyond
    assert item.file == "drive.mp4#t=3.100"
    assert item.reason == "9 frames up to 3.900 s: the track ends 1.1 s before the picture"
    assert len(video) + video.left_out == FRAMES - 9


def test_a_film_wholly_off_the_track_is_no_error(film: Path) -> None:
    video = open_video(film, track(2), start=START + timedelta(hours=1))
    assert (len(video), len(video.rejected), list(video.frames())) == (0, 1, [])


def test_a_standing_vehicle_gives_one_frame(film: Path) -> None:
    assert len(open_video(film, track(5, mps=0.0))) == 1


@pytest.mark.parametrize("content", [b"", b"not a film" * 100, "cut"])
def test_a_corrupt_video_is_refused_by_name(film: Path, tmp_path: Path, content: bytes | str) -> None:
    path = tmp_path / "bad.mp4"
    path.write_bytes(film.read_bytes()[:-600] if isinstance(content, str) else content)
    with pytest.raises(ValueError, match=r"bad\.mp4"):
        open_video(path, track(5))


def test_a_missing_video_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no video"):
        open_video(tmp_path / "none.mp4", track(5))


def test_frames_that_cannot_be_decoded_are_rejected_and_none_is_lost(film: Path, tmp_path: Path) -> None:
    path = tmp_path / "drive.mp4"
    path.write_bytes(film.read_bytes())
    video = open_video(path, track(5))
    path.write_bytes(b"gone bad since")
    found = list(video.frames())
    assert [item.file for item in found] == [row.file for row in video.rows]
    assert all(isinstance(item, Rejected) and "cannot be decoded" in item.reason for item in found)
