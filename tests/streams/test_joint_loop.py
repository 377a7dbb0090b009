"""The joint engine in the dispatcher's loop: what it promises with the shipped one, it promises with this one, too."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from office import Deadly, Killed, Office, areas, online, record, seen_gone, street
from world import Heard

from dispatcher import stream
from dispatcher.access.principal import LOCAL
from dispatcher.case import Case, State
from dispatcher.dispatch import CaseEngine, Dispatcher
from dispatcher.engines import Which, begun
from dispatcher.joint.live import Live
from dispatcher.store.store import Store
from dispatcher.work.asked import Asked
from dispatcher.work.book import Book
from dispatcher.work.clerk import Clerk
from dispatcher.work.rules import Rules
from dispatcher.work.step import Act
from models.taxonomy import Taxonomy
from vision.sighting import Sighting

TAXONOMY = Taxonomy.read()
# It asks for more than the shipped one before it says that a thing is gone: six more vehicles, five hours later.
INPUTS = street() + seen_gone(10, 16, 6 * 3600.0)
RECORDS = [record(item, at) for at, item in INPUTS]
DOCUMENT, TOLD, EVENTS = online(Which.JOINT, INPUTS)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(f"sqlite:///{tmp_path / 'office.db'}", Which.JOINT)
    yield made
    made.store.close()


def cases_of(engine: CaseEngine) -> list[Case]:
    """As far as they do not depend on when an envelope was made."""
    return [replace(case, alerts=tuple((a.event, a.recipient) for a in case.alerts)) for case in engine.cases()]


def stored(office: Office) -> dict[str, dict]:
    return {case.id: case.document for case in office.store.cases().cases}


def half_way(office: Office) -> str:
    """A dispatcher has read until a case was open."""
    for n in range(20, len(RECORDS), 20):
        office.publish(RECORDS[n - 20 : n])
        office.dispatch()
        for id, case in stored(office).items():
            if case["state"] == "open":
                return id
    raise AssertionError("no case opened")


def test_the_street_is_worth_testing_on() -> None:
    assert len({case for case, event, _ in TOLD if event == "opened"}) == 3
    assert {event for _, event, _ in TOLD} >= {"opened", "closed"}


def test_a_stream_decides_what_one_process_decides(office: Office) -> None:
    office.publish(RECORDS)
    loop = office.dispatch()
    assert [case.id for case in loop.engine.cases()] == [case["id"] for case in DOCUMENT["cases"]]
    assert [o.sightings for o in loop.engine.objects()] == [tuple(o["sightings"]) for o in DOCUMENT["objects"]]
    assert sorted(office.told()) == sorted(TOLD)
    assert sorted(one["id"] for one in office.on("cases")) == sorted(EVENTS)


def test_the_store_knows_each_case_as_the_engine_does(office: Office) -> None:
    office.publish(RECORDS)
    loop = office.dispatch()
    known = stored(office)
    for case in loop.engine.cases():
        if case.alerts:
            assert known[case.id]["state"] == case.state
            assert {a["recipient"] for a in known[case.id]["alerts"]} == {a.recipient for a in case.alerts}
    kept = {tuple(one["sightings"]) for one in office.store.objects()}
    assert kept == {anchor.sightings for anchor in loop.engine.objects()}


def test_killed_at_any_step_it_tells_everything_once(tmp_path: Path) -> None:
    counter = Deadly(0)
    office = Office(which=Which.JOINT)
    office.publish(RECORDS)
    office.dispatch(counter)
    for at in range(1, counter.steps + 1, 5):
        office = Office(f"sqlite:///{tmp_path / f'{at}.db'}", Which.JOINT)
        office.publish(RECORDS)
        with pytest.raises(Killed):
            office.dispatch(Deadly(at))
        office.dispatch()
        assert sorted(office.told()) == sorted(TOLD), at
        assert sorted(one["id"] for one in office.on("cases")) == sorted(EVENTS), at
        assert office.store.outbox() == []
        office.store.close()


@pytest.mark.parametrize("seed", range(3))
def test_killed_again_and_again_it_tells_everything_once(seed: int, office: Office) -> None:
    rng = random.Random(seed)
    office.publish_in_pieces(RECORDS, 9, rng, lambda: rng.randint(1, 30))
    loop = office.dispatch()
    assert sorted(office.told()) == sorted(TOLD)
    assert cases_of(everything(office)) == cases_of(loop.engine)


def test_inputs_sent_twice_change_nothing(office: Office) -> None:
    office.publish([one for each in RECORDS for one in (each, each)])
    office.dispatch()
    watch = Heard()
    office.publish(RECORDS)
    office.dispatch(watch=watch)
    assert sorted(office.told()) == sorted(TOLD)
    assert watch.repeats == len(RECORDS)


def test_a_sighting_that_it_refuses_is_rejected_and_the_rest_goes_on(office: Office) -> None:
    at, item = next((at, item) for at, item in INPUTS if isinstance(item, Sighting) and item.matter)
    watch = Heard()
    office.publish([record(replace(item, id="elsewhere", matter="99999"), at), *RECORDS])
    office.dispatch(watch=watch)
    assert sorted(office.told()) == sorted(TOLD)
    assert len(watch.reasons) == 1
    assert "99999" in watch.reasons[0]


@pytest.mark.parametrize("seed", range(3))
def test_it_starts_from_what_the_last_one_kept(seed: int, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kept after each turn, and ended anywhere: the next one reads no more than came since, and decides as ever."""
    monkeypatch.setattr(stream, "SNAPSHOT_EVERY", 1)
    monkeypatch.setattr(stream, "AT_ONCE", 5)
    rng = random.Random(seed)
    office.publish_in_pieces(RECORDS, 25, rng, lambda: rng.choice((0, rng.randint(20, 200))))
    read: list[str] = []
    monkeypatch.setattr(Dispatcher, "_know", lambda self, line: read.append(line))
    loop = office.dispatch()
    assert not read
    assert sorted(office.told()) == sorted(TOLD)
    monkeypatch.undo()
    assert cases_of(everything(office)) == cases_of(loop.engine)


