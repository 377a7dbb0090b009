"""The worker's loop on the bus in memory: whatever happens on the way, the same sightings and passes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from world import (
    JPEG,
    City,
    Heard,
    by_time,
    drive,
    embedded,
    records,
    sighting_ids,
)

from ingest.frame import Frame
from ingest.memory import MemoryBus
from ingest.record import Record
from ingest.topics import FRAMES

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
