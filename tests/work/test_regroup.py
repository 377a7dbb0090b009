"""A person says that two cases are one, or that one is two: kept, told to nobody twice, and decided the same again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from town import DISPATCHER, EAST, LAT, LON, NOON, OFFICER, WEST, ask, clean_pass, sighting, town
from whole import dumped, load

from dispatcher.access.principal import LOCAL
from dispatcher.access.scope import Scope
from dispatcher.area import Areas
from dispatcher.case import State
from dispatcher.dispatch import Dispatcher
from dispatcher.engine import Engine
from dispatcher.open311.intake import Intake
from dispatcher.open311.posted import filed
from dispatcher.store import work as log
from dispatcher.store.store import Store
from dispatcher.work.asked import Incomplete, KeyReused, NotAllowed, NotNow, Refusal, Stale
from dispatcher.work.book import Book
from dispatcher.work.clerk import Clerk
from dispatcher.work.entry import verified
from dispatcher.work.step import Act, Step
from ingest.geo import latlon_from_offset
from models.taxonomy import Taxonomy

HOUR = timedelta(hours=1)
TAXONOMY = Taxonomy.read()
TOWN = town()


def dispatcher_of(store: Store, areas: Areas) -> Dispatcher:
    made = Dispatcher(Engine(areas, TAXONOMY), store)
    made.recover(store.inputs())
    return made


def at(n: int, when: datetime, east_m: float = 0.0, **more: Any):
    lat, lon = latlon_from_offset(LAT, LON, east_m, 0.0)
    return sighting(n, when, lat=lat, lon=lon, **more)


def two(store: Store, areas: Areas, apart_m: float = 20.0) -> tuple[Dispatcher, str, str]:
    """Two heaps that three buses saw each."""
    dispatcher = dispatcher_of(store, areas)
    for n in range(3):
        dispatcher.read(at(n, NOON + n * HOUR / 10))
        dispatcher.read(at(10 + n, NOON + n * HOUR / 10, apart_m))
    first, second = sorted(dispatcher.engine.cases(), key=lambda case: case.lon)
    assert first.state is second.state is State.OPEN
    return dispatcher, first.id, second.id


def shown(store: Store, id: str) -> dict[str, Any]:
    found = store.case(id)
    assert found is not None
    return found[0].document


def agree(store: Store, dispatcher: Dispatcher, areas: Areas) -> None:
    """Engine, store, a fresh engine and one from a snapshot know the same; a rebuild changes nothing."""
    with dispatcher.turn():
        pass
    stored = {case.id: case.document for case in store.cases().cases if "merged_into" not in case.document}
    assert {case.id: case.document() for case in dispatcher.engine.cases()} == stored
    fresh = dispatcher_of(store, areas)
    assert dumped(fresh.engine) == dumped(dispatcher.engine)
    again = Engine(areas, TAXONOMY)
    load(again, dumped(fresh.engine))
    assert dumped(again) == dumped(fresh.engine)
    done = store.rebuild()
    assert {name: table.changed for name, table in done.tables.items()} == dict.fromkeys(done.tables, 0)


def merge(into: str):
    return ask(Act.MERGE, into=into, reason="同一处垃圾")


def split(*sightings: str):
    return ask(Act.SPLIT, sightings=sightings, reason="相邻两处")


def test_a_merged_case_points_to_the_one_that_carries_the_sightings_and_alerts_of_both(store, clerk, areas) -> None:
    dispatcher, one, other = two(store, areas)
    done = clerk.act(DISPATCHER, one, merge(other), now=NOON + HOUR)
    gone, kept = shown(store, one), shown(store, other)
    assert (gone["state"], gone["merged_into"]) == ("dismissed", other)
    assert kept["sightings"] == ["s10", "s11", "s12", "s0", "s1", "s2"]
    assert [alert["event"] for alert in kept["alerts"]] == ["opened", "opened"]
    assert kept["passes"] == 6
    assert (done.work.outcome, done.work.step) == ("merged", Step.REGISTERED)
    middle = (latlon_from_offset(LAT, LON, 10.0, 0.0))[1]
    assert kept["lon"] == pytest.approx(middle, abs=2e-6)
    agree(store, dispatcher, areas)


def test_nobody_is_told_of_a_merge_and_who_was_told_hears_how_it_ends_once(store, clerk, areas) -> None:
    dispatcher, one, other = two(store, areas)
    told = sum(len(event.recipients) for event in store.events_after(0))
    clerk.act(DISPATCHER, one, merge(other), now=NOON + HOUR)
    events = [event.event for event in store.events_after(0)][-2:]
    assert events == ["merged", "merged"]
    assert sum(len(event.recipients) for event in store.events_after(0)) == told
    topics = [(letter.topic, letter.key) for letter in store.outbox()]
    assert sorted(topics) == sorted([("cases", one), ("cases", other)])
    closed = [event for n in range(5) for event in dispatcher.read(clean_pass(n, NOON + (n + 2) * HOUR))]
    assert [(event.event, event.case.id, event.recipients) for event in closed] == [("closed", other, (WEST,))]


@pytest.mark.parametrize("first", ["merge", "split"])
def test_the_belief_is_of_all_looks_as_soon_as_the_engine_has_heard_and_nobody_is_told(
    store, clerk, areas, first
) -> None:
    dispatcher, one, other = two(store, areas)
    dispatcher.read(clean_pass(1, NOON + HOUR))  # it lowers the belief, and no event says so
    asked = merge(other) if first == "merge" else split("s0")
    done = clerk.act(DISPATCHER, one, asked, now=NOON + 2 * HOUR)
    ids = {other} if first == "merge" else {one, done.entry.details["part"]}
    letters = len(store.outbox())
    stale = {id: shown(store, id)["probability"] for id in ids}
    with dispatcher.turn():
        pass
    judged = [event for event in store.events_after(0) if event.event == "judged"]
    assert ({event.case for event in judged}, {event.recipients for event in judged}) == (ids, {()})
    assert len(judged) == len(ids)  # once, also after a restart
    assert all(shown(store, id)["probability"] < stale[id] for id in ids)
    assert len(store.outbox()) == letters
    known = {case.id: case.document() for case in dispatcher.engine.cases() if case.id in ids}
    assert known == {id: shown(store, id) for id in ids}
    restarted = dispatcher_of(store, areas)
    with restarted.turn():
        pass
    assert dumped(restarted.engine) == dumped(dispatcher.engine)
    assert store.last_event() == judged[-1].seq


@pytest.mark.parametrize("east_m", [0.0, 10.0, 20.0])
def test_what_is_seen_at_either_spot_afterwards_is_of_the_merged_case_and_told_to_nobody(
    store, clerk, areas, east_m
) -> None:
    dispatcher, one, other = two(store, areas)
    clerk.act(DISPATCHER, one, merge(other), now=NOON + HOUR)
    events = [event for n in (20, 21) for event in dispatcher.read(at(n, NOON + n * HOUR / 5, east_m))]
    assert [(event.event, event.case.id, event.recipients) for event in events] == [("confirmed", other, ())] * 2
    assert len(dispatcher.engine.cases()) == 1
    agree(store, dispatcher, areas)


def test_a_place_whose_last_case_went_elsewhere_is_found_no_more(store, clerk, areas) -> None:
    dispatcher, one, other = two(store, areas)
    for n in range(4):
        dispatcher.read(clean_pass(n, NOON + (n + 1) * HOUR))
    assert {case.id: case.state for case in dispatcher.engine.cases()}[one] is State.CLOSED
    for n in (20, 21, 22):
        dispatcher.read(at(n, NOON + n * HOUR / 3))
        dispatcher.read(at(n + 10, NOON + n * HOUR / 3, 20.0))
    live = [case for case in dispatcher.engine.cases() if case.state is State.OPEN]
    again, beside = sorted(live, key=lambda case: case.lon)
    clerk.act(DISPATCHER, again.id, merge(beside.id), now=NOON + 9 * HOUR)
    events = dispatcher.read(at(40, NOON + 10 * HOUR))
    assert [(event.event, event.case.id) for event in events] == [("confirmed", beside.id)]
    assert other in {case.id for case in dispatcher.engine.cases()}
    agree(store, dispatcher, areas)


def test_a_split_takes_named_sightings_into_a_new_case_that_its_office_works_on(store, clerk, areas) -> None:
    dispatcher, one, other = two(store, areas)
    clerk.act(DISPATCHER, one, merge(other), now=NOON + HOUR)
    done = clerk.act(DISPATCHER, other, split("s0", "s1", "s2"), now=NOON + 2 * HOUR)
    part = done.entry.details["part"]
    kept, fresh = shown(store, other), shown(store, part)
    assert (kept["sightings"], fresh["sightings"]) == (["s10", "s11", "s12"], ["s0", "s1", "s2"])
    assert len(kept["alerts"]) == 2  # they stay with the part that keeps the id
    assert [(alert["recipient"], alert["event"]) for alert in fresh["alerts"]] == [(WEST, "split")]
    assert (fresh["state"], fresh["episode"], fresh["previous"]) == ("open", 1, None)
    work = clerk.standing(part, OFFICER).work
    assert (work.step, work.office) == (Step.REGISTERED, WEST)
    assert work.due_at is not None
    told = [event for event in store.events_after(0) if event.event == "split"]
    assert [(event.case, event.recipients) for event in told] == [(other, ()), (part, (WEST,))]
    agree(store, dispatcher, areas)
    near = {dispatcher.read(at(50 + n, NOON + 3 * HOUR, east))[0].case.id for n, east in enumerate((0.0, 20.0))}
    assert near == {part, other}
    clerk.tick(NOON + 3 * HOUR)
    assert [entry.act for entry in clerk.standing(part, LOCAL).entries].count(Act.REGISTER) == 1


def test_both_are_in_the_log_of_actions_with_who_and_why(store, clerk, areas) -> None:
    _, one, other = two(store, areas)
    clerk.act(DISPATCHER, one, merge(other), now=NOON + HOUR)
    gone, kept = (clerk.standing(id, LOCAL).entries[-1] for id in (one, other))
    assert (gone.act, gone.actor, gone.reason, gone.details) == (
        Act.MERGE,
        DISPATCHER.id,
        "同一处垃圾",
        {"into": other},
    )
    assert (kept.act, kept.actor, kept.details["from"]) == (Act.ABSORB, DISPATCHER.id, one)
    clerk.act(DISPATCHER, other, split("s0"), now=NOON + 2 * HOUR)
    entry = clerk.standing(other, LOCAL).entries[-1]
    assert (entry.act, entry.details["sightings"]) == (Act.SPLIT, ["s0"])
    with store.reading() as connection:
        assert verified(log.log_rows(connection)).broken is None


def test_a_repeat_under_one_key_does_it_once_and_a_stale_tag_not_at_all(store, clerk, areas) -> None:
    _, one, other = two(store, areas)
    clerk.tick(NOON + HOUR)
    with pytest.raises(Stale):
        clerk.act(DISPATCHER, one, merge(other), now=NOON + HOUR, if_match='"0-open"')
    tag = clerk.standing(one, LOCAL).tag
    first = clerk.act(DISPATCHER, one, merge(other), now=NOON + HOUR, if_match=tag, key="k")
    again = clerk.act(DISPATCHER, one, merge(other), now=NOON + HOUR, if_match=tag, key="k")
    assert (again.repeated, again.entry) == (True, first.entry)
    with pytest.raises(KeyReused):
        clerk.act(DISPATCHER, one, merge(one), now=NOON + HOUR, key="k")


def test_what_makes_no_sense_is_refused_and_changes_nothing(store, clerk, areas) -> None:
    dispatcher, one, other = two(store, areas)
    for n in range(3):
        dispatcher.read(at(60 + n, NOON, 60.0, kind="overflow_bin", matter="06042"))
    dispatcher.read(at(70, NOON, 80.0, confidence=0.3))
    bins = next(case.id for case in dispatcher.engine.cases() if case.matter == "06042")
    candidate = next(case.id for case in dispatcher.engine.cases() if case.state is State.CANDIDATE)
    clerk.tick(NOON + HOUR)
    before = [event.id for event in store.events_after(0)]
    for who, id, asked, refusal in (
        (OFFICER, one, merge(other), NotAllowed),
        (DISPATCHER, one, merge(one), NotNow),
        (DISPATCHER, one, merge(bins), NotNow),
        (DISPATCHER, one, merge(candidate), NotNow),
        (DISPATCHER, one, merge("nothing"), Incomplete),
        (DISPATCHER, one, ask(Act.MERGE, reason="同一处"), Incomplete),
        (DISPATCHER, one, ask(Act.MERGE, into=other), Incomplete),  # without a reason
        (DISPATCHER, one, split("s0", "s1", "s2"), Incomplete),
        (DISPATCHER, one, split("s10"), Incomplete),
        (DISPATCHER, one, split(), Incomplete),
        (DISPATCHER, candidate, split("s70"), NotNow),
    ):
        with pytest.raises(refusal):
            clerk.act(who, id, asked, now=NOON + HOUR)
    assert [event.id for event in store.events_after(0)] == before
    clerk.act(DISPATCHER, candidate, merge(one), now=NOON + HOUR)
    assert "cases" not in {letter.topic for letter in store.outbox() if letter.key == candidate}  # nobody knew of it
    for again in (merge(other), split("s0")):
        with pytest.raises(NotNow):
            clerk.act(DISPATCHER, candidate, again, now=NOON + HOUR)
    agree(store, dispatcher, areas)


def test_who_was_told_of_the_merged_case_sees_the_other_from_then_on(store, clerk, areas) -> None:
    dispatcher = dispatcher_of(store, areas)
    lat, border = LAT, 114.05
    for n in range(3):
        for k, lon in enumerate((border - 0.0001, border + 0.0001)):
            dispatcher.read(sighting(10 * k + n, NOON + n * HOUR / 10, lat=lat, lon=lon))
    west, east = sorted(dispatcher.engine.cases(), key=lambda case: case.lon)
    assert [alert.recipient for alert in east.alerts] == [EAST]
    assert store.case(east.id, Scope(frozenset({WEST}))) is None
    clerk.act(LOCAL, west.id, merge(east.id), now=NOON + HOUR)
    assert store.case(east.id, Scope(frozenset({WEST}))) is not None
    agree(store, dispatcher, areas)


def test_a_report_goes_along_with_its_sighting(store, clerk, areas) -> None:
    dispatcher, one, other = two(store, areas)
    form = {"service_code": "06010", "lat": str(LAT), "long": str(LON), "attribute[accuracy_m]": "3"}
    report = filed(form, TAXONOMY, sender="local", now=datetime.now(UTC))
    store.reports.add(report.report, report.contact)
    Intake(store, areas, TAXONOMY).decide()

    def case() -> str | None:
        found = store.reports.find(report.report.id, "local")
        assert found is not None
        return found.case

    assert case() == one
    now = datetime.now(UTC)
    clerk.act(DISPATCHER, one, merge(other), now=now)
    assert case() == other
    part = clerk.act(DISPATCHER, other, split(report.report.id), now=now).entry.details["part"]
    assert case() == part
    agree(store, dispatcher, areas)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("see"), st.sampled_from([0.0, 8.0, 20.0, 40.0])),
        st.tuples(st.just("miss"), st.none()),
        st.tuples(st.just("merge"), st.tuples(st.integers(0, 5), st.integers(0, 5))),
        st.tuples(st.just("split"), st.tuples(st.integers(0, 5), st.integers(1, 3))),
        st.tuples(st.just("do"), st.sampled_from([ask(Act.HANDLED), ask(Act.CLOSE)])),
        st.tuples(st.just("restart"), st.none()),
    ),
    max_size=20,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_whatever_is_merged_and_split_no_sighting_is_lost_and_a_restart_knows_the_same(done) -> None:
    with Store.open("sqlite://") as store:
        clerk = Clerk(store, TOWN, TAXONOMY, Book())
        dispatcher = dispatcher_of(store, TOWN)
        read = set()
        for n, (what, with_what) in enumerate(done):
            now = NOON + n * HOUR
            if what == "see":
                dispatcher.read(at(n, now, with_what))
                read.add(f"s{n}")
            elif what == "miss":
                dispatcher.read(clean_pass(n, now))
            elif what == "restart":
                dispatcher = dispatcher_of(store, TOWN)
            else:
                _try(clerk, store, what, with_what, now)
        with dispatcher.turn():
            pass
        cases = dispatcher.engine.cases()
        members = [id for case in cases for id in case.sightings]
        assert sorted(members) == sorted(read)
        assert dumped(dispatcher_of(store, TOWN).engine) == dumped(dispatcher.engine)
        stored = {case.id: case.document for case in store.cases().cases if "merged_into" not in case.document}
        assert {id: doc["state"] for id, doc in stored.items()} == {case.id: case.state for case in cases}
        told = [(event.case, event.event, to) for event in store.events_after(0) for to in event.recipients
                if event.event in ("opened", "rebounded", "split")]  # fmt: skip
        assert len(told) == len(set(told))
        tables = store.rebuild().tables
        assert {name: table.changed for name, table in tables.items()} == dict.fromkeys(tables, 0)


def _try(clerk: Clerk, store: Store, what: str, with_what: Any, now: datetime) -> None:
    cases = store.cases().cases
    if not cases:
        return
    try:
        if what == "merge":
            one, other = (cases[n % len(cases)].id for n in with_what)
            clerk.act(LOCAL, one, merge(other), now=now)
        elif what == "split":
            case = cases[with_what[0] % len(cases)]
            clerk.act(LOCAL, case.id, split(*case.document["sightings"][: with_what[1]]), now=now)
        else:
            clerk.act(LOCAL, cases[0].id, with_what, now=now)
    except Refusal:
        return
