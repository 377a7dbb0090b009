"""Association: which known things a vehicle's sightings are of, decided for neighbouring sightings together.

The vehicle's position error is unknown, but shared: every pair (sighting, known thing) is a hypothesis of it. Under
each, all sightings are matched at once; the likeliest is kept. A sighting that fits nothing is of something new.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dispatcher.joint.bias import Fit, Window, blocks, fit, matrices
from dispatcher.joint.seen import LOG_2PI, Seen, log_density, plus
from dispatcher.joint.thing import CREDIBLE, Thing
from ingest.geo import Floats

GHOSTS_PER_M2 = 1e-5  # density at which a pass reports ghosts that look like a disorder, at even odds; less the surer
OBJECT_GHOSTS_PER_M2 = 3e-4  # ... and like an object: of those there are more, real ones and ghosts
NEW_PER_M2 = 5e-5  # density at which a pass reports things that nobody knows yet ...
UNKNOWN_PER_M2 = 6e-4  # ... and permanent ones where no pass looked before; each that did leaves half of them unknown
NEW_BIN_PER_M2 = 5e-6  # density at which a pass reports an overflowing bin that no pass saw before
FLOOR_M = 0.5  # 1 sigma, each axis, beside what the covariances claim
FLOOR_M2 = FLOOR_M**2
FARTHEST_M = 40.0  # however vague the positions, things farther apart than this are never taken for one
BANK_M = 3.0  # things of one key seen in one pass this close to each other are one disorder
BANK_REACH_M = 8.0  # from a bank's middle; a row longer than that is more than one disorder
CANDIDATES = 6  # known things considered for one sighting
HYPOTHESES = 24
ROUNDS = 3
REFINED = 3  # of the hypotheses, the likeliest, worked out in full
CLEAR = 3.0  # a candidate that leads by so much (log) needs no further thought
LOG_NEIGHBOUR = math.log(5e-4)  # per m²: how densely things of one key stand beside each other
TWICE = math.log(0.12)  # a tracker lost a thing and found it again: two sightings of it in one pass
LEAST_TOLD = 1e-4  # 1/m² that a run at least tells of how far the map is adrift
STAYS = 1.0  # what a new solution must gain (log) to undo an old one
NO_BIAS = np.zeros(2)

Near = Callable[[Seen, float], Sequence[Thing]]


@dataclass(slots=True)
class Pairs:
    """M pairs (sighting i of a window, known thing)."""

    i: np.ndarray  # (M,)
    things: list[Thing]
    error: Floats  # (M, 2) reported less known position
    noise: Floats  # (M, 2, 2) of both
    new: Floats  # (N,) log density of unknown things at each sighting
    prior: Floats  # (M,) log chance that the thing is still there


@dataclass(slots=True)
class Solution:
    """What each sighting of a window is of (None: something new), and how likely all of it is."""

    pair: list[int]  # index into the pairs, -1 for none
    fit: Fit
    score: float


def reach_m(seen: Seen) -> float:
    ee, _, nn = seen.sighting.covariance_m2
    return min(FARTHEST_M, 4.0 + 3.5 * math.sqrt(max(ee, nn)))


def pairs_of(window: Window, near: Near, new: Callable[[Seen], float]) -> Pairs:
    """The known things near enough to be what the sightings are of. Their own run's word does not count."""
    i: list[int] = []
    things: list[Thing] = []
    error: list[tuple[float, float]] = []
    noise: list[tuple[float, float, float]] = []
    prior: list[float] = []
    fresh = [new(seen) for seen in window.seens]
    around = [near(seen, reach_m(seen)) for seen in window.seens]
    window.adrift([_adrift(seen, known) for seen, known in zip(window.seens, around, strict=True)])
    for n, seen in enumerate(window.seens):
        found = _candidates(seen, around[n], window, n, fresh[n])
        found.sort(key=_first)
        for _, _, thing, offset, spread, there in found[:CANDIDATES]:
            i.append(n)
            things.append(thing)
            error.append(offset)
            noise.append(spread)
            prior.append(there)
    return Pairs(
        np.array(i, np.intp),
        things,
        np.array(error, np.float64).reshape(-1, 2),
        matrices(noise),
        np.array(fresh),
        np.array(prior, np.float64),
    )


