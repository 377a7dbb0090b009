"""What offices do reaches the joint engine as further lines: handled, closed, refused, merged, split, and told."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_joint_engine import AREAS, MORNING, alerts, clean_pass, names, only, read, sighting

from dispatcher import place
from dispatcher.area import Areas, read_areas
from dispatcher.case import Case, State
from dispatcher.joint.command import Merge
from dispatcher.joint.dispatch import Dispatcher, parsed
from dispatcher.joint.engine import Engine, Input
from dispatcher.joint.heard import REFUSED_S, STANDS_AT
from dispatcher.joint.shown import case_of
from dispatcher.replay import replay_lines
from dispatcher.work.action import Action, parse_action
from ingest.envelope import Envelope, parse_envelope
from models.taxonomy import Taxonomy
from vision.sighting import Pass, Sighting, enveloped

WEST = "440304008901"
OFFICE = "440304008902"
TAXONOMY = Taxonomy.read()
TOWN = read_areas(AREAS)[0]
STATE = {
    "handled": State.HANDLED,
    "closed": State.CLOSED,
    "dismissed": State.DISMISSED,
    "handed-back": State.OPEN,
    "merged": State.DISMISSED,
}


@pytest.fixture(scope="module")
def areas() -> Areas:
    return TOWN


@pytest.fixture
def engine(areas: Areas) -> Engine:
    return Engine(areas, TAXONOMY)


def action(case: str, event: str, day: float, *to: str, **more: Any) -> Action:
    """What an office did, a case's day counted from the morning of the first sighting."""
    at = MORNING + timedelta(days=day)
    state = more.pop("state", STATE.get(event))
    return Action(id=f"a-{case}-{event}-{day}-{to}", case=case, event=event, at=at, state=state, recipients=to, **more)


def hear(engine: Engine, action: Action) -> list[str]:
    return names(engine.read(action, made_at=action.at))


def opened(engine: Engine) -> Case:
    """Two buses saw it in an hour."""
    read(engine, sighting(), sighting(1, 0, day=0.04))
    case = only(engine)
    assert (case.state, [alert.event for alert in case.alerts]) == (State.OPEN, ["opened"])
    return case


# Handled


def test_a_handled_case_that_passes_see_clean_is_verified_and_whoever_was_told_hears_of_it(engine: Engine) -> None:
    case = opened(engine)
    assert hear(engine, action(case.id, "handled", 0.1, OFFICE)) == []
    assert only(engine).state is State.HANDLED
    assert read(engine, clean_pass(1.0)) == []  # one pass alone verifies nothing
    assert only(engine).state is State.HANDLED
    events = read(engine, *(clean_pass(1 + n / 10) for n in range(1, 5)))
    assert [(event.event, event.recipients) for event in events] == [("verified", (case.alerts[0].recipient, OFFICE))]
    assert only(engine).state is State.CLOSED


def test_a_handled_case_that_still_stands_is_open_again_and_all_who_were_told_hear_of_it(engine: Engine) -> None:
    case = opened(engine)
    hear(engine, action(case.id, "handled", 0.1, OFFICE))
    before = read(engine, sighting(day=0.09))  # taken before the office had been there, come after it
    assert [(event.event, event.recipients, event.case.state) for event in before] == [("confirmed", (), State.HANDLED)]
    (event,) = read(engine, sighting(day=0.3))
    assert (event.event, event.recipients) == ("confirmed", (case.alerts[0].recipient, OFFICE))
    assert event.case.state is State.OPEN
    (again,) = read(engine, sighting(day=0.4))  # whoever was told is not told again
    assert (again.event, again.recipients) == ("confirmed", ())


def test_an_office_may_say_handled_twice_and_is_contradicted_twice(engine: Engine) -> None:
    case = opened(engine)
    for n in (1, 2):
        hear(engine, action(case.id, "handled", n / 4))
        (event,) = read(engine, sighting(day=n / 4 + 0.1))
        assert (event.event, len(event.recipients)) == ("confirmed", 1)
    told = [alert.event for alert in only(engine).alerts]
    assert told == ["opened", "confirmed", "confirmed"]


def test_a_doubtful_look_does_not_contradict_an_office_and_two_do(engine: Engine) -> None:
    case = opened(engine)
    hear(engine, action(case.id, "handled", 0.1))
    read(engine, sighting(day=0.2, confidence=0.4))
    assert only(engine).state is State.HANDLED
    read(engine, sighting(day=0.3, confidence=0.4))
    assert only(engine).state is State.OPEN


