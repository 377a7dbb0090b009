"""Leaf: a page of a list for which no case need be looked at on the way, in one statement.

Most pages are such ones: by area, by state, of whoever may see some areas. One statement sees one moment of the store,
as a transaction does, and costs one question to the server instead of eight.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Integer, Select, bindparam, func, select, true, union

from dispatcher.store import shelf, tables
from dispatcher.store.due import WORK, due_of
from dispatcher.store.rows import CaseFilter, Line, Listing
from dispatcher.store.shelf_tables import shelf as table
from dispatcher.store.work_tables import work


def stems_of(where: CaseFilter) -> list[str] | None:
    """The shelves that hold what is asked for and nothing else but other states; None when there is more to it."""
    if where.overdue is not None or where.box is not None:
        return None
    stems, further = shelf.walked(where)
    return stems or None if not further else None


def listing(connection: Connection, where: CaseFilter, stems: list[str], log: str) -> Listing:
    """The cases on these shelves that match, the last raised first."""
    values = {"state": where.state, "below": where.below, "most": where.limit + 1, "counted": shelf.COUNTED + 1}
    values |= {_named(n): stem for n, stem in enumerate(stems)}
    query = _query(len(stems), where.state is not None, where.below is not None)
    rows = connection.execute(query, values).all()
    total = rows[0].total
    found = [row for row in rows if row.id is not None]
    lines = [Line(r.id, r.area, r.raised, r.updated, r.document, due_of(r)) for r in found[: where.limit]]
    below = None
    if len(found) > where.limit:
        below = lines[-1].raised if lines else where.below
    return Listing(
        log=log,
        seq=rows[0].last or 0,
        total=min(total, shelf.COUNTED),
        more=total > shelf.COUNTED,
        lines=lines,
        below=below,
    )


@lru_cache(maxsize=4 * shelf.WIDEST)
def _query(shelves: int, by_state: bool, further_down: bool) -> Select[Any]:
    """One row at least: the total and the last event come with each."""
    page = _places(shelves, by_state, further_down, "most").subquery("page")
    every = _places(shelves, by_state, False, "counted").subquery("every")
    counted = select(func.count().label("total")).select_from(every).subquery("counted")
    c = tables.cases.c
    cases = page.join(tables.cases, c.raised == page.c.raised).outerjoin(work, work.c.case == c.id)
    last = select(func.max(tables.events.c.seq)).scalar_subquery()
    columns = (counted.c.total, last.label("last"), c.id, c.area, c.raised, c.updated, c.document, *WORK)
    return select(*columns).select_from(counted.outerjoin(cases, true())).order_by(c.raised.desc())


def _places(shelves: int, by_state: bool, further_down: bool, most: str) -> Any:
    """The first places of some shelves, the last raised first."""
    walks = []
    for n in range(shelves):
        walk = shelf.walk(
            bindparam(_named(n)),
            state=bindparam("state") if by_state else None,
            below=bindparam("below") if further_down else None,
        )
        first = walk.with_only_columns(table.c.raised).order_by(table.c.raised.desc())
        walks.append(first.limit(bindparam(most, type_=Integer)).subquery())
    firsts = [select(walk.c.raised) for walk in walks]
    if len(firsts) == 1:
        return firsts[0]
    both = union(*firsts).subquery()
    return select(both.c.raised).order_by(both.c.raised.desc()).limit(bindparam(most, type_=Integer))


def _named(n: int) -> str:
    return f"stem_{n}"
