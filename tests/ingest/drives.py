"""Drives through a city, made up: accelerating, turning, standing; and the fixes of a receiver that errs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from ingest.frame import Fix
from ingest.geo import latlon_from_offset

Floats = NDArray[np.float64]
START = datetime(2026, 11, 20, 8, tzinfo=UTC)
LAT, LON = 22.54, 114.05
STEP_S = 0.05


@dataclass(frozen=True)
class Drive:
    """The truth, every STEP_S: seconds, east and north (N, 2), speed, heading in radians."""

    s: Floats
    position: Floats
    speed: Floats
    heading: Floats


@dataclass(frozen=True, kw_only=True)
class Receiver:
    """How a receiver errs: 1 sigma on each axis."""

    every_s: float = 1.0
    slow_m: float = 3.0
    slow_s: float = 40.0
    white_m: float = 1.0
    velocity: bool = True
    velocity_late_s: float = 0.0
    course_off_deg: float = 0.0
    accuracy_m: float | None = None


def city_drive(seed: int, seconds: float = 300.0) -> Drive:
    random = np.random.default_rng(seed)
    speed: list[float] = []
    yaw: list[float] = []  # radians per second

    def go(speeds: Floats, rate: float = 0.0) -> None:
        speed.extend(speeds.tolist())
        yaw.extend([rate] * len(speeds))

    now = 0.0
    while len(speed) * STEP_S < seconds:
        cruise = random.uniform(6, 15)
        go(np.arange(now, cruise, random.uniform(0.8, 1.6) * STEP_S))
        go(np.full(int(random.uniform(5, 20) / STEP_S), cruise), random.normal(0, 0.01))
        turns = random.random() < 0.6
        now = random.uniform(3, 5) if turns else 0.0
        go(np.arange(cruise, now, -random.uniform(1, 2) * STEP_S))
        if turns:
            rate = now / random.uniform(7, 14) * random.choice([-1, 1])
            go(np.full(int(math.pi / 2 / abs(rate) / STEP_S), now), rate)
        else:
            go(np.zeros(int(random.uniform(3, 25) / STEP_S)))
    n = int(seconds / STEP_S)
    v = np.array(speed[:n])
    heading = random.uniform(0, 2 * math.pi) + np.cumsum(yaw[:n]) * STEP_S
    velocity = np.column_stack([v * np.sin(heading), v * np.cos(heading)])
    steps = (velocity[1:] + velocity[:-1]) / 2 * STEP_S
    return Drive(np.arange(n) * STEP_S, np.vstack([[0.0, 0.0], np.cumsum(steps, axis=0)]), v, heading)


def fixes_of(drive: Drive, receiver: Receiver, seed: int) -> list[Fix]:
    random = np.random.default_rng(seed + 1000)
    slow = random.normal(0, receiver.slow_m, 2)
    kept = math.exp(-receiver.every_s / receiver.slow_s)
    fixes = []
    for i in range(0, len(drive.s), round(receiver.every_s / STEP_S)):
        slow = kept * slow + math.sqrt(1 - kept**2) * random.normal(0, receiver.slow_m, 2)
        place = drive.position[i] + slow + random.normal(0, receiver.white_m, 2)
        told = max(i - round(receiver.velocity_late_s / STEP_S), 0)
        speed = max(0.0, drive.speed[told] + random.normal(0, 0.1))
        course = (math.degrees(drive.heading[told]) + random.normal(receiver.course_off_deg, 1.0)) % 360
        fixes.append(
            fix_at(
                float(drive.s[i]),
                *place,
                speed_mps=speed if receiver.velocity else None,
                heading_deg=course if receiver.velocity and speed >= 1 else None,
                accuracy_m=receiver.accuracy_m,
            )
        )
    return fixes


def fix_at(s: float, east_m: float = 0.0, north_m: float = 0.0, **known: float | None) -> Fix:
    lat, lon = latlon_from_offset(LAT, LON, float(east_m), float(north_m))
    return Fix(time=START + timedelta(seconds=s), lat=lat, lon=lon, **known)
