"""A snapshot that is kept piece by piece: at any time the same as one that is made of all that an engine knows."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from typing import Any

import pytest
from test_engine import MORNING, clean_pass, sighting
from test_stores import either  # noqa: F401  # fixture
from whole import dumped, load, whole_in

from dispatcher.area import Areas
from dispatcher.case import State
from dispatcher.engine import Engine
from dispatcher.snapshot import Changed, about
from dispatcher.store.store import Store
from dispatcher.work.action import Action
from models.taxonomy import Taxonomy
from vision.sighting import Pass, Sighting

DAY = timedelta(days=1)


def acted(engine: Engine, chance: random.Random, n: int) -> None:
    """An office does something with a case that is in work, if there is one."""
    open_ = [case for case in engine.cases() if case.state is State.OPEN]
    if not open_:
        return
    case = chance.choice(open_)
    what: dict[str, Any] = {"event": "handled", "state": chance.choice((State.HANDLED, State.DISMISSED, State.CLOSED))}
    others = [other for other in open_ if other.id != case.id and other.matter == case.matter]
    if others and chance.random() < 0.3:
        what = {"event": "merged", "state": State.DISMISSED, "into": chance.choice(others).id}
    elif len(case.sightings) > 1 and chance.random() < 0.5:
        what = {"event": "split", "state": None, "part": f"part-{n}", "sightings": case.sightings[:1]}
    assert engine.clock is not None
    engine.act(Action(id=f"action-{n}", case=case.id, at=engine.clock, recipients=(), **what))


def lived(engine: Engine, seed: int, steps: int):
    """Months at a crossing: things come and go, buses look, offices act. Yields after each step."""
    chance, day = random.Random(seed), 0.0
    for n in range(steps):
        day += chance.choice((0.01, 0.01, 0.3, 1.5, 20.0) if n % 50 == 49 else (0.01, 0.02, 0.2))
        item: Sighting | Pass = sighting(
            chance.choice((0.0, 0.5, 15.0, 40.0)),
            chance.choice((0.0, 30.0)),
            day=day,
            kind=chance.choice(("overflow_bin", "garbage", "garbage_bin")),
            confidence=chance.choice((0.4, 0.9)),
        )
        if chance.random() < 0.35:
            item = clean_pass(day)
        engine.read(item, made_at=MORNING + day * DAY)
        if chance.random() < 0.15:
            acted(engine, chance, n)
        yield n


def whole(doc: dict[str, Any]) -> dict[str, Any]:
    """Without the order of places, by which nothing is decided."""
    return json.loads(json.dumps(doc | {"places": sorted(doc["places"], key=lambda place: place["id"])}))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("remembered", [None, 30])
def test_what_changed_is_all_that_a_snapshot_needs(seed: int, remembered: int | None, sample_areas: Areas) -> None:
    engine = Engine(sample_areas, Taxonomy.read(), remembered=remembered)
    kept: dict[tuple[str, str], Any] = {}
    largest = gone = 0
    chance = random.Random(seed)
    for _ in lived(engine, seed, 400):
        if chance.random() < 0.3:
            some = Changed(engine)
            gone += sum(part is None for part in some.values())
            kept = {part: document for part, document in {**kept, **some}.items() if document is not None}
            places = [document for (part, _), document in kept.items() if part == "places"]
            anchors = {id: document for (part, id), document in kept.items() if part == "anchors"}
            assert whole(about(engine) | {"places": places, "anchors": anchors}) == whole(dumped(engine))
            largest = max(largest, len(kept))
    assert largest > 5
    assert gone > 0 or remembered is None  # merged into others, or long over
    assert len(engine.changes) <= largest + 5


def test_nothing_changed_is_nothing_to_keep(sample_areas: Areas) -> None:
    engine = Engine(sample_areas, Taxonomy.read())
    assert Changed(engine) == {}
    list(lived(engine, 1, 50))
    assert Changed(engine) != {}
    assert Changed(engine) == {}
    engine.read(clean_pass(99.0, origin=(22.7, 114.3)), made_at=MORNING + 99 * DAY)  # where nothing is
    assert Changed(engine) == {}


def test_an_engine_from_a_store_of_pieces_goes_on_as_the_one_that_kept_them(either: Store, sample_areas: Areas) -> None:  # noqa: F811
    one = Engine(sample_areas, Taxonomy.read(), remembered=30)
    for n in lived(one, 7, 300):
        if n % 20 == 19:
            either.amend_snapshot("m", about(one), Changed(one), n)
    either.amend_snapshot("m", about(one), Changed(one), 300)
    assert whole_in(either, "another") is None
    found = whole_in(either, "m")
    assert found is not None
    seq, known = found
    assert seq == 300
    assert known == json.loads(json.dumps(dumped(one)))
    other = Engine(sample_areas, Taxonomy.read(), remembered=30)
    load(other, known)
    assert Changed(other) == {}  # what is known is kept already
    for item in (sighting(0.2, 0.1, day=200.0), sighting(day=200.1), clean_pass(200.2), sighting(40.0, day=200.3)):
        made_at = MORNING + 201 * DAY
        assert other.read(item, made_at=made_at) == one.read(item, made_at=made_at)
    either.amend_snapshot("m", about(other), Changed(other), 304)
    found = whole_in(either, "m")
    assert found is not None
    assert found[0] == 304
    assert whole(found[1]) == whole(dumped(one))


def test_a_snapshot_under_another_mark_begins_anew(either: Store) -> None:  # noqa: F811
    either.amend_snapshot("m", {"clock": None, "rules": {}}, {("anchors", "a"): [1], ("anchors", "b"): [2]}, 1)
    either.amend_snapshot("m", {"clock": None, "rules": {}}, {("anchors", "a"): None, ("anchors", "c"): [3]}, 2)
    assert whole_in(either, "m") == (2, {"clock": None, "rules": {}, "places": [], "anchors": {"b": [2], "c": [3]}})
    either.amend_snapshot("n", {"clock": None, "rules": {}}, {("anchors", "d"): [4]}, 3)
    assert whole_in(either, "m") is None
    assert whole_in(either, "n") == (3, {"clock": None, "rules": {}, "places": [], "anchors": {"d": [4]}})
