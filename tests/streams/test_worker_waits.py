"""When the worker's loop sends, and what it waits for, on the bus in memory."""

from __future__ import annotations

import errno
import threading
from collections.abc import Sequence
from dataclasses import replace

from world import (
    JPEG,
    City,
    Heard,
    a_worker,
    by_time,
    detect,
    drive,
    embedded,
    frame,
    picture,
    records,
)

from ingest.frame import Frame
from ingest.memory import MemoryBus
from ingest.reader import SETTLE_S, Reader
from ingest.record import Record
from ingest.topics import FRAMES
from ingest.watch import Unwatched
from vision.sighting import Evidence
from vision.stream import GROUP, QUEUED_BYTES, FrameLoop

FLEET = by_time(
    drive("bus-1"), drive("bus-2", begin_s=7.3), drive("taxi-3", begin_s=19.1), drive("taxi-4", begin_s=400.2)
)
EXPECTED = embedded(FLEET)


# When a sighting leaves


def approach() -> list[Frame]:
    """Up to the first heap, which is in view in the last frame: 40 m up the road, seen from 24."""
    return drive("bus-1", until_m=28)


def test_a_sighting_leaves_within_five_seconds_also_when_its_camera_sends_nothing_more() -> None:
    city = City()
    city.publish(records(approach()))
    member = city.worker().rest(0.5)
    assert not city.sightings()
    member.rest(4.4)
    (left,) = city.sent("sightings")
    assert left == {**embedded(approach())[left["id"]]}  # and says what it would say anyway
    member.finish()
    assert city.results() == embedded(approach())


def test_a_sighting_that_left_early_is_not_sent_again_when_its_camera_goes_on() -> None:
    frames = drive("bus-1", until_m=100)
    city = City()
    city.publish(records(frames)[:7])
    member = city.worker().rest(6.0)
    assert len(city.sightings()) == 1
    city.publish(records(frames)[7:])
    member.finish()
    assert set(city.results()) == set(embedded(frames))


def test_nothing_leaves_early_while_the_broker_is_away() -> None:
    city = City()
    city.publish(records(approach()))
    member = city.worker().rest(0.5)
    city.broker.answers = False
    member.rest(30.0)
    city.broker.answers = True
    member.rest(SETTLE_S)
    assert not city.sightings()
    member.rest(5.0)
    assert len(city.sightings()) == 1


def test_a_vehicle_that_stands_is_given_the_time_until_its_next_frame() -> None:
    frames = [frame("bus-1", 24.0, 0.0, speed_mps=0.0), frame("bus-1", 24.0, 30.0, speed_mps=0.0)]
    city = City()
    city.publish(records(frames)[:1])
    member = city.worker().rest(29.0)
    assert not city.sightings()
    city.publish(records(frames)[1:])
    member.finish()
    (sighting,) = city.sent("sightings")
    assert sighting["frames"] == 2
    assert city.results() == embedded(frames)


def test_a_pass_ends_when_its_camera_sent_nothing_for_five_minutes() -> None:
    city = City()
    city.publish(records(drive("bus-1")))
    member = city.worker().rest(200.0)
    assert not city.sent("passes")
    member.rest(110.0)
    assert city.results() == embedded(drive("bus-1"))
    assert city.committed() == len(drive("bus-1"))  # and nothing need be read again


# What it waits for


def test_a_full_disk_stops_the_reading_says_so_and_loses_nothing() -> None:
    room = [False]
    watch = Heard()
    city = City()
    city.publish(records(FLEET))

    def full(f: Frame, box: tuple[float, float, float, float]) -> Evidence:
        while not room[0]:
            error = OSError(errno.ENOSPC, "No space left on device")
            member.reader.stand_by(5.0, f"evidence cannot be stored: {error.strerror}")
            assert not city.sightings()  # nothing is told of what has no picture
            tried.append(city.committed())
            city.publish(records(drive(f"late-{len(tried)}", until_m=4)))
            room[0] = len(tried) == 3
        return picture(f, box)

    tried: list[int] = []
    member = city.worker(a_worker(evidence=full), watch)
    member.finish()
    assert len(tried) == 3
    assert tried[0] == tried[-1]  # no offset was committed meanwhile
    assert "evidence cannot be stored: No space left on device" in watch.blocks
    assert {id: data for id, data in city.results().items() if not data["vehicle"].startswith("late")} == EXPECTED


def test_offsets_are_committed_only_when_what_follows_is_durable() -> None:
    city = City()
    city.publish(records(drive("bus-1")))
    member = city.worker()
    flush, refused = member.bus.flush, [0]

    def failing(wait_s: float = 30.0) -> None:
        refused[0] += 1
        city.broker.answers = refused[0] > 5
        try:
            flush(wait_s)
        finally:
            city.broker.answers = True
        assert city.sightings()

    member.bus.flush = failing  # type: ignore[method-assign]  # the broker refuses five times
    member.finish()
    assert refused[0] > 5
    assert city.results() == embedded(drive("bus-1"))
    assert city.committed() == len(drive("bus-1"))


def test_a_stop_finishes_the_batch_commits_and_leaves_the_group() -> None:
    city = City()
    city.publish(records(FLEET))
    member = city.worker()
    member.turn(4)
    member.reader.stop()
    member.loop.run()
    assert city.broker.members[GROUP] == []
    city.worker().finish()
    assert city.results() == EXPECTED


def test_an_open_pass_is_left_to_the_next_worker_not_cut_by_a_stop() -> None:
    city = City()
    frames = drive("bus-1")
    city.publish(records(frames)[:30])
    first = city.worker().rest(1.0)
    first.reader.stop()
    first.loop.run()
    assert not city.sent("passes")
    city.publish(records(frames)[30:])
    city.worker().finish()
    assert city.results() == embedded(frames)


def test_the_member_polls_however_long_the_detector_takes_and_reads_no_more_than_it_may_hold() -> None:
    polled = threading.Event()
    city = City()
    big = [replace(r, value=JPEG) for r in records(by_time(*(drive(f"bus-{n}") for n in range(12))))]
    city.publish(big)
    bus = MemoryBus(city.broker, read=[FRAMES.name], group=GROUP)
    polls = [0]
    poll = bus.poll

    def counted(most: int, wait_s: float) -> list[Record]:
        polls[0] += 1
        if polls[0] > 60:
            polled.set()
        return poll(most, wait_s)

    bus.poll = counted  # type: ignore[method-assign]  # to see that it goes on

    def slow(frames: Sequence[Frame]) -> object:
        assert polled.wait(30)  # the first batch takes as long as sixty polls
        return detect(frames)

    watch = Heard()
    reader = Reader(bus, Unwatched())
    loop = FrameLoop(reader, a_worker(slow), {}, watch, scan=bus.scan, now=city.now)
    loop.run(until_idle_s=0.5)
    most = QUEUED_BYTES // len(JPEG)
    assert watch.longest <= most + 64
    assert city.results() == embedded(by_time(*(drive(f"bus-{n}") for n in range(12))))


def test_lost_partitions_are_dropped_without_a_word() -> None:
    city = City()
    city.publish(records(drive("bus-1", until_m=60)))
    first = city.worker().rest(0.5)
    second = city.worker()
    third, fourth = city.worker(), city.worker()
    for member in (first, second, third, fourth):
        member.turn(2)
    before = len(city.sent("sightings", "passes"))
    holders = [m for m in (first, second, third, fourth) if m.loop.open_passes]
    assert len(holders) == 1  # one builds the open pass; the one before has forgotten it
    assert len(city.sent("sightings", "passes")) == before
