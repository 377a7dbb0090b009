"""Shelf: lists of cases by area, the last raised first, whose cost grows with the page and not with the store.

A case stands on the shelf of every area that it is shown to, and of all areas above by their codes. One walk along a
shelf gives a page; what is asked beyond area and state is looked at on the way, for no more than `WALKED` cases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache, partial
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Subquery,
    and_,
    exists,
    func,
    select,
    union,
    union_all,
)

from dispatcher.access.scope import Scope, above
from dispatcher.store import tables
from dispatcher.store.bulk import delete_rows, insert_rows
from dispatcher.store.due import overdue
from dispatcher.store.rows import CaseFilter, Document
from dispatcher.store.seen_by import visible
from dispatcher.store.shelf_tables import shelf

ALL = ""  # the stem of the shelf with every case
WALKED = 20_000  # cases looked at for one page: it may be short, and then says where to go on
COUNTED = 2_000  # how far a total is counted
Columns = Any  # of a walk: SQLAlchemy does not type them
Further = list[Callable[[Columns], ColumnElement[bool]]]
WIDEST = 60  # shelves read side by side; whoever has more areas reads the shelf of all


@dataclass(frozen=True, slots=True)
class Facts:
    """What lists ask of a case."""

    raised: int
    state: str
    matter: str
    owned: bool
    opened_at: str | None
    lat: float
    lon: float

    @classmethod
    def of(cls, document: Document, raised: int, area: str | None) -> Facts:
        return cls(
            raised=raised,
            state=document["state"],
            matter=document["matter"],
            owned=area is not None,
            opened_at=document["opened_at"],
            lat=document["lat"],
            lon=document["lon"],
        )


FACTS = tuple(field.name for field in fields(Facts))


@dataclass(frozen=True, slots=True)
class Move:
    """A case that stood on some shelves, if on any, and is to stand on others, or elsewhere on them."""

    before: tuple[int, frozenset[str]] | None  # raised, areas
    facts: Facts
    areas: frozenset[str]


@dataclass(frozen=True, slots=True)
class Page:
    """Which cases, by their `raised`, the highest first, and below which to go on; None at the end."""

    raised: list[int]
    below: int | None
    total: int
    more: bool  # than the total


@lru_cache(maxsize=10_000)
def stems(areas: frozenset[str]) -> tuple[str, ...]:
    """The shelves of these areas, and of all that are above them by their codes."""
    return tuple(sorted({ALL} | above(areas)))


def place(connection: Connection, moves: Sequence[Move]) -> None:
    """Bring the shelves up to where cases have moved."""
    gone = [{"stem": s, "raised": move.before[0]} for move in moves if move.before for s in stems(move.before[1])]
    come = []
    for move in moves:
        row = {name: getattr(move.facts, name) for name in FACTS}
        come += [{"stem": stem, **row} for stem in stems(move.areas)]
    delete_rows(connection, shelf, gone)
    insert_rows(connection, shelf, come)


def page(connection: Connection, where: CaseFilter) -> Page:
    """One page of what is asked for."""
    stems_read, scopes = _shelves_for(where)
    if not stems_read:
        return Page([], None, 0, False)
    further = _further(where, scopes, connection.dialect.name)
    walks = [_walk(stem, where.state, where.below, WALKED if further else where.limit + 1) for stem in stems_read]
    found = sorted(set(connection.scalars(_matching(walks, further, where.limit + 1))), reverse=True)
    end = None  # below it nothing was looked at
    if further and len(found) <= where.limit:
        end = _end(connection, walks)
        found = [raised for raised in found if end is None or raised >= end]
    if len(found) > where.limit:
        found = found[: where.limit]
        end = found[-1] if found else where.below
    n, more = _total(connection, stems_read, where.state, further)
    return Page(found, end, n, more)


def _shelves_for(where: CaseFilter) -> tuple[list[str], list[Scope]]:
    """Along which shelves to walk, and what scopes that leaves to be looked at on the way."""
    if where.area is None:
        mine = shelves(where.scope)
        return (mine, []) if mine is not None else ([ALL], [where.scope])
    asked = Scope(frozenset({where.area}))
    area = shelves(asked) or []
    if where.scope.covers(where.area):
        return area, []
    mine = shelves(where.scope)
    if mine and min(map(len, mine)) > max(map(len, area)):  # the narrower of the two
        return mine, [asked]
    return ([] if mine == [] else area), [where.scope]


def shelves(scope: Scope) -> list[str] | None:
    """The shelves that hold just what a scope shows; None when they are too many."""
    if scope.areas is None:
        return [ALL]
    found = sorted(scope.stems())
    return found if len(found) <= WIDEST else None


def _further(where: CaseFilter, scopes: Sequence[Scope], dialect: str) -> Further:
    """What is looked at on the way."""
    asked: Further = [partial(_shown, scope) for scope in scopes]
    if where.matter is not None:
        asked.append(lambda c: c.matter == where.matter)
    if where.unowned is not None:
        asked.append(lambda c: c.owned != where.unowned)
    if where.opened_from is not None:
        asked.append(lambda c: c.opened_at >= where.opened_from)
    if where.opened_before is not None:
        asked.append(lambda c: c.opened_at < where.opened_before)
    if where.overdue is not None:
        asked.append(partial(overdue, dialect, where))
    if (box := where.box) is not None:
        asked.append(lambda c: and_(c.lat.between(box.south, box.north), c.lon.between(box.west, box.east)))
    return asked


def _shown(scope: Scope, c: Columns) -> ColumnElement[bool]:
    """The condition that the case at a place of a shelf lies in a scope."""
    case = tables.cases.c
    return exists().where(case.raised == c.raised, visible(case.id, scope))


def _walk(stem: str, state: str | None, below: int | None, steps: int) -> Subquery:
    """So many places of a shelf, the last raised first."""
    c = shelf.c
    asked = [c.stem == stem]
    if state is not None:
        asked.append(c.state == state)
    if below is not None:
        asked.append(c.raised < below)
    return select(shelf).where(*asked).order_by(c.raised.desc()).limit(steps).subquery()


def _matching(walks: Sequence[Subquery], further: Further, n: int) -> Any:
    """The first of every walk that match."""
    firsts = []
    for walk in walks:
        kept = select(walk.c.raised).where(*(asked(walk.c) for asked in further))
        firsts.append(select(kept.order_by(walk.c.raised.desc()).limit(n).subquery().c.raised))
    return firsts[0] if len(firsts) == 1 else union(*firsts)


def _end(connection: Connection, walks: Sequence[Subquery]) -> int | None:
    """Below which place not every walk has looked; None when all have come to their end."""
    look = [select(func.count().label("n"), func.min(walk.c.raised).label("last")) for walk in walks]
    return max((row.last for row in connection.execute(union_all(*look)) if row.n >= WALKED), default=None)


def _total(connection: Connection, stems_read: Sequence[str], state: str | None, further: Further) -> tuple[int, bool]:
    """How many match, counted no further than needed, and whether there may be more."""
    steps = WALKED if further else COUNTED + 1
    walks = [_walk(stem, state, None, steps) for stem in stems_read]
    found = _matching(walks, further, COUNTED + 1).limit(COUNTED + 1).subquery()
    n = connection.scalar(select(func.count()).select_from(found)) or 0
    return min(n, COUNTED), n > COUNTED or (bool(further) and _end(connection, walks) is not None)
