"""An engine that is brought back from what was kept of another one decides as that one would have."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from benchmarks.fleet_messages import Size, build, write
from dispatcher.area import Areas, read_areas
from dispatcher.joint.dispatch import parsed
from dispatcher.joint.kept import Kept
from ingest.envelope import parse_envelope
from models.taxonomy import Taxonomy
from tests.joint.test_joint_engine import areas as areas  # a fixture
from tests.joint.test_joint_engine import read
from tests.joint.test_rest import story
from vision.sighting import Pass, Sighting


class Beside:
    """What is kept beside a store: parts as they changed, and the rest."""

    def __init__(self) -> None:
        self.resting: dict[Any, str] = {}
        self.kept = ""

    def keep(self, engine: Kept) -> None:
        for part, text in engine.rested():
            self.resting.pop(part, None)
            if text is not None:
                self.resting[part] = text
        self.kept = json.dumps([engine.about(), [[*part, text] for part, text in engine.parts()]])

    def recalled(self, areas: Areas, passes: dict[str, Pass]) -> Kept:
        about, memory = json.loads(self.kept)
        parts = [((name, id), text) for name, id, text in memory] + list(self.resting.items())
        engine = Kept(areas, Taxonomy.read())
        engine.recall(about, parts)
        engine.know_passes([passes[id] for id in about["passes"]])
        return engine


@pytest.mark.parametrize("seed", range(6))
def test_an_engine_that_is_brought_back_again_and_again_decides_the_same(areas: Areas, seed: int) -> None:
    items: list[Sighting | Pass] = story(seed)
    passes = {item.id: item for item in items if isinstance(item, Pass)}
    dice = random.Random(seed)
    one, beside = Kept(areas, Taxonomy.read()), Beside()
    other = Kept(areas, Taxonomy.read())
    for item in items:
        assert read(other, item) == read(one, item)
        if dice.random() < 0.2:
            beside.keep(other)
            other = beside.recalled(areas, passes)
    assert one.resting > 0
    assert other.resting == one.resting
    assert other.cases() == one.cases()
    assert other.objects() == one.objects()


def test_in_the_middle_of_a_world_too(tmp_path: Path) -> None:
    """Where runs are due, biases are known, and cases have gone into others."""
    size = Size(days=1.0, bins=60, disorders=40, posters=2, vehicles=12, quarter="sw")
    write(tmp_path, *build(5, size, processes=1))
    areas, _ = read_areas(tmp_path / "areas.geojson")
    lines = [parse_envelope(line) for line in (tmp_path / "world.jsonl").read_bytes().splitlines()]
    items = [(line.time, parsed(line)) for line in lines]
    passes = {item.id: item for _, item in items if isinstance(item, Pass)}
    one, other = Kept(areas, Taxonomy.read()), Kept(areas, Taxonomy.read())
    beside, told = Beside(), set[str]()
    for n, (made_at, item) in enumerate(items):
        events = one.read(item, made_at=made_at)
        assert other.read(item, made_at=made_at) == events
        told |= {event.event for event in events}
        if n % (len(items) // 7) == 5:
            beside.keep(other)
            other = beside.recalled(areas, passes)
            beside.keep(other)
    assert {"opened", "merged", "confirmed"} <= told
    assert other.cases() == one.cases()
    assert other.objects() == one.objects()
