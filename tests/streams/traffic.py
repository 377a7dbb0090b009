"""Records for the tests of the bus, and how to read them all."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from ingest.record import Bus, Partition, Record, Retry

Buses = Callable[..., Bus]
PATIENCE_S = 60.0
EVERY = frozenset(Partition("frames", n) for n in range(4))


def insist(call: Callable[[], None]) -> None:
    """Make a call until it is done, as whoever uses a bus does."""
    give_up = time.monotonic() + 2 * PATIENCE_S
    while True:
        try:
            return call()
        except Retry as refusal:
            if time.monotonic() > give_up:
                raise
            time.sleep(refusal.retry_after_s)


def record(n: int, *, key: bytes = b"bus-1", topic: str = "frames") -> Record:
    return Record(topic=topic, key=key, value=b"%d" % n)


def fill(bus: Bus, count: int, *, vehicles: int = 8) -> None:
    """Records 0, 1, 2 … of several vehicles, durable."""
    for n in range(count):
        bus.send(record(n, key=b"bus-%d" % (n % vehicles)))
    bus.flush()


def drain(bus: Bus, count: int, *, most: int = 1000) -> list[Record]:
    """Poll until so many came; then nothing more does."""
    found: list[Record] = []
    give_up = time.monotonic() + PATIENCE_S
    while len(found) < count and time.monotonic() < give_up:
        found += bus.poll(most, 0.2)
    return found + bus.poll(most, 0.3)


def deal(members: Sequence[Bus]) -> None:
    """Poll in turn, without a record about, until the members hold all partitions between them."""
    give_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up:
        for member in members:
            assert member.poll(1, 0.1) == []
        held = [place for member in members for place in member.assignment()]
        if sorted(held) == sorted(EVERY) and all(member.assignment() for member in members):
            return
    raise AssertionError("the group was not dealt")


def values(records: Sequence[Record]) -> list[int]:
    return sorted(int(record.value) for record in records)


def ends(records: Sequence[Record]) -> dict[Partition, int]:
    """The offsets to commit when all of these are done."""
    return {record.place: record.offset + 1 for record in sorted(records, key=lambda r: r.offset)}
