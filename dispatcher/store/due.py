"""Due: the deadlines of cases, as lists read them. What is overdue by them lists find on the shelf (`shelf.py`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from dispatcher.store.bulk import rows_with
from dispatcher.store.rows import Due
from dispatcher.store.work_tables import work

WORK = (work.c.due_at, work.c.document.label("work"))


def dues(connection: Connection, cases: Sequence[str]) -> dict[str, Due]:
    """The deadlines of cases; those that no office works on have none."""
    found = dict.fromkeys(cases, Due())
    asked = select(work.c.case, *WORK)
    for row in rows_with(connection, asked, work.c.case, cases):
        found[row.case] = due_of(row)
    return found


def due_of(row: Any) -> Due:
    """The deadline in a row with the columns WORK, all NULL where no office works on the case."""
    if row.work is None:
        return Due()
    document = json.loads(row.work)
    return Due(row.due_at, document["handled_at"] or document["ended_at"], document["priority"])
