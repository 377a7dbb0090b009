"""A drive tells how its camera is turned, as surely as it says, or why it does not."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streets import SIZE_WH, Way, seen_pair, straight_way

from ingest.frame import Fix
from ingest.source import Row
from vision.camera import Camera
from vision.pair_motion import Motion, Useless, pair_motion
from vision.self_calibration import TURNED, Calibration, chosen, plane, usable, verdict
from vision.straight import Idle, Pair, straight_pairs

START = datetime(2026, 11, 20, 8, tzinfo=UTC)
FRONT = Camera(hfov_deg=70.0, height_m=1.6, pitch_deg=-2.0, yaw_deg=0.0)
STEP_M = 4.0
FRAMES = 29


def rows(
    count: int, step_m: float, *, speed: float | None = 8.0, heading: float | None = 0.0, bend: float = 0.0
) -> list[Row]:
    """One camera's pictures every so many metres, driving north or in a bend of so many degrees a picture."""
    every_s = step_m / speed if speed else 0.5
    return [
        Row(
            vehicle="bus-1",
            camera="front",
            fix=Fix(
                time=START + timedelta(seconds=i * every_s),
                lat=22.54 + i * step_m / 110_750,
                lon=114.05,
                speed_mps=speed,
                heading_deg=None if heading is None else (heading + i * bend) % 360,
            ),
            size_wh=SIZE_WH,
            file=f"{i}.jpg",
        )
        for i in range(count)
    ]


def drive(seed: int, true: Camera, declared: Camera, way: Way | None = None, **how: float) -> Calibration:
    """What a drive past made-up points comes to."""
    random = np.random.default_rng(seed)
    way = way or straight_way(random, FRAMES, STEP_M)
    own = rows(FRAMES, STEP_M)
    pairs, idle = chosen(own)
    assert len(pairs) == FRAMES - 1
    moved: list[tuple[Pair, Motion]] = []
    for i, pair in enumerate(pairs):
        a, b = (plane(uv, SIZE_WH, declared) for uv in seen_pair(random, way, i, true, **how))
        motion = pair_motion(a, b, declared.focal_px(SIZE_WH[0]))
        told = motion.value if isinstance(motion, Useless) else usable(motion, pair.distance_m)
        if isinstance(told, Motion):
            moved.append((pair, told))
        else:
            idle[told] += 1
    return verdict(own, pairs, idle, moved, declared)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    pitch=st.floats(-12, 6),
    yaw=st.floats(-12, 12),
    roll=st.floats(-2, 2),
    k1=st.floats(-0.15, 0.05),
    noise=st.floats(0.2, 1.0),
    wrong=st.floats(0.0, 0.35),
)
def test_a_front_camera_lies_within_four_sigmas_of_what_a_straight_drive_tells(
    seed: int, pitch: float, yaw: float, roll: float, k1: float, noise: float, wrong: float
) -> None:
    true = Camera(hfov_deg=75.0, height_m=1.6, pitch_deg=pitch, yaw_deg=yaw, roll_deg=roll, k1=k1)
    found = drive(seed, true, replace(FRONT, hfov_deg=75.0, k1=k1), noise_px=noise, wrong=wrong)
    if found.refused is not None:  # of the worst pictures it may say nothing, but nothing wrong
        assert wrong > 0.2
        assert "the pictures do not fit together" in found.refused
        return
    assert found.pitch is not None
    assert found.yaw is not None
    assert found.roll is None
    assert abs(found.pitch.deg - pitch) < 4 * found.pitch.sigma_deg
    assert abs(found.yaw.deg - yaw) < 4 * found.yaw.sigma_deg
    assert max(found.pitch.sigma_deg, found.yaw.sigma_deg) < 0.8


@settings(max_examples=6, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), side=st.sampled_from([-90.0, 90.0]), yaw=st.floats(-8, 8), roll=st.floats(-3, 3))
def test_a_side_camera_tells_yaw_and_roll_and_no_pitch(seed: int, side: float, yaw: float, roll: float) -> None:
    true = Camera(hfov_deg=70.0, height_m=1.6, pitch_deg=-3.5, yaw_deg=side + yaw, roll_deg=roll)
    found = drive(seed, true, replace(true, pitch_deg=-2.0, yaw_deg=side, roll_deg=0.0))
    assert found.refused is None
    assert found.pitch is None
    assert found.yaw is not None
    assert found.roll is not None
    assert abs(found.yaw.deg - true.yaw_deg) < 4 * found.yaw.sigma_deg
    assert abs(found.roll.deg - roll) < 4 * found.roll.sigma_deg


def test_sigmas_are_of_the_size_of_the_errors() -> None:
    ratios = []
    for seed in range(16):
        random = np.random.default_rng(1000 + seed)
        pitch, yaw, roll = random.uniform(-8, 2), random.uniform(-6, 6), random.normal(0, 1.5)
        true = replace(FRONT, pitch_deg=pitch, yaw_deg=yaw, roll_deg=roll, hfov_deg=70 * random.normal(1, 0.02))
        found = drive(seed, true, FRONT)
        assert found.pitch is not None
        assert found.yaw is not None
        ratios += [(found.pitch.deg - pitch) / found.pitch.sigma_deg, (found.yaw.deg - yaw) / found.yaw.sigma_deg]
    assert 0.4 < float(np.sqrt(np.mean(np.square(ratios)))) < 1.3
    assert abs(float(np.mean(ratios))) < 0.45  # no bias to one side


