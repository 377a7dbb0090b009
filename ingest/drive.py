"""Drive: a folder of pictures and where they were taken, checked before anything is dropped."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from pathlib import Path

from ingest.exif import ExifFix, read_exif
from ingest.frame import Fix, Frame
from ingest.jpeg import read_header
from ingest.plausible import check_fix, longest_chain, reachable
from ingest.rejected import Rejected
from ingest.sampling import keep_mask
from ingest.smooth import read_smooth
from ingest.source import Row, read_picture
from ingest.table import DEFAULT_CAMERA, DEFAULT_VEHICLE, TABLE, Entry, read_table
from ingest.track import MIN_MOVING_MPS, Places, Track
from ingest.tracklog import TRACK_SUFFIXES

PICTURE_SUFFIXES = (".jpg", ".jpeg")


@dataclass(frozen=True, slots=True, kw_only=True)
class Drive:
    """A drive on disk (WIRE.md, "Replay folder"): what was kept of it, what was refused and why. A Source."""

    folder: Path
    rows: tuple[Row, ...]  # kept, in order of time over all vehicles
    rejected: tuple[Rejected, ...]
    repeats: int  # valid rows whose id an earlier one had
    left_out: int  # valid rows that sampling found to say nothing new
    unlisted: int  # pictures in the folder that no row of frames.csv names

    def __len__(self) -> int:
        return len(self.rows)

    def frames(self) -> Iterator[Frame | Rejected]:
        """Each row's frame, its bytes read when asked for; Rejected when the file is gone or spoilt by now."""
        for row in self.rows:
            try:
                jpeg = read_picture(self.folder, row.file)
                frame = row.frame(jpeg, read_header(jpeg))
            except ValueError as error:
                yield Rejected(str(error), file=row.file, row=row.row)
            else:
                yield frame


@dataclass(frozen=True, slots=True)
class _Place:
    """What places pictures that no row of frames.csv places."""

    track: Places | None  # without one, their own EXIF
    hint: str  # why there is no track
    rejected: tuple[Rejected, ...] = ()


@dataclass(frozen=True, slots=True)
class _Picture:
    size_wh: tuple[int, int]
    exif: ExifFix


def open_drive(folder: Path, *, now: datetime, zone: tzinfo, every_m: float = 4.0) -> Drive:
    """Read and check a replay folder; every picture is read once and forgotten.

    `now` tells which times are in the future, `zone` is that of camera clocks which do not name theirs, `every_m`
    the metres between two frames of a camera (0 keeps all). Raises FileNotFoundError or NotADirectoryError without
    a folder, ValueError when it holds no drive. Bad rows and pictures never raise: they are in `rejected`.
    """
    pictures = _pictures(folder)
    unlisted = 0
    if (folder / TABLE).is_file():
        entries, named = read_table(folder / TABLE, now=now)
        found = list(_looked_at(folder, entries, now=now, zone=zone))
        unlisted = len(set(pictures) - named)
    else:
        found = list(_located(folder, pictures, now=now, zone=zone))
    rows = [item for item in found if isinstance(item, Row)]
    rejected = [item for item in found if isinstance(item, Rejected)]
    rows, jumps = _without_jumps(rows)
    rows, repeats = _without_repeats(rows)
    rows = _with_headings(rows)
    kept = _sampled(rows, every_m)
    return Drive(
        folder=folder,
        rows=tuple(sorted(kept, key=_order)),
        rejected=tuple(sorted(rejected + jumps, key=lambda item: (item.row or 0, item.file or ""))),
        repeats=repeats,
        left_out=len(rows) - len(kept),
        unlisted=unlisted,
    )


def _pictures(folder: Path) -> list[str]:
    """Pictures of a drive, sorted; with frames.csv also those of its subfolders, which rows may name."""
    if not folder.exists():
        raise FileNotFoundError(f"there is no folder {folder}")
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file, a drive is a folder")
    table = (folder / TABLE).is_file()
    paths = [path for path in folder.glob("**/*" if table else "*") if path.suffix.lower() in PICTURE_SUFFIXES]
    pictures = sorted(str(path.relative_to(folder)) for path in paths if path.is_file())
    if not pictures and not table:
        empty = "is empty" if not any(folder.iterdir()) else "has no pictures (*.jpg, *.jpeg)"
        raise ValueError(f"the folder {folder} {empty}: a drive is pictures, with or without {TABLE}")
    return pictures


def _looked_at(
    folder: Path, entries: Iterable[Entry | Rejected], *, now: datetime, zone: tzinfo
) -> Iterator[Row | Rejected]:
    """Rows whose picture is there and whole; a picture that several rows name is read once.

    Where the table has no positions, pictures are placed as if there were none, but at its times.
    """
    entries = list(entries)
    placed = all(entry.placed for entry in entries if isinstance(entry, Entry))
    place = _Place(None, "") if placed else _place_of(folder, "and the folder has no GPX or NMEA file")
    yield from place.rejected
    seen: dict[str, _Picture | str] = {}  # or what is wrong
    for entry in entries:
        if isinstance(entry, Rejected):
            yield entry
            continue
        if entry.file not in seen:
            seen[entry.file] = _picture_or_reason(folder, entry.file, None if placed else zone)
        picture = seen[entry.file]
        try:
            if isinstance(picture, str):
                raise ValueError(picture)
            fix = entry.fix if placed else entry.fix_at(_fix_of(replace(picture.exif, time=entry.time), place, now))
        except ValueError as error:
            yield Rejected(str(error), file=entry.file, row=entry.row)
        else:
            yield Row(
                vehicle=entry.vehicle,
                camera=entry.camera,
                fix=fix,
                size_wh=picture.size_wh,
                file=entry.file,
                row=entry.row,
            )


