"""In what order the faults send frames, and that spoilt frames are of no use to anybody."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import cv2
import numpy as np
import pytest

from benchmarks.injuries import SPOIL, _another, late, reordered, twice, with_corrupt
from benchmarks.outcome import Outcome
from benchmarks.plan import Parcel, Plan, Sent
from benchmarks.street import ROUNDS, write_run
from ingest.binding import frame_record, parse_frame
from ingest.drive import open_drive
from ingest.frame import Frame
from ingest.record import Record

NOW = datetime(2026, 11, 24, tzinfo=UTC)
VEHICLES = 3


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """A plan of real pictures; what they lead to is not asked here."""
    folder = tmp_path_factory.mktemp("plan") / "run"
    write_run(folder, 11, vehicles=VEHICLES)
    frames = [f for f in open_drive(folder, now=NOW, zone=UTC, every_m=0.0).frames() if isinstance(f, Frame)]
    sent = [Sent(f, frame_record(f), max(n for n, begin in enumerate(ROUNDS) if f.time >= begin)) for f in frames]
    ids = {(s.round, s.frame.vehicle): {f"{s.round}-{s.frame.vehicle}"} for s in sent}
    return Plan(folder, sent, ids, Outcome({}, {}, Counter(), 0, 0))


def times(parcel: Parcel) -> list[datetime]:
    return [parse_frame(record, now=NOW).time for record in parcel.records]


def ids(parcels: list[Parcel]) -> Counter[str]:
    return Counter(parse_frame(record, now=NOW).id for parcel in parcels for record in parcel.records)


def overtaken(came: list[datetime]) -> timedelta:
    """By how much the most delayed frame came after a later one."""
    newest, most = came[0], timedelta(0)
    for time in came:
        newest = max(newest, time)
        most = max(most, newest - time)
    return most


def test_reordered_frames_are_all_there_and_up_to_a_minute_late(plan: Plan) -> None:
    parcels = reordered(plan, random.Random(1))
    assert ids(parcels) == Counter(sent.frame.id for sent in plan.frames)
    late_by = max(overtaken(times(parcel)) for parcel in parcels)
    assert timedelta(seconds=30) < late_by <= timedelta(seconds=60)


def test_frames_of_one_vehicle_overtake_each_other_too(plan: Plan) -> None:
    parcel = reordered(plan, random.Random(1))[0]
    mine = [f.time for f in (parse_frame(r, now=NOW) for r in parcel.records) if f.vehicle == "taxi-00"]
    assert mine != sorted(mine)


def test_repeated_frames_come_exactly_twice(plan: Plan) -> None:
    assert set(ids(twice(plan, random.Random(1))).values()) == {2}


def test_a_late_drive_comes_after_those_of_two_hours_later(plan: Plan) -> None:
    parcels = late(plan, random.Random(1))
    assert ids(parcels) == Counter(sent.frame.id for sent in plan.frames)
    assert len(parcels) == len(ROUNDS) + 1
    held, before = times(parcels[4]), times(parcels[3])
    assert len({parse_frame(r, now=NOW).vehicle for r in parcels[4].records}) == 1
    assert timedelta(hours=1, minutes=50) < min(before) - min(held) < timedelta(hours=2, minutes=10)
    assert not parcels[4].expected & parcels[3].expected


def test_the_seed_decides_the_order(plan: Plan) -> None:
    orders: list[Callable[[Plan, random.Random], list[Parcel]]] = [reordered, twice, late, with_corrupt]
    for order in orders:
        first, again, *others = ([p.records for p in order(plan, random.Random(seed))] for seed in (1, 1, 2, 3, 4, 5))
        assert first == again
        assert any(first != other for other in others), order


def unusable(record: Record) -> bool:
    """As any reader would find it."""
    try:
        frame = parse_frame(record, now=NOW)
    except ValueError:
        return True
    image = cv2.imdecode(np.frombuffer(frame.jpeg, np.uint8), cv2.IMREAD_COLOR)
    return image is None or not frame.jpeg.rstrip(b"\0").endswith(b"\xff\xd9")


@pytest.mark.parametrize("spoil", SPOIL)
def test_a_spoilt_frame_is_unusable(plan: Plan, spoil: Callable[[Record], Record]) -> None:
    good = _another(plan.frames[5].record)
    assert not unusable(good)
    assert unusable(spoil(good))


def test_one_frame_in_a_hundred_is_added_spoilt_and_none_is_taken_away(plan: Plan) -> None:
    parcels = with_corrupt(plan, random.Random(1))
    sent = [record for parcel in parcels for record in parcel.records]
    whole = [sent_.record for sent_ in plan.frames]
    assert all(record in sent for record in whole)
    assert len(sent) - len(whole) == len(ROUNDS) * round(0.01 * VEHICLES * 20)
