"""Pairs: the known things that each sighting of a window may be of, as the map has them without its own run's word."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from dispatcher.joint.bias import UNKNOWN, Bias, Fit, Window
from dispatcher.joint.matrix import zeros
from dispatcher.joint.seen import LOG_2PI, Seen
from dispatcher.joint.thing import CREDIBLE, Thing
from vision.sighting import Covariance

FLOOR_M: Final = 0.5  # 1 sigma, each axis, beside what the covariances claim
FLOOR_M2: Final = FLOOR_M**2
FARTHEST_M: Final = 40.0  # however vague the positions, things farther apart than this are never taken for one
CANDIDATES: Final = 6  # known things considered for one sighting
LEAST_TOLD: Final = 1e-4  # 1/m² that a run at least tells of how far the map is adrift

Near = Callable[[Seen, float], list[Thing]]


class Candidate:
    """A known thing that a sighting may be of."""

    def __init__(
        self, likely: float, thing: Thing, error: tuple[float, float], noise: Covariance, prior: float
    ) -> None:
        self.likely = likely  # log density, times the thing's being there
        self.thing = thing
        self.error = error  # reported less known position
        self.noise = noise  # of both
        self.prior = prior  # log chance that the thing is still there


class Pairs:
    """M pairs (sighting of a window, known thing), in order of the sightings."""

    def __init__(self, size: i64) -> None:
        self.i: list[int] = []  # (M,) which sighting
        self.candidates: list[Candidate] = []
        self.new = zeros(size)  # (N,) log density of unknown things at each sighting

    def likely(self, p: int, bias: Bias) -> float:
        """Log density of a pair's error, given the bias and its covariance, times the thing's being there."""
        pair = self.candidates[p]
        e, n = pair.error[0] - bias[0], pair.error[1] - bias[1]
        a, b, c = pair.noise[0] + bias[2], pair.noise[1] + bias[3], pair.noise[2] + bias[4]
        det = a * c - b * b
        d2 = (c * e * e - 2 * b * e * n + a * n * n) / det
        return -0.5 * d2 - 0.5 * math.log(det) - LOG_2PI + pair.prior

    def all_likely(self, curve: Fit) -> vec[float]:
        """(M,) under a curve."""
        out = zeros(len(self.i))
        for p, i in enumerate(self.i):
            out[p] = self.likely(p, curve.at(i))
        return out


def reach_m(seen: Seen) -> float:
    """How far from where it was reported a thing may lie that a sighting is of."""
    return min(FARTHEST_M, 4.0 + 3.5 * math.sqrt(max(seen.claimed[0], seen.claimed[2])))


def pairs_of(window: Window, near: Near, new: Callable[[Seen], float]) -> Pairs:
    """The known things near enough to be what the sightings are of. Their own run's word does not count."""
    pairs = Pairs(window.size)
    around = [near(seen, reach_m(seen)) for seen in window.seens]
    drift = zeros(window.size)
    for n in range(window.size):
        drift[n] = _adrift(window.seens[n], around[n])
    window.adrift(drift)
    for n in range(window.size):
        pairs.new[n] = new(window.seens[n])
        for candidate in _candidates(window.seens[n], around[n], window, n, pairs.new[n]):
            pairs.i.append(n)
            pairs.candidates.append(candidate)
    return pairs


def _candidates(seen: Seen, known: list[Thing], window: Window, n: i64, fresh: float) -> list[Candidate]:
    """The known things that a sighting may be of, the likeliest first.

    Here most things are looked at and turned down, so it is written out in plain numbers.
    """
    found: list[Candidate] = []
    run, own, plain = seen.run, seen.own, seen.plain
    lat, lon = seen.reported
    drift = window.drift[n]
    aa, bb, cc = seen.claimed[0] + drift, seen.claimed[1], seen.claimed[2] + drift
    for thing in known:
        if plain and _incredible(seen, thing):
            continue
        at, beside, covariance = thing.lat, thing.lon, thing.covariance
        if run in thing.messages:
            if not thing.known_without(run):
                continue
            at, beside, covariance = thing.without(run)
        east, north = (lon - beside) * window.per_lon, (lat - at) * window.per_lat
        if east * east + north * north > FARTHEST_M * FARTHEST_M:
            continue
        a, b, c = aa + covariance[0] + FLOOR_M2, bb + covariance[1], cc + covariance[2] + FLOOR_M2
        det = a * c - b * b
        d2 = (c * east * east - 2 * b * east * north + a * north * north) / det
        likely = -0.5 * d2 - 0.5 * math.log(det) - LOG_2PI
        if likely > fresh - 8.0 or thing is seen.thing:
            prior = thing.prior(seen.at)
            if thing.plain:
                prior += thing.as_reported(seen.at, disordered=not plain)
            spread = (own[0] + covariance[0] + FLOOR_M2, own[1] + covariance[1], own[2] + covariance[2] + FLOOR_M2)
            _insert(found, Candidate(likely + prior, thing, (east, north), spread, prior))
    return found


def _insert(found: list[Candidate], one: Candidate) -> None:
    """Keep the likeliest, in order; of two as likely, the older thing comes first."""
    at = len(found)
    while at > 0:
        before = found[at - 1]
        if before.likely > one.likely or (before.likely == one.likely and before.thing.number < one.thing.number):
            break
        at -= 1
    found.insert(at, one)
    if len(found) > CANDIDATES:
        found.pop()


def _incredible(seen: Seen, thing: Thing) -> bool:
    """True when a sighting in order and what is known of a permanent thing are together likelier ghosts than not."""
    return thing.plain > 0 and thing.odds + (0.0 if seen.thing is thing else seen.odds) < CREDIBLE


def _adrift(seen: Seen, known: list[Thing]) -> float:
    """Variance, m², of how far the map is off around a sighting, by the known thing that tells most.

    UNKNOWN where other runs saw nothing.
    """
    most = 0.0
    for thing in known:
        tells = thing.drift[0]
        if tells > most:
            own = thing.messages.get(seen.run)
            if own is not None:
                tells -= own.error[0]
            if tells > most:
                most = tells
    return 1.0 / most if most > LEAST_TOLD else UNKNOWN
