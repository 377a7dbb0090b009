"""Seen by: which areas a case and its pictures are shown to, and the one place where SQL narrows to a scope.

A case is shown to the areas that it was ever told to, and to its most probable owner. One that has neither is
unowned: only those of all areas see it.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, false, insert, or_, select, true, update

from dispatcher.access.scope import Scope
from dispatcher.store import tables
from dispatcher.store.access_tables import pictures, seen_by
from dispatcher.store.rows import Document, StoredEvent


def project(connection: Connection, event: StoredEvent, owner: str | None) -> None:
    """Bring the two projections up to an event that is new to them."""
    show(connection, event.case, set(event.recipients), owner)
    evidence: Document = event.document["evidence"] or {}
    if uri := evidence.get("uri"):
        belongs(connection, event.case, str(uri))


def show(connection: Connection, case: str, told: set[str], owner: str | None) -> None:
    """Show a case to these areas from now on; one that only owned it, and does no more, loses sight of it."""
    rows = connection.execute(select(seen_by.c.area, seen_by.c.told).where(seen_by.c.case == case))
    have = {row.area: bool(row.told) for row in rows}
    want = {area: True for area, was_told in have.items() if was_told} | dict.fromkeys(told, True)
    if owner is not None:
        want.setdefault(owner, False)
    for area in have.keys() - want.keys():
        connection.execute(delete(seen_by).where(seen_by.c.case == case, seen_by.c.area == area))
    for area, was_told in sorted(want.items()):
        if area not in have:
            connection.execute(insert(seen_by).values(case=case, area=area, told=was_told))
        elif have[area] != was_told:
            known = update(seen_by).where(seen_by.c.case == case, seen_by.c.area == area)
            connection.execute(known.values(told=was_told))


def belongs(connection: Connection, case: str, picture: str) -> None:
    """Whoever sees the case sees the picture."""
    known = select(pictures).where(pictures.c.name == picture, pictures.c.case == case)
    if connection.execute(known).first() is None:
        connection.execute(insert(pictures).values(name=picture, case=case))


def forget(connection: Connection) -> None:
    """Empty both, to be made anew."""
    connection.execute(delete(seen_by))
    connection.execute(delete(pictures))


def visible(case: ColumnElement[str], scope: Scope) -> ColumnElement[bool]:
    """The condition that a case, by the column that holds its id, lies in a scope."""
    if scope.areas is None:
        return true()
    return case.in_(select(seen_by.c.case).where(within(seen_by.c.area, scope)))


def within(area: ColumnElement[str], scope: Scope) -> ColumnElement[bool]:
    """The condition that an area lies in a scope that is not everything."""
    spans, alone = scope.parts()
    ranges = [and_(area >= span.low, area < span.high) for span in spans]
    return or_(false(), *ranges, area.in_(alone)) if alone else or_(false(), *ranges)


def cases_in(connection: Connection, cases: set[str], scope: Scope) -> set[str]:
    """Which of these cases lie in a scope."""
    if scope.areas is None:
        return cases
    query = select(seen_by.c.case).where(seen_by.c.case.in_(cases), within(seen_by.c.area, scope)).distinct()
    return set(connection.scalars(query)) if cases else set()


def picture_in(connection: Connection, name: str, scope: Scope) -> bool:
    """Whether a picture belongs to a case in a scope. In everything, every picture is."""
    if scope.areas is None:
        return True
    shown = exists().where(pictures.c.name == name, visible(pictures.c.case, scope))
    return bool(connection.scalar(select(shown)))


def alerts_in(scope: Scope) -> ColumnElement[bool]:
    """The condition that an alert went to a scope."""
    return true() if scope.areas is None else within(tables.alerts.c.recipient, scope)
