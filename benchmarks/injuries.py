"""The faults: in what order frames are sent, what is done to the processes meanwhile, what is looked at afterwards."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Self

from benchmarks.broker import Broker
from benchmarks.crew import DISPATCHER, Crew
from benchmarks.plan import Parcel, Plan, Sent
from ingest.bus import KafkaBus
from ingest.record import Record
from ingest.topics import FRAMES

KILLS = 10
FREEZES = 3
SHORT_POLL_S = 8.0  # max.poll.interval of a run in which members are frozen, and how much longer than it they are
FREEZE_MORE_S = 4.0
LOST_S = 30.0
DOWN_S = 5.0
BROKER_KILLS = 2
NONE = timedelta(0)
REORDERED = timedelta(seconds=60)
REPEATED = timedelta(seconds=30)
LATE_ROUND = 2  # its successor is driven two hours later
CORRUPT = 0.01
FULL_BYTES = 200_000  # less free space than this is full: a picture has some 60,000
LARGE_BYTES = 1 << 30  # the disk after it was made larger
STALLS_S = 5.0


class Moments:
    """Waits for a part of the run to be dispatched; not longer than the run lasts."""

    def __init__(self, crew: Crew, expected: set[str]) -> None:
        self._crew = crew
        self._expected = expected
        self.over = False  # no more will come

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.over = True

    def wait(self, part: float) -> None:
        while not self.over and len(self._expected & self._crew.dispatched()) < part * len(self._expected):
            time.sleep(0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a fault strikes."""

    crew: Crew
    broker: Broker
    moments: Moments
    rng: random.Random
    workers: tuple[str, ...]
    plan: Plan

    def parts(self, count: int) -> Iterator[float]:
        """Waits for `count` seeded moments of the run, one after the other, and yields each."""
        for part in sorted(self.rng.uniform(0.0, 0.9) for _ in range(count)):
            self.moments.wait(part)
            time.sleep(self.rng.uniform(0.0, 1.0))
            yield part


def in_time(plan: Plan, rng: random.Random) -> list[Parcel]:
    """Every round in order of time."""
    return [plan.parcel(frames) for frames in plan.rounds()]


def twice(plan: Plan, rng: random.Random) -> list[Parcel]:
    """Every frame at its time, and again up to half a minute later."""
    return [
        plan.parcel(_delayed([(s, NONE) for s in frames] + [(s, REPEATED) for s in frames], rng))
        for frames in plan.rounds()
    ]


def reordered(plan: Plan, rng: random.Random) -> list[Parcel]:
    """Every frame up to a minute late."""
    return [plan.parcel(_delayed([(s, REORDERED) for s in frames], rng)) for frames in plan.rounds()]


def late(plan: Plan, rng: random.Random) -> list[Parcel]:
    """One vehicle's whole drive comes after those of two hours later."""
    rounds = plan.rounds()
    vehicle = rng.choice(sorted({sent.frame.vehicle for sent in plan.frames}))
    held = [sent for sent in rounds[LATE_ROUND] if sent.frame.vehicle == vehicle]
    rounds[LATE_ROUND] = [sent for sent in rounds[LATE_ROUND] if sent.frame.vehicle != vehicle]
    return [plan.parcel(frames) for frames in (*rounds[: LATE_ROUND + 2], held, *rounds[LATE_ROUND + 2 :])]


def with_corrupt(plan: Plan, rng: random.Random) -> list[Parcel]:
    """One frame in a hundred more, which cannot be used: each spoilt in another way."""
    parcels = []
    spoilt = 0
    for parcel in in_time(plan, rng):
        records = list(parcel.records)
        for _ in range(round(CORRUPT * len(parcel.records))):
            at = rng.randrange(len(records))
            records.insert(at, SPOIL[spoilt % len(SPOIL)](_another(records[at])))
            spoilt += 1
        parcels.append(Parcel(records, parcel.expected))
    return parcels


def nothing(scene: Scene) -> int:
    return 0


def once(scene: Scene) -> int:
    """The frames themselves are the fault."""
    return 1


def kill_workers(scene: Scene) -> int:
    for _ in scene.parts(KILLS):
        scene.crew.kill(scene.rng.choice(scene.workers))
    return KILLS


def kill_dispatcher(scene: Scene) -> int:
    for _ in scene.parts(KILLS):
        scene.crew.kill(DISPATCHER)
    return KILLS


def roll(scene: Scene) -> int:
    """Everything is restarted in turn, twice."""
    names = scene.crew.names * 2
    for name, _ in zip(names, scene.parts(len(names)), strict=True):
        scene.crew.restart(name)
    return len(names)


def kill_broker(scene: Scene) -> int:
    """The only broker, each time back after a while."""
    for _ in scene.parts(BROKER_KILLS):
        scene.broker.kill(1)
        time.sleep(DOWN_S)
        scene.broker.restart(1)
    return BROKER_KILLS


def lose_broker(scene: Scene) -> int:
    """One of three."""
    for _ in scene.parts(1):
        node = scene.rng.randint(1, scene.broker.nodes)
        scene.broker.kill(node)
        time.sleep(LOST_S)
        scene.broker.restart(node)
    return 1


