"""Association: which known things a vehicle's sightings are of, decided for neighbouring sightings together.

The vehicle's position error is unknown, but shared: every pair (sighting, known thing) is a hypothesis of it. Under
each, all sightings are matched at once; the likeliest is kept. A sighting that fits nothing is of something new.
"""

from __future__ import annotations

import math
from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from dispatcher.joint.bias import Fit, Window
from dispatcher.joint.matrix import zeros
from dispatcher.joint.pairs import FLOOR_M2, Pairs
from dispatcher.joint.seen import Seen, length, log_density, plus
from dispatcher.joint.thing import Thing

BANK_M: Final = 3.0  # things of one key seen in one pass this close to each other are one disorder
BANK_REACH_M: Final = 8.0  # from a bank's middle; a row longer than that is more than one disorder
HYPOTHESES: Final = 24
ROUNDS: Final = 5
REFINED: Final = 6  # of the hypotheses, the likeliest, worked out in full
CLEAR: Final = 3.0  # a candidate that leads by so much (log) needs no further thought
LOG_NEIGHBOUR: Final = math.log(5e-4)  # per m²: how densely things of one key stand beside each other
TWICE: Final = math.log(0.12)  # a tracker lost a thing and found it again: two sightings of it in one pass
STAYS: Final = 1.0  # what a new solution must gain (log) to undo an old one


class Solution:
    """What each sighting of a window is of, and how likely all of it is."""

    def __init__(self, pair: list[int], fit: Fit, score: float) -> None:
        self.pair = pair  # index into the pairs, -1 for something new
        self.fit = fit
        self.score = score


Refinements = dict[tuple[int, ...], tuple[Fit, list[int] | None]]  # matching -> curve, and what it leads to


def solve(window: Window, pairs: Pairs, *, fixed: bool = False) -> Solution:
    """The likeliest assignment; with `fixed` all keep what they have."""
    held = _held(window, pairs)
    if fixed or not pairs.candidates:
        curve = _fitted(window, pairs, held)
        return Solution(held, curve, 0.0 if fixed else _score(window, pairs, held, curve))
    known: Refinements = {}
    incumbent = _refined(window, pairs, held, 1, held, known)
    best = incumbent
    for likely in _starts(window, pairs):
        guess = _match(window, pairs, likely, held)
        if guess == best.pair:
            continue
        found = _refined(window, pairs, guess, ROUNDS, held, known)
        if found.score > best.score + (STAYS if best is incumbent else 0.0):
            best = found
    return best


def _held(window: Window, pairs: Pairs) -> list[int]:
    """The pairs that stand already."""
    held = [-1] * len(window.seens)
    for p, i in enumerate(pairs.i):
        if window.seens[i].thing is pairs.candidates[p].thing:
            held[i] = p
    return held


def _starts(window: Window, pairs: Pairs) -> list[vec[float]]:
    """How likely each pair is under the likeliest hypotheses of the bias, each of which one pair leads to."""
    wide, many = 2 * window.size, len(pairs.i)
    prior = window.prior
    marginal = zeros(many)
    for p in range(many):
        at = 2 * pairs.i[p] * (wide + 1)
        marginal[p] = pairs.likely(p, (0.0, 0.0, prior[at], prior[at + 1], prior[at + wide + 1]))
    chosen: list[vec[float]] = []
    totals: list[float] = []
    for h in _order(marginal)[:HYPOTHESES]:
        likely = zeros(many)
        total = _hypothesis(window, pairs, h, likely)
        at = len(totals)
        while at > 0 and totals[at - 1] < total:
            at -= 1
        if at < REFINED:
            totals.insert(at, total)
            chosen.insert(at, likely)
            if len(totals) > REFINED:
                totals.pop()
                chosen.pop()
    return chosen


def _hypothesis(window: Window, pairs: Pairs, h: int, likely: vec[float]) -> float:
    """Fill in how likely each pair is when one of them is true; returns how likely all sightings are together."""
    wide, prior = 2 * window.size, window.prior
    one = pairs.candidates[h]
    i: i64 = 2 * pairs.i[h]
    at = i * (wide + 1)
    a, b, c = prior[at] + one.noise[0], prior[at + 1] + one.noise[1], prior[at + wide + 1] + one.noise[2]
    det = a * c - b * b
    a, b, c = c / det, -b / det, a / det
    total, p, many = 0.0, 0, len(pairs.i)
    for j in range(window.size):
        best = pairs.new[j]
        if p < many and pairs.i[p] == j:
            at = 2 * j * wide + i
            ee, en, ne, nn = prior[at], prior[at + 1], prior[at + wide], prior[at + wide + 1]
            gee, gen = ee * a + en * b, ee * b + en * c
            gne, gnn = ne * a + nn * b, ne * b + nn * c
            at = 2 * j * (wide + 1)
            bias = (
                gee * one.error[0] + gen * one.error[1],
                gne * one.error[0] + gnn * one.error[1],
                prior[at] - (gee * ee + gen * en),
                prior[at + 1] - (gee * ne + gen * nn),
                prior[at + wide + 1] - (gne * ne + gnn * nn),
            )
            while p < many and pairs.i[p] == j:
                likely[p] = pairs.likely(p, bias)
                best = max(best, likely[p])
                p += 1
        total += best
    return total


def _order(values: vec[float], least: float = -math.inf) -> list[int]:
    """Indices by value, the largest first, those below `least` left out; of equal ones the first comes first."""
    out: list[int] = []
    for p in range(len(values)):
        if values[p] < least:
            continue
        at = len(out)
        while at > 0 and values[out[at - 1]] < values[p]:
            at -= 1
        out.insert(at, p)
    return out