def test_what_an_office_says_is_no_evidence(engine: Engine, areas: Areas) -> None:
    """The same looks close it with and without the office's word, at the same look."""
    case = opened(engine)
    other = Engine(areas, TAXONOMY)
    said = Engine(areas, TAXONOMY)
    looks = [sighting(), *(clean_pass(1 + n / 10, p=0.7) for n in range(6))]
    read(other, *looks)
    read(said, looks[0])
    hear(said, action(only(said).id, "handled", 0.1))
    read(said, *looks[1:])
    assert only(said).closed_at == only(other).closed_at
    assert only(said).probability == only(other).probability
    assert case.probability > 0.9


def test_what_is_seen_long_after_it_was_verified_is_a_rebound(engine: Engine) -> None:
    case = opened(engine)
    hear(engine, action(case.id, "handled", 0.1))
    read(engine, *(clean_pass(1 + n / 10) for n in range(5)))
    assert names(read(engine, sighting(day=3))) == ["rebounded"]
    first, second = engine.cases()
    assert (first.state, second.episode, second.previous) == (State.CLOSED, 2, case.id)


def test_an_office_that_takes_its_word_back_leaves_it_open(engine: Engine) -> None:
    case = opened(engine)
    hear(engine, action(case.id, "handled", 0.1))
    hear(engine, action(case.id, "handed-back", 0.15, WEST))
    assert only(engine).state is State.OPEN
    events = read(engine, *(clean_pass(1 + n / 10) for n in range(5)))
    assert names(events) == ["closed"]


# Closed by a person


def test_a_case_that_a_person_closed_ends_there_and_rebounds_when_it_is_seen_later(engine: Engine) -> None:
    case = opened(engine)
    end = action(case.id, "closed", 0.5)
    assert hear(engine, end) == []
    closed = only(engine)
    assert (closed.state, closed.closed_at) == (State.CLOSED, end.at)
    assert read(engine, sighting(day=0.3)) == []  # it comes late: nothing that the person did not know of
    assert len(only(engine).sightings) == 3
    assert names(read(engine, sighting(day=0.6))) == ["rebounded"]
    first, second = engine.cases()
    assert (first.state, first.closed_at) == (State.CLOSED, end.at)
    assert (second.state, second.episode, second.previous) == (State.OPEN, 2, case.id)


def test_late_looks_that_saw_it_gone_before_a_person_closed_it_are_told_to_nobody(engine: Engine) -> None:
    case = opened(engine)
    hear(engine, action(case.id, "closed", 1.6))
    assert read(engine, *(clean_pass(1 + n / 10) for n in range(5))) == []
    assert only(engine).state is State.CLOSED
    assert [alert.event for alert in only(engine).alerts] == ["opened"]


def test_what_a_person_closed_at_the_very_time_it_was_seen_is_of_the_closed_case(engine: Engine) -> None:
    case = opened(engine)
    hear(engine, action(case.id, "closed", 0.5))
    read(engine, sighting(day=0.5))
    assert len(only(engine).sightings) == 3


# Refused


def test_what_was_refused_may_stand_for_a_week_in_silence_and_then_is_another_case(engine: Engine) -> None:
    assert (place.STANDS_AT, place.REFUSED.total_seconds()) == (STANDS_AT, REFUSED_S)  # as the stream has it
    case = opened(engine)
    assert hear(engine, action(case.id, "dismissed", 0.1)) == []
    week = [sighting(day=day) for day in range(1, 7)]
    assert read(engine, *week, *(clean_pass(6.1 + n / 20) for n in range(4)), sighting(day=6.9)) == []
    refused = only(engine)
    assert (refused.state, len(refused.sightings)) == (State.DISMISSED, 9)
    events = read(engine, sighting(day=8), sighting(day=8.1))
    assert names(events)[0] == "opened"
    first, second = engine.cases()
    assert (first.state, len(first.sightings)) == (State.DISMISSED, 9)
    assert (second.state, second.episode, second.previous) == (State.OPEN, 1, None)
    assert read(engine, sighting(day=6.5)) == []  # late, and of what was refused
    assert [len(case.sightings) for case in engine.cases()] == [10, 2]


