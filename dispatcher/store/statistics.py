"""Statistics: how the offices did with the cases of a time, counted from the cases and the work on them."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from sqlalchemy import Connection, exists, select

from dispatcher.access.scope import EVERYTHING, Scope
from dispatcher.store import tables
from dispatcher.store.access_tables import seen_by
from dispatcher.store.seen_by import within
from dispatcher.store.work_tables import work
from ingest.frame import parse_rfc3339

PAGE = 2000
S_PER_MINUTE = 60.0
SUMMED = ("hand_backs", "rejections")


@dataclass(slots=True)
class Tally:
    """What came of some cases."""

    counts: Counter[str] = field(default_factory=Counter)
    acknowledged: list[float] = field(default_factory=list)  # minutes from registering
    handled: list[float] = field(default_factory=list)

    def take(self, state: str, late: bool, said: dict[str, Any] | None) -> None:
        self.counts.update(("opened", state))
        if said is None or said["registered_at"] is None:
            return
        begun = parse_rfc3339(said["registered_at"])
        for name, minutes in (("acknowledged", self.acknowledged), ("handled", self.handled)):
            if (at := said[f"{name}_at"]) is not None:
                minutes.append((parse_rfc3339(at) - begun).total_seconds() / S_PER_MINUTE)
        if late:
            self.counts["late"] += 1
        elif said["due_at"] is not None and (said["handled_at"] or said["ended_at"]) is not None:
            self.counts["in_time"] += 1
        self.counts["rebounds"] += said["rebounds"] > 0
        self.counts["first_occurrences"] += bool(said["first_occurrence"])
        for name in SUMMED:
            self.counts[name] += said[name]

    @property
    def acknowledge_minutes(self) -> float | None:
        return median(self.acknowledged) if self.acknowledged else None

    @property
    def handle_minutes(self) -> float | None:
        return median(self.handled) if self.handled else None


def statistics(connection: Connection, since: str, until: str, now: str, scope: Scope) -> dict[str | None, Tally]:
    """By owner, what came of the cases of a scope that were opened from `since` up to `until`; None has none.

    Looks at each of them: for some weeks, not for years.
    """
    case = tables.cases.c
    query = (
        select(case.area, case.state, case.late_from, work.c.document)
        .outerjoin(work, work.c.case == case.id)
        .where(case.opened_at >= since, case.opened_at < until)
    )
    if scope != EVERYTHING:
        query = query.where(exists().where(seen_by.c.case == case.id, within(seen_by.c.area, scope)))
    found: defaultdict[str | None, Tally] = defaultdict(Tally)
    with connection.execute(query, execution_options={"yield_per": PAGE}) as rows:
        for row in rows:
            said = None if row.document is None else json.loads(row.document)
            late = row.late_from is not None and row.late_from < now
            found[row.area].take(row.state, late, said)
    return dict(found)
