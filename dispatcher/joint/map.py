"""Map: all things where they stand, and how they are looked up.

`dispatcher/joint/atlas.py` places sightings on it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from dispatcher.joint.bias import Bias
from dispatcher.joint.fleet import Fleet
from dispatcher.joint.grid import Grid
from dispatcher.joint.pairs import FARTHEST_M
from dispatcher.joint.seen import Seen, plus
from dispatcher.joint.thing import Located, Thing
from dispatcher.joint.twins import UNTIED, undecided
from dispatcher.joint.view import Views
from ingest.frame import derived_id

GHOSTS_PER_M2: Final = 1e-5  # density of ghosts that look like a disorder in a pass, at even odds; less the surer
OBJECT_GHOSTS_PER_M2: Final = 3e-4  # ... and like an object: of those there are more, real ones and ghosts
NEW_PER_M2: Final = 5e-5  # density at which a pass reports things that nobody knows yet ...
UNKNOWN_PER_M2: Final = 6e-4  # ... and permanent ones where no pass looked before; each leaves half of them
NEW_BIN_PER_M2: Final = 5e-6  # density at which a pass reports an overflowing bin that no pass saw before
DRIFTS_M: Final = 40.0  # over so many metres the map is off by about the same
SUSPECT_M: Final = 12.0  # a rarely seen thing so close to one often seen may be its ghost: its runs are worked out anew


class Map:
    """Every thing by where it stands, and what the runs and passes that saw it told."""

    def __init__(self) -> None:
        self.fleet = Fleet()
        self.views = Views()
        self.things: dict[int, Thing] = {}
        self.regrouped: dict[int, Thing] = {}  # things whose sightings changed since somebody last asked
        self.standing: set[str] = set()  # keys of which something was seen in order
        self._grid: Grid[Thing] = Grid()
        self._all: Grid[Thing] = Grid()
        self._next = 0

    def _new(self, seen: Seen) -> Thing:
        thing = Thing.at(derived_id("thing", seen.sighting.id, str(self._next)), self._next, seen)
        self._next += 1
        self.things[thing.number] = thing
        return thing

    def _regroup(self, *things: Thing) -> None:
        for thing in things:
            self.regrouped[thing.number] = thing
            self._put(thing)

    def _put(self, thing: Thing) -> None:
        if thing.runs:
            self._grid.put(thing.number, thing, thing.key, thing.lat, thing.lon)
            self._all.put(thing.number, thing, "", thing.lat, thing.lon)
        else:
            self._grid.drop(thing.number)
            self._all.drop(thing.number)
            self.things.pop(thing.number, None)

    def bring(self, thing: Thing) -> None:
        """Put a thing back where it was before it was let go."""
        self.things[thing.number] = thing
        for seen in thing.seens:
            self.fleet.restore(seen)
        self._put(thing)

    def let_go(self, things: Iterable[Thing], before: float) -> None:
        """Forget things, and of runs before some time all that nothing else needs."""
        gone: set[int] = set()
        for thing in things:
            gone |= {seen.number for seen in thing.seens}
            self._grid.drop(thing.number)
            self._all.drop(thing.number)
            del self.things[thing.number]
        self.fleet.let_go(gone, before)

    def _fresh(self, seen: Seen) -> float:
        """Log density of things that nobody knows yet."""
        c = min(max(seen.confidence, 0.02), 0.98)
        ghosts = (OBJECT_GHOSTS_PER_M2 if seen.plain else GHOSTS_PER_M2) * (1 - c) / c
        new = NEW_PER_M2
        if seen.plain or seen.key in self.standing:  # a bin, in order or not, stands there for ever
            looked = self.views.count(*seen.reported)
            unknown = UNKNOWN_PER_M2 * math.ldexp(1.0, -min(looked, 20))
            new = (NEW_PER_M2 if seen.plain else NEW_BIN_PER_M2) + unknown
        return math.log(new + ghosts)

    def _near(self, seen: Seen, reach_m: float) -> list[Thing]:
        return self._grid.near(seen.key, seen.reported[0], seen.reported[1], reach_m)

    def surveyed(self, thing: Thing) -> Located:
        """Where a thing is on the ground.

        Passes that agree with each other may all be off by what the first of them was: the map is rigid, but adrift.
        Over many passes position errors are none on average; so what they were near here, on average, is how far the
        map is off.
        """
        weight = east = north = most = 0.0
        for other in self._all.near("", thing.lat, thing.lon, DRIFTS_M):
            near = math.exp(-thing.distance_m(other) / DRIFTS_M)
            w, e, n = other.drift
            weight, east, north = weight + near * w, east + near * e, north + near * n
            most = max(most, near * w)
        off = 1.0 / most
        lat = thing.lat + north / weight / thing.per_lat
        lon = thing.lon + east / weight / thing.per_lon
        return lat, lon, plus(thing.covariance, (off, 0.0, off))

    def within(self, squares: Iterable[int]) -> list[Thing]:
        """The things of all keys in some squares, in a fixed order."""
        return sorted(self._all.within("", squares), key=lambda thing: thing.number)

    @staticmethod
    def _held(seen: Seen, reach_m: float) -> list[Thing]:
        return [] if seen.thing is None else [seen.thing]

    def _heads(self, seens: Iterable[Seen], new: Seen | None = None) -> list[Seen]:
        """One sighting of each bank, the first."""
        out = []
        for seen in seens:
            mates = None if seen.thing is None else seen.thing.passes.get(seen.look)
            if seen is new or mates is None or mates[0] is seen:
                out.append(seen)
        return out

    def neighbours(self, thing: Thing) -> list[Thing]:
        astray = UNTIED / thing.drift[0] if thing.runs else 0.0
        spread = math.sqrt(max(thing.covariance[0], thing.covariance[2]) + astray)
        reach = min(FARTHEST_M, 6.0 + 3.0 * spread)
        near = self._grid.near(thing.key, thing.lat, thing.lon, reach)
        return [other for other in near if other is not thing]

    def doubtful(self, thing: Thing, pass_id: str) -> bool:
        """True when a pass did not see a thing, but something close to it that may be the same."""
        for other in self._grid.near(thing.key, thing.lat, thing.lon, SUSPECT_M):
            if other is not thing and other.seen_in(pass_id) and undecided(thing, other):
                return True
        return False

    def bias_near(self, runs: list[int], lat: float, lon: float) -> Bias | None:
        """Bias at a point, by the runs' last estimates, whichever is surest; None when there are none."""
        best: Bias | None = None
        least = math.inf
        for run in runs:
            if run in self.fleet.fits:
                found = self.fleet.curve(run).near(lat, lon)
                if found[2] + found[4] < least:
                    best, least = found, found[2] + found[4]
        return best