def test_a_candidate_that_was_refused_stays_so(engine: Engine) -> None:
    read(engine, sighting(confidence=0.6))
    hear(engine, action(only(engine).id, "dismissed", 0.1))
    assert read(engine, *(sighting(day=n / 4, confidence=0.95) for n in range(1, 5))) == []
    assert only(engine).state is State.DISMISSED


# Merged and split


def test_a_merge_of_the_desk_does_what_a_command_does_and_tells_nothing_again(areas: Areas) -> None:
    lines = [sighting(0, 0, by="p"), sighting(9, 0, day=0.0001, by="p"), sighting(0, 0, by="q", day=0.1)]
    told, silent = Engine(areas, TAXONOMY), Engine(areas, TAXONOMY)
    for each in (told, silent):
        read(each, *lines)
    into, gone = told.cases()
    merge = Merge(id="m", case=into.id, other=gone.id, by="officer")
    assert names(told.read(merge, made_at=MORNING + timedelta(days=0.2))) == ["merged"]
    assert hear(silent, action(gone.id, "merged", 0.2, into=into.id)) == []
    (one,), (other,) = told.cases(), silent.cases()
    assert one.id == other.id == into.id
    assert set(other.sightings) == {line.id for line in lines}
    assert (other.state, other.lat, other.probability) == (one.state, one.lat, one.probability)
    assert [alert.event for alert in other.alerts] == ["opened", "opened"]
    assert names(read(silent, *(clean_pass(1 + n / 10) for n in range(5)))) == ["closed"]
    assert only(silent).id == into.id


def test_what_a_person_said_is_one_is_one_although_passes_saw_nothing_in_between(engine: Engine) -> None:
    read(engine, sighting(0, 0, by="p", kind="garbage"))
    read(engine, *(clean_pass(0.5 + n / 10, p=0.6) for n in range(4)))
    read(engine, sighting(30, 0, by="q", day=2, kind="garbage", sigma=1.0))
    first, second = engine.cases()
    assert first.state is second.state is State.OPEN
    assert hear(engine, action(second.id, "merged", 2.1, into=first.id)) == []
    assert (only(engine).id, only(engine).state) == (first.id, State.OPEN)


def test_a_split_of_the_desk_makes_the_case_that_it_names_and_keeps_its_alerts(engine: Engine) -> None:
    case = opened(engine)
    split = action(case.id, "split", 0.2, WEST, part="part-1", sightings=case.sightings[1:])
    assert hear(engine, split) == []
    kept, part = engine.cases()
    assert (kept.id, kept.sightings, [a.event for a in kept.alerts]) == (case.id, case.sightings[:1], ["opened"])
    assert (part.id, part.sightings, part.state) == ("part-1", case.sightings[1:], State.OPEN)
    assert [(alert.recipient, alert.event, alert.at) for alert in part.alerts] == [(WEST, "split", split.at)]
    assert part.owners
    hear(engine, action("part-1", "handled", 0.3))
    assert {c.id: c.state for c in engine.cases()} == {case.id: State.OPEN, "part-1": State.HANDLED}


def test_things_that_the_engine_takes_for_one_keep_what_an_office_did(engine: Engine) -> None:
    read(engine, sighting(0, 0, by="p"), sighting(9, 0, day=0.0001, by="p"))
    first, second = engine.cases()
    hear(engine, action(second.id, "handled", 0.2, OFFICE))
    things = [seen.thing for seen in engine._seen.values()]
    touched: dict[int, Any] = {}
    engine._atlas.join(*things, touched)  # as `Atlas` does by itself when sightings say so
    events = engine._review(touched, (), "cause")
    assert names(events)[0] == "merged"
    case = only(engine)
    assert (case.id, case.state) == (first.id, State.HANDLED)
    assert "handled" in [alert.event for alert in case.alerts]
    assert names(read(engine, sighting(4, 0, day=0.4))) == ["confirmed"]
    assert only(engine).state is State.OPEN


def test_what_a_person_closed_stays_closed_when_an_older_open_case_turns_out_to_be_the_same(engine: Engine) -> None:
    read(engine, sighting(0, 0, by="p"), sighting(9, 0, day=0.0001, by="p"))
    first, second = engine.cases()
    hear(engine, action(second.id, "closed", 0.2))
    read(engine, sighting(0, 0, day=0.3))
    things = {seen.thing.number: seen.thing for seen in engine._seen.values() if seen.thing is not None}
    touched: dict[int, Any] = {}
    engine._atlas.join(*things.values(), touched)
    engine._review(touched, (), "cause")
    ended, goes_on = engine.cases()
    assert (ended.id, ended.state) == (second.id, State.CLOSED)
    assert (goes_on.id, goes_on.state, goes_on.previous) == (first.id, State.OPEN, second.id)


