"""Maps: where cases are and where cameras looked. Kept up to date with every append, made anew by a rebuild."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import h3
from sqlalchemy import ColumnElement, Connection, Engine, func, insert, select

from dispatcher.access.scope import EVERYTHING, Scope
from dispatcher.case import State
from dispatcher.erasure import erased
from dispatcher.store import tables
from dispatcher.store.bulk import upsert_rows
from dispatcher.store.database import rare
from dispatcher.store.gone_tables import erased_looks
from dispatcher.store.map_tables import case_map, looks
from dispatcher.store.rows import Document, StoredCase, StoredEvent
from dispatcher.store.seen_by import visible
from dispatcher.store.shelf import ALL, shelves
from dispatcher.store.shelf_tables import shelf
from dispatcher.work.calendar import CHINA
from ingest.envelope import Envelope, parse_envelope
from ingest.frame import parse_rfc3339
from vision.sighting import PASS_TYPE

RESOLUTION = 10  # H3: cells of 15,000 m², some 76 m a side
PASSES_HAVE = 13  # the resolution that passes normally have
MILLI = 1000
UNSETTLED = (str(State.OPEN), str(State.HANDLED))
PAGE = 500
COUNTED = 2_000  # how far the matches of a page are counted

Box = tuple[float, float, float, float]  # west, south, east, north in degrees; west > east goes over 180°


@dataclass(frozen=True, slots=True)
class MapFilter:
    """Which cases to draw. A field that is None does not narrow."""

    box: Box | None = None
    since: str | None = None  # RFC 3339, UTC: seen at or after
    until: str | None = None  # seen at or before
    state: str | None = None
    matter: str | None = None
    after: int = 0  # the `seq` of the last case of the page before
    limit: int = 100
    scope: Scope = EVERYTHING


@dataclass(frozen=True, slots=True)
class MapPage:
    """Some of the cases that match, in the order in which they came to be."""

    matched: int | None  # how many match on all pages; None when they are more than are counted
    cases: list[StoredCase]
    after: int | None  # where the next page begins; None when this is the last


class Maps:
    """Questions about where."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def looks(self, since_day: str) -> dict[int, float]:
        """By H3 cell of RESOLUTION, the clear looks to be expected from a day on. Cells without are left out."""
        query = select(looks.c.cell, func.sum(looks.c.milli)).where(looks.c.day >= since_day).group_by(looks.c.cell)
        with self._engine.begin() as connection:
            return {int(cell): int(milli) / MILLI for cell, milli in connection.execute(query)}

    def last_looked(self) -> dict[int, str]:
        """By H3 cell of RESOLUTION, the last day on which somebody looked."""
        query = select(looks.c.cell, func.max(looks.c.day)).group_by(looks.c.cell)
        with self._engine.begin() as connection:
            return {int(cell): str(day) for cell, day in connection.execute(query)}

    def unsettled(self, scope: Scope, matter: str | None = None) -> dict[int, Counter[str]]:
        """By H3 cell of RESOLUTION, how many cases of a scope are open, and how many wait to be verified.

        Read along the shelves of the scope: what it costs grows with what is unsettled, and not with what is over.
        """
        mine, place = shelves(scope), shelf.c
        wanted = [place.stem.in_([ALL] if mine is None else mine), rare(place.state.in_(UNSETTLED))]
        wanted += [place.matter == matter] if matter is not None else []
        query = select(place.raised, place.state, place.lat, place.lon).where(*wanted).distinct()
        if mine is None:
            query = query.join(tables.cases, tables.cases.c.raised == place.raised)
            query = query.where(visible(tables.cases.c.id, scope))
        found: defaultdict[int, Counter[str]] = defaultdict(Counter)
        with self._engine.begin() as connection:
            for _, state, lat, lon in connection.execute(query):
                found[_cell(lat, lon)][state] += 1
        return dict(found)

    def page(self, where: MapFilter) -> MapPage:
        """Cases by place and time. Only what is shown is read; the rest is found and counted by where it lies."""
        joined = case_map.join(tables.cases, tables.cases.c.id == case_map.c.case)
        by_place = where.state is None and where.matter is None and where.scope == EVERYTHING
        match = select(case_map.c.case, case_map.c.seq).select_from(case_map if by_place else joined)
        match = match.where(*_wanted(where))
        some = match.where(case_map.c.seq > where.after).order_by(case_map.c.seq).limit(where.limit + 1).subquery()
        query = select(tables.cases, some.c.seq).join(some, some.c.case == tables.cases.c.id).order_by(some.c.seq)
        counted = match.limit(COUNTED + 1).subquery()
        with self._engine.begin() as connection:
            matched = connection.scalar(select(func.count()).select_from(counted)) or 0
            rows = connection.execute(query).all()
        shown = rows[: where.limit]
        return MapPage(
            matched if matched <= COUNTED else None,
            [_case(row) for row in shown],
            shown[-1].seq if len(rows) > where.limit else None,
        )


