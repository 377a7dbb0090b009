"""What lies where nobody looks is put on disk, and decided on as if it had stayed in memory."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from benchmarks.fleet_messages import Size, build, write
from dispatcher.area import Areas, read_areas
from dispatcher.case import State
from dispatcher.joint.command import Merge, Split
from dispatcher.joint.dispatch import parsed
from dispatcher.joint.engine import Engine
from dispatcher.joint.packing import packed, unpacked
from dispatcher.work.action import Action
from ingest.envelope import parse_envelope
from ingest.geo import latlon_from_offset
from models.taxonomy import Taxonomy
from tests.joint.test_joint_engine import INSIDE, MORNING, clean_pass, names, read, sighting, vehicles_own
from tests.joint.test_joint_engine import areas as areas  # a fixture
from vision.sighting import Evidence, Pass, Sighting

FAR = latlon_from_offset(*INSIDE, 3000, 0)  # where nobody looks from INSIDE
KINDS = ("overflow_bin", "garbage", "garbage_bin")


@pytest.fixture
def engine(areas: Areas) -> Engine:
    return Engine(areas, Taxonomy.read())


def elsewhere(day: float) -> Sighting:
    """Something far away, by which time goes on."""
    return replace(sighting(origin=FAR, day=day, confidence=0.3), vehicle="bus-far")


def story(seed: int) -> list[Sighting | Pass]:
    """A month in which each of some places is looked at on a few days: seen several times, or found clean."""
    dice = random.Random(seed)
    items: list[tuple[float, Sighting | Pass]] = []
    for number in range(12):
        place = latlon_from_offset(*INSIDE, 700.0 * number, 0)
        kind = dice.choice(KINDS)
        for day in sorted(dice.sample(range(30), 5)):
            for look in range(dice.randint(1, 4)):
                at = day + look / 24
                if dice.random() < 0.6:
                    spot = dice.uniform(-3, 3), dice.uniform(-3, 3) + dice.choice((0, 0, 9))
                    seen = sighting(*spot, day=at, kind=kind, confidence=dice.uniform(0.4, 0.98), origin=place)
                    items.append((at, vehicles_own(seen, dice.randrange(40))))
                else:
                    items.append((at, clean_pass(at, origin=place)))
    return [item for _, item in sorted(items, key=lambda each: each[0])]


@pytest.mark.parametrize("seed", range(6))
def test_what_rests_decides_nothing(areas: Areas, seed: int) -> None:
    items = story(seed)
    always, never = Engine(areas, Taxonomy.read()), Engine(areas, Taxonomy.read(), rests=None)
    told = [read(always, item) for item in items]
    assert told == [read(never, item) for item in items]
    assert len({event.event for events in told for event in events}) >= 3
    assert 0 < always.resting < len(never.cases()) + len(never.objects())
    assert never.resting == 0
    assert always.cases() == never.cases()
    assert always.objects() == never.objects()


def test_a_case_that_rests_is_still_listed_and_not_told_again(engine: Engine) -> None:
    read(engine, sighting(), sighting(0, 300, kind="garbage_bin", day=0.01))
    cases, objects = engine.cases(), engine.objects()
    read(engine, elsewhere(1.5), elsewhere(3))
    assert engine.resting == 2
    assert engine.cases()[0] == cases[0]
    assert engine.objects() == objects
    assert names(read(engine, sighting(1, 0, day=3.1))) == ["confirmed"]
    assert engine.resting == 1
    assert len(engine.cases()[0].sightings) == 2


def test_a_repeat_of_what_rests_is_known_as_one(engine: Engine) -> None:
    one, passed = sighting(), clean_pass(0.1)
    read(engine, one, passed, elsewhere(3))
    assert engine.resting
    assert read(engine, one, passed) == []
    assert engine.repeats == 2


def test_passes_fetch_what_they_look_at_and_close_it(engine: Engine) -> None:
    (opened,) = read(engine, sighting())
    read(engine, elsewhere(3))
    events = read(engine, clean_pass(4.0), clean_pass(4.1), clean_pass(4.2))
    assert [(event.event, event.case.id) for event in events] == [("closed", opened.case.id)]


def test_what_comes_back_after_a_rest_names_the_case_before(engine: Engine) -> None:
    read(engine, sighting(), clean_pass(1.0), clean_pass(1.1), clean_pass(1.2), elsewhere(9))
    assert engine.resting
    assert names(read(engine, sighting(1, 0, day=20))) == ["rebounded"]
    first, _, second = engine.cases()
    assert (first.state, second.previous) == (State.CLOSED, first.id)


def test_a_person_may_join_and_part_what_rests(engine: Engine) -> None:
    read(engine, sighting(kind="garbage"), sighting(25, 0, kind="garbage", day=0.01), elsewhere(3))
    a, b, _ = engine.cases()
    at = MORNING + timedelta(days=3.1)
    merged = engine.read(Merge(id="m", case=a.id, other=b.id, by="officer"), made_at=at)
    assert names(merged)[0] == "merged"
    assert len(engine.cases()[0].sightings) == 2
    read(engine, elsewhere(6))
    assert engine.resting == 1
    parted = engine.read(Split(id="s", case=a.id, sightings=b.sightings, by="officer"), made_at=at)
    assert names(parted)[0] == "split"
    with pytest.raises(ValueError, match="there is no case"):
        engine.read(Merge(id="n", case="nowhere", other=b.id, by="officer"), made_at=at)


@pytest.mark.parametrize("state", [State.HANDLED, State.CLOSED, State.DISMISSED])
def test_what_an_office_did_rests_with_the_case_and_may_be_done_while_it_rests(engine: Engine, state: State) -> None:
    (opened,) = read(engine, sighting())
    events = {State.HANDLED: "handled", State.CLOSED: "closed", State.DISMISSED: "dismissed"}

    def done(id: str, day: float, what: State) -> None:
        at = MORNING + timedelta(days=day)
        action = Action(id=id, case=opened.case.id, event=events[what], at=at, state=what, recipients=("a",))
        assert engine.read(action, made_at=at) == []

    read(engine, elsewhere(3))
    assert engine.resting
    done("x", 3.1, state)
    (before,) = [case for case in engine.cases() if case.id == opened.case.id]
    assert before.state is state
    read(engine, elsewhere(6))
    assert [case for case in engine.cases() if case.id == opened.case.id] == [before]
    assert engine.read(clean_pass(6.1, id="x"), made_at=MORNING + timedelta(days=6.1)) == []  # an id is read once
    assert engine.repeats == 1


def test_a_sighting_of_days_ago_finds_what_rests(engine: Engine) -> None:
    read(engine, sighting(confidence=0.6), elsewhere(3))
    late = sighting(1, 0, day=0.2, confidence=0.9)
    assert names(engine.read(late, made_at=MORNING + timedelta(days=5))) == ["opened"]
    assert len(engine.cases()[0].sightings) == 2


def test_in_a_world_where_all_is_put_away_again_and_again_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    messages, truth, places = build(11, Size(days=1.5, bins=60, disorders=30, posters=2, vehicles=6), processes=1)
    write(tmp_path, messages, truth, places)
    engine = Engine(read_areas(tmp_path / "areas.geojson")[0], Taxonomy.read(), rests=timedelta(minutes=1))
    rested, accepted = 0, set()
    for line in (tmp_path / "world.jsonl").read_bytes().splitlines():
        envelope = parse_envelope(line)
        item = parsed(envelope)
        engine.read(item, made_at=envelope.time)
        rested = max(rested, engine.resting)
        if isinstance(item, Sighting):
            accepted.add(item.id)
    held = [s for one in (*engine.cases(), *engine.objects()) for s in one.sightings]
    assert sorted(held) == sorted(accepted)
    assert rested > 50
    assert engine.repeats > 0


def test_memory_goes_with_what_is_looked_at(engine: Engine) -> None:
    origins = [latlon_from_offset(*INSIDE, 700.0 * n, 0) for n in range(30)]
    for day, origin in enumerate(origins):
        read(engine, vehicles_own(sighting(day=day, origin=origin), day), clean_pass(day + 0.01, origin=origin))
    assert len(engine.cases()) == 30
    assert engine.resting >= 27


def test_packing_a_thing_and_back_changes_nothing(areas: Areas) -> None:
    engine = Engine(areas, Taxonomy.read(), rests=None)
    with_picture = replace(
        sighting(confidence=0.97), evidence=Evidence(uri="a.jpg", sha256="0" * 64, box_xyxy=(1, 2, 3, 4))
    )
    items: Sequence[Sighting | Pass] = [
        with_picture,
        sighting(0.3, 0.2, day=0.1),
        clean_pass(0.2),
        clean_pass(1.0),
        clean_pass(1.1),
        clean_pass(1.2),
        sighting(0.1, 0.4, day=2, kind="garbage_bin"),
        sighting(0.2, 0.4, day=3),
    ]
    read(engine, *items)
    (thing,) = engine._atlas.things.values()  # nothing else shows all of it
    body = packed(thing, engine._atlas.surveyed(thing), engine._docket.placed)
    again = unpacked(body)
    assert packed(again, engine._atlas.surveyed(thing), engine._docket.placed) == body
    assert len(again.records) == 2
    assert [seen.sighting for seen in again.seens] == [seen.sighting for seen in thing.seens]
    assert again.looks == thing.looks
