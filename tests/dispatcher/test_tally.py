"""Counts that are kept, on SQLite and on a real PostgreSQL: the same as counting every case."""

from __future__ import annotations

import random
from collections import Counter
from datetime import datetime, timedelta

import pytest
from futian import NOON
from sqlalchemy import delete, func, select
from test_listing import AREAS, SCOPES, city  # noqa: F401  # a fixture
from test_stores import either  # noqa: F401  # fixture

from dispatcher.access.scope import EVERYTHING, Scope
from dispatcher.case import Share, State
from dispatcher.store import tables
from dispatcher.store.access_tables import marks
from dispatcher.store.rows import CaseCount, Summary
from dispatcher.store.seen_by import visible, within
from dispatcher.store.store import Store
from dispatcher.store.tally_tables import alert_tally, tally
from ingest.frame import rfc3339

WHEN = (NOON - timedelta(days=1), NOON + timedelta(hours=60), NOON + timedelta(days=30))
MANY = (*SCOPES, Scope(frozenset(AREAS[:1])), Scope(frozenset({"440304008901", "440304008"})), Scope(frozenset({"9"})))


def counted(store: Store, since: datetime, scope: Scope) -> Summary:
    """As it was before anything was kept: by looking at every case and every alert."""
    c, mine = tables.cases.c, visible(tables.cases.c.id, scope)
    keys = (c.state, c.matter, c.area)
    groups = select(*keys, func.count().label("n")).where(mine).group_by(*keys)
    opened = select(func.count()).select_from(tables.cases).where(c.opened_at >= rfc3339(since), mine)
    told = select(func.count()).select_from(tables.alerts)
    if scope != EVERYTHING:
        told = told.where(within(tables.alerts.c.recipient, scope))
    with store.reading() as connection:
        rows = [CaseCount(state=r.state, matter=r.matter, area=r.area, n=r.n) for r in connection.execute(groups)]
        n, sent = connection.scalar(opened), connection.scalar(told)
    everything = scope == EVERYTHING
    return Summary(
        log=store.log,
        seq=store.last_event(),
        counts=tuple(sorted(rows, key=lambda one: (one.state, one.matter, one.area or ""))),
        opened_since=n or 0,
        alerts=sent or 0,
        inputs=0 if everything else None,
        rejected=0 if everything else None,
    )


def kept(store: Store) -> dict[str, Counter[tuple[str, ...]]]:
    """The tables of counts as they lie there."""
    with store.reading() as connection:
        return {
            table.name: Counter({tuple(row[:-1]): row[-1] for row in connection.execute(select(table))})
            for table in (tally, alert_tally)
        }


@pytest.mark.parametrize("since", WHEN)
def test_a_summary_is_what_a_look_at_every_case_finds(either, city, since):  # noqa: F811
    assert either.summary(WHEN[0]).counts != ()
    for scope in MANY:
        assert either.summary(since, scope) == counted(either, since, scope), scope


def test_counts_follow_random_cases_batch_by_batch_and_hold_nothing_that_is_none(either, make_case, make_event):  # noqa: F811
    chance = random.Random(27)
    for batch in range(25):
        events = []
        for n in range(chance.choice((1, 1, 2, 9))):
            owners = tuple(Share(area, 0.9) for area in chance.sample(AREAS, chance.choice((0, 1, 1))))
            case = make_case(
                f"case-{chance.randrange(6)}",
                owners=owners,
                state=chance.choice(list(State)),
                matter=chance.choice(("06010", "06042")),
                opened_at=chance.choice((None, NOON + timedelta(hours=batch))),
            )
            recipients = tuple(chance.sample(AREAS, chance.choice((0, 0, 1, 2))))
            events.append(make_event("moved", case=case, id=f"{batch}-{n}", recipients=recipients))
        either.append((), events)
        for scope in (EVERYTHING, Scope(frozenset({"440304"})), Scope(frozenset({"440304008901"}))):
            assert either.summary(NOON, scope) == counted(either, NOON, scope)
    for table in kept(either).values():
        assert all(n > 0 for n in table.values())


def test_a_rebuild_counts_the_same(either, city):  # noqa: F811
    before = kept(either)
    rebuilt = either.rebuild()
    assert kept(either) == before
    assert rebuilt.tables["tally"].changed == rebuilt.tables["alert_tally"].changed == 0


def test_a_store_from_before_there_were_counts_gets_them_as_it_is_opened(url, make_event):
    with Store.open(url) as store:
        store.append((), [make_event()])
        before = kept(store)
        with store.writing() as connection:  # as an older version left it
            for table in (tally, alert_tally):
                connection.execute(delete(table))
            connection.execute(delete(marks).where(marks.c.name == "tally"))
    with Store.open(url) as store:
        assert kept(store) == before


def test_a_repeated_event_is_counted_once(either, make_event):  # noqa: F811
    for _ in range(3):
        either.append((), [make_event()])
    summary = either.summary(NOON)
    assert (sum(one.n for one in summary.counts), summary.alerts) == (1, 1)
