"""A city's sightings and passes without pictures: vehicles on a grid of streets, and what lies beside them. Seeded.

Each vehicle drives straight on one street at a time and takes a frame every ten seconds; a pass is what it looked at
within ten minutes. A thing is seen when a frame has it before the lens, as often as the shipped model finds its kind;
otherwise the pass says that the place was looked at and nothing reported. A vehicle's own error is common to a pass.
"""

from __future__ import annotations

import bisect
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

from ingest.frame import Fix, derived_id, frame_id
from ingest.geo import latlon_from_offset
from models.card import find_card
from models.taxonomy import Taxonomy
from vision.camera import DEFAULT_CAMERAS
from vision.look import H3_RESOLUTION, looked_cells
from vision.sighting import Evidence, Pass, Sighting

EVERY_S = 10.0  # seconds between two frames of a vehicle
PASS_S = 600.0
SPEED_MPS = 6.0
SIZE_WH = (1920, 1080)
ASIDE_M = 6.0  # things stand so far beside the track
SEEN_M = 3.9  # and are before a lens of 70 degrees so far ahead of and behind it
STREETS_M = 200.0  # between parallel streets
STREET_M_PER_VEHICLE = 240.0  # a vehicle for every quarter of a kilometre
THINGS_PER_KM = {"overflow_bin": 3.0, "garbage": 2.0, "garbage_bin": 7.5}  # on the side that the camera looks at
VEHICLE_SIGMA_M, THING_SIGMA_M = 3.0, 1.5
ORIGIN = (22.50, 113.90)
CAMERA = "right"


@dataclass(frozen=True, slots=True)
class Thing:
    """Something beside a street."""

    kind: str
    along_m: float


@dataclass(frozen=True, slots=True)
class Due:
    """A sighting or pass, and when it is sent, seconds after the begin."""

    at_s: float
    item: Sighting | Pass


class City:
    """Streets that run north, as many as the vehicles need, and what lies beside them."""

    def __init__(self, seed: int, *, vehicles: int) -> None:
        self._rng = random.Random(f"city-{seed}")
        self.vehicles = vehicles
        total_m = vehicles * STREET_M_PER_VEHICLE
        self.side_m = max(2 * STREETS_M, math.sqrt(total_m * STREETS_M))
        self.streets = [self._street() for _ in range(max(2, round(total_m / self.side_m)))]
        card = find_card("streetscape-v1")
        self._recall, self._model = dict(card.recall), card.version
        self._taxonomy = Taxonomy.read()

    @property
    def things(self) -> int:
        return sum(map(len, self.streets))

    def due(self, begin: datetime, seconds: float) -> list[Due]:
        """What all vehicles send within so many seconds, in order of time."""
        found = [due for vehicle in range(self.vehicles) for due in self._drive(vehicle, begin, seconds)]
        return sorted(found, key=lambda due: (due.at_s, due.item.id))

    def _street(self) -> list[Thing]:
        """Things in order, spaced so that nothing is taken for its neighbour."""
        step = 1000.0 / sum(THINGS_PER_KM.values())
        kinds = self._rng.choices(list(THINGS_PER_KM), list(THINGS_PER_KM.values()), k=int(self.side_m / step))
        return [Thing(kind, (i + self._rng.uniform(0.2, 0.8)) * step) for i, kind in enumerate(kinds)]

    def _drive(self, vehicle: int, begin: datetime, seconds: float) -> Iterator[Due]:
        """A vehicle is somewhere within a pass when it begins."""
        start_s = -self._rng.uniform(0.0, PASS_S)
        while start_s < seconds:
            leg = _Leg(
                city=self,
                vehicle=f"taxi-{vehicle:05d}",
                street=self._rng.randrange(len(self.streets)),
                from_m=self._rng.uniform(0.0, self.side_m),
                start=begin + timedelta(milliseconds=round(start_s * 1000)),
                off=(self._rng.gauss(0.0, VEHICLE_SIGMA_M), self._rng.gauss(0.0, VEHICLE_SIGMA_M)),
            )
            for step in range(round(PASS_S / EVERY_S)):
                at_s = start_s + step * EVERY_S
                if 0 <= at_s < seconds:
                    yield from (Due(at_s, sighting) for sighting in leg.sightings(step, self._rng))
            end_s = start_s + PASS_S
            if 0 <= end_s < seconds:
                yield Due(end_s, leg.passed)
            start_s = end_s


