"""The worker's loop on the bus in memory: whatever happens on the way, the same sightings and passes."""

from __future__ import annotations

import errno
import random
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
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
    sighting_ids,
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


def test_the_street_is_worth_testing_on() -> None:
    assert len(sighting_ids(EXPECTED)) == 16  # four vehicles see four things each
    assert len(EXPECTED) == 20  # and make a pass each


def test_a_stream_gives_what_one_process_gives() -> None:
    city = City()
    city.publish(records(FLEET))
    city.worker().finish()
    assert city.results() == EXPECTED


def test_frames_that_do_not_say_what_came_before_are_taken_as_they_come() -> None:
    city = City()
    city.publish(records(FLEET, said=False))
    city.worker().finish()
    assert city.results() == EXPECTED


def test_a_batch_of_one_gives_the_same() -> None:
    city = City()
    city.publish(records(FLEET))
    city.worker(batch=1).finish()
    assert city.results() == EXPECTED


@pytest.mark.parametrize("seed", range(6))
def test_workers_that_are_killed_at_any_moment_lose_and_change_nothing(seed: int) -> None:
    rng = random.Random(seed)
    city = City()
    sent = records(FLEET)
    member = city.worker(batch=rng.choice([1, 3, 8]))
    while sent:
        some = rng.randint(1, 40)
        city.publish(sent[:some])
        sent = sent[some:]
        member.rest(rng.choice([0.0, 0.3, 0.6]))
        member.turn(rng.randint(0, 3))
        if rng.random() < 0.5:
            member.kill()
            member = city.worker(batch=rng.choice([1, 3, 8]))
    member.finish()
    assert city.results() == EXPECTED


@pytest.mark.parametrize("seed", range(5))
def test_workers_that_come_and_go_give_the_same(seed: int) -> None:
    rng = random.Random(seed)
    city = City()
    sent = records(FLEET)
    members = [city.worker()]
    while sent:
        city.publish(sent[:25])
        sent = sent[25:]
        what = rng.choice(["join", "leave", "kill", "stay"])
        if what == "join" and len(members) < 3:
            members.append(city.worker())
        elif what == "leave" and len(members) > 1:
            leaving = members.pop(rng.randrange(len(members)))
            leaving.reader.stop()
            leaving.loop.run()
        elif what == "kill" and len(members) > 1:
            members.pop(rng.randrange(len(members))).kill()
        for _ in range(rng.randint(1, 8)):
            rng.choice(members).turn()
    for member in members[1:]:
        member.kill()
    members[0].finish()
    assert city.results() == EXPECTED


def test_what_a_killed_worker_had_finished_is_not_made_anew_from_its_middle() -> None:
    """bus-1 finishes one pass after the other while the long pass of bus-2 holds the committed offset back."""
    one = [f for n in range(4) for f in drive("bus-1", begin_s=n * 140.0, until_m=200)]
    two = drive("bus-1b", until_m=2500, gap_m=20)
    frames = by_time(one, two)
    expected = embedded(frames)
    city = City()
    for n in range(0, len(frames), 30):
        city.publish(records(frames)[n : n + 30])
        member = city.worker()
        member.rest(1.0)
        member.kill()
    city.worker().finish()
    assert city.results() == expected


def test_frames_delivered_twice_change_nothing() -> None:
    sent = records(FLEET)
    doubled = [record for r in sent for record in (r, r)]
    late = sent[:]  # and all of them once more
    city = City()
    watch = Heard()
    city.publish(doubled)
    member = city.worker(watch=watch)
    member.rest(1.0)
    city.publish(late)
    member.finish()
    assert city.results() == EXPECTED
    assert watch.repeats >= len(sent)


def shuffled(sent: list[Record], frames: Sequence[Frame], by_s: float, seed: int) -> list[Record]:
    """Each frame up to `by_s` later than it should be, in capture time."""
    rng = random.Random(seed)
    delayed = [(f.time + timedelta(seconds=rng.uniform(0, by_s)), i) for i, f in enumerate(frames)]
    return [sent[i] for _, i in sorted(delayed)]


@pytest.mark.parametrize("seed", range(5))
def test_frames_out_of_order_by_a_minute_are_put_in_order(seed: int) -> None:
    city = City()
    member = city.worker()
    sent = shuffled(records(FLEET), FLEET, 60.0, seed)
    for n in range(0, len(sent), 17):
        city.publish(sent[n : n + 17])
        member.turn(3)
    member.finish()
    assert city.results() == EXPECTED


