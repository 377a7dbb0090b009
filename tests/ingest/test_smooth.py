"""Smoothed tracks: nearer to the truth than their fixes, honest about it, and refusing what nobody knows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from drives import LAT, LON, START, STEP_S, Drive, Receiver, city_drive, fix_at, fixes_of
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.frame import Fix
from ingest.geo import offset_from_latlon, turn_deg
from ingest.smooth import ASSUMED_ACCURACY_M, SmoothTrack, read_smooth
from ingest.track import Places, Track

SEEDS = (11, 12, 13, 14, 15, 16)


def at(way: Places, s: float) -> Fix:
    return way.at(START + timedelta(seconds=s))


def east_north(fix: Fix) -> tuple[float, float]:
    return offset_from_latlon(fix.lat, fix.lon, LAT, LON)


def off_m(way: Places, drive: Drive) -> tuple[np.ndarray, np.ndarray]:
    """How far the way lies from the truth between fixes, and the accuracy that it tells (0 for unknown)."""
    found = [(at(way, float(drive.s[i])), drive.position[i]) for i in range(200, len(drive.s) - 200, 7)]
    off = np.array([math.dist(east_north(fix), place) for fix, place in found])
    return off, np.array([fix.accuracy_m or 0.0 for fix, _ in found])


@pytest.mark.parametrize(
    "receiver",
    [
        Receiver(),
        Receiver(accuracy_m=3.2),
        Receiver(every_s=0.1, accuracy_m=3.2),
        Receiver(every_s=2.0, white_m=3.0, accuracy_m=4.2),
        Receiver(slow_m=8.0, white_m=5.0, accuracy_m=9.4),
        Receiver(velocity_late_s=1.0),
        Receiver(course_off_deg=4.0),
    ],
    ids=lambda receiver: f"every {receiver.every_s} s, {receiver.white_m} m",
)
def test_with_speed_and_course_the_way_is_much_nearer_to_the_truth_than_the_fixes(receiver: Receiver) -> None:
    raw, smooth, consistency = [], [], []
    for seed in SEEDS:
        drive = city_drive(seed)
        track = Track(fixes_of(drive, receiver, seed))
        way = SmoothTrack(track)
        assert way.outliers == ()
        off, told = off_m(way, drive)
        raw.append(off_m(track, drive)[0])
        smooth.append(off)
        consistency.append(
            np.mean((off / told) ** 2) / 2
        )  # 1 when the accuracy is right; below it errs on the safe side
    for percent in (50, 90):
        assert np.percentile(smooth, percent) < 0.8 * np.percentile(raw, percent)
    assert 0.2 < np.mean(consistency) < 1.3


@pytest.mark.parametrize(
    "receiver",
    [
        Receiver(velocity=False, accuracy_m=3.2),
        Receiver(velocity=False, slow_m=2.0, white_m=0.2),
        Receiver(velocity=False, every_s=0.1, white_m=0.1),
        Receiver(velocity=False, every_s=2.0, white_m=0.2),
    ],
    ids=lambda receiver: f"every {receiver.every_s} s, {receiver.white_m} m",
)
def test_without_speed_the_way_is_no_worse_than_the_fixes(receiver: Receiver) -> None:
    raw, smooth = [], []
    for seed in SEEDS:
        drive = city_drive(seed)
        track = Track(fixes_of(drive, receiver, seed))
        raw.append(off_m(track, drive)[0])
        smooth.append(off_m(SmoothTrack(track), drive)[0])
    for percent in (50, 90):
        assert np.percentile(smooth, percent) < 1.01 * np.percentile(raw, percent)


def test_fixes_on_a_straight_line_stay_there() -> None:
    way = SmoothTrack(Track([fix_at(s, 5 * s, 3 * s) for s in range(11)]))
    for s in (0, 2.5, 7, 10):
        assert east_north(at(way, s)) == pytest.approx((5 * s, 3 * s), abs=1e-3)
    found = at(way, 4.5)
    assert found.time == START + timedelta(seconds=4.5)
    assert found.speed_mps == pytest.approx(math.hypot(5, 3), abs=1e-3)
    assert found.heading_deg == pytest.approx(math.degrees(math.atan2(5, 3)), abs=1e-3)


def line(n: int = 60, velocity: bool = False) -> list[Fix]:
    known: dict[str, float] = {"speed_mps": 8.0, "heading_deg": 90.0} if velocity else {}
    noise = np.random.default_rng(4).normal(0, 1, (n, 2))
    return [fix_at(s, 8 * s + noise[s, 0], noise[s, 1], **known) for s in range(n)]


@pytest.mark.parametrize("velocity", [True, False])
@pytest.mark.parametrize("where", [(0,), (59,), (30,), (10, 40), (30, 31), (20, 21, 22)])
@pytest.mark.parametrize("beside_m", [60.0, 500.0])
def test_fixes_that_jump_are_told_and_left_out_and_their_neighbours_stay(
    where: tuple[int, ...], beside_m: float, velocity: bool
) -> None:
    fixes = line(velocity=velocity)
    for i in where:
        fixes[i] = replace(fixes[i], lat=fixes[i].lat + beside_m / 110_700)
    way = SmoothTrack(Track(fixes))
    told = {outlier.fix.time for outlier in way.outliers}
    if beside_m < 100:  # a track cuts itself where no vehicle can go, and what is left alone there stays as it is
        assert told == {fixes[i].time for i in where}
    for s in np.arange(0.5, 59, 0.5):
        if all(abs(s - i) > 1.01 for i in where):
            assert east_north(at(way, float(s))) == pytest.approx((8 * s, 0), abs=4)
    for outlier in way.outliers:
        assert "m beside the way of the others" in outlier.reason


def test_jumps_of_500_m_in_a_file_are_refused_one_by_one(gpx: Callable[..., Path]) -> None:
    points = [(float(s), 22.54 + s * 7e-5, 114.05) for s in range(60)]
    for i in (0, 17, 40, 41, 59):
        points[i] = (points[i][0], points[i][1], 114.055)
    way, rejected = read_smooth(gpx(points))
    assert len(way) == 55
    assert len(rejected) == 5
    assert {item.file for item in rejected} == {"drive.gpx"}


def test_a_jump_that_speed_alone_allows_is_refused_with_its_file(gpx: Callable[..., Path]) -> None:
    points = [(float(s), 22.54 + s * 7e-5, 114.05) for s in range(60)]
    points[30] = (30.0, points[30][1], 114.0505)  # 51 m beside the road
    way, rejected = read_smooth(gpx(points))
    (item,) = rejected
    assert item.file == "drive.gpx"
    assert "the fix of 2026-11-20T08:00:30.000Z lies 5" in item.reason
    assert at(way, 30).lon == pytest.approx(114.05, abs=1e-5)


def test_a_gap_is_refused_and_both_sides_are_smoothed() -> None:
    track = Track([*(fix_at(s, 8 * s) for s in range(20)), *(fix_at(40 + s, 320 + 8 * s) for s in range(20))])
    way = SmoothTrack(track)
    with pytest.raises(ValueError, match=r"a gap of 21\.0 s"):
        at(way, 30)
    for s in (10.5, 19, 40, 45.5):
        assert east_north(at(way, s)) == pytest.approx((8 * s, 0), abs=0.01)


@pytest.mark.parametrize("s", [-1.5, 21.5])
def test_beyond_its_ends_nothing_is_known(s: float) -> None:
    with pytest.raises(ValueError, match=r"begins|ends"):
        at(SmoothTrack(Track([fix_at(s, 8 * s) for s in range(21)])), s)


def test_within_a_second_of_an_end_its_position_is_held() -> None:
    way = SmoothTrack(Track([fix_at(s, 8 * s) for s in range(21)]))
    late = at(way, 20.5)
    assert east_north(late) == pytest.approx((160, 0), abs=0.01)
    assert late.accuracy_m == pytest.approx((at(way, 20).accuracy_m or 0) + 4, abs=0.1)


def test_a_standing_vehicle_keeps_its_place_and_the_heading_it_came_with() -> None:
    random = np.random.default_rng(2)
    came = [fix_at(s, 10 * s - s * s / 2, speed_mps=10.0 - s, heading_deg=90.0) for s in range(10)]
    stood = [fix_at(10 + s, 50 + random.normal(0, 2), random.normal(0, 2), speed_mps=0.1) for s in range(60)]
    way = SmoothTrack(Track(came + stood))
    places = np.array([east_north(at(way, s)) for s in np.arange(15, 69, 0.5)])
    assert np.ptp(places, axis=0).max() < 2.5  # the fixes: 8
    for s in (15, 40.5, 69):
        found = at(way, s)
        assert found.heading_deg == pytest.approx(90, abs=3)
        assert found.speed_mps is not None
        assert found.speed_mps < 0.5


def test_noise_of_a_standing_receiver_that_tells_no_speed_turns_nobody() -> None:
    turned: dict[str, list[bool]] = {"raw": [], "smooth": []}
    for seed in SEEDS:
        noise = np.random.default_rng(seed).normal(0, 1.5, (70, 2))
        came = [fix_at(s, 10 * s - s * s / 2 + noise[s, 0], noise[s, 1]) for s in range(10)]
        stood = [fix_at(s, 50 + noise[s, 0], noise[s, 1]) for s in range(10, 70)]
        track = Track(came + stood)
        for name, way in (("raw", track), ("smooth", SmoothTrack(track))):
            headings = [at(way, float(s)).heading_deg for s in np.arange(14, 69, 0.5)]
            turned[name] += [heading is None or abs(turn_deg(90, heading)) > 20 for heading in headings]
    assert np.mean(turned["raw"]) > 0.5
    assert np.mean(turned["smooth"]) < 0.25


def test_a_heading_never_known_is_none() -> None:
    noise = np.random.default_rng(2).normal(0, 0.3, (30, 2))
    way = SmoothTrack(Track([fix_at(s, *noise[s], speed_mps=0.1) for s in range(30)]))
    assert {at(way, s).heading_deg for s in np.arange(0, 29, 0.5)} == {None}


def test_a_silence_of_a_standing_vehicle_is_no_gap() -> None:
    fixes = [fix_at(s, 8 * s) for s in range(10)] + [fix_at(100 + s, 73 + 8 * s) for s in range(10)]
    assert east_north(at(SmoothTrack(Track(fixes)), 50)) == pytest.approx((72.5, 0), abs=2)


@pytest.mark.parametrize("n", [1, 2])
def test_one_or_two_fixes_are_taken_as_they_are(n: int) -> None:
    fixes = [fix_at(s, 8 * s, speed_mps=8.0, heading_deg=90.0) for s in range(n)]
    way = SmoothTrack(Track(fixes))
    for fix in fixes:
        assert way.at(fix.time) == replace(fix, accuracy_m=ASSUMED_ACCURACY_M)


def test_a_latency_is_taken_off() -> None:
    late = SmoothTrack(Track([fix_at(s + 0.4, 8 * s) for s in range(21)]), latency_s=0.4)
    assert (late.start, late.end) == (START, START + timedelta(seconds=20))
    assert east_north(at(late, 10)) == pytest.approx((80, 0), abs=0.01)
    assert [fix.time for fix in late.fixes] == [START + timedelta(seconds=s) for s in range(21)]


@pytest.mark.parametrize("late_s", [0.0, 1.0])
def test_the_heading_is_that_of_the_vehicle_also_where_the_receiver_tells_it_late(late_s: float) -> None:
    off: list[float] = []
    for seed in SEEDS:
        drive = city_drive(seed)
        way = SmoothTrack(Track(fixes_of(drive, Receiver(velocity_late_s=late_s), seed)))
        for i in np.flatnonzero(drive.speed > 2)[200:-200:7]:
            heading = at(way, float(i * STEP_S)).heading_deg
            assert heading is not None
            off.append(abs(turn_deg(heading, math.degrees(drive.heading[i]))))
    assert np.median(off) < 1
    assert np.percentile(off, 95) < 5


steps = st.lists(
    st.tuples(st.floats(0.01, 15), st.floats(-60, 60), st.floats(-60, 60), st.none() | st.floats(0, 70)),
    min_size=1,
    max_size=15,
)


@settings(max_examples=60, deadline=None)
@given(steps)
def test_whatever_the_fixes_are_a_place_is_finite_or_refused(steps: list[tuple[float, float, float, float]]) -> None:
    s, fixes = 0.0, []
    for ds, east, north, speed in steps:
        s += ds
        fixes.append(fix_at(s, east, north, speed_mps=speed, heading_deg=None if speed is None else 45.0))
    way = SmoothTrack(Track(fixes))
    for moment in np.linspace(0, s, 9):
        try:
            found = at(way, float(moment))
        except ValueError:
            continue
        assert math.isfinite(found.lat)
        assert math.isfinite(found.lon)
        assert found.accuracy_m is not None
        assert 0 < found.accuracy_m < 100