# The other steps, and what makes no sense


@pytest.mark.parametrize("event", ["acknowledged", "dispatched", "handed-back", "called", "escalated", "evaluated"])
def test_other_steps_are_kept_as_alerts_and_change_nothing(engine: Engine, event: str) -> None:
    case = opened(engine)
    step = action(case.id, event, 0.1, OFFICE, state=None)
    assert hear(engine, step) == []
    after = only(engine)
    assert after.alerts[-1].document() == {"recipient": OFFICE, "event": event, "at": "2026-11-18T03:24:00.000Z"}
    assert replace(after, alerts=case.alerts) == case


def test_a_repeat_changes_nothing(engine: Engine) -> None:
    case = opened(engine)
    handled = action(case.id, "handled", 0.1, OFFICE)
    hear(engine, handled)
    read(engine, sighting(day=0.2))
    before = engine.cases()
    assert hear(engine, handled) == []
    assert (engine.cases(), engine.repeats) == (before, 1)


def test_what_is_over_is_told_and_stays_over(engine: Engine) -> None:
    case = opened(engine)
    read(engine, *(clean_pass(1 + n / 10) for n in range(5)))
    closed = only(engine)
    hear(engine, action(case.id, "handled", 1.6, OFFICE))
    assert replace(only(engine), alerts=closed.alerts) == closed
    read(engine, sighting(day=3))
    hear(engine, action(case.id, "dismissed", 3.1))  # another episode is open: it is not what was refused
    assert [case.state for case in engine.cases()] == [State.CLOSED, State.OPEN]


def line(item: Input | dict[str, Any], time: datetime = MORNING) -> str:
    if isinstance(item, dict):
        return Envelope(id="x", type="cn.jiexun.action.v1", source="/desk", time=time, data=item).dumps()
    if isinstance(item, Action):
        return item.envelope().dumps()
    assert isinstance(item, Sighting | Pass)
    return enveloped(item, made_at=time).dumps()


def replayed(areas: Areas, lines: Sequence[str], folder: Path) -> tuple[Engine, list[tuple[int | None, str]]]:
    engine, file = Engine(areas, TAXONOMY), folder / "lines.jsonl"
    file.write_text("\n".join(lines), encoding="utf8")
    return engine, [(one.line, one.reason) for one in replay_lines(file, Dispatcher(engine))]


GOOD = {
    "id": "a",
    "case": "c",
    "event": "handled",
    "at": "2026-11-18T03:00:00.000Z",
    "state": "handled",
    "recipients": [],
}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"id": None}, "id must be"),
        ({"case": 7}, "case must be"),
        ({"event": ""}, "event must be"),
        ({"at": "yesterday"}, "at must be"),
        ({"at": 5}, "at must be"),
        ({"at": "0001-01-01T00:00:00+14:00"}, "at must be"),
        ({"at": "2026-11-20T03:00:00.000Z"}, "after its envelope's time"),
        ({"state": "gone"}, "state must be"),
        ({"state": "candidate"}, "state must be"),
        ({"state": ["handled"]}, "state must be"),
        ({"recipients": "all"}, "recipients must be"),
        ({"recipients": [1]}, "recipients must be"),
        ({"into": ""}, "into must be"),
        ({"into": "c"}, "into itself"),
        ({"into": "nowhere"}, "no case nowhere"),
        ({"part": "p"}, "sightings must be"),
        ({"part": "p", "sightings": []}, "sightings must name"),
        ({"part": "p", "sightings": ["unknown"]}, "takes some"),
        ({"part": "c2", "into": "c3", "sightings": ["s"]}, "never both"),
        ({"case": "unknown"}, "no case unknown"),
    ],
)
def test_an_action_that_makes_no_sense_is_rejected_with_its_reason(
    areas: Areas, tmp_path: Path, wrong: dict[str, Any], words: str
) -> None:
    seen = line(sighting())
    engine, _ = replayed(areas, [seen], tmp_path)
    case = only(engine).id
    data = {name: case if value == "c" else value for name, value in (GOOD | wrong).items()}
    engine, rejected = replayed(areas, [seen, line(data)], tmp_path)
    ((number, reason),) = rejected
    assert (number, words in reason) == (2, True), reason
    assert only(engine).state is State.OPEN


