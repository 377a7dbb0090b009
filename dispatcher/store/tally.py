"""Tally: counts of cases and alerts that are kept, so that a summary does not look at every case.

A case counts once on every shelf that it stands on (`shelf.py`). So the count of one shelf is read, not made; whoever
reads several has cases that stand on more than one of them, and those are counted when asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, exists, func, select

from dispatcher.access.scope import EVERYTHING, Scope
from dispatcher.store import tables
from dispatcher.store.access_tables import seen_by
from dispatcher.store.bulk import delete_rows, upsert_rows
from dispatcher.store.rows import CaseCount
from dispatcher.store.seen_by import visible, within
from dispatcher.store.shelf import shelves, stems
from dispatcher.store.tally_tables import alert_tally, tally

UNOWNED = ""


@dataclass(frozen=True, slots=True)
class Tallied:
    """As what a case is counted, and for which areas."""

    state: str
    matter: str
    area: str | None  # the owner
    seen_by: frozenset[str]


def count(connection: Connection, moves: Iterable[tuple[Tallied | None, Tallied]]) -> None:
    """Bring the counts up to cases that were the one, if they were, and are the other now."""
    change: Counter[tuple[str, str, str, str]] = Counter()
    for before, after in moves:
        for tallied, n in ((before, -1), (after, 1)):
            if tallied is None:
                continue
            for stem in stems(tallied.seen_by):
                change[stem, tallied.state, tallied.matter, tallied.area or UNOWNED] += n
    names = ("stem", "state", "matter", "area")
    _add(connection, tally, [dict(zip(names, key, strict=True)) | {"n": n} for key, n in sorted(change.items()) if n])


def count_alerts(connection: Connection, recipients: Iterable[str]) -> None:
    """So many more alerts went out."""
    change = Counter(recipients)
    _add(connection, alert_tally, [{"recipient": recipient, "n": n} for recipient, n in sorted(change.items())])


def counts(connection: Connection, scope: Scope) -> tuple[CaseCount, ...]:
    """How many cases of a scope share state, matter and owner."""
    mine = shelves(scope)
    if mine == []:
        return ()
    if mine is None or len(mine) > 1:
        return _counted(connection, scope)
    c = tally.c
    query = select(c.state, c.matter, c.area, c.n).where(c.stem == mine[0]).order_by(c.state, c.matter, c.area)
    return tuple(
        CaseCount(state=r.state, matter=r.matter, area=r.area or None, n=r.n) for r in connection.execute(query)
    )


def _counted(connection: Connection, scope: Scope) -> tuple[CaseCount, ...]:
    c = tables.cases.c
    keys = (c.state, c.matter, c.area)
    query = select(*keys, func.count().label("n")).where(visible(c.id, scope)).group_by(*keys)
    found = [CaseCount(state=r.state, matter=r.matter, area=r.area, n=r.n) for r in connection.execute(query)]
    return tuple(sorted(found, key=lambda one: (one.state, one.matter, one.area or UNOWNED)))


def opened_since(connection: Connection, since: str, scope: Scope) -> int:
    """How many cases of a scope were opened at or after a time: those of a day are few, and each is looked at."""
    c = tables.cases.c
    query = select(func.count()).select_from(tables.cases).where(c.opened_at >= since)
    if scope != EVERYTHING:
        query = query.where(exists().where(seen_by.c.case == c.id, within(seen_by.c.area, scope)))
    return connection.scalar(query) or 0


def alerts(connection: Connection, scope: Scope) -> int:
    """How many alerts went to a scope."""
    query = select(func.sum(alert_tally.c.n))
    if scope != EVERYTHING:
        query = query.where(within(alert_tally.c.recipient, scope))
    return int(connection.scalar(query) or 0)


def _add(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Add to the counts of a table, and forget those that have come to nothing. The write lock is held."""
    if not rows:
        return
    keys = [column.name for column in table.primary_key.columns]
    upsert_rows(connection, table, rows, keys, lambda given: {"n": table.c.n + given.n})
    delete_rows(connection, table, [{key: row[key] for key in keys} | {"n": 0} for row in rows if row["n"] < 0])
