"""What offices do reaches the case engine as stored inputs: in order of arrival, and the same after a restart."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from town import DISPATCHER, NOON, OFFICER, WEST, ask, clean_pass, sighting, town
from whole import dumped, keep_whole, load, whole_in

from dispatcher.access.principal import LOCAL
from dispatcher.area import Areas
from dispatcher.case import State
from dispatcher.dispatch import Dispatcher
from dispatcher.engine import Engine
from dispatcher.store.store import Store
from dispatcher.work.asked import Refusal
from dispatcher.work.book import Book, Page
from dispatcher.work.clerk import Clerk
from dispatcher.work.imported import imported
from dispatcher.work.step import Act, Label, Step
from models.taxonomy import Taxonomy

HOUR = timedelta(hours=1)
TAXONOMY = Taxonomy.read()
TOWN = town()


def dispatcher_of(store: Store, areas: Areas) -> Dispatcher:
    """A fresh engine on what is stored."""
    made = Dispatcher(Engine(areas, TAXONOMY), store)
    made.recover(store.inputs())
    return made


def opened(store: Store, areas: Areas) -> tuple[Dispatcher, str]:
    """Three buses saw it."""
    dispatcher = dispatcher_of(store, areas)
    for n in range(3):
        dispatcher.read(sighting(n, NOON + n * HOUR / 10))
    (case,) = dispatcher.engine.cases()
    assert case.state is State.OPEN
    return dispatcher, case.id


def stored_state(store: Store, id: str) -> str:
    found = store.case(id)
    assert found is not None
    return str(found[0].document["state"])


def test_a_handled_case_that_two_passes_see_clean_is_verified(store, clerk, areas) -> None:
    dispatcher, id = opened(store, areas)
    clerk.act(OFFICER, id, ask(Act.HANDLED, reason="已清运"), now=NOON + HOUR)
    events = [event for n in range(4) for event in dispatcher.read(clean_pass(n, NOON + (n + 2) * HOUR))]
    assert [event.event for event in events] == ["verified"]
    assert events[0].recipients == (WEST,)
    clerk.tick(NOON + 6 * HOUR)
    assert clerk.standing(id, LOCAL).work.step is Step.CHECKED


def test_a_handled_case_that_is_still_there_is_open_again_and_its_office_hears_of_it(store, clerk, areas) -> None:
    dispatcher, id = opened(store, areas)
    clerk.act(OFFICER, id, ask(Act.HANDLED, reason="已清运"), now=NOON + HOUR)
    assert stored_state(store, id) == "handled"
    before = dispatcher.read(sighting(7, NOON + HOUR / 2))  # taken before the report, come after it
    assert [(event.event, event.case.state) for event in before] == [("confirmed", State.HANDLED)]
    events = dispatcher.read(sighting(8, NOON + 2 * HOUR))
    assert [(event.event, event.recipients) for event in events] == [("confirmed", (WEST,))]
    assert stored_state(store, id) == "open"
    clerk.tick(NOON + 3 * HOUR)
    work = clerk.standing(id, LOCAL).work
    assert (work.step, work.rejections, work.handled_at) == (Step.HANDLING, 1, None)


def test_a_doubtful_look_does_not_contradict_an_officer(store, clerk, areas) -> None:
    dispatcher, id = opened(store, areas)
    clerk.act(OFFICER, id, ask(Act.HANDLED, reason="已清运"), now=NOON + HOUR)
    dispatcher.read(sighting(8, NOON + 2 * HOUR, confidence=0.3))
    assert stored_state(store, id) == "handled"


def test_a_dismissed_thing_may_stand_there_for_a_week_and_then_is_another_case(store, clerk, areas) -> None:
    dispatcher, id = opened(store, areas)
    clerk.act(DISPATCHER, id, ask(Act.DISMISS, reason="许可", label=Label.PERMITTED), now=NOON + HOUR)
    week = [NOON + timedelta(days=n) for n in range(1, 7)]
    assert [event for n, at in enumerate(week, 10) for event in dispatcher.read(sighting(n, at))] == []
    assert [case.state for case in dispatcher.engine.cases()] == [State.DISMISSED]
    later = [dispatcher.read(sighting(n, NOON + timedelta(days=8, hours=n - 20))) for n in (20, 21)]
    assert "opened" in [event.event for events in later for event in events]
    first, second = dispatcher.engine.cases()
    assert (first.state, second.episode, second.previous) == (State.DISMISSED, 1, None)


def test_a_case_that_a_person_closed_rebounds_when_it_is_seen_again(store, clerk, areas) -> None:
    dispatcher, id = opened(store, areas)
    clerk.act(OFFICER, id, ask(Act.HANDLED, reason="已清运"), now=NOON + HOUR)
    clerk.act(DISPATCHER, id, ask(Act.CLOSE), now=NOON + 2 * HOUR)
    events = [event for n in (8, 9) for event in dispatcher.read(sighting(n, NOON + n * HOUR))]
    assert "rebounded" in [event.event for event in events]
    clerk.tick(NOON + 10 * HOUR)
    again = dispatcher.engine.cases()[-1]
    assert again.previous == id
    assert clerk.standing(again.id, LOCAL).work.rebounds == 1


def test_who_was_told_by_an_office_also_hears_how_it_ended(store, clerk, areas) -> None:
    dispatcher, id = opened(store, areas)
    clerk.act(OFFICER, id, ask(Act.HAND_BACK, reason="不归本社区"), now=NOON + HOUR)
    events = [event for n in range(4) for event in dispatcher.read(clean_pass(n, NOON + (n + 2) * HOUR))]
    assert [(event.event, event.recipients) for event in events] == [("closed", (WEST, "440304008"))]


def test_a_snapshot_keeps_what_offices_did(store, clerk, areas) -> None:
    dispatcher, id = opened(store, areas)
    clerk.act(OFFICER, id, ask(Act.HANDLED, reason="已清运"), now=NOON + HOUR)
    keep_whole(store, "m", dumped(dispatcher.engine), dispatcher.seq)  # taken before the engine heard of it
    kept = whole_in(store, "m")
    assert kept is not None
    after, known = kept
    restarted = Dispatcher(Engine(areas, TAXONOMY), store)
    load(restarted.engine, known)
    restarted.recover(store.inputs(after))
    assert [case.state for case in restarted.engine.cases()] == [State.HANDLED]
    again = Engine(areas, TAXONOMY)
    load(again, dumped(restarted.engine))
    assert dumped(again) == dumped(restarted.engine)


def test_an_action_that_comes_while_an_engine_reads_its_history_counts_once(store, clerk, areas) -> None:
    _, id = opened(store, areas)
    late = Dispatcher(Engine(areas, TAXONOMY), store)

    def history():
        yield from store.inputs()
        clerk.act(OFFICER, id, ask(Act.HAND_BACK, reason="不归本社区"), now=NOON + HOUR)
        yield from list(store.inputs())[-1:]

    late.recover(history())
    late.read(sighting(9, NOON + 2 * HOUR))
    (case,) = late.engine.cases()
    assert [alert.event for alert in case.alerts].count("handed-back") == 1


ZONE = json.dumps(
    {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "properties": {"name": "早市", "matters": ["06010"], "hours": "06:00-13:00"},
                "geometry": {
                    "type": "Polygon",
                    "coordinates": [[[114.04, 22.535], [114.05, 22.535], [114.05, 22.545], [114.04, 22.545],
                                     [114.04, 22.535]]],
                },
            }
        ],
    }
)  # fmt: skip
STRICT = '[[policy]]\ncommunity = "440304008901"\nthreshold = 0.97\n'


def test_what_is_permitted_is_not_told_while_it_is_and_told_when_it_stays(store, clerk, areas) -> None:
    dispatcher = dispatcher_of(store, areas)
    imported(store, Page.ZONES, ZONE, NOON)
    quiet = [event for n in range(4) for event in dispatcher.read(sighting(n, NOON + n * HOUR / 5))]
    assert [event.event for event in quiet if event.recipients] == []
    late = dispatcher.read(sighting(9, NOON + 2 * HOUR))  # 14:00 in Shenzhen: the market is over
    assert [event.event for event in late if event.recipients] == ["opened"]


def test_rules_that_came_later_do_not_change_what_was_decided_before(store, clerk, areas) -> None:
    dispatcher, id = opened(store, areas)
    imported(store, Page.ZONES, ZONE, NOON + HOUR)
    imported(store, Page.POLICY, STRICT, NOON + HOUR)
    with dispatcher.turn():
        pass
    fresh = dispatcher_of(store, areas)
    assert [(case.id, case.state) for case in fresh.engine.cases()] == [(id, State.OPEN)]
    assert dumped(fresh.engine) == dumped(dispatcher.engine)
    assert set(fresh.engine.rules.pages) == {"zones", "policy"}


def test_a_community_s_threshold_goes_before_the_usual_one(store, clerk, areas) -> None:
    imported(store, Page.POLICY, STRICT, NOON)
    dispatcher = dispatcher_of(store, areas)
    doubtful = dispatcher.read(sighting(1, NOON, confidence=0.9))
    assert [event.event for event in doubtful] == ["suspected"]
    sure = [event.event for n in (2, 3, 4) for event in dispatcher.read(sighting(n, NOON + n * HOUR / 9))]
    assert "opened" in sure


steps = st.lists(
    st.one_of(
        st.tuples(st.just("see"), st.floats(0.2, 0.99)),
        st.tuples(st.just("miss"), st.none()),
        st.tuples(
            st.just("do"),
            st.sampled_from(
                [
                    ask(Act.ACKNOWLEDGE),
                    ask(Act.HANDLED, reason="已清运"),
                    ask(Act.REJECT, reason="仍在"),
                    ask(Act.CLOSE),
                    ask(Act.HAND_BACK, reason="非辖区"),
                    ask(Act.DISMISS, reason="误报", label=Label.NOT_THERE),
                ]
            ),
        ),
        st.tuples(st.just("import"), st.sampled_from([(Page.ZONES, ZONE), (Page.POLICY, STRICT), (Page.POLICY, "")])),
        st.tuples(st.just("tick"), st.none()),
        st.tuples(st.just("restart"), st.none()),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_whatever_offices_and_vehicles_do_a_restart_leaves_the_same_engine_and_the_same_store(done) -> None:
    with Store.open("sqlite://") as store:
        clerk = Clerk(store, TOWN, TAXONOMY, Book())
        dispatcher = dispatcher_of(store, TOWN)
        for n, (what, with_what) in enumerate(done):
            now = NOON + n * HOUR
            if what == "see":
                dispatcher.read(sighting(n, now, with_what))
            elif what == "miss":
                dispatcher.read(clean_pass(n, now))
            elif what == "import":
                imported(store, *with_what, now)
            elif what == "tick":
                clerk.tick(now)
            elif what == "restart":
                dispatcher = dispatcher_of(store, TOWN)
            else:
                _try(clerk, store, with_what, now)
        with dispatcher.turn():
            pass
        fresh = dispatcher_of(store, TOWN)
        assert dumped(fresh.engine) == dumped(dispatcher.engine)
        shown = {case.id: case.document for case in store.cases().cases}
        assert {id: doc["state"] for id, doc in shown.items()} == {c.id: c.state for c in fresh.engine.cases()}
        store.rebuild()
        assert {case.id: case.document for case in store.cases().cases} == shown


def _try(clerk: Clerk, store: Store, asked, now: datetime) -> None:
    for case in store.cases().cases:
        try:
            clerk.act(LOCAL, case.id, asked, now=now)
        except Refusal:
            continue
