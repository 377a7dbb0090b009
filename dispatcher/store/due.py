"""Due: the deadlines of cases, as lists read and ask them. The rule is `dispatcher.work.work.Work.overdue`'s."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, String, cast, exists, func, not_, select
from sqlalchemy.dialects.postgresql import JSON

from dispatcher.store import tables
from dispatcher.store.bulk import rows_with
from dispatcher.store.rows import CaseFilter, Due
from dispatcher.store.work_tables import work


def dues(connection: Connection, cases: Sequence[str]) -> dict[str, Due]:
    """The deadlines of cases; those that no office works on have none."""
    found = dict.fromkeys(cases, Due())
    asked = select(work.c.case, work.c.due_at, work.c.document)
    for row in rows_with(connection, asked, work.c.case, cases):
        document = json.loads(row.document)
        found[row.case] = Due(row.due_at, document["handled_at"] or document["ended_at"])
    return found


def overdue(dialect: str, where: CaseFilter, c: Any) -> ColumnElement[bool]:
    """The condition that the case at a place of a shelf is overdue, or is not, as asked."""
    case, said = tables.cases.c, partial(_said, dialect, work.c.document)
    stopped = func.coalesce(said("handled_at"), said("ended_at"), where.now)
    late = exists().where(case.raised == c.raised, work.c.case == case.id, work.c.due_at < stopped)
    return late if where.overdue else not_(late)


def _said(dialect: str, document: Column[str], name: str) -> ColumnElement[str]:
    """A member of a JSON text; NULL for null."""
    if dialect == "postgresql":
        text: ColumnElement[str] = cast(document, JSON)[name].astext
        return text
    return func.json_extract(document, f"$.{name}", type_=String)
