"""Questions to the projections. Each takes a connection that is inside one transaction: one moment, one answer."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, exists, func, or_, select

from dispatcher.store import tables
from dispatcher.store.project import stored_event
from dispatcher.store.rows import CaseCount, CaseFilter, Listing, StoredCase, StoredEvent, Summary


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


def case(connection: Connection, id: str) -> tuple[StoredCase, list[StoredEvent]] | None:
    """One case and its events, oldest first."""
    row = connection.execute(select(tables.cases).where(tables.cases.c.id == id)).one_or_none()
    if row is None:
        return None
    query = select(tables.events).where(tables.events.c.case == id).order_by(tables.events.c.seq)
    return _stored_case(row), [stored_event(event) for event in connection.execute(query)]


def summary(connection: Connection, since: str) -> Summary:
    """Counts over everything stored."""
    keys = (tables.cases.c.state, tables.cases.c.matter, tables.cases.c.area)
    groups = connection.execute(select(*keys, func.count().label("n")).group_by(*keys).order_by(*keys))
    opened = select(func.count()).select_from(tables.cases).where(tables.cases.c.opened_at >= since)
    return Summary(
        log=_log(connection),
        seq=_seq(connection),
        counts=tuple(CaseCount(state=row.state, matter=row.matter, area=row.area, n=row.n) for row in groups),
        opened_since=connection.scalar(opened) or 0,
        alerts=connection.scalar(select(func.count()).select_from(tables.alerts)) or 0,
        inputs=connection.scalar(select(func.count()).select_from(tables.inputs)) or 0,
        rejected=connection.scalar(select(func.count()).select_from(tables.rejected)) or 0,
    )


def _wanted(where: CaseFilter) -> ColumnElement[bool]:
    c = tables.cases.c
    conditions: list[ColumnElement[bool]] = [c.id.is_not(None)]
    if where.state is not None:
        conditions.append(c.state == where.state)
    if where.matter is not None:
        conditions.append(c.matter == where.matter)
    if where.area is not None:
        told = tables.alerts.c.recipient.startswith(_stem(where.area), autoescape=True)
        conditions.append(
            or_(
                c.area.startswith(_stem(where.area), autoescape=True),
                exists().where(tables.alerts.c.case == c.id, told),
            )
        )
    if where.unowned is not None:
        conditions.append(c.area.is_(None) if where.unowned else c.area.is_not(None))
    return and_(*conditions)


def _stem(code: str) -> str:
    """What the codes below an area begin with: 440304001 for the street 440304001, also when padded to 440304001000."""
    while len(code) > 6 and code.endswith("000"):
        code = code[:-3]
    return code


def _stored_case(row: Any) -> StoredCase:
    return StoredCase(
        id=row.id, area=row.area, raised=row.raised, updated=row.updated, document=json.loads(row.document)
    )


def _log(connection: Connection) -> str:
    return str(connection.scalar(select(tables.meta.c.value).where(tables.meta.c.name == "log")))


def _seq(connection: Connection) -> int:
    return connection.scalar(select(func.max(tables.events.c.seq))) or 0
