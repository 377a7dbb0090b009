"""Questions to the projections. Each takes a connection that is inside one transaction: one moment, one answer."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, func, select

from dispatcher.access.scope import EVERYTHING, Scope
from dispatcher.store import tables
from dispatcher.store.project import stored_event
from dispatcher.store.rows import CaseCount, CaseFilter, Listing, StoredCase, StoredEvent, Summary
from dispatcher.store.seen_by import alerts_in, cases_in, visible


def listing(connection: Connection, where: CaseFilter) -> Listing:
    """The cases that match, the last raised first."""
    wanted = _wanted(where)
    newest = select(tables.cases).where(wanted).order_by(tables.cases.c.raised.desc(), tables.cases.c.id)
    return Listing(
        log=_log(connection),
        seq=_seq(connection),
        total=connection.scalar(select(func.count()).select_from(tables.cases).where(wanted)) or 0,
        cases=[_stored_case(row) for row in connection.execute(newest.limit(where.limit))],
    )


def case(connection: Connection, id: str, scope: Scope) -> tuple[StoredCase, list[StoredEvent]] | None:
    """One case of a scope and its events, oldest first."""
    wanted = and_(tables.cases.c.id == id, visible(tables.cases.c.id, scope))
    row = connection.execute(select(tables.cases).where(wanted)).one_or_none()
    if row is None:
        return None
    query = select(tables.events).where(tables.events.c.case == id).order_by(tables.events.c.seq)
    return _stored_case(row), [stored_event(event) for event in connection.execute(query)]


def listen(connection: Connection, after: int, limit: int, scope: Scope) -> tuple[list[StoredEvent], int]:
    """The events of a scope among the next so many of the log, and up to where that was."""
    query = select(tables.events).where(tables.events.c.seq > after).order_by(tables.events.c.seq).limit(limit)
    rows = connection.execute(query).all()
    shown = cases_in(connection, {row.case for row in rows}, scope)
    return [stored_event(row) for row in rows if row.case in shown], rows[-1].seq if rows else after


def summary(connection: Connection, since: str, scope: Scope) -> Summary:
    """Counts over everything stored that lies in a scope."""
    mine = visible(tables.cases.c.id, scope)
    keys = (tables.cases.c.state, tables.cases.c.matter, tables.cases.c.area)
    groups = connection.execute(select(*keys, func.count().label("n")).where(mine).group_by(*keys).order_by(*keys))
    opened = select(func.count()).select_from(tables.cases).where(tables.cases.c.opened_at >= since, mine)
    alerts = select(func.count()).select_from(tables.alerts).where(alerts_in(scope))
    return Summary(
        log=_log(connection),
        seq=_seq(connection),
        counts=tuple(CaseCount(state=row.state, matter=row.matter, area=row.area, n=row.n) for row in groups),
        opened_since=connection.scalar(opened) or 0,
        alerts=connection.scalar(alerts) or 0,
        inputs=_count(connection, tables.inputs) if scope == EVERYTHING else None,
        rejected=_count(connection, tables.rejected) if scope == EVERYTHING else None,
    )


def _wanted(where: CaseFilter) -> ColumnElement[bool]:
    c = tables.cases.c
    conditions: list[ColumnElement[bool]] = [c.id.is_not(None), visible(c.id, where.scope)]
    if where.state is not None:
        conditions.append(c.state == where.state)
    if where.matter is not None:
        conditions.append(c.matter == where.matter)
    if where.area is not None:
        conditions.append(visible(c.id, Scope(frozenset({where.area}))))
    if where.unowned is not None:
        conditions.append(c.area.is_(None) if where.unowned else c.area.is_not(None))
    return and_(*conditions)


def _count(connection: Connection, table: Table) -> int:
    return connection.scalar(select(func.count()).select_from(table)) or 0


def _stored_case(row: Any) -> StoredCase:
    return StoredCase(
        id=row.id, area=row.area, raised=row.raised, updated=row.updated, document=json.loads(row.document)
    )


def _log(connection: Connection) -> str:
    return str(connection.scalar(select(tables.meta.c.value).where(tables.meta.c.name == "log")))


def _seq(connection: Connection) -> int:
    return connection.scalar(select(func.max(tables.events.c.seq))) or 0