def everything(office: Office) -> CaseEngine:
    """An engine that has read all inputs."""
    engine = Live(areas(), TAXONOMY)
    Dispatcher(engine, office.store).recover(office.store.inputs())
    return engine


# What offices do


@pytest.mark.parametrize("at", range(1, 40, 6))
def test_an_action_is_told_once_and_counts_whenever_it_is_killed(office: Office, at: int) -> None:
    id = half_way(office)
    Clerk(office.store, areas(), TAXONOMY, Book()).act(LOCAL, id, Asked(act=Act.HANDLED), now=office.now())
    office.publish(RECORDS[-60:])
    with suppress(Killed):
        office.dispatch(Deadly(at))
    loop = office.dispatch()
    assert max(Counter(one["id"] for one in office.on("cases")).values()) == 1
    assert max(Counter(office.told()).values()) == 1
    assert cases_of(everything(office)) == cases_of(loop.engine)
    assert "handled" in [event["data"]["event"] for event in office.on("cases")]


def test_a_case_that_the_desk_splits_is_two_for_the_engine_and_the_store(office: Office) -> None:
    office.publish([one for one in RECORDS if one.topic == "sightings"])
    office.dispatch()
    id, case = next((id, c) for id, c in stored(office).items() if c["state"] == "open" and len(c["sightings"]) > 1)
    clerk = Clerk(office.store, areas(), TAXONOMY, Book())
    clerk.act(LOCAL, id, Asked(act=Act.SPLIT, reason="两处", sightings=tuple(case["sightings"][:1])), now=office.now())
    loop = office.dispatch()
    parts = [c for c in loop.engine.cases() if set(c.sightings) & set(case["sightings"])]
    assert sorted(len(c.sightings) for c in parts) == [1, len(case["sightings"]) - 1]
    for part in parts:
        assert set(stored(office)[part.id]["sightings"]) == set(part.sightings)
    other = next(part.id for part in parts if part.id != id)
    clerk.act(LOCAL, other, Asked(act=Act.MERGE, reason="同一处", into=id), now=office.now())
    loop = office.dispatch()
    known = stored(office)
    assert known[other]["merged_into"] == id
    assert set(known[id]["sightings"]) == set(case["sightings"])
    assert other not in {c.id for c in loop.engine.cases()}
    assert cases_of(everything(office)) == cases_of(loop.engine)
    assert max(Counter(one["id"] for one in office.on("cases")).values()) == 1


def test_what_is_permitted_there_is_not_told(office: Office) -> None:
    policy = "".join(
        f'[[policy]]\ncommunity = "{code}"\nmatters = ["12345"]\n' for code in ("440304001001", "440304001002")
    )
    rules = Rules.of({"policy": policy})
    office.store.append([rules.envelope(INPUTS[0][0])])
    office.publish(RECORDS)
    loop = office.dispatch()
    assert not office.told()
    assert all(case.state is not State.OPEN for case in loop.engine.cases())


def test_from_a_lower_probability_on_a_community_is_told_sooner(office: Office) -> None:
    policy = "".join(
        f'[[policy]]\ncommunity = "{code}"\nthreshold = 0.5\n' for code in ("440304001001", "440304001002")
    )
    office.store.append([Rules.of({"policy": policy}).envelope(INPUTS[0][0])])
    office.publish(RECORDS)
    office.dispatch()
    opened = [one for one in office.on("cases") if one["type"] == "cn.jiexun.case.opened.v1"]
    assert len(opened) >= 3
    assert min(one["data"]["probability"] for one in opened) < 0.9


# Which engine decides


def test_another_engine_is_refused_once_a_store_has_inputs(office: Office) -> None:
    office.publish(RECORDS[:20])
    office.dispatch()
    office.which = Which.SHIPPED
    with pytest.raises(ValueError, match="the joint engine decides"):
        office.dispatch()
    office.which = None
    office.dispatch()
    assert not isinstance(begun(office.store, areas(), TAXONOMY)[0], type(shipped()))


def shipped() -> CaseEngine:
    with Store.open("sqlite://") as store:
        return begun(store, areas(), TAXONOMY)[0]
