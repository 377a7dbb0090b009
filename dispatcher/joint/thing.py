"""Thing: one physical thing on the map: a bin, a heap, a poster. Everything that was seen of it, and where it is."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from dispatcher.joint.belief import Look
from dispatcher.joint.record import Record
from dispatcher.joint.seen import Seen, inverse, length, minus, plus, surest
from ingest.geo import m_per_deg
from vision.sighting import Covariance

POSITION_FLOOR_M: Final = 0.3  # 1 sigma, each axis, of the surest position
LEAST_THERE: Final = 0.005  # chance that the least likely thing is reported again
CREDIBLE: Final = (
    -2.0
)  # log odds of being there below which sightings of a permanent thing are ghosts: those lie anywhere
MISSED: Final = -0.5  # log evidence from a pass that should have seen it: some of them had it hidden
SURE: Final = 12  # passes after which nothing more is learnt about whether it is anything
SELDOM: Final = 0.03  # chance that a bin of which nothing is known overflows, or passes for one that does
LEAST_INFORMATION: Final = 1e-6  # 1/m²; below it nothing is known


@dataclass(slots=True)
class Kinship:
    """What passes that saw one of two things, or both, tell of their being one: all but where they lie."""

    together: int  # passes that saw both
    both: float  # ... each as far as it is believed, and as far as what it told twice is no copy
    against: float  # log evidence for one thing from passes that saw both; negative
    shared: float | None  # median log density of the offsets that single runs saw; None when none saw both
    overlap: int | None = None  # sightings of each while the other was there; worked out when asked for


Located = tuple[float, float, Covariance]
Offset = tuple[float, float, float]  # weight in 1/m², and weight times metres east and north


@dataclass(slots=True)
class Message:
    """What one run says of where a thing is."""

    information: Covariance
    east: float  # information vector, in metres about the thing's origin
    north: float
    error: Offset  # of the run's positions, as estimated


@dataclass(slots=True, eq=False)
class Thing:
    """Sightings by run (vehicle and piece of its time), and the position that follows from them in information form."""

    id: str
    number: int  # order of founding
    key: str
    lat0: float  # origin of its information
    lon0: float
    per_lat: float
    per_lon: float
    lat: float
    lon: float
    runs: dict[int, list[Seen]] = field(default_factory=dict)
    messages: dict[int, Message] = field(default_factory=dict)
    information: Covariance = (0.0, 0.0, 0.0)
    east: float = 0.0  # information vector
    north: float = 0.0
    covariance: Covariance = (0.0, 0.0, 0.0)
    drift: Offset = (0.0, 0.0, 0.0)  # sum of its runs' errors
    passes: dict[str, list[Seen]] = field(default_factory=dict)
    looks: dict[str, Look] = field(default_factory=dict)  # misses, by pass
    records: list[Record] = field(default_factory=list)  # in order of time
    disorders: list[tuple[float, float, float]] = field(default_factory=list)  # of a bin: from, until, how likely
    apart: set[str] = field(default_factory=set)  # things that a person said are others
    there: float = 1.0  # chance that it is still there
    stood: list[tuple[float, float]] = field(default_factory=list)  # of a disorder: from when until when it was seen
    odds: float = 0.0  # log odds that it is there, by the passes that saw it
    believed: float = 0.0  # chance that it ever was, by the confidence of what reported it
    tried: int = 0  # passes of a better known neighbour when its runs were last worked out again
    expected: float = 0.0  # how many passes should have seen it, by what they looked at
    plain: int = 0  # sightings of it in order: it is a bin, and stays
    halved: int = -1  # its stamp when it was last tried whether it is two
    stamp: int = 0  # counts the changes of its sightings
    kinship: dict[int, tuple[int, Kinship]] = field(default_factory=dict)  # to others, by number, as of their stamp

    @classmethod
    def at(cls, id: str, number: int, seen: Seen) -> Thing:
        lat, lon = seen.sighting.lat, seen.sighting.lon
        return cls(id, number, seen.key, lat, lon, *m_per_deg(lat), lat, lon)

    def add(self, seen: Seen) -> None:
        seen.thing = self
        self.plain += seen.plain
        self.runs.setdefault(seen.run, []).append(seen)
        mates = self.passes.setdefault(seen.look, [])
        self.odds -= _odds(mates)
        mates.append(seen)
        self.odds += _odds(mates)
        self._weigh()
        self.update(seen.run)

    def _weigh(self) -> None:
        """How surely it is anything at all, by what reported it."""
        self.stamp += 1
        self.kinship.clear()
        doubt = 1.0
        for seens in islice(self.passes.values(), SURE):
            doubt *= 1.0 - min(0.95, surest(seens))
        self.believed = max(LEAST_THERE, 1.0 - doubt)

    def remove(self, seen: Seen) -> None:
        seen.thing = None
        self.plain -= seen.plain
        mates = self.passes[seen.look]
        left = [other for other in mates if other is not seen]
        self.odds += _odds(left) - _odds(mates)
        if left:
            self.passes[seen.look] = left
        else:
            del self.passes[seen.look]
        left = [other for other in self.runs[seen.run] if other is not seen]
        if left:
            self.runs[seen.run] = left
        else:
            del self.runs[seen.run]
        self._weigh()
        self.update(seen.run)

    def update(self, run: int) -> None:
        """Take in what the sightings of one run now say of the position."""
        before = self.messages.pop(run, None)
        if before is not None:
            self.information = minus(self.information, before.information)
            self.east, self.north = self.east - before.east, self.north - before.north
            self.drift = minus(self.drift, before.error)
        seens = self.runs.get(run)
        if seens is not None:
            message = self._message(seens)
            self.messages[run] = message
            self.drift = plus(self.drift, message.error)
            self.information = plus(self.information, message.information)
            self.east, self.north = self.east + message.east, self.north + message.north
        if self.messages:
            self.lat, self.lon, self.covariance = self._solved(self.information, self.east, self.north)

    def known_without(self, run: int) -> bool:
        """Whether other runs than one say where it is."""
        message = self.messages.get(run)
        if message is None:
            return True
        return len(self.messages) > 1 and _solvable(minus(self.information, message.information))

    def without(self, run: int) -> Located:
        """Where the other runs say it is, if there are any."""
        message = self.messages.get(run)
        if message is None:
            return self.lat, self.lon, self.covariance
        information = minus(self.information, message.information)
        return self._solved(information, self.east - message.east, self.north - message.north)

    def _message(self, seens: list[Seen]) -> Message:
        """The middle of a run's sightings, no surer than the surest of them: they share their vehicle's error.

        Its error is weighed by how surely it is none on average.
        """
        best = seens[0].covariance
        lat, lon, off_lat, off_lon = 0.0, 0.0, 0.0, 0.0
        for seen in seens:
            if seen.covariance[0] + seen.covariance[2] < best[0] + best[2]:
                best = seen.covariance
            lat, lon = lat + (seen.lat - self.lat0), lon + (seen.lon - self.lon0)
            off_lat, off_lon = off_lat + (seen.reported[0] - seen.lat), off_lon + (seen.reported[1] - seen.lon)
        n = len(seens)
        ee, en, nn = inverse(best)
        east, north = lon / n * self.per_lon, lat / n * self.per_lat
        a, b, c = seens[0].root
        weight = 1.0 / ((a * a + 2 * b * b + c * c) / 2 + 0.5)
        error = weight, weight * (off_lon / n * self.per_lon), weight * (off_lat / n * self.per_lat)
        return Message((ee, en, nn), ee * east + en * north, en * east + nn * north, error)

    def _solved(self, information: Covariance, east: float, north: float) -> Located:
        a, b, c = inverse(information)
        lat = self.lat0 + (b * east + c * north) / self.per_lat
        lon = self.lon0 + (a * east + b * north) / self.per_lon
        floor = POSITION_FLOOR_M * POSITION_FLOOR_M
        return lat, lon, (a + floor, b, c + floor)

    def offset(self, lat: float, lon: float) -> tuple[float, float]:
        """(east, north) in metres of a point as seen from it."""
        return (lon - self.lon) * self.per_lon, (lat - self.lat) * self.per_lat

    def distance_m(self, other: Thing) -> float:
        east, north = self.offset(other.lat, other.lon)
        return length(east, north)

    def prior(self, at: float) -> float:
        """Log chance that a pass that looked at it at some time reported it, beside what its kind promises.

        What is gone by now was there while passes saw it.
        """
        often = min(1.0, (len(self.passes) + 0.5) / (self.expected + 0.5))
        there = self.there
        for first, last in self.stood:
            if first <= at <= last:
                there = 1.0
        return math.log(max(LEAST_THERE, there * self.believed * often))

    def as_reported(self, at: float, *, disordered: bool) -> float:
        """Log chance that what is reported of a bin at some time, in order or not, is what it is like then."""
        p = 0.0
        for start, end, likely in self.disorders:
            if start <= at <= end:
                p = max(p, likely)
        p = p or SELDOM
        return math.log(p if disordered else 1.0 - p)

    def seen_in(self, pass_id: str) -> bool:
        """Whether a pass saw it."""
        return any(seens[0].pass_id == pass_id for seens in self.passes.values())

    @property
    def pinned(self) -> bool:
        """Whether a person said of some sighting of it what it is of."""
        for seens in self.runs.values():
            for seen in seens:
                if seen.pinned:
                    return True
        return False

    @property
    def likely(self) -> float:
        """Log odds that a permanent thing is there, by what saw it and by what should have and did not."""
        return self.odds + MISSED * max(0.0, self.expected - len(self.passes))

    @property
    def disordered(self) -> bool:
        """True when some sighting of it is of a disorder."""
        return sum([len(seens) for seens in self.passes.values()]) > self.plain

    @property
    def seens(self) -> list[Seen]:
        out: list[Seen] = []
        for seens in self.runs.values():
            out += seens
        return out


def _odds(seens: list[Seen]) -> float:
    """Log odds of a permanent thing by what one pass saw of it."""
    most = -math.inf
    for seen in seens:
        most = max(most, seen.odds)
    return most if seens else 0.0


def _solvable(information: Covariance) -> bool:
    ee, en, nn = information
    det = ee * nn - en * en
    return min(ee, nn) >= LEAST_INFORMATION and det >= LEAST_INFORMATION * LEAST_INFORMATION