def freeze(scene: Scene) -> int:
    """Two workers in turn, then the dispatcher."""
    names = (*scene.workers, DISPATCHER)[:FREEZES]
    for name, _ in zip(names, scene.parts(len(names)), strict=True):
        scene.crew.freeze(name, SHORT_POLL_S + FREEZE_MORE_S)
    return len(names)


def fill_disk(scene: Scene) -> int:
    """The evidence folder is a small file system: wait until it is full and everything stands, then make it larger."""
    give_up = time.monotonic() + 300
    while shutil.disk_usage(scene.crew.evidence).free > FULL_BYTES:
        if scene.moments.over or time.monotonic() > give_up:
            return 0
        time.sleep(0.1)
    time.sleep(STALLS_S)
    before = len(scene.crew.dispatched())
    time.sleep(STALLS_S)
    stood = len(scene.crew.dispatched()) == before
    subprocess.run(["mount", "-o", f"remount,size={LARGE_BYTES}", str(scene.crew.evidence)], check=True)
    return int(stood)


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[None]:
    """A file system of its own in a folder. Raises PermissionError for anybody but root."""
    if os.geteuid() != 0:
        raise PermissionError("the disk-full fault mounts a small file system (tmpfs): it needs root")
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "jiexun-evidence", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def no_more(scene: Scene) -> list[str]:
    return []


def all_rejected(scene: Scene) -> list[str]:
    """Every corrupt frame is kept on frames.rejected."""
    wanted = sum(round(CORRUPT * len(frames)) for frames in scene.plan.rounds())
    bus = KafkaBus(scene.crew.cluster)
    try:
        ids = {record.header("ce_id") for record in bus.scan(FRAMES.rejected.name)}
    finally:
        bus.close()
    return [] if len(ids) == wanted else [f"{len(ids)} of {wanted} corrupt frames on {FRAMES.rejected.name}"]


def said_full(scene: Scene) -> list[str]:
    said = any(re.search("no space left", scene.crew.said(name), re.IGNORECASE) for name in scene.workers)
    full = shutil.disk_usage(scene.crew.evidence).total >= LARGE_BYTES
    return [*([] if said else ["no worker said that the disk is full"]), *([] if full else ["the disk never filled"])]


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `by_id`: cases are compared by their ids, else by their sightings."""

    name: str
    order: Callable[[Plan, random.Random], list[Parcel]] = in_time
    strike: Callable[[Scene], int] = nothing  # returns how often it struck
    check: Callable[[Scene], list[str]] = no_more  # what is wrong beside the cases
    by_id: bool = True
    nodes: int = 1
    max_poll_s: float = 300.0
    patience_s: float = 300.0  # how long a parcel may take
    small_disk: bool = False


FAULTS = (
    Fault("worker-kill9", strike=kill_workers),
    Fault("dispatcher-kill9", strike=kill_dispatcher),
    Fault("rolling-restart", strike=roll),
    Fault("broker-restart", strike=kill_broker),
    Fault("broker-lost-30s", strike=lose_broker, nodes=3),
    Fault("consumer-paused", strike=freeze, max_poll_s=SHORT_POLL_S),
    Fault("duplicates", order=twice, strike=once),
    Fault("reordered-60s", order=reordered, strike=once, by_id=False),
    Fault("late-2h", order=late, strike=once, by_id=False),
    Fault("corrupt-1pct", order=with_corrupt, strike=once, check=all_rejected),
    Fault("disk-full", strike=fill_disk, check=said_full, small_disk=True),
)


def _delayed(frames: list[tuple[Sent, timedelta]], rng: random.Random) -> list[Sent]:
    """Frames in the order in which they come when each is late by up to so much."""
    when = [(sent.frame.time + rng.random() * most, n) for n, (sent, most) in enumerate(frames)]
    return [frames[n][0] for _, n in sorted(when)]


def _another(record: Record) -> Record:
    """A frame of the same vehicle, a moment before: nothing that was sent has its id."""
    time = (record.header("ce_time") or b"").decode()
    moved = time[:-4] + f"{(int(time[-4:-1]) + 1) % 1000:03d}Z"
    return _told(record, ce_time=moved, ce_fixtime=moved, ce_id=f"spoilt-{moved}")


def _told(record: Record, **headers: str) -> Record:
    changed = [(name, headers.get(name, value.decode()).encode()) for name, value in record.headers]
    return replace(record, headers=tuple(item for item in changed if item[1]))


SPOIL: tuple[Callable[[Record], Record], ...] = (
    lambda record: replace(record, value=record.value[: len(record.value) // 2]),  # cut short
    lambda record: replace(record, value=b"\xff\xd8" + bytes(2000)),  # no picture behind its first bytes
    lambda record: replace(record, value=b""),
    lambda record: _told(record, ce_lat=""),  # no position
    lambda record: _told(record, ce_lat="95.0"),  # an absurd one
    lambda record: _told(record, ce_time="2031-01-01T00:00:00.000Z", ce_fixtime=""),  # in the future
    lambda record: _told(record, ce_type="cn.jiexun.frame.v9"),  # of a later major version
    lambda record: replace(
        record, value=record.value[:300] + bytes(len(record.value) - 300)
    ),  # zeroed behind its header
)