@pytest.mark.parametrize("missing", GOOD)
def test_an_action_without_one_of_its_fields_is_rejected(missing: str) -> None:
    with pytest.raises(ValueError, match=missing):
        parse_action({name: value for name, value in GOOD.items() if name != missing})


def test_an_action_is_read_as_it_was_written() -> None:
    for one in (
        action("c", "handled", 1, WEST),
        action("c", "acknowledged", 1, state=None),
        action("c", "merged", 1, into="d"),
        action("c", "split", 1, WEST, part="p", sightings=("s", "t"), state=None),
    ):
        assert parse_action(json.loads(one.envelope().dumps())["data"]) == one


# Whatever happens

steps = st.lists(
    st.one_of(
        st.tuples(st.just("see"), st.integers(0, 2), st.floats(0.2, 0.99)),
        st.tuples(st.just("miss"), st.just(0), st.sampled_from([0.5, 0.9])),
        st.tuples(
            st.sampled_from(
                ["handled", "closed", "dismissed", "handed-back", "acknowledged", "merged", "split", "closed late"]
            ),
            st.integers(0, 5),
            st.floats(0.0, 0.2),
        ),
        st.tuples(st.just("wait"), st.just(0), st.floats(1.0, 9.0)),
    ),
    min_size=10,
    max_size=40,
)


def told_by(done: Sequence[tuple[str, int, float]], areas: Areas) -> tuple[list[str], list[str]]:
    """Lines of what was done, each on the cases that there were then; and what the engine said of each."""
    engine, day, lines = Engine(areas, TAXONOMY), 0.0, []
    for n, (what, which, how) in enumerate(done):
        day += how if what == "wait" else 0.1
        cases = [case_of(record) for record in engine._docket.records.values()]
        time = MORNING + timedelta(seconds=round(day * 86400))
        if what == "see":
            late = 0.25 if n % 5 == 4 else 0.0
            item: Input = replace(
                sighting(7.0 * which, 0, day=day - late, confidence=how, by=f"p{n}"), id=f"s{n}", vehicle=f"bus-{n}"
            )
        elif what == "miss":
            item = replace(clean_pass(day, p=how), id=f"m{n}")
        elif what == "wait" or not cases:
            continue
        else:
            case, other = cases[which % len(cases)], cases[(which + 1) % len(cases)]
            more: dict[str, Any] = {}
            if what == "merged":
                more = {"into": other.id}
            elif what == "split":
                more = {"part": f"part-{n}", "sightings": case.sightings[1:]}
            item = replace(
                action(case.id, what.split()[0], day, WEST, **more),
                id=f"a{n}",
                at=time - timedelta(days=how if what == "closed late" else 0.0),
            )
        written = replace(parse_envelope(line(item)), time=time)
        try:
            engine.read(parsed(written), made_at=time)
        except ValueError:
            continue
        lines.append(written.dumps())
    return lines, [f"{case} {event} {to}" for case, to, event in alerts(engine)]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_whatever_offices_and_vehicles_do_half_of_it_gives_the_alerts_of_the_whole_up_to_there(
    tmp_path_factory: pytest.TempPathFactory, done: list[tuple[str, int, float]]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    lines, said = told_by(done, TOWN)
    whole, rejected = replayed(TOWN, lines, folder)
    assert rejected == []
    assert sorted(f"{case} {event} {to}" for case, to, event in alerts(whole)) == sorted(said)
    half, _ = replayed(TOWN, lines[: len(lines) // 2], folder)
    every = [(a.recipient, a.event, a.at) for case in whole.cases() for a in case.alerts]
    for alert in [(a.recipient, a.event, a.at) for case in half.cases() for a in case.alerts]:
        every.remove(alert)  # each once
    held = [s for case in whole.cases() for s in case.sightings]
    assert sorted(held) == sorted(json.loads(one)["data"]["id"] for one in lines if '"type":"cn.jiexun.sighting' in one)
    assert all((case.state is State.CLOSED) == (case.closed_at is not None) for case in whole.cases())
    for record in whole._docket.records.values():
        assert (record.state is State.HANDLED) == (record.handled_at is not None)
        assert record.refused_until is None or record.state is State.DISMISSED
