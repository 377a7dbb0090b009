"""The joint engine beside a store while offices work: the events tell of each case, and nobody's work is lost."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from benchmarks.fleet_messages import Size, build, write
from dispatcher.access.principal import LOCAL
from dispatcher.alert import letters
from dispatcher.area import Areas, read_areas
from dispatcher.case import CaseEvent
from dispatcher.dispatch import Dispatcher
from dispatcher.joint.live import Live
from dispatcher.joint.snapshot import Snapshot
from dispatcher.store.rows import CaseFilter, Letter
from dispatcher.store.seen_by import areas_of
from dispatcher.store.store import Store
from dispatcher.work.asked import Asked, Refusal
from dispatcher.work.book import Book
from dispatcher.work.clerk import Clerk
from dispatcher.work.step import Act, Label
from ingest.envelope import Envelope, parse_envelope
from models.taxonomy import Taxonomy

TAXONOMY = Taxonomy.read()
SIZE = Size(days=2.0, bins=100, disorders=200, vehicles=16)
LIVE = {"open", "handled"}
Run = Callable[..., tuple[int, Any, str]]
EVERY = 25  # lines, after which somebody does something


@dataclass
class Town:
    """A store, those who decide on it, and those who work on it."""

    areas: Areas
    store: Store
    dispatcher: Dispatcher
    clerk: Clerk
    snapshot: Snapshot

    @classmethod
    def begun(cls, areas: Areas, store: Store, *, kept: bool = False) -> Town:
        """`kept`: from what was kept, and the inputs since; else from all inputs."""
        live = Live(areas, TAXONOMY)
        dispatcher = Dispatcher(live, store, lambda event: told(event, areas))
        snapshot = Snapshot(live, store)
        dispatcher.recover(store.inputs(snapshot.recall() if kept else 0))
        return cls(areas, store, dispatcher, Clerk(store, areas, TAXONOMY, Book()), snapshot)

    def stored(self) -> dict[str, dict[str, Any]]:
        every = CaseFilter(limit=100_000)
        return {case.id: case.document for case in self.store.cases(every).cases}

    def end(self, now: datetime) -> None:
        """Everybody has heard of everything."""
        self.clerk.tick(now)
        with self.dispatcher.turn():
            pass


def told(event: CaseEvent, areas: Areas) -> Iterator[Letter]:
    return letters(event, areas, TAXONOMY)


def something(town: Town, dice: random.Random, now: datetime) -> None:
    """What somebody does at random; what makes no sense is refused, and that is all right."""
    cases = sorted(town.stored().values(), key=lambda case: case["id"])
    alive = [case for case in cases if case["state"] in LIVE]
    if not alive:
        return
    case = dice.choice(alive)
    others = [other for other in alive if other["matter"] == case["matter"] and other is not case]
    near = min(others, key=lambda o: (o["lat"] - case["lat"]) ** 2 + (o["lon"] - case["lon"]) ** 2, default=case)
    asked = dice.choice(
        [
            Asked(act=Act.ACKNOWLEDGE),
            Asked(act=Act.HANDLED),
            Asked(act=Act.CLOSE),
            Asked(act=Act.DISMISS, reason="误报", label=Label.NOT_THERE),
            Asked(act=Act.MERGE, reason="同一处", into=near["id"]),
            Asked(act=Act.SPLIT, reason="两处", sightings=tuple(case["sightings"][: len(case["sightings"]) // 2])),
        ]
    )
    with suppress(Refusal):
        town.clerk.act(LOCAL, case["id"], asked, now=now)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write(folder, *build(8, SIZE, processes=1))
    return folder


def days(world: Path, store: Store, *, restarts: int) -> tuple[Town, datetime]:
    """What becomes of the world; `restarts`: how many lines a dispatcher lives."""
    areas, dice = read_areas(world / "areas.geojson")[0], random.Random(8)
    town = Town.begun(areas, store)
    now = None
    for n, line in enumerate((world / "world.jsonl").read_bytes().splitlines()):
        envelope: Envelope = parse_envelope(line)
        now = envelope.time if now is None else max(now, envelope.time)
        town.dispatcher.read(envelope)
        if n % restarts == restarts // 2:
            town.snapshot.amend(town.dispatcher.seq)  # what comes after it is read again
        if n % restarts == restarts - 1:
            town = Town.begun(areas, store, kept=True)
        if n % EVERY == 0:
            something(town, dice, now)
        if n % 100 == 0:
            town.clerk.tick(now)
    assert now is not None
    town.end(now)
    return town, now


@pytest.fixture(scope="module")
def lived(world: Path) -> Iterator[tuple[Town, datetime]]:
    with Store.open("sqlite://") as store:
        yield days(world, store, restarts=1_000_000)


def test_the_town_is_worth_testing_on(lived: tuple[Town, datetime]) -> None:
    town, _ = lived
    events = Counter(event.event for event in _events(town.store))
    assert {"opened", "closed", "confirmed", "merged", "handled", "judged", "dismissed", "split"} <= events.keys()
    own = [e for e in _events(town.store) if e.event == "merged" and "merged_into" in e.document and e.recipients]
    assert own  # the engine's: of the desk's nobody is told


def test_whoever_reads_the_events_knows_each_case_as_the_engine_does(lived: tuple[Town, datetime]) -> None:
    town, _ = lived
    stored, known = town.stored(), {case.id: case.document() for case in town.dispatcher.engine.cases()}
    for id, case in known.items():
        assert stored[id]["state"] == case["state"], id
        if case["state"] in LIVE:
            assert set(stored[id]["sightings"]) == set(case["sightings"]), id
            assert _told(stored[id]) == _told(case), id
    for id in stored.keys() - known.keys():
        assert stored[id]["state"] == "dismissed", id
        assert _end(stored, id) in known, id


def test_a_case_that_is_open_is_somebodys_work_and_one_that_went_into_another_is_nobodys(
    lived: tuple[Town, datetime],
) -> None:
    town, _ = lived
    for id, case in town.stored().items():
        work = town.clerk.standing(id, LOCAL).work
        if "merged_into" in case:
            assert work.registered_at is None or work.outcome is not None, id
        elif case["state"] in LIVE:
            assert work.registered_at is not None, id
            assert work.outcome is None, (id, work.outcome)


def test_whoever_was_told_of_a_case_sees_the_one_that_it_went_into(lived: tuple[Town, datetime]) -> None:
    town, _ = lived
    stored = town.stored()
    with town.store.reading() as connection:
        seen = areas_of(connection, list(stored))
    for id, case in stored.items():
        if "merged_into" in case:
            assert _told(case) <= seen[_end(stored, id)], id


def test_each_alert_is_told_once(lived: tuple[Town, datetime]) -> None:
    town, _ = lived
    waiting = [(letter.topic, letter.id) for letter in town.store.outbox(limit=100_000)]
    assert len(waiting) == len(set(waiting))
    sent = {id for topic, id in waiting if topic == "alerts"}
    judged = [e for e in _events(town.store) if e.event in ("merged", "split") and e.recipients]
    assert judged
    assert len(sent) >= len(judged)


def test_who_starts_again_comes_to_the_same_cases_and_tells_nothing_anew(lived: tuple[Town, datetime]) -> None:
    town, now = lived
    last = town.store.last_event()
    again = Town.begun(town.areas, town.store)
    again.end(now + timedelta(seconds=1))
    assert town.store.last_event() == last
    assert again.dispatcher.engine.cases() == town.dispatcher.engine.cases()
    assert again.dispatcher.engine.objects() == town.dispatcher.engine.objects()


def test_made_anew_from_the_log_the_projections_are_the_same(lived: tuple[Town, datetime]) -> None:
    town, _ = lived
    done = town.store.rebuild()
    assert {name: table.changed for name, table in done.tables.items()} == dict.fromkeys(done.tables, 0)


def _events(store: Store) -> list[Any]:
    found: list[Any] = []
    while page := store.events_after(found[-1].seq if found else 0):
        found += page
    return found


def _told(case: dict[str, Any]) -> set[str]:
    return {alert["recipient"] for alert in case["alerts"]}


def _end(stored: dict[str, dict[str, Any]], id: str) -> str:
    while "merged_into" in stored[id]:
        id = stored[id]["merged_into"]
    return id


def test_dispatchers_that_start_from_snapshots_decide_as_the_one_that_went_on(
    world: Path, lived: tuple[Town, datetime]
) -> None:
    town, _ = lived
    with Store.open("sqlite://") as store:
        other, _ = days(world, store, restarts=300)
        assert [event.id for event in _events(store)] == [event.id for event in _events(town.store)]
        assert [event.text for event in _events(store)] == [event.text for event in _events(town.store)]
        assert other.dispatcher.engine.cases() == town.dispatcher.engine.cases()
        assert other.dispatcher.engine.objects() == town.dispatcher.engine.objects()


def test_cases_replay_goes_on_in_a_store_by_the_engine_that_decides_there(
    world: Path, run: Run, tmp_path: Path
) -> None:
    lines = (world / "world.jsonl").read_bytes().splitlines(keepends=True)[:400]
    files = {"all": lines, "half": lines[:200], "rest": lines[200:]}
    for name, some in files.items():
        (tmp_path / f"{name}.jsonl").write_bytes(b"".join(some))
    areas = ("--areas", world / "areas.geojson", "--json")
    store = ("--store", f"sqlite:///{tmp_path / 'city.db'}")
    _, whole, _ = run("cases", "replay", tmp_path / "all.jsonl", *areas)
    run("cases", "replay", tmp_path / "half.jsonl", *areas, *store, "--engine", "joint")
    status, found, _ = run("cases", "replay", tmp_path / "rest.jsonl", *areas, *store)
    assert (status, found) == (0, whole)
    status, _, said = run("cases", "replay", tmp_path / "rest.jsonl", *areas, *store, "--engine", "shipped")
    assert status != 0
    assert "the joint engine decides" in said