def place(connection: Connection, last: Mapping[str, StoredEvent], first: Mapping[str, int]) -> None:
    """Bring `case_map` up to the last event of each case; `first` is the seq of a case's first one."""
    rows = [_placed(event.document) | {"case": case, "seq": first[case]} for case, event in last.items()]
    moved = ("lat", "lon", "cell", "first_seen_at", "last_seen_at")
    upsert_rows(connection, case_map, rows, ["case"], lambda given: {name: given[name] for name in moved})


def _placed(document: Document) -> dict[str, Any]:
    lat, lon = float(document["lat"]), float(document["lon"])
    return {
        "lat": lat,
        "lon": lon,
        "cell": _cell(lat, lon),
        "first_seen_at": document["first_seen_at"],
        "last_seen_at": document["last_seen_at"],
    }


def looked(connection: Connection, inputs: Iterable[Envelope]) -> None:
    """Count the looks of the passes among inputs that are new."""
    total: Counter[tuple[str, int]] = Counter()
    for envelope in inputs:
        if envelope.type == PASS_TYPE and not erased(envelope):
            total.update(dict(looks_of(envelope)))
    rows = [{"day": day, "cell": cell, "milli": milli} for (day, cell), milli in sorted(total.items())]
    upsert_rows(connection, looks, rows, ["day", "cell"], lambda given: {"milli": looks.c.milli + given.milli})


def look_again(connection: Connection) -> None:
    """Make `looks` anew from the stored passes. What erased ones had looked at is kept apart from them."""
    connection.execute(insert(looks).from_select(list(looks.c), select(erased_looks)))
    seq = 0
    kind = tables.inputs.c.line.contains(f'"{PASS_TYPE}"', autoescape=True)  # a few more than passes may say so
    columns = (tables.inputs.c.seq, tables.inputs.c.line)
    while True:
        query = select(*columns).where(tables.inputs.c.seq > seq, kind).order_by(tables.inputs.c.seq).limit(PAGE)
        rows = connection.execute(query).all()
        looked(connection, [parse_envelope(row.line) for row in rows])
        if len(rows) < PAGE:
            return
        seq = rows[-1].seq


def looks_of(envelope: Envelope) -> Iterator[tuple[tuple[str, int], int]]:
    """Of one pass the expected clear looks by day and cell, in thousandths.

    In each cell: how probably a spot of it was in clear view, on average over the spots that the camera passed.
    """
    seen: defaultdict[str, list[float]] = defaultdict(list)
    for cell, clear in envelope.data["looked"].items():
        seen[h3.cell_to_parent(cell, RESOLUTION)].append(float(clear))
    day = parse_rfc3339(envelope.data["ended_at"]).astimezone(CHINA).date().isoformat()
    for cell, clears in seen.items():
        yield (day, h3.str_to_int(cell)), round(MILLI * sum(clears) / len(clears))


def _cell(lat: float, lon: float) -> int:
    """As passes count it: near its rim a cell does not hold quite the same points as its children together."""
    found: int = h3.str_to_int(h3.cell_to_parent(h3.latlng_to_cell(lat, lon, PASSES_HAVE), RESOLUTION))
    return found


def _wanted(where: MapFilter) -> list[ColumnElement[bool]]:
    conditions = [] if where.scope == EVERYTHING else [visible(case_map.c.case, where.scope)]
    if where.box is not None:
        west, south, east, north = where.box
        conditions.append(case_map.c.lat.between(south, north))
        across = (case_map.c.lon >= west) | (case_map.c.lon <= east)
        conditions.append(case_map.c.lon.between(west, east) if west <= east else across)
    if where.since is not None:
        conditions.append(case_map.c.last_seen_at >= where.since)
    if where.until is not None:
        conditions.append(case_map.c.first_seen_at <= where.until)
    if where.state is not None:
        conditions.append(tables.cases.c.state == where.state)
    if where.matter is not None:
        conditions.append(tables.cases.c.matter == where.matter)
    return conditions


def _case(row: Any) -> StoredCase:
    document = json.loads(row.document)
    return StoredCase(id=row.id, area=row.area, raised=row.raised, updated=row.updated, document=document)
