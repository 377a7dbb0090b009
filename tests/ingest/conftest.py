"""Real JPEGs, and EXIF written byte by byte so that what a test expects does not come from the reader."""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

Exif = dict[int, object]
ASCII, LONG, RATIONAL = 2, 4, 5


@pytest.fixture(scope="session")
def jpeg() -> bytes:
    """A whole JPEG of 64×48 pixels, in colour."""
    picture = np.random.default_rng(7).integers(0, 255, (48, 64, 3), np.uint8)
    return cv2.imencode(".jpg", picture)[1].tobytes()


@pytest.fixture
def exif_jpeg(jpeg: bytes) -> Callable[..., bytes]:
    """A JPEG with `gps` and `camera` tags: text, or a list of numbers written as rationals."""

    def made(gps: Exif | None = None, camera: Exif | None = None) -> bytes:
        block = b"Exif\x00\x00" + _tiff(gps or {}, camera or {})
        return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + jpeg[2:]

    return made


@pytest.fixture
def gps_jpeg(exif_jpeg: Callable[..., bytes]) -> Callable[..., bytes]:
    """A JPEG taken at a time (UTC) and, unless None, a place north and east of (0, 0)."""

    def made(time: datetime, place: tuple[float, float] | None = None) -> bytes:
        gps: Exif = {
            0x07: [time.hour, time.minute, Fraction(time.second * 1000 + time.microsecond // 1000, 1000)],
            0x1D: time.strftime("%Y:%m:%d"),
        }
        if place is not None:
            gps |= {0x01: "N", 0x02: _dms(place[0]), 0x03: "E", 0x04: _dms(place[1])}
        return exif_jpeg(gps)

    return made


@pytest.fixture
def gpx(tmp_path: Path) -> Callable[..., Path]:
    """Write a GPX file of (seconds after 08:00 on 2026-11-20, lat, lon)."""

    def made(points: list[tuple[float, object, object]], name: str = "drive.gpx", folder: Path = tmp_path) -> Path:
        start = datetime(2026, 11, 20, 8, tzinfo=UTC)
        body = "".join(
            f'<trkpt lat="{lat}" lon="{lon}">'
            f"<time>{(start + timedelta(seconds=s)):%Y-%m-%dT%H:%M:%S.%f}Z</time></trkpt>"
            for s, lat, lon in points
        )
        path = folder / name
        path.write_text(
            f'<gpx version="1.1" creator="t" xmlns="http://www.topografix.com/GPX/1/1">'
            f"<trk><trkseg>{body}</trkseg></trk></gpx>"
        )
        return path

    return made


def _dms(degrees: float) -> list[Fraction]:
    whole = Fraction(degrees).limit_denominator(10**9)
    minutes = (whole % 1) * 60
    seconds = round((minutes % 1) * 60 * 10_000)
    return [Fraction(int(whole)), Fraction(int(minutes)), Fraction(seconds, 10_000)]


def _tiff(gps: Exif, camera: Exif) -> bytes:
    camera_at = 8 + 2 + 2 * 12 + 4
    camera_ifd = _ifd(camera, camera_at)
    gps_at = camera_at + len(camera_ifd)
    pointers = struct.pack(">HHHII", 2, 0x8769, LONG, 1, camera_at) + struct.pack(">HHIII", 0x8825, LONG, 1, gps_at, 0)
    return b"MM\x00*" + struct.pack(">I", 8) + pointers + camera_ifd + _ifd(gps, gps_at)


def _ifd(tags: Exif, at: int) -> bytes:
    entries, data = b"", b""
    data_at = at + 2 + 12 * len(tags) + 4
    for tag, value in sorted(tags.items()):
        if isinstance(value, str):
            kind, raw = ASCII, value.encode() + b"\x00"
            count = len(raw)
        else:
            assert isinstance(value, list)
            kind, count = RATIONAL, len(value)
            raw = b"".join(struct.pack(">II", *_ratio(item)) for item in value)
        if len(raw) <= 4:
            field = raw.ljust(4, b"\x00")
        else:
            field = struct.pack(">I", data_at + len(data))
            data += raw
        entries += struct.pack(">HHI", tag, kind, count) + field
    return struct.pack(">H", len(tags)) + entries + b"\x00" * 4 + data


def _ratio(value: object) -> tuple[int, int]:
    """A tuple is written as it is, so that 0/0 can be."""
    if isinstance(value, tuple):
        return value[0], value[1]
    fraction = Fraction(value).limit_denominator(100_000)  # type: ignore[arg-type]  # int, float or Fraction
    return fraction.numerator, fraction.denominator
