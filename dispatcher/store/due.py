"""Due: the deadlines of cases, as lists read them. What is overdue by them lists find on the shelf (`shelf.py`)."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import Connection, select

from dispatcher.store.rows import Due
from dispatcher.store.work_tables import work

PAGE = 500


def dues(connection: Connection, cases: Sequence[str]) -> dict[str, Due]:
    """The deadlines of cases; those that no office works on have none."""
    found = dict.fromkeys(cases, Due())
    for start in range(0, len(cases), PAGE):
        some = work.c.case.in_(cases[start : start + PAGE])
        for row in connection.execute(select(work.c.case, work.c.due_at, work.c.document).where(some)):
            document = json.loads(row.document)
            found[row.case] = Due(row.due_at, document["handled_at"] or document["ended_at"])
    return found
