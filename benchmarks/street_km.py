"""How many kilometres of street does one core look at in an hour, with and without choosing which frames to look at?

    street-km per core-hour = length of the way, km / core-hours that its frames cost
    core-hours = (frames looked at × cores / fps + frames judged by the gate × seconds of the gate) / 3600

The way is the sample drive's: one camera, 1.0 km in 4 minutes, driven at a bus's speed. Its vehicle is put on the
straight line between two neighbouring rows of frames.csv, at every moment that a camera of `CAMERA_FPS` would take a
picture. Without sampling all of these are looked at. With sampling it is `ingest.sampling.keep_mask`, as it runs, that
chooses. The gate costs each frame that sampling keeps its header, and some of them a look at an eighth of the size; it
saves those frames that it drops. On a way in good light it drops none and only costs; `DROPPED` is what it saves where
a camera sends that part of its frames for nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np

from ingest.frame import Fix
from ingest.geo import distance_m
from ingest.quality import first_look, look_at_pixels
from ingest.sampling import keep_mask
from ingest.table import TABLE, Entry, read_table
from vision.jpeg import decode_jpeg

CAMERA_FPS = 25.0
EVERY_M = 4.0
DROPPED = 0.2  # part of the frames that show nothing: a camera that is dirty, or out in the dark one hour in five


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a frame costs on this machine."""

    fps: float  # frames a second of the shipped path on all cores
    cores: int
    gate_s: float = 0.0  # mean core-seconds that the gate spends on a frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One camera's way: its length, the frames it takes on it, and those that sampling by metres keeps."""

    km: float
    frames: int
    kept: int


def street_km(way: Way, cost: Cost) -> dict[str, float]:
    """Street-kilometres per core-hour: every frame, sampled, sampled and gated, and gated with useless frames."""
    frame_s = cost.cores / cost.fps

    def per_core_hour(judged: int, looked: float) -> float:
        return round(3600 * way.km / (looked * frame_s + judged * cost.gate_s), 2)

    return {
        "every_frame": per_core_hour(0, way.frames),
        "sampled": per_core_hour(0, way.kept),
        "sampled_and_gated": per_core_hour(way.kept, way.kept),
        "sampled_and_gated_some_useless": per_core_hour(way.kept, (1 - DROPPED) * way.kept),
    }


def sample_way(sample: Path, *, camera_fps: float = CAMERA_FPS, every_m: float = EVERY_M) -> Way:
    """The sample drive's way. Raises OSError without the drive, ValueError when its table is damaged."""
    entries, _ = read_table(sample / TABLE, now=datetime.now(UTC))
    fixes = sorted((entry.fix for entry in entries if isinstance(entry, Entry)), key=lambda fix: fix.time)
    return way_of(fixes, camera_fps=camera_fps, every_m=every_m)


def way_of(fixes: Sequence[Fix], *, camera_fps: float = CAMERA_FPS, every_m: float = EVERY_M) -> Way:
    """The way along fixes in order of time, straight from each to the next. Raises ValueError for less than two."""
    if len(fixes) < 2:
        raise ValueError("a way has at least two fixes")
    taken = list(_taken(fixes, camera_fps))
    km = sum(distance_m(a.lat, a.lon, b.lat, b.lon) for a, b in pairwise(fixes)) / 1000
    return Way(km=km, frames=len(taken), kept=sum(keep_mask(taken, every_m)))


def gate_cost_s(jpegs: Sequence[bytes], size_wh: tuple[int, int]) -> float:
    """Mean core-seconds that the gate spends on one of these pictures, measured here."""
    decoded = [decode_jpeg(jpeg, (384, 640))[0] for jpeg in jpegs]
    seconds = 0.0
    for turn in range(2):  # the first warms up
        start = time.perf_counter()
        for jpeg, image in zip(jpegs, decoded, strict=True):
            if not first_look(jpeg, size_wh)[1]:
                look_at_pixels(image)
        seconds = time.perf_counter() - start if turn else 0.0
    return seconds / len(jpegs)


def _taken(fixes: Sequence[Fix], camera_fps: float) -> Iterator[Fix]:
    """Where the vehicle is whenever the camera takes a picture."""
    seconds = [(fix.time - fixes[0].time).total_seconds() for fix in fixes]
    moments = np.arange(0, seconds[-1] + 1e-9, 1 / camera_fps)
    lats = np.interp(moments, seconds, [fix.lat for fix in fixes])
    lons = np.interp(moments, seconds, [fix.lon for fix in fixes])
    for moment, lat, lon in zip(moments.tolist(), lats.tolist(), lons.tolist(), strict=True):
        yield Fix(time=fixes[0].time + timedelta(seconds=moment), lat=lat, lon=lon)