Candidate = tuple[float, int, Thing, tuple[float, float], tuple[float, float, float], float]


def _candidates(seen: Seen, known: Sequence[Thing], window: Window, n: int, fresh: float) -> list[Candidate]:
    """The known things that a sighting may be of: (-likely, number, thing, error, noise, prior).

    This is where most things are looked at and turned down, so it is written out in plain numbers.
    """
    found: list[Candidate] = []
    run, own, plain = seen.run, seen.own, seen.sighting.matter is None
    lat, lon = seen.sighting.lat, seen.sighting.lon
    per_lat, per_lon, drift = window.per_lat, window.per_lon, window.drift[n]
    claimed = seen.sighting.covariance_m2
    aa, bb, cc = claimed[0] + drift, claimed[1], claimed[2] + drift
    for thing in known:
        located = thing.without(run) if run in thing.messages else (thing.lat, thing.lon, thing.covariance)
        if located is None or (plain and _incredible(seen, thing)):
            continue
        covariance = located[2]
        east, north = (lon - located[1]) * per_lon, (lat - located[0]) * per_lat
        if math.hypot(east, north) > FARTHEST_M:
            continue
        a, b, c = aa + covariance[0] + FLOOR_M2, bb + covariance[1], cc + covariance[2] + FLOOR_M2
        det = a * c - b * b
        d2 = (c * east * east - 2 * b * east * north + a * north * north) / det
        likely = -0.5 * d2 - 0.5 * math.log(det) - LOG_2PI
        if likely > fresh - 8.0 or thing is seen.thing:
            prior = thing.prior(seen.at)
            if thing.plain:
                prior += thing.as_reported(seen.at, disordered=not plain)
            spread = own[0] + covariance[0] + FLOOR_M2, own[1] + covariance[1], own[2] + covariance[2] + FLOOR_M2
            found.append((-likely - prior, thing.number, thing, (east, north), spread, prior))
    return found


def _first(candidate: Candidate) -> tuple[float, int]:
    return candidate[:2]


def _incredible(seen: Seen, thing: Thing) -> bool:
    """True when a sighting and what is known of a permanent thing are together likelier ghosts than not."""
    if seen.sighting.matter is not None or not thing.plain:
        return False
    return thing.odds + (0.0 if seen.thing is thing else seen.odds) < CREDIBLE


def _adrift(seen: Seen, known: Sequence[Thing]) -> float | None:
    """Variance, m², of how far the map is off around a sighting, by the known thing that tells most. None where other
    runs saw nothing."""
    most = 0.0
    for thing in known:
        tells = thing.drift[0]
        if tells > most:
            own = thing.errors.get(seen.run)
            if own is not None:
                tells -= own[0]
            if tells > most:
                most = tells
    return 1.0 / most if most > LEAST_TOLD else None


def solve(window: Window, pairs: Pairs, fixed: int = 0) -> Solution:
    """The likeliest assignment. The first `fixed` sightings keep what they have."""
    held = _held(window, pairs)
    known: Refinements = {}
    incumbent = refined(window, pairs, held, fixed, 1, held, known, scored=fixed < len(window.seens))
    if not pairs.things or fixed == len(window.seens):
        return incumbent
    best = incumbent
    for mean, spread in _starts(window, pairs):
        guess = _match(window, pairs, mean, spread, held, fixed)
        if guess == best.pair:
            continue
        found = refined(window, pairs, guess, fixed, ROUNDS, held, known)
        if found.score > best.score + (STAYS if best is incumbent else 0.0):
            best = found
    return best


