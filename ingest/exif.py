"""What EXIF says of a picture's time and place."""

from __future__ import annotations

import io
import logging
import math
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import exifread
from exifread.core.exceptions import ExifError

from ingest.jpeg import APP1, segments

_MPS = {"K": 1 / 3.6, "M": 1609.344 / 3600, "N": 1852 / 3600}  # km/h, mph, knots
_EXIF = b"Exif\x00\x00"
_POSITIONING_ERROR = "GPS Tag 0x001F"  # GPSHPositioningError: the library does not name it

logging.getLogger("exifread").addHandler(logging.NullHandler())  # its warnings tell what we return as None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExifFix:
    """What a picture's EXIF tells; unknown is None."""

    time: datetime | None = None  # aware, UTC
    lat: float | None = None  # WGS-84 degrees
    lon: float | None = None
    speed_mps: float | None = None
    track_deg: float | None = None  # direction of movement, from true north
    image_direction_deg: float | None = None  # where the camera looked, from true north
    accuracy_m: float | None = None


def read_exif(data: bytes, zone: tzinfo) -> ExifFix:
    """Read a JPEG's EXIF. `zone` is that of camera clocks which do not name theirs.

    A part that is missing, damaged or void is None; ranges are not checked here. The GPS time is preferred, unless
    the camera's own clock agrees with it to the second and knows the fraction. EXIF 2.32 (CIPA DC-008).
    """
    tags = _tags(data)
    valid = _text(tags, "GPS GPSStatus") != "V"
    lat = _angle(tags, "GPS GPSLatitude", {"N": 1, "S": -1}) if valid else None
    lon = _angle(tags, "GPS GPSLongitude", {"E": 1, "W": -1}) if valid else None
    speed, unit = _number(tags, "GPS GPSSpeed"), _text(tags, "GPS GPSSpeedRef") or "K"
    return ExifFix(
        time=_time(tags, zone),
        lat=lat if lon is not None else None,
        lon=lon if lat is not None else None,
        speed_mps=speed * _MPS[unit] if speed is not None and unit in _MPS else None,
        track_deg=_direction(tags, "GPS GPSTrack"),
        image_direction_deg=_direction(tags, "GPS GPSImgDirection"),
        accuracy_m=_number(tags, _POSITIONING_ERROR),
    )


def _tags(data: bytes) -> dict[str, Any]:
    """Only the EXIF segment goes to the library: at most 64 KiB, whatever the file says of offsets."""
    try:
        block = next((data[a:b] for m, a, b in segments(data) if m == APP1 and data[a:b].startswith(_EXIF)), None)
        if block is None:
            return {}
        tags = exifread.process_file(io.BytesIO(block[len(_EXIF) :]), details=False, extract_thumbnail=False)
    except (ExifError, ValueError, LookupError, ArithmeticError, TypeError, AttributeError, struct.error):
        return {}  # the library answers damaged directories with whatever they cause
    return dict(tags)


def _values(tags: dict[str, Any], name: str) -> list[float] | None:
    values = getattr(tags.get(name), "values", None)
    if not isinstance(values, list) or not values:
        return None
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError, ArithmeticError):  # 0/0 is how cameras write "unknown"
        return None
    return numbers if all(map(math.isfinite, numbers)) else None


def _number(tags: dict[str, Any], name: str) -> float | None:
    values = _values(tags, name)
    return values[0] if values else None


def _text(tags: dict[str, Any], name: str) -> str | None:
    value = getattr(tags.get(name), "values", None)
    return value.strip() if isinstance(value, str) else None


def _angle(tags: dict[str, Any], name: str, signs: dict[str, int]) -> float | None:
    parts, sign = _values(tags, name), signs.get(_text(tags, name + "Ref") or "")
    if parts is None or sign is None or len(parts) > 3:
        return None
    degrees, minutes, seconds = (*parts, 0.0, 0.0)[:3]
    return sign * (degrees + minutes / 60 + seconds / 3600)


def _direction(tags: dict[str, Any], name: str) -> float | None:
    """None for a magnetic one: its deviation inside a vehicle is anybody's guess."""
    return None if _text(tags, name + "Ref") == "M" else _number(tags, name)


def _time(tags: dict[str, Any], zone: tzinfo) -> datetime | None:
    gps, camera = _gps_time(tags), _camera_time(tags, zone)
    if gps is None or camera is None:
        return gps or camera
    return camera if gps.microsecond == 0 and camera.replace(microsecond=0) == gps else gps


def _gps_time(tags: dict[str, Any]) -> datetime | None:
    day = _text(tags, "GPS GPSDate") or _text(tags, "GPS GPSDateStamp")
    parts = _values(tags, "GPS GPSTimeStamp")
    if day is None or parts is None or len(parts) != 3:
        return None
    try:
        midnight = datetime.strptime(day.replace("-", ":"), "%Y:%m:%d").replace(tzinfo=UTC)
        seconds = math.floor((parts[0] * 3600 + parts[1] * 60 + parts[2]) * 1000 + 1e-6) / 1000
        return midnight + timedelta(seconds=seconds) if 0 <= seconds < 86401 else None
    except (ValueError, OverflowError):
        return None


def _camera_time(tags: dict[str, Any], zone: tzinfo) -> datetime | None:
    text = _text(tags, "EXIF DateTimeOriginal")
    if text is None:
        return None
    offset = _text(tags, "EXIF OffsetTimeOriginal") or ""
    digits = _text(tags, "EXIF SubSecTimeOriginal") or ""
    try:
        time = datetime.strptime(text, "%Y:%m:%d %H:%M:%S")
        try:
            time = datetime.strptime(text + offset, "%Y:%m:%d %H:%M:%S%z")
        except ValueError:  # no offset, or not one
            time = time.replace(tzinfo=zone)
        milliseconds = int(digits[:3].ljust(3, "0")) if digits.isascii() and digits.isdigit() else 0
        return time.astimezone(UTC) + timedelta(milliseconds=milliseconds)
    except (ValueError, OverflowError):
        return None
