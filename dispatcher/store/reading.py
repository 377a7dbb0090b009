"""Questions to the projections. Each takes a connection that is inside one transaction: one moment, one answer."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, Table, and_, func, select

from dispatcher.access.scope import EVERYTHING, Scope
from dispatcher.store import shelf, tables, tally
from dispatcher.store.bulk import rows_with
from dispatcher.store.due import WORK, due_of, dues
from dispatcher.store.project import stored_event
from dispatcher.store.rows import CaseFilter, Due, Line, Listing, StoredCase, StoredEvent, Summary
from dispatcher.store.seen_by import areas_of, cases_in, visible
from dispatcher.store.work import input_lines
from dispatcher.store.work_tables import work


def listing(connection: Connection, where: CaseFilter, log: str) -> Listing:
    """The cases that match, the last raised first. `log` is the name of the log, which never changes."""
    page = shelf.page(connection, where)
    together = tables.cases.outerjoin(work, work.c.case == tables.cases.c.id)
    found = rows_with(connection, select(tables.cases, *WORK).select_from(together), tables.cases.c.raised, page.raised)
    rows = sorted(found, key=lambda row: row.raised, reverse=True)
    return Listing(
        log=log,
        seq=last_event(connection),
        total=page.total,
        more=page.more,
        lines=[Line(row.id, row.area, row.raised, row.updated, row.document, due_of(row)) for row in rows],
        below=page.below,
    )


def case(connection: Connection, id: str, scope: Scope) -> tuple[StoredCase, list[StoredEvent]] | None:
    """One case of a scope and its events, oldest first."""
    wanted = and_(tables.cases.c.id == id, visible(tables.cases.c.id, scope))
    row = connection.execute(select(tables.cases).where(wanted)).one_or_none()
    if row is None:
        return None
    query = select(tables.events).where(tables.events.c.case == id).order_by(tables.events.c.seq)
    return _stored_case(row, dues(connection, [id])[id]), [stored_event(event) for event in connection.execute(query)]


def sightings(connection: Connection, id: str, scope: Scope) -> list[str] | None:
    """The inputs that a case of a scope is made of, in its order; those that are not stored any more are left out."""
    wanted = and_(tables.cases.c.id == id, visible(tables.cases.c.id, scope))
    document = connection.scalar(select(tables.cases.c.document).where(wanted))
    if document is None:
        return None
    ids = json.loads(document)["sightings"]
    lines = input_lines(connection, ids)
    return [lines[id] for id in ids if id in lines]


def listen(connection: Connection, after: int, limit: int, scope: Scope) -> tuple[list[StoredEvent], int]:
    """The events of a scope among the next so many of the log, and up to where that was."""
    query = select(tables.events).where(tables.events.c.seq > after).order_by(tables.events.c.seq).limit(limit)
    rows = connection.execute(query).all()
    shown = cases_in(connection, {row.case for row in rows}, scope)
    return [stored_event(row) for row in rows if row.case in shown], rows[-1].seq if rows else after


def follow(connection: Connection, after: int, limit: int) -> list[tuple[StoredEvent, set[str]]]:
    """The next events of the log, each with the areas to which its case is shown now."""
    query = select(tables.events).where(tables.events.c.seq > after).order_by(tables.events.c.seq).limit(limit)
    events = [stored_event(row) for row in connection.execute(query)]
    areas = areas_of(connection, {event.case for event in events})
    return [(event, areas[event.case]) for event in events]


def summary(connection: Connection, since: str, scope: Scope) -> Summary:
    """Counts over everything stored that lies in a scope."""
    return Summary(
        log=log(connection),
        seq=last_event(connection),
        counts=tally.counts(connection, scope),
        opened_since=tally.opened_since(connection, since, scope),
        alerts=tally.alerts(connection, scope),
        inputs=_count(connection, tables.inputs) if scope == EVERYTHING else None,
        rejected=_count(connection, tables.rejected) if scope == EVERYTHING else None,
    )


def _count(connection: Connection, table: Table) -> int:
    return connection.scalar(select(func.count()).select_from(table)) or 0


def _stored_case(row: Any, due: Due) -> StoredCase:
    document = json.loads(row.document)
    return StoredCase(id=row.id, area=row.area, raised=row.raised, updated=row.updated, document=document, due=due)


def log(connection: Connection) -> str:
    return str(connection.scalar(select(tables.meta.c.value).where(tables.meta.c.name == "log")))


def last_event(connection: Connection) -> int:
    return connection.scalar(select(func.max(tables.events.c.seq))) or 0