def _held(window: Window, pairs: Pairs) -> list[int]:
    """The pairs that stand already."""
    held = [-1] * len(window.seens)
    for p, (i, thing) in enumerate(zip(pairs.i.tolist(), pairs.things, strict=True)):
        if window.seens[i].thing is thing:
            held[i] = p
    return held


def _starts(window: Window, pairs: Pairs) -> list[tuple[Floats, Floats]]:
    """Bias (N, 2) and its covariance (N, 2, 2) under the likeliest hypotheses."""
    n = len(window.seens)
    own = blocks(window.prior)
    marginal = log_likely(pairs, NO_BIAS, own[pairs.i])
    order = np.argsort(-marginal, kind="stable")[:HYPOTHESES]
    i = pairs.i[order]
    across = window.prior.reshape(n, 2, n, 2)[:, :, i, :].transpose(2, 0, 1, 3)  # (H, N, 2, 2)
    gain = across @ np.linalg.inv(own[i] + pairs.noise[order])[:, None]
    mean = (gain @ pairs.error[order][:, None, :, None])[..., 0]
    spread = own[None] - gain @ across.transpose(0, 1, 3, 2)
    likely = log_likely(pairs, mean[:, pairs.i], spread[:, pairs.i])  # (H, M)
    best = np.tile(pairs.new, (len(order), 1))
    first = np.flatnonzero(np.diff(pairs.i, prepend=-1))  # pairs lie in order of their sightings
    some = pairs.i[first]
    best[:, some] = np.maximum(best[:, some], np.maximum.reduceat(likely, first, axis=1))
    total = best.sum(axis=1)
    chosen = np.argsort(-total, kind="stable")[:REFINED]
    return [(mean[h], spread[h]) for h in chosen.tolist()]


def log_likely(pairs: Pairs, bias: Floats, spread: Floats) -> Floats:
    """Log density of each pair's error, given the bias (…, M, 2) and its covariance, times the thing's being there."""
    total = pairs.noise + spread
    away = pairs.error - bias
    a, b, c = total[..., 0, 0], total[..., 0, 1], total[..., 1, 1]
    det = a * c - b * b
    e, n = away[..., 0], away[..., 1]
    d2 = (c * e * e - 2 * b * e * n + a * n * n) / det
    return np.asarray(-0.5 * d2 - 0.5 * np.log(det) - LOG_2PI + pairs.prior)


def _match(window: Window, pairs: Pairs, mean: Floats, spread: Floats, held: list[int], fixed: int) -> list[int]:
    """Greedy: the likeliest pairs first, a thing twice in one pass only at a price, none that is likelier new."""
    likely = log_likely(pairs, mean[pairs.i], spread[pairs.i])
    out = [-1] * len(window.seens)
    done = set(range(fixed))
    out[:fixed] = held[:fixed]
    taken: set[tuple[str, int]] = set()
    for i, seen in enumerate(window.seens):
        if seen.pinned:
            out[i] = held[i]
            done.add(i)
        if i in done and seen.thing is not None:
            taken.add((seen.look, seen.thing.number))
    inside = {id(seen) for seen in window.seens}
    gain = likely - pairs.new[pairs.i]
    order = np.argsort(-gain, kind="stable").tolist()
    gain = gain.tolist()
    of = pairs.i.tolist()
    beside = np.maximum(LOG_NEIGHBOUR - pairs.new, 0.0).tolist()  # what a pass tells twice may be a neighbour
    for price in (0.0, TWICE):
        for p in order:
            if gain[p] + price < 0.0:
                break
            if price < 0.0 and gain[p] + price < beside[of[p]]:
                continue
            i, thing = of[p], pairs.things[p]
            if i in done:
                continue
            seen = window.seens[i]
            if price == 0.0 and ((seen.look, thing.number) in taken or _elsewhere(seen, thing, inside)):
                continue
            out[i] = p
            done.add(i)
            taken.add((seen.look, thing.number))
    return out


def _elsewhere(seen: Seen, thing: Thing, inside: set[int]) -> bool:
    """True when a sighting of the same pass, but not of the window, is of the thing already."""
    others = thing.passes.get(seen.look)
    return others is not None and any(id(other) not in inside for other in others)


