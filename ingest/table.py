"""frames.csv: the pictures of a drive, one a row, in any order. WIRE.md gives its columns.

Without the columns lat and lon it says when pictures were taken, and something else must say where.
"""

from __future__ import annotations

import csv
import math
import re
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from ingest.frame import Fix, parse_rfc3339
from ingest.plausible import check_motion, check_position, check_time
from ingest.rejected import Rejected
from ingest.source import inside

TABLE = "frames.csv"
REQUIRED = ("file", "time", "lat", "lon")
PLACE = ("lat", "lon")  # may both be left out
MAX_SHOWN = 40  # characters of a bad cell that a reason repeats
DEFAULT_VEHICLE = "vehicle-1"
DEFAULT_CAMERA = "front"
_NEWLINE = re.compile("\r\n|\n|\r")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a row tells of its picture's fix; unknown is None."""

    time: datetime
    lat: float | None
    lon: float | None
    speed_mps: float | None
    heading_deg: float | None
    accuracy_m: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A row that is right in itself; its picture was not looked at yet."""

    file: str
    row: int | None
    vehicle: str
    camera: str
    told: Told

    @property
    def time(self) -> datetime:
        return self.told.time

    @property
    def placed(self) -> bool:
        """False when the table has no positions."""
        return self.told.lat is not None

    @property
    def fix(self) -> Fix:
        """The row's own fix. Raises ValueError when the table has no positions."""
        if self.told.lat is None or self.told.lon is None:
            raise ValueError("the table has no positions")
        return Fix(**asdict(self.told))

    def fix_at(self, place: Fix) -> Fix:
        """`place`, a fix of the same time, with what the row knows better."""
        return replace(place, **{name: value for name, value in asdict(self.told).items() if value is not None})


def read_table(path: Path, *, now: datetime) -> tuple[list[Entry | Rejected], set[str]]:
    """Every row, in order, and the paths of all files that rows name, those refused included.

    UTF-8 with or without BOM, commas, one line a row. Raises ValueError when the header cannot serve or no row
    follows it.
    """
    # a byte that is not UTF-8 spoils its own row only
    lines = _NEWLINE.split(path.read_bytes().decode("utf-8-sig", errors="surrogateescape"))
    at, columns = _header(path.name, lines)
    found: list[Entry | Rejected] = []
    named: set[str] = set()
    for row, line in enumerate(lines[at:], start=at + 1):
        if not line.strip():
            continue
        file: str | None = None
        try:
            cells = _cells(line, columns)
            file = cells["file"] or None
            named |= _named(cells["file"])
            found.append(_entry(cells, row, now))
        except ValueError as error:
            found.append(Rejected(str(error), file=file, row=row))
    if not found:
        raise ValueError(f"{path.name} has a header but no rows")
    return found, named


def _header(name: str, lines: list[str]) -> tuple[int, list[str]]:
    """(index of the line after the header, column names in lower case)."""
    at = next((i for i, line in enumerate(lines) if line.strip()), None)
    if at is None:
        raise ValueError(f"{name} is empty: its first line must name the columns {','.join(REQUIRED)}")
    columns = [cell.lower() for cell in _split(lines[at])]
    missing = [column for column in REQUIRED if column not in columns]
    if missing and tuple(missing) != PLACE:
        shown = lines[at][:80].encode("utf-8", "replace").decode()
        raise ValueError(f"{name} lacks the column {', '.join(missing)}; its header is {shown!r}")
    twice = sorted({column for column in columns if column and columns.count(column) > 1})
    if twice:
        raise ValueError(f"{name} names the column {', '.join(twice)} twice")
    return at + 1, columns


def _split(line: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line], strict=True), [])]
    except csv.Error as error:
        raise ValueError(f"the row is no CSV: {error}") from None


def _cells(line: str, columns: list[str]) -> dict[str, str]:
    cells = _split(line)
    if any(cells[len(columns) :]):
        raise ValueError(f"the row has {len(cells)} fields, the header {len(columns)}")
    if any("\ud800" <= char <= "\udfff" for char in line):
        raise ValueError("the row is not UTF-8")
    return dict.fromkeys(columns, "") | dict(zip(columns, cells, strict=False))


def _named(file: str) -> set[str]:
    try:
        return {inside(file)}
    except ValueError:
        return set()


def _entry(cells: dict[str, str], row: int, now: datetime) -> Entry:
    inside(cells["file"])
    heading = _optional(cells, "heading_deg", "heading")
    told = Told(
        time=_time(cells["time"]),
        lat=_place(cells, "lat", "latitude"),
        lon=_place(cells, "lon", "longitude"),
        speed_mps=_optional(cells, "speed_mps", "speed"),
        heading_deg=0.0 if heading == 360 else heading,
        accuracy_m=_optional(cells, "accuracy_m", "accuracy"),
    )
    check_time(told.time, now)
    if told.lat is not None and told.lon is not None:
        check_position(told.lat, told.lon)
    check_motion(told.speed_mps, told.heading_deg, told.accuracy_m)
    return Entry(
        file=cells["file"],
        row=row,
        vehicle=cells.get("vehicle") or DEFAULT_VEHICLE,
        camera=cells.get("camera") or DEFAULT_CAMERA,
        told=told,
    )


def _time(text: str) -> datetime:
    if not text:
        raise ValueError("the time is missing")
    try:
        return parse_rfc3339(text[:MAX_SHOWN])
    except (ValueError, OverflowError) as error:
        raise ValueError(f"the time cannot be read ({error}): write it as 2026-11-20T08:15:02.400Z") from None


def _place(cells: dict[str, str], column: str, name: str) -> float | None:
    value = _optional(cells, column, name)
    if value is None and column in cells:
        raise ValueError(f"the position is missing: {column} is empty")
    return value


def _optional(cells: dict[str, str], column: str, name: str) -> float | None:
    text = cells.get(column, "")
    if not text:
        return None
    try:
        value = float(text) if "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{name} is not a number: {text[:MAX_SHOWN]!r}")
    return value
