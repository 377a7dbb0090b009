"""An office for the dispatcher's loop: a street that workers have told of, areas, a store, and kills at every step."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

from world import HOME, START, Clock, a_worker, by_time, drive

from dispatcher.alert import case_envelope
from dispatcher.area import Areas, parse_areas
from dispatcher.dispatch import Dispatcher
from dispatcher.document import document
from dispatcher.engines import Which, begun
from dispatcher.store.store import Store
from dispatcher.stream import GROUP, READS, DispatchLoop
from ingest.binding import event_record
from ingest.geo import latlon_from_offset
from ingest.memory import MemoryBroker, MemoryBus
from ingest.reader import Reader
from ingest.record import Record
from ingest.topics import TOPICS
from ingest.watch import Unwatched, Watch
from models.taxonomy import Taxonomy
from vision.place import place_of
from vision.sighting import PASS_TYPE, Pass, Sighting, enveloped
from vision.worker import Worker


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
    return told_by(a_worker(), before) + seen_gone(4, 10, 3600.0)


def seen_gone(first: int, end: int, begin_s: float) -> list[tuple[datetime, Sighting | Pass]]:
    """What these vehicles send, that see nothing there."""
    after = by_time(*(drive(f"bus-{n}", begin_s=begin_s + 31.0 * n) for n in range(first, end)))
    return told_by(a_worker(lambda frames: [[] for _ in frames]), after)


def told_by(worker: Worker, frames: Iterable[Any]) -> list[tuple[datetime, Sighting | Pass]]:
    made = [item for f in frames for item in worker.work([f])] + list(worker.flush())
    return [item for item in made if isinstance(item, tuple)]


INPUTS = street()


def record(item: Sighting | Pass, made_at: datetime) -> Record:
    envelope = enveloped(item, made_at=made_at)
    return event_record("passes" if envelope.type == PASS_TYPE else "sightings", place_of(item), envelope)


Inputs = list[tuple[datetime, Sighting | Pass]]
RECORDS = [record(item, at) for at, item in INPUTS]


def online(
    which: Which = Which.SHIPPED, inputs: Inputs = INPUTS
) -> tuple[dict[str, Any], list[tuple[str, str, str]], list[str]]:
    """What the dispatcher of one process decides: the document, what is told to whom, and the events that go out."""
    with Store.open("sqlite://") as store:
        engine, _ = begun(store, areas(), Taxonomy.read(), which)
        dispatcher = Dispatcher(engine, store)
        events = [event for at, item in inputs for event in dispatcher.read(enveloped(item, made_at=at))]
    told = [(event.case.id, event.event, to) for event in events for to in event.recipients]
    return document(engine, ()), told, [event.id for event in events if case_envelope(event) is not None]


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

    def __init__(self, url: str = "sqlite://", which: Which | None = None) -> None:
        self.which = which
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

    def publish_in_pieces(self, sent: Sequence[Record], most: int, dice: Random, lives: Callable[[], int]) -> None:
        """Some at a time, each read by a dispatcher of its own that lives for so many steps."""
        sent = list(sent)
        while sent:
            some = dice.randint(1, most)
            self.publish(sent[:some])
            sent = sent[some:]
            with suppress(Killed):
                self.dispatch(Deadly(lives()))

    def dispatch(self, deadly: Deadly | None = None, watch: Watch | None = None) -> DispatchLoop:
        """As `jiexun dispatch --until-idle 2`; a kill leaves the store and the broker as they are."""
        watch = watch or Unwatched()
        bus = MemoryBus(self.broker, read=READS, group=GROUP)
        scan = bus.scan
        store = Store(self.store._engine)
        if deadly is not None:
            bus, store = deadly.bus(bus), deadly.store(store)
        reader = Reader(bus, watch, clock=self.clock, sleep=self.clock.sleep)
        engine = {"scan": scan, "now": self.now, "which": self.which}
        loop = DispatchLoop(reader, store, Free(), areas(), Taxonomy.read(), watch, **engine)
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
