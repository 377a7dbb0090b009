"""EXIF: what a picture says of its time and place, and None for what it does not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest

from ingest.exif import ExifFix, read_exif

ZONE = timezone(timedelta(hours=8))
LAT = {0x01: "N", 0x02: [22, 32, 24.36]}
LON = {0x03: "E", 0x04: [114, 3, 11.52]}
GPS_TIME = {0x07: [0, 15, 2], 0x1D: "2026:11:20"}
Made = Callable[..., bytes]


def utc(hour: int, minute: int, second: int, ms: int = 0, day: int = 20) -> datetime:
    return datetime(2026, 11, day, hour, minute, second, ms * 1000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("gps", "camera", "time"),
    [
        (GPS_TIME, {}, utc(0, 15, 2)),
        ({0x07: [0, 15, 2.4], 0x1D: "2026:11:20"}, {}, utc(0, 15, 2, 400)),
        (GPS_TIME, {0x9003: "2026:11:20 09:00:00", 0x9011: "+08:00"}, utc(0, 15, 2)),  # GPS wins over a wrong clock
        (GPS_TIME, {0x9003: "2026:11:20 08:15:02", 0x9291: "40"}, utc(0, 15, 2, 400)),  # same second, finer
        ({}, {0x9003: "2026:11:20 08:15:02", 0x9011: "+09:00"}, utc(23, 15, 2, day=19)),
        ({}, {0x9003: "2026:11:20 08:15:02", 0x9011: "-07:00", 0x9291: "4"}, utc(15, 15, 2, 400)),
        ({}, {0x9003: "2026:11:20 08:15:02"}, utc(0, 15, 2)),  # in the given zone
        ({}, {0x9003: "2026:11:20 08:15:02", 0x9011: "   :  "}, utc(0, 15, 2)),
        ({0x07: [0, 15, 2]}, {0x9003: "2026:11:20 09:00:00"}, utc(1, 0, 0)),  # GPS time without a date
        ({0x07: [(0, 0), (0, 0), (0, 0)], 0x1D: "2026:11:20"}, {}, None),
        ({}, {0x9003: "0000:00:00 00:00:00"}, None),
        ({}, {0x9003: "    :  :     :  :  "}, None),
        ({}, {}, None),
    ],
)
def test_the_best_time_is_chosen(
    exif_jpeg: Made, gps: dict[int, object], camera: dict[int, object], time: datetime | None
) -> None:
    assert read_exif(exif_jpeg(gps, camera), ZONE).time == time


@pytest.mark.parametrize(
    ("gps", "place"),
    [
        (LAT | LON, (22.5401, 114.0532)),
        ({0x01: "S", 0x02: [22, 32, 24.36], 0x03: "W", 0x04: [114, 3, 11.52]}, (-22.5401, -114.0532)),
        ({0x01: "N", 0x02: [22, 32.406, 0], 0x03: "E", 0x04: [114, 3.192, 0]}, (22.5401, 114.0532)),
        ({0x01: "N", 0x02: [22, 32.406], 0x03: "E", 0x04: [114.0532]}, (22.5401, 114.0532)),
        (LAT, None),
        ({0x02: [22, 32, 24.36]} | LON, None),  # north or south?
        (LAT | LON | {0x09: "V"}, None),  # void
        ({0x01: "N", 0x02: [(0, 0), (0, 0), (0, 0)]} | LON, None),
        ({0x01: "N", 0x02: "22.5401"} | LON, None),
        ({}, None),
    ],
)
def test_a_place_is_whole_or_unknown(
    exif_jpeg: Made, gps: dict[int, object], place: tuple[float, float] | None
) -> None:
    found = read_exif(exif_jpeg(gps), ZONE)
    if place is None:
        assert (found.lat, found.lon) == (None, None)
    else:
        assert (found.lat, found.lon) == pytest.approx(place, abs=1e-7)


@pytest.mark.parametrize(
    ("unit", "mps"), [("K", 10.0), ("M", 16.09344), ("N", 18.52), ("X", None)]
)  # of 36 km/h, miles/h, knots
def test_speed_is_in_metres_per_second(exif_jpeg: Made, unit: str, mps: float | None) -> None:
    found = read_exif(exif_jpeg({0x0C: unit, 0x0D: [36]}), ZONE).speed_mps
    assert found == (None if mps is None else pytest.approx(mps))


def test_directions_and_accuracy_are_read_and_magnetic_ones_are_not(exif_jpeg: Made) -> None:
    tags = {0x0E: "T", 0x0F: [91.5], 0x10: "T", 0x11: [181.25], 0x1F: [4.5]}
    found = read_exif(exif_jpeg(tags), ZONE)
    assert (found.track_deg, found.image_direction_deg, found.accuracy_m) == (91.5, 181.25, 4.5)
    magnetic = read_exif(exif_jpeg(tags | {0x0E: "M", 0x10: "M"}), ZONE)
    assert (magnetic.track_deg, magnetic.image_direction_deg) == (None, None)


def test_a_picture_without_exif_says_nothing(jpeg: bytes) -> None:
    assert read_exif(jpeg, ZONE) == ExifFix()


def test_exif_behind_other_segments_is_found(exif_jpeg: Made) -> None:
    data = exif_jpeg(LAT | LON)
    others = (b"\xff\xe2\x27\x10" + b"\x00" * 9998) * 3 + b"\xff\xe1\x00\x20http://ns.adobe.com/xap/1.0/\x00\x00"
    assert read_exif(data[:2] + others + data[2:], ZONE).lat == pytest.approx(22.5401)


def test_no_damage_raises(exif_jpeg: Made) -> None:
    data = exif_jpeg(LAT | LON | GPS_TIME, {0x9003: "2026:11:20 08:15:02", 0x9011: "+08:00"})
    changed = 0
    for at in range(4, 330):
        for value in (0x00, 0x7F, 0xFF):
            found = read_exif(data[:at] + bytes([value]) + data[at + 1 :], ZONE)
            changed += found != read_exif(data, ZONE)
    assert changed > 100
