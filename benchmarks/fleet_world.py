"""A district to drive in: streets, what stands and lies in them, parked vans, communities. Everything from one seed.

Frame of reference: metres east and north of the district's middle, `ORIGIN`. The district is 2 km by 2 km, so the
plane is true to the centimetre within reach of a camera, which is all that counts.

Streets      six run north-south and six east-west, each with a pavement on both sides; a seventh of the blocks are
             canyons. One street has a viaduct over its three middle blocks: who drives on it sees the deck alone.
Bins         400, on the pavements, for ever; some overflow now and then (an episode of the bin).
Disorders    200 episodes of free-standing disorders and of overflowing bins in all; one in five comes back after its
             removal. Some stand 6 to 10 m from one of the same kind.
Posters      things that look like a disorder to the model whenever a vehicle passes, and never are one.
Vans         parked at the kerb for one to eight hours; what stands behind them cannot be seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
from numpy.random import Generator

from ingest.geo import Floats, latlon_from_offset

ORIGIN = (22.54, 114.05)
START = datetime(2026, 11, 17, 16, tzinfo=UTC)  # midnight in China
HALF_M = 1000.0
LINES = (-850.0, -510.0, -170.0, 170.0, 510.0, 850.0)  # where streets run, give or take some metres
CANYONS = 0.15  # of the blocks
VIADUCT = (1, 4)  # between these two crossings of the viaduct's street
CLOSEST_M = 6.0  # between two things of one group
NEIGHBOURS = 0.25  # of the things stand within 10 m of another of their kind
COMES_BACK = 0.2  # of the disorders
SHARES = {"garbage": 0.45, "street_stall": 0.2, "outside_shop": 0.1, "overflow_bin": 0.25}  # of the disorders
LIFETIME_H = {"garbage": 22.0, "street_stall": 7.0, "outside_shop": 12.0, "overflow_bin": 16.0}  # median
SIZE_M = {  # width and height
    "garbage": (1.2, 0.6),
    "garbage_bin": (0.7, 1.1),
    "overflow_bin": (0.8, 1.3),
    "street_stall": (2.0, 1.8),
    "outside_shop": (2.0, 1.2),
}


@dataclass(frozen=True, slots=True)
class Street:
    """A straight street across the district."""

    north_south: bool
    at_m: float  # its middle: east of the origin when it runs north-south, else north of it
    half_m: float  # from the middle to the kerb
    canyon: tuple[bool, ...]  # by block, from the south or west edge of the district

    def point(self, along_m: float, aside_m: float) -> tuple[float, float]:
        """(east, north) of a point so far along, and so far east (or north) of the middle."""
        return (self.at_m + aside_m, along_m) if self.north_south else (along_m, self.at_m + aside_m)


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """One time that a disorder was there. Hours since START."""

    id: str
    kind: str
    born_h: float
    removed_h: float


@dataclass(slots=True, kw_only=True)
class Thing:
    """What stands at one place: a bin, a disorder with its episodes, or a poster."""

    id: str
    kind: str  # what the model takes it for when it is there
    enu: tuple[float, float]
    level: int = 0  # 1 on the viaduct
    permanent: bool = False  # a bin or a poster
    poster: bool = False
    episodes: list[Episode] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Van:
    """A parked van: the line along the kerb that hides what is behind it. Hours since START."""

    ends: tuple[tuple[float, float], tuple[float, float]]
    from_h: float
    until_h: float


@dataclass(frozen=True, slots=True, kw_only=True)
class District:
    """Everything that a world has, before anybody drives."""

    seed: int
    hours: float
    streets: tuple[Street, ...]  # the six north-south ones first
    viaduct: int  # index of the street that has it
    things: tuple[Thing, ...]
    vans: tuple[Van, ...]


def district(seed: int, *, days: float = 3.0, bins: int = 400, disorders: int = 200, posters: int = 6) -> District:
    """The district of a seed."""
    dice = np.random.default_rng([seed, 1])
    streets = tuple(_street(dice, i >= 6, LINES[i % 6]) for i in range(12))
    things: list[Thing] = []
    for i in range(bins):
        spot = _spot(dice, streets, [t for t in things if t.kind == "garbage_bin"])
        things.append(Thing(id=f"bin-{i:03d}", kind="garbage_bin", enu=spot, permanent=True))
    _disorders(dice, streets, things, disorders, days * 24)
    for i in range(posters):
        kind = str(dice.choice(["garbage", "overflow_bin", "street_stall"]))
        things.append(Thing(id=f"poster-{i}", kind=kind, enu=_spot(dice, streets, things), permanent=True, poster=True))
    viaduct = 6 + int(dice.integers(2, 4))
    _on_deck(dice, streets[viaduct], things)
    vans = tuple(_van(dice, streets, days * 24) for _ in range(round(150 * days / 3)))
    return District(seed=seed, hours=days * 24, streets=streets, viaduct=viaduct, things=tuple(things), vans=vans)


def latlon(enu: tuple[float, float]) -> tuple[float, float]:
    """WGS-84 degrees of a point of the district."""
    return latlon_from_offset(*ORIGIN, *enu)


def _street(dice: Generator, east_west: bool, line_m: float) -> Street:
    canyon = tuple(bool(c) for c in dice.random(7) < CANYONS)
    return Street(not east_west, line_m + dice.uniform(-40, 40), float(dice.choice([6.0, 7.5, 9.0])), canyon)


def _spot(dice: Generator, streets: tuple[Street, ...], others: list[Thing]) -> tuple[float, float]:
    """A free place on a pavement: often close to one of `others`, never within CLOSEST_M of it."""
    taken = np.array([t.enu for t in others]).reshape(-1, 2)
    while True:
        street = streets[int(dice.integers(len(streets)))]
        side = float(dice.choice([-1.0, 1.0]))
        along = dice.uniform(-HALF_M, HALF_M)
        if len(taken) and dice.random() < NEIGHBOURS:
            east, north = taken[int(dice.integers(len(taken)))]
            street, side, along = _beside(dice, streets, float(east), float(north))
        spot = street.point(along, side * (street.half_m + dice.uniform(0.8, 3.5)))
        on_road = any(abs(spot[0 if s.north_south else 1] - s.at_m) < s.half_m + 0.5 for s in streets)
        if on_road or max(map(abs, spot)) > HALF_M:
            continue
        if len(taken) == 0 or np.hypot(*(taken - spot).T).min() >= CLOSEST_M:
            return spot


def _beside(dice: Generator, streets: tuple[Street, ...], east: float, north: float) -> tuple[Street, float, float]:
    """The street that a thing stands at, its side of it, and a place 6 to 10 m along."""

    def aside(street: Street) -> float:
        return (east if street.north_south else north) - street.at_m

    street = min(streets, key=lambda s: abs(aside(s)))
    along = north if street.north_south else east
    step = dice.uniform(CLOSEST_M, CLOSEST_M + 4.0) * dice.choice([-1.0, 1.0])
    return street, math.copysign(1.0, aside(street)), float(along + step)


def _disorders(dice: Generator, streets: tuple[Street, ...], things: list[Thing], count: int, hours: float) -> None:
    """Add episodes until there are `count` of them: new places, and bins that overflow."""
    kinds = list(SHARES)
    bins = [t for t in things if t.kind == "garbage_bin"]
    made = 0
    while made < count:
        kind = str(dice.choice(kinds, p=[SHARES[k] for k in kinds]))
        if kind == "overflow_bin" and bins:
            thing = bins.pop(int(dice.integers(len(bins))))
        else:
            kind = "garbage" if kind == "overflow_bin" else kind
            spot = _spot(dice, streets, [t for t in things if t.kind == kind])
            thing = Thing(id=f"{kind}-{made:03d}", kind=kind, enu=spot)
            things.append(thing)
        begin = dice.uniform(-0.3 * hours, 0.92 * hours)
        while made < count:
            end = begin + LIFETIME_H[kind] * float(dice.lognormal(0.0, 0.5))
            if end > 0:
                id = f"{thing.id}/e{len(thing.episodes)}"
                thing.episodes.append(Episode(id=id, kind=kind, born_h=begin, removed_h=end))
                made += 1
            begin = end + dice.uniform(3.0, 20.0)
            if (dice.random() >= COMES_BACK and end > 0) or begin > 0.92 * hours:
                break


def _on_deck(dice: Generator, street: Street, things: list[Thing]) -> None:
    """Put two heaps of garbage up on the viaduct, at its parapet."""
    heaps = [t for t in things if t.kind == "garbage" and not t.permanent][:2]
    for heap in heaps:
        heap.enu = street.point(float(dice.uniform(-350, 350)), float(dice.choice([-1, 1])) * (street.half_m - 0.5))
        heap.level = 1


def _van(dice: Generator, streets: tuple[Street, ...], hours: float) -> Van:
    street = streets[int(dice.integers(len(streets)))]
    side, along = float(dice.choice([-1.0, 1.0])), float(dice.uniform(-HALF_M, HALF_M))
    aside = side * (street.half_m - 1.0)
    begin = float(dice.uniform(-4.0, hours))
    ends = (street.point(along - 2.7, aside), street.point(along + 2.7, aside))
    return Van(ends=ends, from_h=begin, until_h=begin + float(dice.uniform(1.0, 8.0)))


def sigma_m(district: District, street: int, along_m: Floats, level: Floats) -> Floats:
    """1 sigma of a receiver's bias, each axis, along a street: 3 m, 10 m in canyons and under the viaduct."""
    here = district.streets[street]
    block = np.searchsorted(np.array(LINES), along_m)
    sigma = np.where(np.array(here.canyon)[block], 10.0, 3.0)
    if street == district.viaduct:
        covered = np.abs(along_m) < 510.0
        sigma = np.where(covered, np.where(level > 0, 3.0, 10.0), sigma)
    return np.asarray(sigma, np.float64)
