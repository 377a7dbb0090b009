"""Track files: GPX and NMEA 0183. Bad points are refused one by one, the rest is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from datetime import time as clock
from pathlib import Path
from typing import Any

import gpxpy
import gpxpy.gpx
import pynmea2

from ingest.frame import Fix
from ingest.plausible import EARLIEST, check_motion, check_position, longest_chain, reachable
from ingest.rejected import Rejected
from ingest.track import MIN_MOVING_MPS, Track

TRACK_SUFFIXES = (".gpx", ".nmea")
MPS_PER_KNOT = 1852 / 3600
M_PER_HDOP = 3.0  # 1 sigma on each axis of an open-sky receiver, for HDOP 1


@dataclass(frozen=True, slots=True)
class _Point:
    where: str  # "point 17" or "line 17"
    fix: Fix


def read_track(path: Path) -> tuple[Track, list[Rejected]]:
    """`read_gpx` or `read_nmea`, as the file's suffix says. Raises ValueError for another suffix."""
    suffix = path.suffix.lower()
    if suffix not in TRACK_SUFFIXES:
        raise ValueError(f"{path.name} is no track: expected {' or '.join(TRACK_SUFFIXES)}")
    return read_gpx(path) if suffix == ".gpx" else read_nmea(path)


def read_gpx(path: Path) -> tuple[Track, list[Rejected]]:
    """All track points of a GPX 1.0 or 1.1 file, and those refused. Speed and course also from extensions.

    A time without zone is UTC, as GPX demands. Raises ValueError when the file is no GPX or no point is left.
    """
    try:
        gpx = gpxpy.parse(path.read_bytes().decode("utf-8-sig"))
    except (gpxpy.gpx.GPXException, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name} cannot be read as GPX: {error}") from None
    points: list[_Point] = []
    rejected: list[Rejected] = []
    every = (point for track in gpx.tracks for segment in track.segments for point in segment.points)
    for n, point in enumerate(every, start=1):
        try:
            points.append(_Point(f"point {n}", _gpx_fix(point)))
        except (ValueError, OverflowError) as error:
            rejected.append(Rejected(f"point {n}: {error}", file=path.name))
    return _track(path, points, rejected)


def read_nmea(path: Path) -> tuple[Track, list[Rejected]]:
    """The RMC fixes of an NMEA 0183 log (date and time are UTC), with the accuracy that GGA's HDOP tells.

    Void fixes, lines with a wrong or missing checksum and other unreadable ones are told once per cause, with their
    number. Raises ValueError when no fix is left.
    """
    points: list[_Point] = []
    rejected: list[Rejected] = []
    skipped: Counter[str] = Counter()
    hdop: tuple[Any, float] | None = None  # (time of day, value) of the last GGA
    for n, line in enumerate(path.read_bytes().splitlines(), start=1):
        sentence = _sentence(line, skipped)
        if isinstance(sentence, pynmea2.GGA):
            hdop = _hdop(sentence)
            if hdop is not None and points and points[-1].fix.time.timetz() == hdop[0]:
                points[-1] = replace(points[-1], fix=_with_hdop(points[-1].fix, hdop[1]))
        elif isinstance(sentence, pynmea2.RMC):
            try:
                fix = _rmc_fix(sentence)
            except ValueError as error:
                rejected.append(Rejected(f"line {n}: {error}", file=path.name))
                continue
            if hdop is not None and fix.time.timetz() == hdop[0]:
                fix = _with_hdop(fix, hdop[1])
            points.append(_Point(f"line {n}", fix))
    rejected += [Rejected(f"{count} sentences {why}", file=path.name) for why, count in skipped.items()]
    return _track(path, points, rejected)


