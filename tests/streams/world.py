"""A street for the loops: things that stand there, vehicles that drive by, and a detector that sees the things.

The detector sees them where they are, a little off by a noise that is the frame's own: what it reports of a frame
depends on nothing else.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import cv2
import numpy as np

from ingest.binding import Before, frame_record, parse_event
from ingest.frame import Fix, Frame, frame_id
from ingest.geo import latlon_from_offset, offset_from_latlon
from ingest.memory import MemoryBroker, MemoryBus
from ingest.mounting import mounting_headers
from ingest.reader import Reader
from ingest.record import Record
from ingest.topics import FRAMES, PASSES, SIGHTINGS, TOPICS
from ingest.watch import Unwatched, Watch
from models.taxonomy import Taxonomy
from vision.camera import Camera, picture_from_road, road_from_ground
from vision.sighting import Evidence
from vision.stream import GROUP, FrameLoop
from vision.stretch import Found
from vision.worker import Worker

START = datetime(2026, 11, 20, 8, tzinfo=UTC)
HOME = (22.54, 114.06)
SIZE = (1280, 720)
CAMERA = Camera(hfov_deg=70.0, height_m=1.6, pitch_deg=-3.0, yaw_deg=0.0)
MOUNTING = {"hfov_deg": 70.0, "height_m": 1.6, "pitch_deg": -3.0, "yaw_deg": 0.0}
PIXELS = np.random.default_rng(0).integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)  # a black one would be dropped
JPEG = cv2.imencode(".jpg", PIXELS, [cv2.IMWRITE_JPEG_QUALITY, 50])[1].tobytes()
THINGS = [("garbage", 3.0, 40.0), ("overflow_bin", -3.0, 95.0), ("garbage_bin", 3.5, 150.0), ("garbage", -2.5, 215.0)]
SPEED_MPS = 5.0
RECALL = {"garbage": 0.9, "overflow_bin": 0.9}


def frame(vehicle: str, north_m: float, seconds: float, *, speed_mps: float | None = SPEED_MPS) -> Frame:
    """A northbound vehicle, some metres up the road."""
    time = START + timedelta(seconds=seconds)
    lat, lon = latlon_from_offset(*HOME, 0.0, north_m)
    fix = Fix(time=time, lat=lat, lon=lon, speed_mps=speed_mps, heading_deg=0.0, accuracy_m=2.0)
    id = frame_id(vehicle, "front", time)
    return Frame(id=id, vehicle=vehicle, camera="front", time=time, fix=fix, jpeg=JPEG, size_wh=SIZE, file="")


def drive(vehicle: str, *, begin_s: float = 0.0, until_m: float = 240.0, gap_m: float = 4.0) -> list[Frame]:
    """A vehicle that passes all the things."""
    metres = np.arange(0.0, until_m, gap_m).tolist()
    return [frame(vehicle, m, begin_s + m / SPEED_MPS) for m in metres]


def by_time(*drives: Sequence[Frame]) -> list[Frame]:
    return sorted((f for frames in drives for f in frames), key=lambda f: (f.time, f.vehicle))


def seen(f: Frame) -> list[Found] | ValueError:
    """What the detector reports of a frame. One whose picture is spoilt does not decode."""
    if f.jpeg and f.jpeg != JPEG:
        return ValueError("the picture does not decode")
    noise = random.Random(f.id)
    east, north = offset_from_latlon(f.fix.lat, f.fix.lon, *HOME)
    found = []
    for kind, thing_east, thing_north in THINGS:
        road = road_from_ground(np.array([[thing_east - east, thing_north - north]]), 0.0)
        u, v = picture_from_road(road, SIZE, CAMERA)[0]
        if not (0 <= u <= SIZE[0] and 0 < v <= SIZE[1]) or not 0 < road[0, 0] < 25:
            continue
        u, v = u + noise.gauss(0, 2), min(SIZE[1] - 3.0, v + noise.gauss(0, 2))
        confidence = round(noise.uniform(0.6, 0.9), 3)
        found.append(Found(kind=kind, confidence=confidence, box_xyxy=(u - 20, v - 50, u + 20, v)))
    return found


def detect(frames: Sequence[Frame]) -> list[list[Found] | ValueError]:
    return [seen(f) for f in frames]


def picture(f: Frame, _box: tuple[float, float, float, float]) -> Evidence:
    assert f.jpeg == JPEG  # whoever asks for evidence has the picture
    return Evidence(uri=f"{f.id}.jpg", sha256=f.id, box_xyxy=(1, 2, 3, 4))


def a_worker(look: Callable[[Sequence[Frame]], Any] = detect, evidence: Callable[..., Evidence] = picture) -> Worker:
    return Worker(look, {"front": CAMERA}, Taxonomy.read(), evidence, model="test@sha256:0", recall=RECALL)


def embedded(frames: Iterable[Frame]) -> dict[str, dict[str, Any]]:
    """What one process makes of the frames, by id."""
    worker = a_worker()
    out = [item for f in frames for item in worker.work([f])] + list(worker.flush())
    return {item[1].id: item[1].document() for item in out if isinstance(item, tuple)}


def records(frames: Iterable[Frame], *, said: bool = True) -> list[Record]:
    """As a publisher sends them; not `said`: one that does not say which frame came before."""
    before: dict[str, datetime] = {}
    out = []
    for f in frames:
        last = before.get(f.vehicle)
        before[f.vehicle] = f.time
        record = frame_record(f, Before(time=last, none=last is None) if said else Before())
        out.append(replace(record, headers=record.headers + mounting_headers(MOUNTING)))
    return out


class Inline(Executor):
    """The detector in the loop's own thread: tests that are not about threads."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **named))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None: ...


