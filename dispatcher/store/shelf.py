"""Shelf: lists of cases by area, the last raised first, whose cost grows with the page and not with the store.

A case stands on the shelf of every area that it is shown to, and of all areas above by their codes. One walk along a
shelf gives a page; what is asked beyond area and state is looked at on the way, for no more than `WALKED` cases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache, partial
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Select,
    Subquery,
    and_,
    exists,
    func,
    or_,
    select,
    union,
    union_all,
    update,
)

from dispatcher.access.scope import Scope, above
from dispatcher.case import State
from dispatcher.store import tables
from dispatcher.store.bulk import delete_rows, insert_rows
from dispatcher.store.database import rare
from dispatcher.store.map_tables import case_map
from dispatcher.store.rows import Box, CaseFilter, Document
from dispatcher.store.seen_by import visible
from dispatcher.store.shelf_tables import shelf

ALL = ""  # the stem of the shelf with every case
WALKED = 20_000  # cases looked at for one page: it may be short, and then says where to go on
FEW = 2_000  # cases in a box that are looked at one by one
COUNTED = 2_000  # how far a total is counted
Given = str | int | BindParameter[Any]
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
    late_from: str | None

    @classmethod
    def of(cls, document: Document, raised: int, area: str | None, late_from: str | None) -> Facts:
        return cls(
            raised=raised,
            state=document["state"],
            matter=document["matter"],
            owned=area is not None,
            opened_at=document["opened_at"],
            lat=document["lat"],
            lon=document["lon"],
            late_from=late_from,
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


def due(connection: Connection, raised: int, areas: Iterable[str], late_from: str | None) -> None:
    """The deadline of a case has changed, or was met."""
    places = (shelf.c.stem.in_(stems(frozenset(areas))), shelf.c.raised == raised)
    connection.execute(update(shelf).where(*places).values(late_from=late_from))


def page(connection: Connection, where: CaseFilter) -> Page:
    """One page of what is asked for."""
    stems_read, scopes = _shelves_for(where)
    if not stems_read:
        return Page([], None, 0, False)
    spots = None
    if (box := where.box) is not None and _few_in(connection, box):
        where, spots = replace(where, box=None), _raised_in(box)
    further = _further(where, scopes)
    walks = _walks(stems_read, where, spots, where.below, WALKED if further else where.limit + 1)
    found = sorted(set(connection.scalars(_matching(walks, further, where.limit + 1))), reverse=True)
    end = None  # below it nothing was looked at
    if further and len(found) <= where.limit:
        end = _end(connection, walks)
        found = [raised for raised in found if end is None or raised >= end]
    if len(found) > where.limit:
        found = found[: where.limit]
        end = found[-1] if found else where.below
    n, more = _total(connection, _walks(stems_read, where, spots, None, WALKED if further else COUNTED + 1), further)
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


def walked(where: CaseFilter) -> tuple[list[str], bool]:
    """Along which shelves to walk, and whether something is looked at on the way."""
    stems_read, scopes = _shelves_for(where)
    return stems_read, bool(_further(where, scopes))


def _further(where: CaseFilter, scopes: Sequence[Scope]) -> Further:
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
    if where.overdue is False:
        asked.append(lambda c: or_(c.late_from.is_(None), c.late_from >= where.now))
    if (box := where.box) is not None:
        asked.append(lambda c: and_(c.lat.between(box.south, box.north), c.lon.between(box.west, box.east)))
    return asked


def _shown(scope: Scope, c: Columns) -> ColumnElement[bool]:
    """The condition that the case at a place of a shelf lies in a scope."""
    case = tables.cases.c
    return exists().where(case.raised == c.raised, visible(case.id, scope))


def _walks(
    stems_read: Sequence[str], where: CaseFilter, spots: Select[Any] | None, below: int | None, steps: int
) -> list[Subquery]:
    """So many places of each shelf, the last raised first, or of `spots` alone.

    What is overdue lies on a shelf by its state, and is walked along by itself.
    """
    late_at = where.now if where.overdue else None
    states = [*State] if late_at is not None and where.state is None else [where.state]
    walks = [walk(stem, state=state, below=below, late_at=late_at) for stem in stems_read for state in states]
    if spots is not None:
        walks = [one.where(shelf.c.raised.in_(spots)) for one in walks]
    return [one.order_by(shelf.c.raised.desc()).limit(steps).subquery() for one in walks]


def walk(stem: Given, *, state: Given | None, below: Given | None, late_at: str | None = None) -> Select[Any]:
    """Places of a shelf. What is given may be a parameter of the statement."""
    c = shelf.c
    asked = [c.stem == stem]
    if state is not None:
        asked.append(rare(c.state == state))
    if late_at is not None:
        asked.append(c.late_from < late_at)
    if below is not None:
        asked.append(c.raised < below)
    return select(shelf).where(*asked)


def _few_in(connection: Connection, box: Box) -> bool:
    """Whether it is shorter to look at all that lies in a box than to walk along a shelf until it turns up."""
    some = _in(box).limit(FEW + 1).subquery()
    return (connection.scalar(select(func.count()).select_from(some)) or 0) <= FEW


def _raised_in(box: Box) -> Select[Any]:
    """The places on the shelves of the cases in a box."""
    found = _in(box).subquery()
    return select(tables.cases.c.raised).join(found, found.c.case == tables.cases.c.id)


def _in(box: Box) -> Select[Any]:
    c = case_map.c
    return select(c.case).where(c.lat.between(box.south, box.north), c.lon.between(box.west, box.east))


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


def _total(connection: Connection, walks: Sequence[Subquery], further: Further) -> tuple[int, bool]:
    """How many match, counted no further than needed, and whether there may be more."""
    found = _matching(walks, further, COUNTED + 1).limit(COUNTED + 1).subquery()
    n = connection.scalar(select(func.count()).select_from(found)) or 0
    return min(n, COUNTED), n > COUNTED or (bool(further) and _end(connection, walks) is not None)