def _track(path: Path, points: list[_Point], rejected: list[Rejected]) -> tuple[Track, list[Rejected]]:
    """Keep the points that fit together in file order; say of each other what is wrong with it."""
    good: list[_Point] = []
    for point in points:
        try:
            _check(point.fix)
            good.append(point)
        except ValueError as error:
            rejected.append(Rejected(f"{point.where}: {error}", file=path.name))
    fixes = [point.fix for point in good]
    chain = longest_chain(fixes, lambda a, b: a.time < b.time and reachable(a, b))
    kept = [fixes[i] for i in chain]
    for i in sorted(set(range(len(good))) - set(chain)):
        reason = _misfit(fixes[i], fixes[:i], kept)
        rejected.append(Rejected(f"{good[i].where}: {reason}", file=path.name))
    if not kept:
        reasons = f": {rejected[0].reason}" if rejected else ""
        raise ValueError(f"{path.name} has no usable track points{reasons}")
    return Track(kept), rejected


def _check(fix: Fix) -> None:
    if fix.time < EARLIEST:
        raise ValueError(f"time {fix.time.isoformat()} is before the year 2000")
    check_position(fix.lat, fix.lon)
    check_motion(fix.speed_mps, fix.heading_deg, fix.accuracy_m)


def _misfit(fix: Fix, before: list[Fix], kept: Iterable[Fix]) -> str:
    if any(fix.time == other.time for other in kept):
        return "its time is that of another point"
    if any(fix.time < other.time for other in before):
        return "its time goes backward"
    return "its position or time does not fit the points around it: a jump no vehicle makes"


def _gpx_fix(point: Any) -> Fix:
    if point.time is None:
        raise ValueError("no readable time")
    time = point.time if point.time.tzinfo is not None else point.time.replace(tzinfo=UTC)
    speed = point.speed if point.speed is not None else _extension(point, "speed")
    course = point.course if point.course is not None else _extension(point, "course")
    return Fix(
        time=time.astimezone(UTC),
        lat=point.latitude,
        lon=point.longitude,
        speed_mps=speed,
        heading_deg=_direction(course, speed),
    )


def _extension(point: Any, name: str) -> float | None:
    for extension in point.extensions:
        for element in extension.iter():
            if element.tag.rpartition("}")[2] == name and element.text:
                return float(element.text)
    return None


def _direction(course: float | None, speed: float | None) -> float | None:
    """A standing receiver's course is noise."""
    return None if speed is not None and speed < MIN_MOVING_MPS else course


def _sentence(line: bytes, skipped: Counter[str]) -> Any:
    """The sentence on a line, whatever a logger wrote before its `$`; None for one that is not used."""
    text = line[max(line.rfind(b"$"), 0) :].decode("ascii", errors="replace").strip()
    if text[3:6] not in ("RMC", "GGA"):
        return None
    try:
        sentence = pynmea2.parse(text, check=True)
        if not isinstance(sentence, pynmea2.RMC) or sentence.is_valid:
            return sentence
        skipped["are void: the receiver had no fix"] += 1
    except pynmea2.ChecksumError:
        skipped["have a wrong checksum or none"] += 1
    except pynmea2.ParseError:
        skipped["cannot be read"] += 1
    return None


def _rmc_fix(rmc: Any) -> Fix:
    if not isinstance(rmc.datestamp, date) or not isinstance(rmc.timestamp, clock):
        raise ValueError("no readable date and time")
    if not rmc.lat or not rmc.lon or rmc.lat_dir not in ("N", "S") or rmc.lon_dir not in ("E", "W"):
        raise ValueError("no readable position")
    knots, course = rmc.spd_over_grnd, rmc.true_course
    speed = knots * MPS_PER_KNOT if isinstance(knots, float) else None
    return Fix(
        time=datetime.combine(rmc.datestamp, rmc.timestamp),
        lat=rmc.latitude,
        lon=rmc.longitude,
        speed_mps=speed,
        heading_deg=_direction(course if isinstance(course, float) else None, speed),
    )


def _hdop(gga: Any) -> tuple[Any, float] | None:
    try:
        value = float(gga.horizontal_dil)
    except ValueError:
        return None
    return (gga.timestamp, value) if value > 0 else None


def _with_hdop(fix: Fix, hdop: float) -> Fix:
    return replace(fix, accuracy_m=hdop * M_PER_HDOP)
