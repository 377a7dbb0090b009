"""Seen by: which areas a case and its pictures are shown to, and the one place where SQL narrows to a scope.

A case is shown to the areas that it was ever told to, and to its most probable owner. One that has neither is
unowned: only those of all areas see it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, exists, false, not_, or_, select, true

from dispatcher.access.scope import Scope
from dispatcher.store.access_tables import pictures, seen_by
from dispatcher.store.bulk import delete_rows, insert_rows, rows_with, update_rows
from dispatcher.store.gone import given_up


@dataclass(frozen=True, slots=True)
class Sight:
    """To which areas a case was shown, and to which it is shown from now on."""

    before: frozenset[str]
    after: frozenset[str]


def show(connection: Connection, told: Mapping[str, set[str]], owners: Mapping[str, str | None]) -> dict[str, Sight]:
    """Show cases to these areas from now on; one that only owned a case, and does no more, loses sight of it."""
    have: dict[str, dict[str, bool]] = {case: {} for case in told}
    for row in rows_with(connection, select(seen_by), seen_by.c.case, list(told)):
        have[row.case][row.area] = bool(row.told)
    gone, come, heard, sights = [], [], [], {}
    for case, areas in have.items():
        want = {area: True for area, was_told in areas.items() if was_told} | dict.fromkeys(sorted(told[case]), True)
        owner = owners.get(case)
        if owner is not None:
            want.setdefault(owner, False)
        gone += [{"case": case, "area": area} for area in areas.keys() - want.keys()]
        come += [{"case": case, "area": area, "told": want[area]} for area in sorted(want.keys() - areas.keys())]
        both = sorted(areas.keys() & want.keys())
        heard += [{"case": case, "area": a, "told": True} for a in both if want[a] and not areas[a]]
        sights[case] = Sight(frozenset(areas), frozenset(want))
    delete_rows(connection, seen_by, gone)
    update_rows(connection, seen_by, heard, ["case", "area"])
    insert_rows(connection, seen_by, come)
    return sights


def belong(connection: Connection, found: Iterable[tuple[str, str]]) -> None:
    """Whoever sees the case sees the picture: pairs of picture and case."""
    pairs = sorted(set(found))
    named = rows_with(connection, select(pictures), pictures.c.name, [name for name, _ in pairs])
    known = {(row.name, row.case) for row in named}
    new = [{"name": name, "case": case} for name, case in pairs if (name, case) not in known]
    insert_rows(connection, pictures, new)


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


def areas_of(connection: Connection, cases: Collection[str]) -> dict[str, set[str]]:
    """To which areas each of these cases is shown."""
    found: dict[str, set[str]] = {case: set() for case in cases}
    for row in rows_with(connection, select(seen_by), seen_by.c.case, list(cases)):
        found[row.case].add(row.area)
    return found


def picture_in(connection: Connection, name: str, scope: Scope) -> bool:
    """Whether a picture belongs to a case in a scope. In everything, every picture is."""
    if scope.areas is None:
        return True
    kept = not_(given_up(pictures.c.name, pictures.c.case))
    shown = exists().where(pictures.c.name == name, visible(pictures.c.case, scope), kept)
    return bool(connection.scalar(select(shown)))
