"""Trips of a fleet through a district: where the vehicles are, and where their receivers say they are.

GNSS     bias = sigma x Gauss-Markov along the way (unit variance, 400 m), sigma 3 m, 10 m in canyons and under the
         viaduct, each axis; plus white noise of 1 m a fix. A fix reports the accuracy it has, give or take 15 %.
         Both cameras of a vehicle share its fixes.
Heading  error of 1.5 deg (1 sigma), correlated along the way over some 20 m.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.random import Generator
from scipy.signal import lfilter

from benchmarks.fleet_world import HALF_M, START, VIADUCT, District, latlon, sigma_m
from ingest.frame import Fix, Frame, frame_id
from ingest.geo import Floats

SIZE_WH = (1280, 720)
EVERY_M = 4.0
TRIPS_A_DAY = 4.0  # of one vehicle, through the district
CORRELATED_M = 400.0
WHITE_M = 1.0
HEADING_SIGMA_DEG = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """One vehicle's way through the district, a row every EVERY_M."""

    vehicle: str
    cameras: tuple[str, ...]
    hours: Floats  # (n,) since START
    enu: Floats  # (n, 2) where it is
    heading_deg: Floats
    level: Floats  # 1 on the viaduct
    sigma_m: Floats  # of the receiver's bias


def trips(district: District, *, vehicles: int = 60, trips_a_day: float = TRIPS_A_DAY) -> list[Trip]:
    """Every trip, by vehicle and time. A third of the vehicles are buses, which drive the same way each time."""
    out = []
    for v in range(vehicles):
        dice = np.random.default_rng([district.seed, 4, v])
        bus = v % 3 == 0
        cameras = ("front", "right") if v % 5 < 2 else ("front",)
        way = _walk(np.random.default_rng([district.seed, 5, v]), district)
        for day in range(math.ceil(district.hours / 24)):
            slots = np.arange(5.5, 23.0, 0.5)
            count = min(len(slots), int(dice.poisson(trips_a_day)))
            for slot in sorted(dice.choice(slots, count, replace=False)):
                hour = day * 24 + float(slot) + float(dice.uniform(0, 0.1))
                if hour < district.hours - 0.5:
                    name = f"{'bus' if bus else 'taxi'}-{v:03d}"
                    legs = way if bus else _walk(dice, district)
                    out.append(_trip(dice, district, name, cameras, hour, legs))
    return out


Leg = tuple[int, float, float, int]  # street, along from, along to, level


def _walk(dice: Generator, district: District) -> list[Leg]:
    """A random way from one edge of the district to another, or for 5 km."""
    street = int(dice.integers(12))
    forward = bool(dice.integers(2))
    deck = bool(dice.random() < 0.4)
    crossing = -1 if forward else 6
    legs: list[Leg] = []
    length = 0.0
    while True:
        following = crossing + (1 if forward else -1)
        begin, end = _along(district, street, crossing), _along(district, street, following)
        above = deck and street == district.viaduct and _under_deck(crossing, following, legs)
        legs.append((street, begin, end, int(above)))
        length += abs(end - begin)
        crossing = following
        if crossing in (-1, 6) or length > 5000:
            return legs
        on_deck = above and VIADUCT[0] < crossing < VIADUCT[1]
        if not on_deck and dice.random() < 0.45:
            other = crossing + (6 if street < 6 else 0)
            crossing, street = street % 6, other
            forward = bool(dice.integers(2))


def _under_deck(crossing: int, following: int, legs: list[Leg]) -> bool:
    """True when a leg lies on the viaduct for one who came up its ramp."""
    low, high = sorted((crossing, following))
    if not (VIADUCT[0] <= low and high <= VIADUCT[1]):
        return False
    return crossing in VIADUCT or bool(legs and legs[-1][3])


def _along(district: District, street: int, crossing: int) -> float:
    """How far along a street a crossing lies."""
    if crossing in (-1, 6):
        return math.copysign(HALF_M, crossing)
    return district.streets[crossing + (6 if street < 6 else 0)].at_m


def _trip(
    dice: Generator, district: District, vehicle: str, cameras: tuple[str, ...], hour: float, legs: list[Leg]
) -> Trip:
    enu, heading, level, sigma, seconds = [], [], [], [], []
    clock = 0.0
    for street, begin, end, up in legs:
        way = 1.0 if end > begin else -1.0
        here = district.streets[street]
        along = np.arange(begin, end, way * EVERY_M)
        north_south = here.north_south
        aside = here.half_m * 0.45 * way * (1.0 if north_south else -1.0)  # they drive on the right
        fixed = np.full(len(along), here.at_m + aside)
        enu.append(np.stack([fixed, along] if north_south else [along, fixed], axis=1))
        heading.append(
            np.full(len(along), (0.0 if way > 0 else 180.0) if north_south else (90.0 if way > 0 else 270.0))
        )
        level.append(np.full(len(along), float(up)))
        sigma.append(sigma_m(district, street, along, level[-1]))
        clock += float(dice.uniform(5, 45)) if dice.random() < 0.4 else 0.0  # a red light
        seconds.append(clock + np.arange(len(along)) * EVERY_M / float(dice.uniform(6.0, 11.0)))
        clock = float(seconds[-1][-1]) + 0.5
    return Trip(
        vehicle=vehicle,
        cameras=cameras,
        hours=hour + np.concatenate(seconds) / 3600,
        enu=np.concatenate(enu),
        heading_deg=np.concatenate(heading),
        level=np.concatenate(level),
        sigma_m=np.convolve(np.pad(np.concatenate(sigma), 3, mode="edge"), np.ones(7) / 7, mode="valid"),
    )


def wander(dice: Generator, n: int, correlated_m: float, axes: int = 1) -> Floats:
    """(n, axes) a stationary Gauss-Markov process of unit variance, a value every EVERY_M."""
    keep = math.exp(-EVERY_M / correlated_m)
    noise = dice.standard_normal((n, axes)) * math.sqrt(1 - keep**2)
    noise[0] = dice.standard_normal(axes)
    return np.asarray(lfilter([1.0], [1.0, -keep], noise, axis=0), np.float64)


def fixes(dice: Generator, trip: Trip) -> list[Fix]:
    """What the vehicle's receiver says along a trip. Both cameras share it."""
    n = len(trip.hours)
    error = trip.sigma_m[:, None] * wander(dice, n, CORRELATED_M, 2) + WHITE_M * dice.standard_normal((n, 2))
    believed = trip.enu + error
    heading = trip.heading_deg + HEADING_SIGMA_DEG * wander(dice, n, 20.0)[:, 0]
    accuracy = np.hypot(trip.sigma_m, WHITE_M) * np.exp(0.15 * wander(dice, n, 200.0)[:, 0])
    out = []
    for i in range(n):
        time = START + timedelta(milliseconds=round(trip.hours[i] * 3.6e6))
        lat, lon = latlon((float(believed[i, 0]), float(believed[i, 1])))
        out.append(
            Fix(
                time=time,
                lat=round(lat, 7),
                lon=round(lon, 7),
                speed_mps=8.0,
                heading_deg=round(float(heading[i]) % 360.0, 1) % 360.0,
                accuracy_m=round(float(accuracy[i]), 1),
            )
        )
    return out


def frames(trip: Trip, camera: str, along: list[Fix]) -> Iterator[Frame]:
    """The frames of one camera: without pictures, since what they show is known."""
    for fix in along:
        id = frame_id(trip.vehicle, camera, fix.time)
        yield Frame(
            id=id, vehicle=trip.vehicle, camera=camera, time=fix.time, fix=fix, jpeg=b"", size_wh=SIZE_WH, file=""
        )
