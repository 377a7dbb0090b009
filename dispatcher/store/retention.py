"""Retention: which evidence pictures a store still needs, and that it gives up others. Each call is in a transaction.

A picture is needed while a case that it belongs to is open, and until a time after the last that happened to a case
that is over or was never opened. It may belong to several: the same bytes are one picture.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, exists, not_, select

from dispatcher.case import State
from dispatcher.store import tables
from dispatcher.store.access_tables import pictures
from dispatcher.store.bulk import insert_rows, update_rows
from dispatcher.store.gone import Why, given_up, without
from dispatcher.store.gone_tables import gone
from ingest.envelope import dumps

PAGE = 500  # names asked for in one statement
UNSETTLED = frozenset({str(State.OPEN), str(State.HANDLED)})


@dataclass(frozen=True, slots=True)
class Need:
    """That a case may need a picture: how the case stands, and when something last happened to it."""

    name: str
    case: str
    state: str
    at: str  # RFC 3339

    def until(self, before: str) -> bool:
        """Whether it still needs it when what is over may go that ended before a time."""
        return self.state in UNSETTLED or self.at >= before


def has_read(connection: Connection) -> bool:
    """Whether the store ever took anything in: one that did not knows of no picture, and may be the wrong one."""
    return bool(connection.scalar(select(exists().where(tables.inputs.c.seq > 0))))


def unneeded(connection: Connection, names: Collection[str], before: str) -> set[str]:
    """Which of these pictures no case needs any more; those that belong to none among them. `before`: RFC 3339."""
    return set(names) - {need.name for need in _needs(connection, list(names)) if need.until(before)}


def give_up(connection: Connection, names: Collection[str], why: Why, at: str) -> int:
    """No case has these pictures from now on, and each says why. Returns of how many cases; the write lock is held."""
    rows = [{"name": n.name, "case": n.case, "why": str(why), "at": at} for n in _needs(connection, list(names))]
    insert_rows(connection, gone, rows)
    cases = {row["case"] for row in rows}
    _say_so(connection, sorted(cases))
    return len(cases)


def cases_with(connection: Connection, names: Collection[str]) -> set[str]:
    """The cases that have any of these pictures."""
    return {need.case for need in _needs(connection, list(names))}


def _needs(connection: Connection, names: Sequence[str]) -> Iterator[Need]:
    """By picture every case that has it and has not given it up."""
    c, e = tables.cases.c, tables.events.c
    joined = pictures.join(tables.cases, c.id == pictures.c.case).join(tables.events, e.seq == c.updated)
    query = select(pictures.c.name, pictures.c.case, c.state, e.at).select_from(joined)
    for start in range(0, len(names), PAGE):
        some = pictures.c.name.in_(names[start : start + PAGE])
        kept = not_(given_up(pictures.c.name, pictures.c.case))
        for row in connection.execute(query.where(some, kept)).all():
            yield Need(row.name, row.case, row.state, row.at)


def _say_so(connection: Connection, cases: Sequence[str]) -> None:
    """Bring the documents of cases up to what they have given up."""
    for start in range(0, len(cases), PAGE):
        query = select(tables.cases.c.id, tables.cases.c.document).where(
            tables.cases.c.id.in_(cases[start : start + PAGE])
        )
        stored = {row.id: json.loads(row.document) for row in connection.execute(query)}
        changed = [{"id": id, "document": dumps(doc)} for id, doc in without(connection, stored).items()]
        update_rows(connection, tables.cases, changed, ["id"])
