"""Motion in a film, and by it how far the film's clock is from that of the vehicle's track.

`python -m ingest.motion FILM TRACK [--start TIME]` says what `--start` brings both together. The picture moves the
faster the faster the vehicle drives, and stands when it stands; by what factor depends on the street, so that only many
changes of speed tell. A film of a few minutes with stops is enough, a minute on a free road is not.
"""

from __future__ import annotations

import argparse
import sys
from datetime import datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ingest.frame import parse_rfc3339, rfc3339
from ingest.geo import Floats, offset_from_latlon
from ingest.latency import Estimate, position_lag
from ingest.track import Track
from ingest.tracklog import read_track

EVERY_S = 0.2  # between two looks
WIDTH_PX = 240  # of the picture that is looked at
POINTS = 120
MIN_POINTS = 12  # fewer are a wall, a night or a covered lens
ROUGH = 0.3  # how fast the picture moves at one speed, from place to place: 1 sigma, as a part
WITHIN_S = 60.0  # clocks farther apart are not found by motion

Grey = NDArray[np.uint8]


def film_motion(path: Path) -> tuple[Floats, Floats]:
    """Moments (N,) in seconds of the film, and how fast the picture moved there, in picture widths a second.

    The median over corners that are seen in two frames in a row; moments with few corners are left out. Decodes the
    film once. Raises FileNotFoundError without the file, ValueError when it is no video that can be read.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no video {path}")
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        if not capture.isOpened():
            raise ValueError(f"{path.name} cannot be read as a video: it is corrupt or of an unknown format")
        found = _motions(capture)
    finally:
        capture.release()
    return np.array([s for s, _ in found]), np.array([motion for _, motion in found])


def film_lag(path: Path, track: Track, start: datetime) -> Estimate | None:
    """How much later than `start` the film began on the track's clock, seconds; None where motion does not tell.

    Raises as `film_motion`.
    """
    moments, motion = film_motion(path)
    if len(moments) < 2:
        return None
    first = track.fixes[0]
    s = np.array([(fix.time - start).total_seconds() for fix in track.fixes])
    position = np.array([offset_from_latlon(fix.lat, fix.lon, first.lat, first.lon) for fix in track.fixes])
    near = (s >= moments[0] - WITHIN_S) & (s <= moments[-1] + WITHIN_S)
    return position_lag(s[near], position[near], moments, motion, within_s=WITHIN_S, rough=ROUGH)


def _motions(capture: cv2.VideoCapture) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    before: tuple[float, Grey] | None = None
    due = 0.0
    while capture.grab():
        s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if before is None and s < due:
            continue
        good, image = capture.retrieve()
        if not good or image is None:
            before = None
            continue
        picture = _small(np.asarray(image, np.uint8))
        if before is not None:
            moved = _moved(before[1], picture)
            if moved is not None and s > before[0]:
                found.append(((s + before[0]) / 2, moved / (s - before[0])))
            due = before[0] + EVERY_S
            before = None
        else:
            before = s, picture
    return found


def _small(image: NDArray[np.uint8]) -> Grey:
    height, width = image.shape[:2]
    size = (WIDTH_PX, max(1, round(height * WIDTH_PX / width)))
    return np.asarray(cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY))


def _moved(a: Grey, b: Grey) -> float | None:
    """How far corners went from one picture to the next, in widths; None with too few of them."""
    corners = cv2.goodFeaturesToTrack(a, POINTS, 0.01, 5)
    if corners is None or len(corners) < MIN_POINTS:
        return None
    after, status, _ = cv2.calcOpticalFlowPyrLK(a, b, corners, np.zeros_like(corners))
    kept = np.asarray(status)[:, 0] == 1
    if np.count_nonzero(kept) < MIN_POINTS:
        return None
    went = (np.asarray(after) - np.asarray(corners))[kept, 0]
    return float(np.median(np.linalg.norm(went, axis=1))) / WIDTH_PX


def command(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("film", type=Path)
    parser.add_argument("track", type=Path, help="GPX or NMEA")
    parser.add_argument("--start", type=parse_rfc3339, help="when the film is believed to begin; else with the track")
    args = parser.parse_args(arguments)
    try:
        track, _ = read_track(args.track)
        start = track.start if args.start is None else args.start
        lag = film_lag(args.film, track, start)
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    if lag is None or lag.error > 1.0:
        sys.exit("the film's motion does not tell: it needs the track's own stops, starts and turns of speed")
    print(f"the film begins {lag.value:+.2f} ± {lag.error:.2f} s after {rfc3339(start)}")
    print(f"--start {rfc3339(start + timedelta(seconds=lag.value))}")


if __name__ == "__main__":
    command()
