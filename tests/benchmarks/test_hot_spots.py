"""Places that are looked at all the time: what the benchmark reads is what it says, and nothing grows without need."""

from datetime import timedelta

from benchmarks.fleet_world import START
from benchmarks.hot_spots import PLACES, QUARTERS, SAMPLE_AREAS, main
from dispatcher.area import read_areas
from dispatcher.case import State
from dispatcher.joint.engine import Engine
from models.taxonomy import Taxonomy
from vision.sighting import Sighting


def engine_after(name: str, passes: int) -> Engine:
    engine = Engine(read_areas(SAMPLE_AREAS)[0], Taxonomy.read())
    for item in PLACES[name](passes):
        at = item.seen_at if isinstance(item, Sighting) else item.ended_at
        engine.read(item, made_at=at)
    return engine


def test_each_place_is_what_its_name_says() -> None:
    assert engine_after("bin", 20).cases() == []
    assert len(engine_after("bin", 20).objects()) == 1
    (case,) = engine_after("open case", 20).cases()
    assert (case.state, case.passes) == (State.OPEN, 20)
    (case,) = engine_after("closed case", 200).cases()
    assert case.state is State.CLOSED


def test_three_days_after_a_case_was_closed_misses_are_not_kept() -> None:
    (thing,) = engine_after("closed case", 800)._atlas.things.values()  # nothing else shows them
    last = max(look.at for look in thing.looks.values())
    assert last < START + timedelta(days=4)


def test_it_measures_every_place() -> None:
    found = main(passes=8, json=True)
    assert set(found["ms"]) == set(PLACES)
    assert all(len(row) == QUARTERS for row in found["ms"].values())