def test_a_rear_camera_looks_back() -> None:
    true = replace(FRONT, yaw_deg=176.0, pitch_deg=-6.0)
    found = drive(3, true, replace(FRONT, yaw_deg=180.0))
    assert found.yaw is not None
    assert found.pitch is not None
    assert found.yaw.deg == pytest.approx(176.0, abs=4 * found.yaw.sigma_deg)
    assert found.pitch.deg == pytest.approx(-6.0, abs=4 * found.pitch.sigma_deg)


def test_pictures_of_a_vehicle_that_stands_tell_nothing() -> None:
    stood = Way(np.zeros((FRAMES, 3)), np.zeros(FRAMES), np.zeros(FRAMES))
    found = drive(1, FRONT, FRONT, stood, noise_px=0.3)
    assert found.refused is not None
    assert Useless.STOOD in found.refused
    assert found.found == {}


def test_a_camera_that_only_turns_about_itself_tells_nothing() -> None:
    swivel = Way(np.zeros((FRAMES, 3)), np.arange(FRAMES) * 0.8, np.zeros(FRAMES))
    found = drive(2, FRONT, FRONT, swivel, noise_px=0.3, wrong=0.0)
    assert found.refused is not None
    assert found.found == {}


def test_a_drive_round_a_bend_tells_nothing() -> None:
    heading = np.arange(FRAMES) * 4.0  # a radius of 57 m
    toward = np.radians(heading)
    lens = np.stack([np.cumsum(np.sin(toward)), np.zeros(FRAMES), np.cumsum(np.cos(toward))], axis=1) * STEP_M
    found = drive(4, FRONT, FRONT, Way(lens, heading, np.zeros(FRAMES)))
    assert found.refused is not None
    assert TURNED in found.refused
    assert found.found == {}


def test_points_that_have_nothing_to_do_with_each_other_are_strangers() -> None:
    random = np.random.default_rng(5)
    a, b = random.uniform(-0.7, 0.7, (2, 300, 2))
    assert pair_motion(a, b, 900.0) is Useless.STRANGERS
    assert pair_motion(a[:0], b[:0], 900.0) is Useless.BARE


def test_ways_that_contradict_each_other_are_refused() -> None:
    own = rows(FRAMES, STEP_M)
    pairs, _ = chosen(own)
    random = np.random.default_rng(6)
    moved = []
    for pair in pairs:
        x, y = random.uniform(-0.3, 0.3, 2)
        way = np.array([x, y, 1.0]) / np.linalg.norm([x, y, 1.0])
        moved.append((pair, Motion(way, np.eye(3) * 1e-6, np.zeros(3), 300)))
    found = verdict(own, pairs, Counter(), moved, FRONT)
    assert found.refused is not None
    assert "contradict" in found.refused


# Which pictures


def test_pictures_four_metres_apart_on_a_straight_road_are_pairs_in_a_chain() -> None:
    own = rows(10, 4.0)
    pairs, idle = straight_pairs(own)
    assert [(pair.before.file, pair.after.file) for pair in pairs] == [(f"{i}.jpg", f"{i + 1}.jpg") for i in range(9)]
    assert pairs[0].distance_m == pytest.approx(4.0, rel=0.01)
    assert idle == {Idle.FAR: 1}  # the last has none after it
    assert [pair.stretch for pair in pairs] == [0, 0, 0, 0, 1, 1, 1, 1, 2]


def test_frames_of_a_film_are_paired_across_others() -> None:
    pairs, _ = straight_pairs(rows(100, 0.25))
    assert len(pairs) == 10
    assert all(2.4 < pair.distance_m < 2.6 for pair in pairs[:-1])
    assert pairs[-1].after.file == "99.jpg"


@pytest.mark.parametrize(
    ("own", "why"),
    [
        (rows(20, 4.0, speed=2.0), Idle.SLOW),
        (rows(20, 0.0, speed=0.0), Idle.SLOW),
        (rows(20, 8.0), Idle.FAR),
        (rows(20, 4.0, bend=10.0), Idle.TURNING),
        ([], None),
    ],
)
def test_other_drives_have_no_pairs(own: list[Row], why: Idle | None) -> None:
    pairs, idle = straight_pairs(own)
    assert pairs == []
    assert why is None or idle[why] >= len(own) - 1


def test_a_speed_that_is_not_told_is_that_of_the_positions() -> None:
    own = [replace(row, fix=replace(row.fix, speed_mps=None, heading_deg=None)) for row in rows(20, 4.0)]
    pairs, _ = straight_pairs(own)
    assert len(pairs) >= 17
    assert pairs[5].distance_m == pytest.approx(4.0, rel=0.02)