class Clock:
    """A clock that goes by only while somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


class Heard(Unwatched):
    """Keeps what a loop said of what it waits for."""

    def __init__(self) -> None:
        self.blocks: list[str | None] = []
        self.reasons: list[str] = []
        self.repeats = 0
        self.longest = 0

    def blocked(self, reason: str | None) -> None:
        if reason is not None or (self.blocks and self.blocks[-1] is not None):
            self.blocks.append(reason)

    def rejected(self, topic: str, reason: str) -> None:
        self.reasons.append(reason)

    def repeated(self, topic: str) -> None:
        self.repeats += 1

    def queued(self, records: int, size_bytes: int) -> None:
        self.longest = max(self.longest, records)


class City:
    """A broker in memory, and workers on it."""

    def __init__(self) -> None:
        self.broker = MemoryBroker(
            [topic if topic.partitions == 1 else replace(topic, partitions=4) for topic in TOPICS]
        )
        self.clock = Clock()
        self._sender = MemoryBus(self.broker)

    def publish(self, sent: Iterable[Record]) -> None:
        for record in sent:
            self._sender.send(record)
        self._sender.flush()

    def worker(self, worker: Worker | None = None, watch: Watch | None = None, **more: Any) -> Member:
        bus = MemoryBus(self.broker, read=[FRAMES.name], group=GROUP)
        reader = Reader(bus, watch or Unwatched(), clock=self.clock, sleep=self.clock.sleep)
        loop = FrameLoop(
            reader, worker or a_worker(), {}, watch or Unwatched(), scan=bus.scan, now=self.now, pool=Inline(), **more
        )
        return Member(loop, reader, bus)

    def now(self) -> datetime:
        return START + timedelta(days=1, seconds=self.clock.now_s)

    def sent(self, *topics: str) -> list[dict[str, Any]]:
        """Everything on the topics, as it lies there."""
        reader = MemoryBus(self.broker)
        return [parse_event(record).data for topic in topics for record in reader.scan(topic)]

    def results(self) -> dict[str, dict[str, Any]]:
        """The sightings and passes by id. Whatever was sent twice said the same both times."""
        found: dict[str, dict[str, Any]] = {}
        for data in self.sent(SIGHTINGS.name, PASSES.name):
            assert found.setdefault(data["id"], data) == data
        return found

    def sightings(self) -> set[str]:
        return {data["id"] for data in self.sent(SIGHTINGS.name)}

    def committed(self) -> int:
        return sum(self.broker.committed.values())


class Member:
    """One worker of the city."""

    def __init__(self, loop: FrameLoop, reader: Reader, bus: MemoryBus) -> None:
        self.loop = loop
        self.reader = reader
        self.bus = bus

    def turn(self, times: int = 1) -> Member:
        for _ in range(times):
            self.loop.turn()
        return self

    def rest(self, seconds: float) -> Member:
        """Turn until so much time went by."""
        until = self.reader.now_s() + seconds
        while self.reader.now_s() < until:
            self.loop.turn()
        return self

    def kill(self) -> None:
        """As kill -9 does: nothing more is sent or committed; the group notices."""
        self.bus.close()

    def finish(self) -> None:
        """As `jiexun worker --until-idle 2`."""
        self.loop.run(until_idle_s=2.0)


def sighting_ids(found: dict[str, dict[str, Any]]) -> set[str]:
    return {id for id, data in found.items() if "seen_at" in data}
