"""Simulated vehicles: shifted ids and times, in order, and when each frame is sent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from ingest.binding import parse_before
from ingest.frame import Fix, Frame, frame_id
from ingest.memory import MemoryBroker, MemoryBus
from ingest.rejected import Rejected
from ingest.simulate import Convoy
from ingest.source import Row
from jiexun.publish import Publisher, until_now

BEGIN = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Drive:
    """A source of frames at given seconds; a second that is None fails to be read."""

    def __init__(self, *seconds: float | None, vehicles: tuple[str, ...] = ("bus",)) -> None:
        self.read = 0
        self.rejected: tuple[Rejected, ...] = ()
        self.repeats, self.left_out, self.unlisted = 0, 2, 0
        self._items = [
            Rejected("gone", file="x.jpg")
            if second is None
            else Row(
                vehicle=vehicle,
                camera="front",
                fix=Fix(time=BEGIN + timedelta(seconds=second), lat=22.5, lon=114.0),
                size_wh=(64, 48),
                file=f"{second}.jpg",
            )
            for second in seconds
            for vehicle in vehicles
        ]

    @property
    def rows(self) -> tuple[Row, ...]:
        return tuple(item for item in self._items if isinstance(item, Row))

    def __len__(self) -> int:
        return len(self._items)

    def frames(self) -> Iterator[Frame | Rejected]:
        for item in self._items:
            self.read += 1
            yield item if isinstance(item, Rejected) else item.frame(item.file.encode(), item.size_wh)


def told(items: Iterator[Frame | Rejected]) -> list[tuple[str, float]]:
    return [(i.vehicle, (i.time - BEGIN).total_seconds()) for i in items if isinstance(i, Frame)]


def test_one_vehicle_drives_the_drive_as_it_is() -> None:
    drive = Drive(0, 10, 20)
    assert list(Convoy().frames(drive)) == list(Drive(0, 10, 20).frames())


def test_the_others_drove_it_before_and_all_come_in_order_of_time() -> None:
    drive = Drive(0, 90)
    assert told(Convoy(vehicles=3, headway=MINUTE).frames(drive)) == [
        ("bus-3", -120),
        ("bus-2", -60),
        ("bus-3", -30),
        ("bus", 0),
        ("bus-2", 30),
        ("bus", 90),
    ]
    assert drive.read == 2  # each picture was read once


def test_a_simulated_frame_is_a_frame_of_its_own() -> None:
    first, *_ = Convoy(vehicles=2, headway=MINUTE).frames(Drive(0))
    assert isinstance(first, Frame)
    assert first.id == frame_id("bus-2", "front", BEGIN - MINUTE)
    assert first.fix == Fix(time=BEGIN - MINUTE, lat=22.5, lon=114.0)
    assert first.jpeg == b"0.jpg"


def test_vehicles_that_drive_together_are_kept_apart_by_name() -> None:
    both = Drive(0, 5, vehicles=("a", "b"))
    found = told(Convoy(vehicles=2, headway=timedelta(0)).frames(both))
    assert sorted(found) == [(name, t) for name in ("a", "a-2", "b", "b-2") for t in (0, 5)]
    assert [t for _, t in found] == sorted(t for _, t in found)


def test_what_fails_to_be_read_is_told_once() -> None:
    items = list(Convoy(vehicles=3, headway=MINUTE).frames(Drive(0, None, 10)))
    assert sum(isinstance(item, Rejected) for item in items) == 1
    assert sum(isinstance(item, Frame) for item in items) == 6


def test_a_drive_without_frames_sends_none() -> None:
    assert list(Convoy(vehicles=3).frames(Drive())) == []
    assert until_now(Drive(), speed=1.0, now=BEGIN) == timedelta(0)


def test_a_thousand_vehicles_begin_when_it_is_their_turn() -> None:
    found = told(Convoy(vehicles=1000, headway=MINUTE).frames(Drive(0, 30)))
    assert len(found) == 2000
    assert [t for _, t in found] == sorted(t for _, t in found)


@pytest.mark.parametrize(
    ("speed", "begins"),
    [(1.0, 0.0), (2.0, -50.0), (0.0, -100.0), (0.5, 0.0)],  # seconds from now; the drive lasts 100
)
def test_driven_now_no_frame_is_sent_before_it_is_taken(speed: float, begins: float) -> None:
    now = datetime(2026, 12, 1, 12, 0, 0, 123_456, tzinfo=UTC)
    drive = Drive(0, 50, 100)
    shift = until_now(drive, speed=speed, now=now)
    assert BEGIN + shift == pytest.approx(now + timedelta(seconds=begins), abs=timedelta(milliseconds=1))
    assert shift.microseconds % 1000 == 0
    if speed >= 1:
        for second in (0, 50, 100):
            assert BEGIN + shift + timedelta(seconds=second) <= now + timedelta(seconds=second / speed)


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(round(seconds, 6))


def test_frames_are_sent_when_they_were_taken_times_the_speed() -> None:
    clock = Clock()
    publisher = Publisher(MemoryBus(MemoryBroker()), speed=4.0, clock=clock, sleep=clock.sleep)
    drive = Drive(0, 8, 8, 20)
    done = publisher.publish(drive.frames(), drive)
    assert clock.slept == [2.0, 3.0]
    assert (done.frames, done.left_out, done.seconds) == (4, 2, 5.0)


def test_as_fast_as_it_goes_nobody_sleeps() -> None:
    clock = Clock()
    drive = Drive(0, 8, None, 20)
    done = Publisher(MemoryBus(MemoryBroker()), clock=clock, sleep=clock.sleep).publish(drive.frames(), drive)
    assert clock.slept == []
    assert (done.frames, [item.reason for item in done.rejected]) == (3, ["gone"])


def test_a_broker_that_is_away_is_waited_for_and_nothing_is_skipped() -> None:
    broker, clock = MemoryBroker(), Clock()
    broker.answers = False

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        broker.answers = len(clock.slept) >= 3

    said: list[str] = []
    bus = MemoryBus(broker, max_in_flight=100)
    publisher = Publisher(bus, on_wait=lambda refusal: said.append(str(refusal)), clock=clock, sleep=sleep)
    drive = Drive(0, 1, 2, vehicles=("a", "b"))
    assert publisher.publish(drive.frames(), drive).frames == 6
    assert len(said) == 3
    records = list(bus.scan("frames"))
    assert sorted(record.value for record in records) == [b"0.jpg"] * 2 + [b"1.jpg"] * 2 + [b"2.jpg"] * 2
    for record in records:
        before = parse_before(record)
        second = int(record.value[:1])
        assert before.none == (second == 0)
        assert before.time == (BEGIN + timedelta(seconds=second - 1) if second else None)


def test_repeats_are_sent_as_the_same_frames() -> None:
    broker = MemoryBroker()
    for _ in range(2):
        drive = Drive(0, 1)
        Publisher(MemoryBus(broker)).publish(drive.frames(), drive)
    ids = [record.header("ce_id") for record in MemoryBus(broker).scan("frames")]
    assert ids[:2] == ids[2:]
