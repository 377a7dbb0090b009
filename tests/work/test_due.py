"""Deadlines in lists, on SQLite and on PostgreSQL: overdue is what the desk says it is."""

from __future__ import annotations

from datetime import timedelta

import pytest
from town import DISPATCHER, EAST, MINUTE, NOON, OFFICER, WEST, ask, make_case, make_event

from dispatcher.access.scope import Scope
from dispatcher.store import shelf
from dispatcher.store.rows import CaseFilter
from dispatcher.store.store import Store
from dispatcher.work.step import Act, Disposition, Label
from ingest.frame import rfc3339

TIMES = [NOON, NOON + timedelta(hours=5), NOON + timedelta(hours=7), NOON + timedelta(days=30)]


@pytest.fixture
def cases(store, clerk) -> list[str]:
    """Of six cases one waits, two were handled, one rests, one was dismissed and nobody works on the last."""
    store.append((), [make_event(case=make_case(f"case-{n}")) for n in range(5)])
    clerk.tick(NOON)  # due at 18:00 in Shenzhen, four hours of business later
    day = timedelta(days=1)
    clerk.act(OFFICER, "case-1", ask(Act.HANDLED, reason="已清理"), now=NOON + MINUTE)
    clerk.act(OFFICER, "case-2", ask(Act.HANDLED, reason="已清理"), now=NOON + day)
    clerk.act(DISPATCHER, "case-3", ask(Act.PAUSE, reason="施工"), now=NOON + MINUTE)
    clerk.act(DISPATCHER, "case-4", ask(Act.DISMISS, reason="误报", label=Label.NOT_THERE), now=NOON + MINUTE)
    store.append((), [make_event(case=make_case("case-5"))])
    return [f"case-{n}" for n in range(6)]


def found(store, **where) -> set[str]:
    return {case.id for case in store.cases(CaseFilter(**where)).cases}


@pytest.mark.parametrize("now", TIMES)
def test_a_list_tells_and_finds_what_the_desk_counts_as_overdue(store, clerk, cases, now) -> None:
    late = {id for id in cases if clerk.standing(id, DISPATCHER).work.overdue(now)}
    at = rfc3339(now)
    assert found(store, overdue=True, now=at) == late
    assert found(store, overdue=False, now=at) == set(cases) - late
    listed = {case.id: case for case in store.cases().cases}
    assert {id for id, case in listed.items() if case.due.overdue(at)} == late
    for id in cases:
        assert listed[id].due.at == clerk.standing(id, DISPATCHER).work.due_at
        one, _ = store.case(id)
        assert one.due == listed[id].due


def test_what_waits_and_what_was_handled_late_is_overdue(store, cases) -> None:
    at = rfc3339(TIMES[-1])
    assert found(store, overdue=True, now=at) == {"case-0", "case-2"}
    assert found(store, overdue=True, now=at, state="open") == {"case-0"}
    assert found(store, overdue=True, now=at, scope=Scope(frozenset({WEST}))) == {"case-0", "case-2"}
    assert found(store, overdue=True, now=at, scope=Scope(frozenset({EAST}))) == set()


@pytest.mark.parametrize("more", [{}, {"matter": "06010"}])
def test_pages_of_overdue_cases_miss_none_and_have_them_in_the_order_of_a_list(store, cases, monkeypatch, more) -> None:
    monkeypatch.setattr(shelf, "WALKED", 2)
    where = {"overdue": True, "now": rfc3339(TIMES[-1])} | more
    ids, below, pages = [], None, 0
    while pages == 0 or below is not None:
        page = store.cases(CaseFilter(**where, below=below, limit=1))
        assert page.total == 2
        ids += [case.id for case in page.cases]
        below, pages = page.below, pages + 1
    raised = [case.id for case in store.cases().cases]
    assert ids == [id for id in raised if id in ("case-0", "case-2")]
    if not more:
        assert pages == 2  # nothing else is walked past


def test_a_case_stays_overdue_on_the_shelf_when_events_move_it_and_when_all_is_made_anew(store, clerk, cases) -> None:
    at = rfc3339(TIMES[-1])
    clerk.act(DISPATCHER, "case-0", ask(Act.DISPATCH, office=EAST, disposition=Disposition.ORDER), now=NOON + MINUTE)
    store.append((), [make_event("confirmed", make_case("case-0", passes=9), to=(WEST,))])
    for scope in (Scope(frozenset({WEST})), Scope(frozenset({EAST}))):
        assert "case-0" in found(store, overdue=True, now=at, scope=scope)
    done = store.rebuild()
    assert {name: table.changed for name, table in done.tables.items()} == dict.fromkeys(done.tables, 0)
    assert found(store, overdue=True, now=at) == {"case-0", "case-2", "case-5"}  # the last was taken up meanwhile


def test_who_sees_a_case_through_an_action_has_it_counted(store, clerk, cases) -> None:
    before = sum(one.n for one in store.summary(NOON, Scope(frozenset({EAST}))).counts)
    clerk.act(DISPATCHER, "case-0", ask(Act.DISPATCH, office=EAST, disposition=Disposition.ORDER), now=NOON + MINUTE)
    assert sum(one.n for one in store.summary(NOON, Scope(frozenset({EAST}))).counts) == before + 1
    rebuilt = store.rebuild()
    assert (rebuilt.tables["tally"].changed, rebuilt.tables["alert_tally"].changed) == (0, 0)


@pytest.mark.parametrize(
    ("where", "index"),
    [
        ({"state": "open"}, "shelf_state"),
        ({"overdue": True}, "shelf_late"),
        ({"overdue": True, "state": "closed"}, "shelf_late"),
    ],
)
def test_sqlite_which_has_no_statistics_walks_along_the_right_index(where, index) -> None:
    with Store.open("sqlite://") as store, store.reading() as connection:
        for walk in shelf._walks([WEST], CaseFilter(now=rfc3339(NOON), **where), None, None, 10):
            text = str(walk.select().compile(connection.engine, compile_kwargs={"literal_binds": True}))
            plan = [row[3] for row in connection.exec_driver_sql(f"explain query plan {text}")]
            assert any(f"INDEX {index} (stem=? AND state=?" in step for step in plan), plan


def test_a_store_of_the_version_before_learns_what_is_overdue(store, store_url, cases) -> None:
    at = rfc3339(TIMES[-1])
    with store.writing() as connection:
        for statement in (
            "drop index shelf_late",
            "alter table shelf drop column late_from",
            "alter table cases drop column late_from",
            "drop index reports_sender_at",
            "drop index ix_reporters_reporter",
            "alter table reporters drop column reporter",
            "update alembic_version set version_num = '0002'",
        ):
            connection.exec_driver_sql(statement)
    with Store.open(store_url) as again:
        assert found(again, overdue=True, now=at) == {"case-0", "case-2"}
        assert found(again, overdue=True, now=rfc3339(NOON)) == {"case-2"}
        tables = again.rebuild().tables
        assert {name: table.changed for name, table in tables.items()} == dict.fromkeys(tables, 0)