def _picture_or_reason(folder: Path, file: str, zone: tzinfo | None) -> _Picture | str:
    """`zone` is given when the EXIF is asked for."""
    try:
        data = read_picture(folder, file)
        return _Picture(read_header(data), ExifFix() if zone is None else read_exif(data, zone))
    except ValueError as error:
        return str(error)


def _located(folder: Path, pictures: list[str], *, now: datetime, zone: tzinfo) -> Iterator[Row | Rejected]:
    """Pictures without frames.csv: placed by the one track file, or by their own EXIF."""
    place = _place_of(folder, f"and the folder has no {TABLE}, GPX or NMEA file")
    yield from place.rejected
    for file in pictures:
        if not _is_text(file):
            yield Rejected("the file name is not UTF-8: rename it", file=ascii(file)[1:-1])
            continue
        try:
            data = read_picture(folder, file)
            size = read_header(data)
            fix = _fix_of(read_exif(data, zone), place, now)
            yield Row(vehicle=DEFAULT_VEHICLE, camera=DEFAULT_CAMERA, fix=fix, size_wh=size, file=file)
        except ValueError as error:
            yield Rejected(str(error), file=file)


def _place_of(folder: Path, without: str) -> _Place:
    """The folder's one track file, smoothed; `without` says what a folder lacks that has none."""
    tracks = sorted(path for path in folder.iterdir() if path.suffix.lower() in TRACK_SUFFIXES)
    if not tracks:
        return _Place(None, f", {without}")
    if len(tracks) > 1:
        names = ", ".join(path.name for path in tracks)
        return _Place(None, f", and of {len(tracks)} track files ({names}) none can be chosen")
    try:
        track, rejected = read_smooth(tracks[0])
    except (ValueError, OSError) as error:
        hint = f", and the track is of no use: {error}"
        return _Place(None, hint, (Rejected(str(error), file=tracks[0].name),))
    return _Place(track, "", tuple(rejected))


def _fix_of(exif: ExifFix, place: _Place, now: datetime) -> Fix:
    if exif.time is None:
        raise ValueError("the picture has no time in its EXIF")
    time = exif.time.replace(microsecond=exif.time.microsecond // 1000 * 1000)
    if place.track is not None:
        fix = place.track.at(time)
    elif exif.lat is None or exif.lon is None:
        raise ValueError(f"the picture has no position in its EXIF{place.hint}")
    else:
        stands = exif.speed_mps is not None and exif.speed_mps < MIN_MOVING_MPS
        track_deg = None if stands else exif.track_deg  # a standing receiver's course is noise
        heading = track_deg if track_deg is not None else exif.image_direction_deg
        fix = Fix(
            time=time,
            lat=exif.lat,
            lon=exif.lon,
            speed_mps=exif.speed_mps,
            heading_deg=0.0 if heading == 360 else heading,
            accuracy_m=exif.accuracy_m,
        )
    check_fix(fix, now=now)
    return fix


def _is_text(name: str) -> bool:
    """False for a name that the disk has in another encoding: it could not be told to anybody."""
    return not any("\ud800" <= char <= "\udfff" for char in name)


def _order(row: Row) -> tuple[datetime, str, str]:
    return row.time, row.vehicle, row.camera


def _by_vehicle(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Each vehicle's rows in order of time, those of the same time as they came."""
    vehicles: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.time):
        vehicles[row.vehicle].append(row)
    return vehicles


def _without_jumps(rows: list[Row]) -> tuple[list[Row], list[Rejected]]:
    """Refuse rows that the vehicle cannot have reached. Rows of one time and place weigh as one."""
    refused: dict[int, Rejected] = {}  # by id() of the row
    for vehicle, own in _by_vehicle(rows).items():
        places: dict[tuple[datetime, float, float], list[Row]] = defaultdict(list)
        for row in own:
            places[row.time, row.fix.lat, row.fix.lon].append(row)
        chain = set(longest_chain([group[0].fix for group in places.values()], reachable))
        for i, group in enumerate(places.values()):
            if i not in chain:
                reason = f"no vehicle jumps so far: the position does not fit the other rows of {vehicle}"
                refused |= {id(row): Rejected(reason, file=row.file, row=row.row) for row in group}
    return [row for row in rows if id(row) not in refused], list(refused.values())


def _without_repeats(rows: list[Row]) -> tuple[list[Row], int]:
    """The first row of each id, as they came."""
    first: dict[str, Row] = {}
    for row in rows:
        first.setdefault(row.id, row)
    return list(first.values()), len(rows) - len(first)


def _with_headings(rows: list[Row]) -> list[Row]:
    """Fill headings that rows lack from the vehicle's own way; its cameras share it."""
    ways: dict[str, Track] = {}
    for vehicle, own in _by_vehicle(rows).items():
        if any(row.fix.heading_deg is None for row in own):
            fixes: dict[datetime, Fix] = {}
            for row in own:
                if row.time not in fixes or fixes[row.time].heading_deg is None:
                    fixes[row.time] = row.fix
            ways[vehicle] = Track(fixes.values())
    return [
        row
        if row.fix.heading_deg is not None
        else replace(row, fix=replace(row.fix, heading_deg=ways[row.vehicle].at(row.time).heading_deg))
        for row in rows
    ]


def _sampled(rows: list[Row], every_m: float) -> list[Row]:
    cameras: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in sorted(rows, key=_order):
        cameras[row.vehicle, row.camera].append(row)
    kept: list[Row] = []
    for own in cameras.values():
        mask = keep_mask([row.fix for row in own], every_m)
        kept += [row for row, keep in zip(own, mask, strict=True) if keep]
    return kept