def test_frames_out_of_order_whose_sender_says_nothing_are_held_when_asked_to() -> None:
    city = City()
    city.publish(shuffled(records(FLEET, said=False), FLEET, 60.0, 3))
    city.worker(hold=timedelta(seconds=61)).finish()
    assert city.results() == EXPECTED


def test_frames_that_come_backwards_and_say_nothing_make_many_passes_and_fill_no_memory() -> None:
    frames = drive("bus-1", until_m=400)
    city = City()
    city.publish(records(reversed(frames), said=False))
    member = city.worker().rest(1.0)
    assert len(city.sent("passes")) >= len(frames) - 16
    member.finish()
    assert len(city.sent("passes")) == len(frames)


@pytest.mark.parametrize("said", [True, False])
@pytest.mark.parametrize("killed", [False, True])
def test_a_stretch_that_comes_two_hours_late_gives_the_same_sightings(said: bool, killed: bool) -> None:
    first, missing, then = (drive("bus-1", begin_s=at) for at in (0.0, 200.0, 400.0))
    later = drive("bus-1", begin_s=7600.0)
    sent = records([*first, *missing, *then, *later], said=said)
    n = len(first)
    late = [*sent[:n], *sent[2 * n :], *sent[n : 2 * n]]
    city = City()
    member = city.worker()
    for at in range(0, len(late), 20):
        city.publish(late[at : at + 20])
        member.rest(0.7)
        if killed:
            member.kill()
            member = city.worker()
    member.finish()
    assert city.results() == embedded([*first, *missing, *then, *later])


def test_corrupt_frames_are_rejected_with_their_reason_and_place_and_nobody_waits_for_them() -> None:
    sent = records(FLEET)
    rng = random.Random(4)
    spoilt = []
    for n in sorted(rng.sample(range(len(sent)), 12)):
        value = sent[n].value[:300] if n % 2 else JPEG[:200] + b"\0" * 50 + JPEG[250:]
        spoilt.append((n, replace(sent[n], value=value)))
    for n, record in reversed(spoilt):  # beside the good ones
        sent.insert(n + rng.randint(0, 1), record)
    city = City()
    city.publish(sent)
    watch = Heard()
    city.worker(watch=watch).finish()
    assert city.results() == EXPECTED
    rejected = list(MemoryBus(city.broker).scan(FRAMES.rejected.name))
    assert len(rejected) == len(watch.reasons) == 12
    whole = {(r.partition, r.offset): r for r in MemoryBus(city.broker).scan(FRAMES.name)}
    for letter in rejected:
        place = tuple(int(letter.header(f"rejected-{name}") or b"") for name in ("partition", "offset"))
        original = whole[place]
        assert letter.value == original.value
        assert set(original.headers) <= set(letter.headers)
        assert letter.header("rejected-reason")


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("ce_type", "type"),
        ("ce_lat", "lat"),
        ("ce_vehicle", "vehicle"),
        ("ce_time", "time"),
        ("ce_camera", "camera"),
    ],
)
def test_a_frame_with_a_wrong_header_is_rejected_and_the_rest_goes_on(header: str, reason: str) -> None:
    sent = records(FLEET)
    bad = replace(sent[10], headers=tuple((k, b"\xff" if k == header else v) for k, v in sent[10].headers))
    city = City()
    watch = Heard()
    city.publish([*sent[:10], bad, *sent[10:]])
    city.worker(watch=watch).finish()
    assert city.results() == EXPECTED
    assert len(watch.reasons) == 1
    assert reason in watch.reasons[0]


def test_a_camera_that_nobody_describes_is_rejected() -> None:
    bare = [
        replace(r, headers=tuple(h for h in r.headers if not h[0].endswith("deg") or "heading" in h[0]))
        for r in records(FLEET[:3])
    ]
    bare = [replace(r, headers=tuple(h for h in r.headers if h[0] != "ce_heightm")) for r in bare]
    city = City()
    watch = Heard()
    city.publish(bare)
    city.worker(watch=watch).finish()
    assert ["front" in reason and "not described" in reason for reason in watch.reasons] == [True] * 3


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
