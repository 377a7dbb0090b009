"""How late clocks and velocities are: found where a drive tells it, and not believed where it does not."""

from __future__ import annotations

import numpy as np
import pytest
from drives import STEP_S, Drive, city_drive

from ingest.latency import Estimate, agreement, clock_offset_s, position_lag

SEEDS = (1, 2, 3, 4, 5, 6)


def seen(drive: Drive, every_s: float, white_m: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of the fixes, their times and positions."""
    i = np.arange(200, len(drive.s) - 200, round(every_s / STEP_S))
    random = np.random.default_rng(seed)
    return i, drive.s[i], drive.position[i] + random.normal(0, white_m, (len(i), 2))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("every_s", "white_m"), [(0.1, 0.1), (1.0, 0.5), (2.0, 3.0)])
def test_how_late_positions_are_is_found_whatever_the_scale_of_the_speed(
    seed: int, every_s: float, white_m: float
) -> None:
    drive = city_drive(seed)
    _, s, position = seen(drive, every_s, white_m, seed)
    found = position_lag(s + 0.4, position, drive.s, drive.speed * 3.7)
    assert found is not None
    assert found.value == pytest.approx(0.4, abs=max(3.5 * found.error, 0.02))
    assert found.error < 0.3


@pytest.mark.parametrize("seed", SEEDS)
def test_late_and_turned_velocities_are_found_by_the_receivers_own_positions(seed: int) -> None:
    drive = city_drive(seed)
    i, s, position = seen(drive, 1.0, 0.5, seed)
    told = i - round(0.8 / STEP_S)
    heading = drive.heading[told] + np.radians(5)
    velocity = drive.speed[told, None] * np.column_stack([np.sin(heading), np.cos(heading)])
    found = agreement(s, position, velocity)
    assert found is not None
    assert found.lag_s.value == pytest.approx(0.8, abs=max(3.5 * found.lag_s.error, 0.05))
    assert found.turn_deg.value == pytest.approx(5, abs=max(3.5 * found.turn_deg.error, 0.5))
    assert found.lag_s.believed == found.lag_s.value


def test_a_velocity_that_fits_is_seldom_believed_to_be_late() -> None:
    believed = 0
    for seed in range(30):
        drive = city_drive(seed)
        i, s, position = seen(drive, 1.0, 1.0, seed)
        heading = drive.heading[i]
        velocity = drive.speed[i, None] * np.column_stack([np.sin(heading), np.cos(heading)])
        found = agreement(s, position, velocity)
        assert found is not None
        believed += found.lag_s.believed != 0 or found.turn_deg.believed != 0
    assert believed <= 2


def test_an_unchanging_speed_tells_nothing() -> None:
    s = np.arange(60.0)
    position = np.column_stack([10 * s, 0 * s]) + np.random.default_rng(1).normal(0, 1, (60, 2))
    for found in (position_lag(s, position, s, np.full(60, 10.0)), position_lag(s, position, s, np.zeros(60))):
        assert found is None or found.believed == 0
    velocity = np.column_stack([np.full(60, 10.0), np.zeros(60)])
    told = agreement(s, position, velocity)
    assert told is None or told.lag_s.believed == 0


def test_few_fixes_or_unknown_velocities_tell_nothing() -> None:
    s = np.arange(8.0)
    position = np.column_stack([s**2, s])
    assert position_lag(s, position, s, 2 * s) is None
    assert agreement(s, position, np.full((8, 2), np.nan)) is None
    drive = city_drive(1)
    i, s, position = seen(drive, 1.0, 0.5, 1)
    velocity = drive.speed[i, None] * np.column_stack([np.sin(drive.heading[i]), np.cos(drive.heading[i])])
    velocity[::3] = np.nan  # no span of four seconds is whole
    assert agreement(s, position, velocity) is None


def test_what_does_not_stand_out_of_its_error_is_not_believed() -> None:
    assert Estimate(value=0.4, error=0.2).believed == 0
    assert Estimate(value=-0.4, error=0.1).believed == -0.4


def test_clocks_are_compared_over_all_messages_and_not_by_the_late_ones() -> None:
    stamped = np.arange(100.0)
    arrived = stamped + 1000.25
    arrived[::7] += 0.5
    assert clock_offset_s(arrived, stamped) == pytest.approx(1000.25)
