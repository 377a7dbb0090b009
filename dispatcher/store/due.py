"""Due: the deadlines of cases, as lists read them. What is overdue by them lists find on the shelf (`shelf.py`)."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import Connection, select

from dispatcher.store.bulk import rows_with
from dispatcher.store.rows import Due
from dispatcher.store.work_tables import work


def dues(connection: Connection, cases: Sequence[str]) -> dict[str, Due]:
    """The deadlines of cases; those that no office works on have none."""
    found = dict.fromkeys(cases, Due())
    asked = select(work.c.case, work.c.due_at, work.c.document)
    for row in rows_with(connection, asked, work.c.case, cases):
        document = json.loads(row.document)
        found[row.case] = Due(row.due_at, document["handled_at"] or document["ended_at"])
    return found