def _match(window: Window, pairs: Pairs, likely: vec[float], held: list[int]) -> list[int]:
    """Greedy: the likeliest pairs first, a thing twice in one pass only at a price, none that is likelier new."""
    out = [-1] * len(window.seens)
    done = [False] * len(window.seens)
    taken: set[tuple[str, int]] = set()
    for i, seen in enumerate(window.seens):
        if seen.pinned:
            out[i] = held[i]
            done[i] = True
            if seen.thing is not None:
                taken.add((seen.look, seen.thing.number))
    gain = zeros(len(pairs.i))
    for p, i in enumerate(pairs.i):
        gain[p] = likely[p] - pairs.new[i]
    order = _order(gain, 0.0)
    inside = {id(seen) for seen in window.seens}
    for price in (0.0, TWICE):
        for p in order:
            if gain[p] + price < 0.0:
                break
            i, thing = pairs.i[p], pairs.candidates[p].thing
            if done[i]:
                continue
            # what a pass tells twice may be a neighbour
            if price < 0.0 and gain[p] + price < max(LOG_NEIGHBOUR - pairs.new[i], 0.0):
                continue
            seen = window.seens[i]
            if price == 0.0 and ((seen.look, thing.number) in taken or _elsewhere(seen, thing, inside)):
                continue
            out[i] = p
            done[i] = True
            taken.add((seen.look, thing.number))
    return out


def _elsewhere(seen: Seen, thing: Thing, inside: set[int]) -> bool:
    """True when a sighting of the same pass, but not of the window, is of the thing already."""
    others = thing.passes.get(seen.look)
    if others is not None:
        for other in others:
            if id(other) not in inside:
                return True
    return False


def with_pair(window: Window, pairs: Pairs, pair: list[int]) -> Solution:
    """The curve that a matching measures."""
    return Solution(pair, _fitted(window, pairs, pair), 0.0)


def _refined(
    window: Window, pairs: Pairs, pair: list[int], rounds: int, held: list[int], known: Refinements
) -> Solution:
    """Estimate the bias from a matching, match again, until it stays. `known` is what other starts came by."""
    while True:
        found = known.get(tuple(pair))
        curve = _fitted(window, pairs, pair) if found is None else found[0]
        again = None if found is None else found[1]
        if found is None:
            known[tuple(pair)] = curve, None
        if rounds == 1 or not curve.size:
            break
        if again is None:
            again = _match(window, pairs, pairs.all_likely(curve), held)
            known[tuple(pair)] = curve, again
        if again == pair:
            break
        pair, rounds = again, rounds - 1
    return Solution(pair, curve, _score(window, pairs, pair, curve))


def _fitted(window: Window, pairs: Pairs, pair: list[int]) -> Fit:
    m: i64 = len(pair) - pair.count(-1)
    used, error, noise = vec[i64]([0] * m), zeros(2 * m), zeros(3 * m)
    k: i64 = 0
    for i, p in enumerate(pair):
        if p >= 0:
            one = pairs.candidates[p]
            used[k] = i
            error[2 * k], error[2 * k + 1] = one.error
            noise[3 * k], noise[3 * k + 1], noise[3 * k + 2] = one.noise
            k += 1
    return Fit(window, used, error, noise)


def _score(window: Window, pairs: Pairs, pair: list[int], curve: Fit) -> float:
    score = curve.log_likelihood
    once: set[tuple[str, int]] = set()
    for i, p in enumerate(pair):
        if p < 0:
            score += pairs.new[i]
            continue
        score += pairs.candidates[p].prior
        told = window.seens[i].look, pairs.candidates[p].thing.number
        if told in once:
            score += TWICE
        once.add(told)
    return score


def beside(seen: Seen, thing: Thing) -> bool:
    """True when a sighting stands beside others of its own pass, as one disorder with them."""
    others = thing.passes.get(seen.look)
    if others is None:
        return False
    nearest, east, north, n = math.inf, 0.0, 0.0, 0
    for other in others:
        if other is not seen:
            e, y = apart(seen, other)
            nearest, east, north, n = min(nearest, length(e, y)), east + e, north + y, n + 1
    return n > 0 and nearest <= BANK_M and length(east / n, north / n) <= BANK_REACH_M


def relative(seen: Seen, other: Seen) -> float:
    """Log density of two sightings of one run being of one thing: their vehicle's error hardly differs."""
    east, north = apart(seen, other)
    floor = (FLOOR_M2, 0.0, FLOOR_M2)
    drift = 2.0 * (1.0 - math.exp(-length(east, north) / 400.0 - abs(seen.at - other.at) / 900.0))
    a, b, c = seen.root
    shared = (drift * (a * a + b * b), drift * (a * b + b * c), drift * (b * b + c * c))
    return log_density(east, north, plus(plus(plus(seen.own, other.own), floor), shared))


def apart_m(a: Seen, b: Seen) -> float:
    """How far apart two sightings were reported."""
    return length(*apart(a, b))


def apart(seen: Seen, other: Seen) -> tuple[float, float]:
    per_lat, per_lon = M_PER_DEG_LAT, M_PER_DEG_LAT * math.cos(math.radians(seen.reported[0]))
    return (
        (seen.reported[1] - other.reported[1]) * per_lon,
        (seen.reported[0] - other.reported[0]) * per_lat,
    )


M_PER_DEG_LAT: Final = 110_900.0  # within half a percent everywhere: for offsets of some metres
