"""A film's motion tells how its clock and the track's differ: real street pictures drawn past a side camera."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest
from drives import START, Drive, Receiver, city_drive, fixes_of

from ingest.motion import command, film_lag, film_motion
from ingest.track import Track

SAMPLE = Path(__file__).parents[2] / "datasets" / "sample"
FPS = 15
SIZE_WH = (240, 136)
PX_PER_M = 8.0


def street() -> np.ndarray:
    """The sample's pictures side by side."""
    pictures = [cv2.resize(cv2.imread(str(path)), SIZE_WH) for path in sorted(SAMPLE.glob("*.jpg"))]
    return np.hstack(pictures)


def film(path: Path, drive: Drive, seed: int, *, until_s: float) -> Path:
    """Pictures pass by as the vehicle drives, some nearer to it than others: 0.6 to 1.4 times as fast."""
    random = np.random.default_rng(seed)
    strip = street()
    nearness = random.uniform(0.6, 1.4, strip.shape[1] // SIZE_WH[0] + 1)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, SIZE_WH)
    at_px = 0.0
    for k in range(int(until_s * FPS)):
        at = int(at_px) % (strip.shape[1] - SIZE_WH[0] - 1)
        part = at_px % 1
        view = strip[:, at : at + SIZE_WH[0] + 1].astype(np.float32)
        writer.write(((1 - part) * view[:, :-1] + part * view[:, 1:]).astype(np.uint8))
        speed = float(np.interp(k / FPS, drive.s, drive.speed))
        at_px += speed / FPS * PX_PER_M * nearness[at // SIZE_WH[0]]
    writer.release()
    return path


@pytest.mark.parametrize(("seed", "late_s"), [(1, 0.0), (2, 7.3), (3, -21.0)])
def test_a_film_with_stops_tells_when_it_began(tmp_path: Path, seed: int, late_s: float) -> None:
    drive = city_drive(seed, 150.0)
    track = Track(fixes_of(drive, Receiver(velocity=False), seed))
    path = film(tmp_path / "bus.mp4", drive, seed, until_s=120)
    found = film_lag(path, track, START - timedelta(seconds=late_s))
    assert found is not None
    assert found.value == pytest.approx(late_s, abs=0.5)
    assert found.value == pytest.approx(late_s, abs=4 * found.error)


def test_the_picture_moves_with_the_vehicle_and_stands_with_it(tmp_path: Path) -> None:
    drive = city_drive(2, 90.0)
    moments, motion = film_motion(film(tmp_path / "bus.mp4", drive, 2, until_s=80))
    speed = np.interp(moments, drive.s, drive.speed)
    assert (motion[speed == 0] < 0.02).all()
    moving = speed > 3
    expected = speed[moving] * PX_PER_M / SIZE_WH[0]
    assert 0.5 < np.median(motion[moving] / expected) < 1.5


def test_the_command_says_which_start_fits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drive = city_drive(4, 150.0)
    fixes = fixes_of(drive, Receiver(velocity=False, white_m=0.3), 4)
    points = "".join(
        f'<trkpt lat="{fix.lat}" lon="{fix.lon}"><time>{fix.time:%Y-%m-%dT%H:%M:%SZ}</time></trkpt>' for fix in fixes
    )
    (tmp_path / "bus.gpx").write_text(
        f'<gpx version="1.1" creator="t" xmlns="http://www.topografix.com/GPX/1/1"><trk><trkseg>{points}</trkseg></trk></gpx>'
    )
    path = film(tmp_path / "bus.mp4", drive, 4, until_s=120)
    command([str(path), str(tmp_path / "bus.gpx"), "--start", "2026-11-20T07:59:50Z"])
    out = capsys.readouterr().out
    assert "the film begins +" in out
    assert "--start 2026-11-20T07:59:59" in out or "--start 2026-11-20T08:00:00" in out


def test_a_film_that_stands_or_is_no_film_tells_nothing(tmp_path: Path) -> None:
    drive = city_drive(1, 60.0)
    track = Track(fixes_of(drive, Receiver(), 1))
    stood = Drive(drive.s, drive.position * 0, drive.speed * 0, drive.heading)
    found = film_lag(film(tmp_path / "bus.mp4", stood, 1, until_s=30), track, START)
    assert found is None or found.error > 1
    with pytest.raises(FileNotFoundError, match="there is no video"):
        film_motion(tmp_path / "none.mp4")
    (tmp_path / "bad.mp4").write_bytes(b"no film")
    with pytest.raises(ValueError, match="cannot be read as a video"):
        film_motion(tmp_path / "bad.mp4")
    with pytest.raises(SystemExit, match="is no track"):
        command([str(tmp_path / "bad.mp4"), str(tmp_path / "bad.mp4")])
