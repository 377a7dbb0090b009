"""Rebuild: every projection made anew from what is the truth, and whether that changed anything."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, delete, select

from dispatcher.store import maps, tables
from dispatcher.store import work as work_log
from dispatcher.store.access_tables import pictures, seen_by
from dispatcher.store.map_tables import case_map, looks
from dispatcher.store.project import project, stored_event
from dispatcher.store.report_tables import report_cases
from dispatcher.store.shelf_tables import shelf
from dispatcher.store.tally_tables import alert_tally, tally
from dispatcher.store.work_tables import work

PAGE = 500
# Objects are no projection of events: they come back by replaying the inputs.
PROJECTIONS = (
    tables.cases,
    tables.alerts,
    seen_by,
    pictures,
    shelf,
    tally,
    alert_tally,
    case_map,
    looks,
    report_cases,
    work,
)


@dataclass(frozen=True, slots=True)
class Compared:
    """A table after it was made anew."""

    rows: int
    changed: int  # rows of now that were not there, and rows that are there no more


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What was read, and what came of it, by table."""

    events: int
    entries: int  # of the chain of actions
    tables: dict[str, Compared]


def rebuilt(connection: Connection) -> Rebuilt:
    """Do it, in a transaction that holds the write lock."""
    before = {table.name: set(_marks(connection, table)) for table in PROJECTIONS}
    for table in PROJECTIONS:
        connection.execute(delete(table))
    maps.look_again(connection)
    events = 0
    for page in _pages(connection):
        project(connection, [stored_event(row) for row in page])
        events += len(page)
    entries = work_log.rebuild(connection)
    found = {}
    for table in PROJECTIONS:
        now, then = set(_marks(connection, table)), before.pop(table.name)
        found[table.name] = Compared(len(now), len(now ^ then))
    return Rebuilt(events, entries, found)


def _pages(connection: Connection) -> Iterator[Any]:
    seq = 0
    while rows := connection.execute(
        select(tables.events).where(tables.events.c.seq > seq).order_by(tables.events.c.seq).limit(PAGE)
    ).all():
        yield rows
        seq = rows[-1].seq


def _marks(connection: Connection, table: Table) -> Iterator[bytes]:
    """A short mark of every row: a million rows are compared in memory without being kept there."""
    with connection.execute(select(table), execution_options={"yield_per": PAGE}) as rows:
        for row in rows:
            yield hashlib.blake2b(repr(tuple(row)).encode(), digest_size=16).digest()