Refinements = dict[tuple[int, ...], tuple[Fit, list[int] | None]]  # matching -> curve, and what it leads to


def refined(
    window: Window,
    pairs: Pairs,
    pair: list[int],
    fixed: int = 0,
    rounds: int = 1,
    held: list[int] | None = None,
    known: Refinements | None = None,
    *,
    scored: bool = True,
) -> Solution:
    """Estimate the bias from a matching, match again, until it stays. `known` is what other starts came by."""
    held = _held(window, pairs) if held is None else held
    known = {} if known is None else known
    while True:
        curve, again = known.get(tuple(pair), (None, None))
        if curve is None:
            curve = _fitted(window, pairs, pair)
            known[tuple(pair)] = curve, None
        if rounds == 1 or not len(curve.used):
            break
        if again is None:
            again = _match(window, pairs, *curve.at_all(), held, fixed)
            known[tuple(pair)] = curve, again
        if again == pair:
            break
        pair, rounds = again, rounds - 1
    return Solution(pair, curve, _score(window, pairs, pair, curve) if scored else 0.0)


def _fitted(window: Window, pairs: Pairs, pair: list[int]) -> Fit:
    used = np.array([i for i, p in enumerate(pair) if p >= 0], np.intp)
    chosen = np.array([p for p in pair if p >= 0], np.intp)
    return fit(window, used, pairs.error[chosen], pairs.noise[chosen])


def _score(window: Window, pairs: Pairs, pair: list[int], curve: Fit) -> float:
    chosen = [p for p in pair if p >= 0]
    once = {(window.seens[i].look, pairs.things[p].number) for i, p in enumerate(pair) if p >= 0}
    prior = float(pairs.prior[chosen].sum()) + (len(chosen) - len(once)) * TWICE
    new = sum(float(pairs.new[i]) for i, p in enumerate(pair) if p < 0)
    return curve.log_likelihood + prior + new


def noise_of(pairs: Pairs, solution: Solution) -> Floats:
    """(M, 2, 2) of the pairs that a solution uses."""
    return pairs.noise[[p for p in solution.pair if p >= 0]]


def beside(seen: Seen, thing: Thing) -> bool:
    """True when a sighting stands beside others of its own pass, as one disorder with them."""
    others = thing.passes.get(seen.look, ())
    spots = [apart(seen, other) for other in others if other is not seen]
    if not spots:
        return False
    middle = (sum(e for e, _ in spots) / len(spots), sum(n for _, n in spots) / len(spots))
    return min(math.hypot(*spot) for spot in spots) <= BANK_M and math.hypot(*middle) <= BANK_REACH_M


def relative(seen: Seen, other: Seen) -> float:
    """Log density of two sightings of one run being of one thing: their vehicle's error hardly differs."""
    east, north = apart(seen, other)
    floor = (FLOOR_M**2, 0.0, FLOOR_M**2)
    drift = 2.0 * (1.0 - math.exp(-math.hypot(east, north) / 400.0 - abs(seen.at - other.at) / 900.0))
    a, b, c = seen.root
    shared = (drift * (a * a + b * b), drift * (a * b + b * c), drift * (b * b + c * c))
    return log_density(east, north, plus(plus(plus(seen.own, other.own), floor), shared))


def apart_m(a: Seen, b: Seen) -> float:
    """How far apart two sightings were reported."""
    return math.hypot(*apart(a, b))


def apart(seen: Seen, other: Seen) -> tuple[float, float]:
    per_lat, per_lon = M_PER_DEG_LAT, M_PER_DEG_LAT * math.cos(math.radians(seen.sighting.lat))
    return (
        (seen.sighting.lon - other.sighting.lon) * per_lon,
        (seen.sighting.lat - other.sighting.lat) * per_lat,
    )


M_PER_DEG_LAT = 110_900.0  # within half a percent everywhere: for offsets of some metres
