"""Fix and Frame: what a vehicle's camera and receiver tell."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """One vehicle position. Unknown is None, never zero."""

    time: datetime  # aware, UTC
    lat: float  # WGS-84 degrees
    lon: float
    speed_mps: float | None = None
    heading_deg: float | None = None  # clockwise from north
    accuracy_m: float | None = None  # 1 sigma, each axis


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One picture with where and when it was taken. Travels on topic `frames` (key: vehicle)."""

    id: str  # `frame_id(vehicle, camera, time)`: the same on every replay
    vehicle: str
    camera: str  # "front", "left", "right" or a name from cameras.toml
    time: datetime  # of capture; aware, UTC
    fix: Fix  # the vehicle at `time`
    jpeg: bytes
    size_wh: tuple[int, int]  # pixels, from the header
    file: str  # where the picture came from, relative to the drive; for messages


def frame_id(vehicle: str, camera: str, time: datetime) -> str:
    """The id of a frame: a hash of vehicle, camera and capture time in milliseconds."""
    return derived_id(vehicle, camera, rfc3339(time))


def derived_id(*parts: str) -> str:
    """A deterministic id: the first 96 bits of a hash, in hex. Replays and repeats get the same."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:24]


@lru_cache(maxsize=10_000)  # a dispatcher says the same few times again and again
def rfc3339(time: datetime) -> str:
    """UTC with milliseconds and `Z`, as every time on the wire. Raises ValueError for a naive time."""
    if time.tzinfo is None:
        raise ValueError("a time without time zone")
    there = time if time.tzinfo is UTC else time.astimezone(UTC)
    return there.isoformat(timespec="milliseconds")[: -len("+00:00")] + "Z"


def parse_rfc3339(text: str) -> datetime:
    """The instant that `text` names, in UTC, cut to milliseconds. Raises ValueError, also for a time without zone."""
    time = datetime.fromisoformat(text.strip())
    if time.tzinfo is None:
        raise ValueError(f"time {text!r} has no time zone: write Z or an offset")
    if time.tzinfo is not UTC:
        time = time.astimezone(UTC)
    beyond = time.microsecond % 1000
    return time.replace(microsecond=time.microsecond - beyond) if beyond else time
