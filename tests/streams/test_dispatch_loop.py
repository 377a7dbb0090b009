"""The dispatcher's loop: each case event and each alert once on its topic, whenever it is killed."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from world import HOME, START, Clock, Heard, a_worker, by_time, drive

from dispatcher.alert import INSIDE
from dispatcher.area import Areas, parse_areas
from dispatcher.dispatch import Dispatcher
from dispatcher.document import document
from dispatcher.engine import Engine
from dispatcher.snapshot import dumped, load, mark
from dispatcher.store.store import Store
from dispatcher.stream import GROUP, READS, DispatchLoop
from ingest.binding import event_record, parse_event
from ingest.geo import latlon_from_offset
from ingest.memory import MemoryBroker, MemoryBus
from ingest.reader import Reader
from ingest.record import Record
from ingest.topics import TOPICS
from ingest.watch import Unwatched, Watch
from models.taxonomy import Taxonomy
from vision.place import place_of
from vision.sighting import PASS_TYPE, Pass, Sighting, enveloped


def area(code: str, south_m: float, north_m: float) -> dict[str, Any]:
    """Both sides of the street, from so far north of its beginning to so far."""
    corners = [(-200, south_m), (200, south_m), (200, north_m), (-200, north_m), (-200, south_m)]
    ring = [list(reversed(latlon_from_offset(*HOME, east, north))) for east, north in corners]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    properties = {"code": code, "name": code, "layer": "community", "parent": None}
    return {"type": "Feature", "properties": properties, "geometry": geometry}


TEXT = json.dumps(
    {"type": "FeatureCollection", "features": [area("440304001001", -50, 96), area("440304001002", 96, 400)]}
)


def areas() -> Areas:
    return parse_areas(TEXT, "the test's")[0]


def street() -> list[tuple[datetime, Sighting | Pass]]:
    """What workers send: four vehicles see the things; an hour later six see that they are gone."""
    before = by_time(*(drive(f"bus-{n}", begin_s=31.0 * n) for n in range(4)))
    after = by_time(*(drive(f"bus-{n}", begin_s=3600 + 31.0 * n) for n in range(4, 10)))
    blind = a_worker(lambda frames: [[] for _ in frames])
    out: list[tuple[datetime, Sighting | Pass]] = []
    for worker, frames in ((a_worker(), before), (blind, after)):
        made = [item for f in frames for item in worker.work([f])] + list(worker.flush())
        out += [item for item in made if isinstance(item, tuple)]
    return out


INPUTS = street()


def record(item: Sighting | Pass, made_at: datetime) -> Record:
    envelope = enveloped(item, made_at=made_at)
    return event_record("passes" if envelope.type == PASS_TYPE else "sightings", place_of(item), envelope)


RECORDS = [record(item, at) for at, item in INPUTS]


def online() -> tuple[dict[str, Any], list[tuple[str, str, str]], list[str]]:
    """What the dispatcher of one process decides: the document, what is told to whom, and the events that go out."""
    engine = Engine(areas(), Taxonomy.read())
    with Store.open("sqlite://") as store:
        dispatcher = Dispatcher(engine, store)
        events = [event for at, item in INPUTS for event in dispatcher.read(enveloped(item, made_at=at))]
    told = [(event.case.id, event.event, to) for event in events for to in event.recipients]
    return document(engine, ()), told, [event.id for event in events if event.event not in INSIDE]


DOCUMENT, TOLD, EVENTS = online()


class Killed(BaseException):
    """kill -9."""


class Deadly:
    """Counts the steps a dispatcher takes towards the world, and kills it at one of them."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.steps = 0

    def step(self) -> None:
        self.steps += 1
        if self.steps == self.at:
            raise Killed

    def bus(self, bus: MemoryBus) -> MemoryBus:
        send, flush, commit = bus.send, bus.flush, bus.commit
        sending: list[Record] = []

        def sent(record: Record) -> None:
            self.step()
            sending.append(record)

        def flushed(wait_s: float = 30.0) -> None:
            for one in sending:  # some may arrive, and the rest not
                self.step()
                send(one)
                flush(wait_s)
            sending.clear()
            self.step()

        def committed(offsets: Any) -> None:
            self.step()
            commit(offsets)
            self.step()

        bus.send, bus.flush, bus.commit = sent, flushed, committed  # type: ignore[method-assign]
        return bus

    def store(self, store: Store) -> Store:
        for name in ("append", "sent"):
            setattr(store, name, self._between(getattr(store, name)))
        return store

    def _between(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def made(*args: Any) -> Any:
            self.step()
            result = call(*args)
            self.step()
            return result

        return made


class Office:
    """A broker in memory with a store beside it, and one dispatcher after the other."""

    def __init__(self, url: str = "sqlite://") -> None:
        self.broker = MemoryBroker(
            [topic if topic.partitions == 1 else replace(topic, partitions=3) for topic in TOPICS]
        )
        self.clock = Clock()
        self.store = Store.open(url)

    def publish(self, sent: Iterable[Record]) -> None:
        bus = MemoryBus(self.broker)
        for one in sent:
            bus.send(one)
        bus.flush()

    def dispatch(self, deadly: Deadly | None = None, watch: Watch | None = None) -> DispatchLoop:
        """As `jiexun dispatch --until-idle 2`; a kill leaves the store and the broker as they are."""
        watch = watch or Unwatched()
        bus = MemoryBus(self.broker, read=READS, group=GROUP)
        scan = bus.scan
        store = Store(self.store._engine)
        if deadly is not None:
            bus, store = deadly.bus(bus), deadly.store(store)
        reader = Reader(bus, watch, clock=self.clock, sleep=self.clock.sleep)
        loop = DispatchLoop(reader, store, Free(), areas(), Taxonomy.read(), watch, scan=scan, now=self.now)
        try:
            loop.recover()
            loop.run(until_idle_s=2.0)
        finally:
            self.broker.members[GROUP].clear()
        return loop

    def now(self) -> datetime:
        return START + timedelta(days=1)

    def on(self, topic: str) -> list[dict[str, Any]]:
        return [json.loads(one.value) for one in MemoryBus(self.broker).scan(topic)]

    def told(self) -> list[tuple[str, str, str]]:
        return [(one["data"]["case"], one["data"]["event"], one["data"]["recipient"]) for one in self.on("alerts")]


class Free:
    """A lease that nobody contests."""

    def check(self) -> None: ...

    def release(self) -> None: ...


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(f"sqlite:///{tmp_path / 'office.db'}")
    yield made
    made.store.close()


def without_alert_times(doc: dict[str, Any]) -> list[dict[str, Any]]:
    """The cases, as far as they do not depend on when an envelope was made."""
    return [case | {"alerts": [(a["event"], a["recipient"]) for a in case["alerts"]]} for case in doc["cases"]]


def test_the_street_is_worth_testing_on() -> None:
    assert len({case for case, event, _ in TOLD if event == "opened"}) == 3
    assert {event for _, event, _ in TOLD} >= {"opened", "closed"}
    assert len({to for _, _, to in TOLD}) == 2  # one thing lies on the border


def test_a_stream_decides_what_one_process_decides(office: Office) -> None:
    office.publish(RECORDS)
    loop = office.dispatch()
    assert without_alert_times(document(loop.engine, ())) == without_alert_times(DOCUMENT)
    assert sorted(office.told()) == sorted(TOLD)
    assert sorted(one["id"] for one in office.on("cases")) == sorted(EVENTS)


def test_alerts_say_what_an_officer_needs(office: Office) -> None:
    office.publish(RECORDS)
    office.dispatch()
    for alert in office.on("alerts"):
        assert alert["type"] == "cn.jiexun.alert.v1"
        assert alert["data"].keys() >= {"case", "event", "recipient", "matter", "lat", "lon", "probability", "evidence"}


def count_steps() -> int:
    office = Office()
    office.publish(RECORDS)
    counter = Deadly(0)
    office.dispatch(counter)
    return counter.steps


@pytest.mark.parametrize("part", range(4))
def test_a_dispatcher_killed_at_any_step_tells_everything_once(part: int, tmp_path: Path) -> None:
    steps = count_steps()
    assert steps > 40
    for at in range(1 + part, steps + 1, 4):
        office = Office(f"sqlite:///{tmp_path / f'{at}.db'}")
        office.publish(RECORDS)
        with pytest.raises(Killed):
            office.dispatch(Deadly(at))
        loop = office.dispatch()
        assert sorted(office.told()) == sorted(TOLD), at
        assert sorted(one["id"] for one in office.on("cases")) == sorted(EVENTS), at
        assert without_alert_times(document(loop.engine, ())) == without_alert_times(DOCUMENT), at
        assert office.store.outbox() == []
        office.store.close()


@pytest.mark.parametrize("seed", range(4))
def test_one_that_is_killed_again_and_again_tells_everything_once(seed: int, office: Office) -> None:
    rng = random.Random(seed)
    sent = list(RECORDS)
    while sent:
        some = rng.randint(1, 9)
        office.publish(sent[:some])
        sent = sent[some:]
        with suppress(Killed):
            office.dispatch(Deadly(rng.randint(1, 30)))
    loop = office.dispatch()
    assert sorted(office.told()) == sorted(TOLD)
    assert without_alert_times(document(loop.engine, ())) == without_alert_times(DOCUMENT)


def test_a_dispatcher_starts_from_what_the_last_one_knew(office: Office) -> None:
    """The first half of the history is in a snapshot: it is not read again, and the rest is decided as ever."""
    half = len(RECORDS) // 2
    office.publish(RECORDS[:half])
    office.dispatch()
    kept = office.store.snapshot(mark(None))
    assert kept is not None
    assert kept[0] == half
    office.publish(RECORDS[half:])
    loop = office.dispatch()
    assert without_alert_times(document(loop.engine, ())) == without_alert_times(DOCUMENT)
    assert sorted(office.told()) == sorted(TOLD)
    assert list(office.store.inputs(half)) == list(office.store.inputs())[half:]


def test_a_snapshot_under_other_areas_is_not_used(office: Office) -> None:
    office.publish(RECORDS[:20])
    office.dispatch()
    assert office.store.snapshot(mark(TEXT)) is None


@pytest.mark.parametrize("cut", range(0, len(RECORDS), 7))
def test_an_engine_that_is_brought_back_decides_as_the_other_would_have(cut: int) -> None:
    one, other = (Engine(areas(), Taxonomy.read()) for _ in range(2))
    for at, item in INPUTS[:cut]:
        one.read(item, made_at=at)
    load(other, json.loads(json.dumps(dumped(one))))
    assert document(other, ()) == document(one, ())
    for at, item in INPUTS[cut:]:
        assert other.read(item, made_at=at) == one.read(item, made_at=at)
    assert document(other, ()) == document(one, ())


def test_inputs_sent_twice_change_nothing(office: Office) -> None:
    office.publish([one for each in RECORDS for one in (each, each)])
    office.dispatch()
    watch = Heard()
    office.publish(RECORDS)
    office.dispatch(watch=watch)
    assert sorted(office.told()) == sorted(TOLD)
    assert watch.repeats == len(RECORDS)


def test_sightings_sent_again_by_another_worker_at_another_time_change_nothing(office: Office) -> None:
    office.publish(RECORDS)
    office.publish(record(item, at + timedelta(hours=3)) for at, item in INPUTS)
    office.dispatch()
    assert sorted(office.told()) == sorted(TOLD)


BAD = {
    "no JSON": (b"{", "not JSON"),
    "another type": (b'{"specversion":"1.0","id":"x","type":"cn.jiexun.alert.v1","source":"/t",'
                     b'"time":"2026-11-20T08:00:00Z","data":{}}', "not read here"),
    "an unknown major version": (b'{"specversion":"1.0","id":"x","type":"cn.jiexun.sighting.v2","source":"/t",'
                                 b'"time":"2026-11-20T08:00:00Z","data":{}}', "sighting.v2"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_what_makes_no_sense_is_rejected_and_the_rest_goes_on(what: str, office: Office) -> None:
    value, reason = BAD[what]
    bad = replace(RECORDS[0], value=value)
    watch = Heard()
    office.publish([bad, *RECORDS[:5], bad, *RECORDS[5:]])
    office.dispatch(watch=watch)
    assert sorted(office.told()) == sorted(TOLD)
    letters = list(MemoryBus(office.broker).scan(f"{bad.topic}.rejected"))
    assert [letter.value for letter in letters] == [value] * 2
    assert all(reason in (letter.header("rejected-reason") or b"").decode() for letter in letters)


def test_a_sighting_that_the_engine_refuses_is_rejected(office: Office) -> None:
    at, item = next((at, item) for at, item in INPUTS if isinstance(item, Sighting) and item.matter)
    bad = record(replace(item, id="elsewhere", matter="99999"), at)
    watch = Heard()
    office.publish([bad, *RECORDS])
    office.dispatch(watch=watch)
    assert sorted(office.told()) == sorted(TOLD)
    assert len(watch.reasons) == 1
    assert "99999" in watch.reasons[0]


def test_a_backlog_of_several_partitions_is_read_in_order_of_capture_time(office: Office) -> None:
    """Everything lies there when the dispatcher starts: all passes on one topic, all sightings on another."""
    passes = [one for one in RECORDS if one.topic == "passes"]
    sightings = [one for one in RECORDS if one.topic == "sightings"]
    office.publish([*passes, *sightings])
    loop = office.dispatch()
    assert without_alert_times(document(loop.engine, ())) == without_alert_times(DOCUMENT)
    assert sorted(office.told()) == sorted(TOLD)


def test_a_broker_that_is_away_is_waited_for_and_nothing_is_told_twice(office: Office) -> None:
    office.publish(RECORDS)
    bus = MemoryBus(office.broker, read=READS, group=GROUP)
    flush, refused = bus.flush, [0]

    def failing(wait_s: float = 30.0) -> None:
        refused[0] += 1
        office.broker.answers = refused[0] % 3 == 0
        try:
            flush(wait_s)
        finally:
            office.broker.answers = True

    bus.flush = failing  # type: ignore[method-assign]  # the broker answers every third time
    watch = Heard()
    reader = Reader(bus, watch, clock=office.clock, sleep=office.clock.sleep)
    loop = DispatchLoop(reader, office.store, Free(), areas(), Taxonomy.read(), watch, scan=bus.scan, now=office.now)
    loop.recover()
    loop.run(until_idle_s=2.0)
    assert refused[0] >= 3
    assert watch.blocks
    assert watch.blocks[-1] is None
    assert sorted(office.told()) == sorted(TOLD)


def test_latency_is_told_of_each_alert_from_the_capture(office: Office) -> None:
    class Timed(Unwatched):
        def told(self, event: str, captured_at: datetime) -> None:
            heard.append((event, captured_at))

    heard: list[tuple[str, datetime]] = []
    office.publish(RECORDS)
    office.dispatch(watch=Timed())
    assert Counter(event for event, _ in heard) == Counter(event for _, event, _ in TOLD)
    times = {item.seen_at if isinstance(item, Sighting) else item.ended_at for _, item in INPUTS}
    assert {at for _, at in heard} <= times


def test_the_envelope_of_an_event_is_the_same_bytes_whoever_sends_it(office: Office) -> None:
    office.publish(RECORDS)
    steps = Deadly(12)
    with pytest.raises(Killed):
        office.dispatch(steps)
    waiting = {letter.id: letter.line for letter in office.store.outbox()}
    assert waiting
    office.dispatch()
    found = {
        parse_event(one).id: one.value.decode() for t in ("cases", "alerts") for one in MemoryBus(office.broker).scan(t)
    }
    assert all(found[id] == line for id, line in waiting.items())