@dataclass(frozen=True)
class _Leg:
    """Ten minutes of one vehicle on one street; at its end it begins anew."""

    city: City
    vehicle: str
    street: int
    from_m: float
    start: datetime
    off: tuple[float, float]  # east and north, by which the vehicle is wrong

    @cached_property
    def id(self) -> str:
        return derived_id("pass", frame_id(self.vehicle, CAMERA, self.start), "city")

    def along_m(self, step: int) -> float:
        return (self.from_m + step * EVERY_S * SPEED_MPS) % self.city.side_m

    def time(self, step: int) -> datetime:
        return self.start + timedelta(seconds=step * EVERY_S)

    def sightings(self, step: int, rng: random.Random) -> Iterator[Sighting]:
        """What one frame shows."""
        here = self.along_m(step)
        things = self.city.streets[self.street]
        first = bisect.bisect_left(things, here - SEEN_M, key=lambda thing: thing.along_m)
        for thing in things[first:]:
            if thing.along_m > here + SEEN_M:
                return
            if rng.random() < self.city._recall[thing.kind]:
                yield self._sighting(thing, step, rng)

    def _sighting(self, thing: Thing, step: int, rng: random.Random) -> Sighting:
        east = self.street * STREETS_M + ASIDE_M + self.off[0] + rng.gauss(0.0, THING_SIGMA_M)
        north = thing.along_m + self.off[1] + rng.gauss(0.0, THING_SIGMA_M)
        lat, lon = latlon_from_offset(*ORIGIN, east, north)
        time = self.time(step)
        matter = self.city._taxonomy.matter_of_kind(thing.kind)
        own, shared = THING_SIGMA_M**2, VEHICLE_SIGMA_M**2
        name = derived_id(self.vehicle, str(step), thing.kind, f"{thing.along_m:.2f}")
        return Sighting(
            id=derived_id("sighting", frame_id(self.vehicle, CAMERA, time), thing.kind, f"{thing.along_m:.2f}"),
            pass_id=self.id,
            vehicle=self.vehicle,
            camera=CAMERA,
            kind=thing.kind,
            matter=matter,
            confidence=round(rng.uniform(0.72, 0.97), 4),
            seen_at=time,
            lat=round(lat, 7),
            lon=round(lon, 7),
            covariance_m2=(own + shared, 0.0, own + shared),
            shared_covariance_m2=(shared, 0.0, shared),
            frames=1,
            model=self.city._model,
            evidence=Evidence(uri=f"{name}.jpg", sha256=name, box_xyxy=(600, 310, 690, 420)) if matter else None,
        )

    @property
    def passed(self) -> Pass:
        """The pass, laid out from where the vehicle believed it was."""
        looked: dict[str, float] = {}
        steps = round(PASS_S / EVERY_S)
        for step in range(steps):
            lat, lon = latlon_from_offset(
                *ORIGIN, self.street * STREETS_M + self.off[0], self.along_m(step) + self.off[1]
            )
            fix = Fix(time=self.time(step), lat=lat, lon=lon, heading_deg=0.0)
            for cell, p in looked_cells(DEFAULT_CAMERAS[CAMERA], SIZE_WH, fix).items():
                looked[cell] = max(looked.get(cell, 0.0), p)
        return Pass(
            id=self.id,
            vehicle=self.vehicle,
            camera=CAMERA,
            started_at=self.start,
            ended_at=self.time(steps - 1),
            model=self.city._model,
            h3_resolution=H3_RESOLUTION,
            looked={cell: p for cell, p in sorted(looked.items()) if p > 0},
            recall=self.city._recall,
        )


def moved(item: Sighting | Pass, by: timedelta) -> Sighting | Pass:
    """The same, seen later or earlier; it keeps its id."""
    if isinstance(item, Sighting):
        return replace(item, seen_at=item.seen_at + by)
    return replace(item, started_at=item.started_at + by, ended_at=item.ended_at + by)
