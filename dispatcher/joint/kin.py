"""Kin: a map on which two things may turn out to be one, and one to be two."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from dispatcher.joint.associate import BANK_M
from dispatcher.joint.map import Map
from dispatcher.joint.pairs import FLOOR_M2
from dispatcher.joint.seen import Seen, length
from dispatcher.joint.thing import Thing
from dispatcher.joint.twins import LOG_ANOTHER, ONE_OF_TWO, sameness, summed, told_apart, widest

SAME: Final = 0.0  # what taking two things for one must gain (log)
MANY: Final = 8  # looks from which on it is tried whether two things, seen by turns, explain where they saw it
BY_TURNS: Final = 3.0  # log evidence that asks for
TEMPER: Final = 0.5  # of the evidence in where sightings lie: errors are not quite what they claim
EM_ROUNDS: Final = 12
ELSEWHERE: Final = 0.5  # log odds at which what came after a disorder was verified gone is another one
SUCCEEDED: Final = 18.0  # chi² at which what was seen of a thing after some moment is of another one ...
SUCCEEDED_M: Final = 4.0  # ... that lies so far from it at least


class Kin(Map):
    """A map that joins and divides its things."""

    def part(self, thing: Thing, seens: list[Seen], touched: dict[int, Thing]) -> Thing:
        """Make some sightings of a thing another thing, because a person says so."""
        other = self._new(seens[0])
        for seen in thing.seens:
            seen.pinned = True
        for seen in seens:
            thing.remove(seen)
            other.add(seen)
        other.looks = dict(thing.looks)
        other.expected = thing.expected
        thing.apart.add(other.id)
        other.apart |= thing.apart | {thing.id}
        touched[thing.number], touched[other.number] = thing, other
        self._regroup(thing, other)
        return other

    def join(self, keeper: Thing, gone: Thing, touched: dict[int, Thing], *, pin: bool = False) -> None:
        """Make two things one; `pin` when a person says so."""
        for seen in [*keeper.seens, *gone.seens] if pin else ():
            seen.pinned = True
        for seen in gone.seens:
            gone.remove(seen)
            keeper.add(seen)
        for id, look in gone.looks.items():
            held = keeper.looks.get(id)
            if held is None or held.detectable > look.detectable:
                keeper.looks[id] = look
        keeper.apart |= gone.apart
        touched[keeper.number], touched[gone.number] = keeper, gone
        self._regroup(gone, keeper)

    def _halve(self, thing: Thing, touched: dict[int, Thing]) -> None:
        """Make two things of one that passes keep seeing twice, apart; or, of a disorder, in two places by turns."""
        if thing.stamp == thing.halved or thing.pinned:
            return
        thing.halved = thing.stamp
        told_twice = sum(map(len, thing.passes.values())) > len(thing.passes) + 1
        if not told_twice and (thing.plain or len(thing.passes) < MANY):
            return
        pairs = [pair for seens in thing.passes.values() if (pair := widest(thing, seens)) is not None]
        two_at_once = ONE_OF_TWO * -self._once(thing, pairs) - summed([told_apart(*pair) for pair in pairs])
        moved: list[Seen] = []
        if len(pairs) > 1 and two_at_once > 1.0:
            moved = _by_pairs(thing, pairs)
        if not moved and not thing.plain and len(thing.passes) >= MANY:
            moved = _by_turns(thing, pairs, two_at_once)
        if not moved:
            return
        other = self._new(moved[0])
        for seen in moved:
            thing.remove(seen)
            other.add(seen)
        other.looks, other.expected = dict(thing.looks), thing.expected
        touched[other.number] = other
        self._regroup(thing, other)

    @staticmethod
    def _once(thing: Thing, pairs: list[tuple[Seen, Seen]]) -> int:
        """How many passes saw one of two; of a disorder, while the other was there: before, there was no other."""
        if thing.plain or not pairs:
            return len(thing.passes) - len(pairs)
        times = [a.at for a, _ in pairs]
        first, last = min(times, default=0.0), max(times, default=0.0)
        return sum(first <= seens[0].at <= last for seens in thing.passes.values()) - len(pairs)

    def _succeed(self, thing: Thing, touched: dict[int, Thing]) -> None:
        """Make two things of one that moved: a disorder went, and another one came close by."""
        if thing.plain or thing.pinned:
            return
        if len(thing.runs) < 2:
            return
        runs = sorted(thing.runs.values(), key=_begun)
        surest = [min(seens, key=_spread) for seens in runs]
        cut = _moved_after(thing, surest)
        if cut < 0:
            return
        other = self._new(surest[cut + 1])
        for seen in [seen for seens in runs[cut + 1 :] for seen in seens]:
            thing.remove(seen)
            other.add(seen)
        other.looks = dict(thing.looks)
        touched[other.number] = other
        self._regroup(thing, other)

    def _twin(self, thing: Thing) -> Thing | None:
        """Another thing that is likelier the same than not."""
        best: tuple[float, int, Thing] | None = None
        for other in self.neighbours(thing):
            gain = sameness(thing, other, least=SAME)
            if gain > SAME and (best is None or (-gain, other.number) < best[:2]):
                best = (-gain, other.number, other)
        return None if best is None else best[2]


def _begun(seens: list[Seen]) -> tuple[float, int]:
    first = math.inf
    for seen in seens:
        first = min(first, seen.at)
    return first, seens[0].number


def _spread(seen: Seen) -> float:
    return seen.covariance[0] + seen.covariance[2]


def _moved_after(thing: Thing, surest: list[Seen]) -> int:
    """The last sighting, one of each run in order of time, before a disorder was another one; -1 when it is one."""
    gone: set[int] = set()  # it was verified gone just then: what came may be another one
    if len(thing.records) > 1:
        for record in thing.records:
            closed = math.inf if record.closed_at is None else record.closed_at.timestamp()
            for n, seen in enumerate(surest):
                if seen.at > closed:
                    gone.add(n - 1)
                    break
    after, east, north = 0.0, 0.0, 0.0
    for seen in surest:
        weight = 2.0 / _spread(seen)
        e, y = thing.offset(seen.lat, seen.lon)
        after, east, north = after + weight, east + weight * e, north + weight * y
    before, past_east, past_north, cut, most = 0.0, 0.0, 0.0, -1, -1.0
    for n in range(len(surest) - 1):
        seen = surest[n]
        weight = 2.0 / _spread(seen)
        e, y = thing.offset(seen.lat, seen.lon)
        before, past_east, past_north = before + weight, past_east + weight * e, past_north + weight * y
        after, east, north = after - weight, east - weight * e, north - weight * y
        apart = length(east / after - past_east / before, north / after - past_north / before)
        variance = 1.0 / before + 1.0 / after + FLOOR_M2
        chi2 = apart * apart / variance
        moved = chi2 >= SUCCEEDED and len(surest) >= 4 and apart >= SUCCEEDED_M
        another = chi2 / 2 + math.log(2 * math.pi * variance) + LOG_ANOTHER
        if chi2 > most and (moved or (n in gone and another > ELSEWHERE and apart >= BANK_M)):
            cut, most = n, chi2
    return cut


def _by_pairs(thing: Thing, pairs: list[tuple[Seen, Seen]]) -> list[Seen]:
    """Which sightings are of the farther of two things that passes saw side by side; none when they lie too close."""
    spots = {id(seen): thing.offset(seen.lat, seen.lon) for seen in thing.seens}
    apart = np.array([np.subtract(spots[id(b)], spots[id(a)]) for a, b in pairs])
    axis = np.linalg.eigh(apart.T @ apart)[1][:, -1]
    if float(np.median(np.abs(apart @ axis))) < BANK_M:
        return []
    middle = float(np.mean([np.add(spots[id(a)], spots[id(b)]) @ axis / 2 for a, b in pairs]))
    far = {id(a if np.dot(spots[id(a)], axis) > np.dot(spots[id(b)], axis) else b) for a, b in pairs}
    near = {id(seen) for pair in pairs for seen in pair} - far
    return [s for s in thing.seens if id(s) not in near and (id(s) in far or np.dot(spots[id(s)], axis) > middle)]


def _by_turns(thing: Thing, pairs: list[tuple[Seen, Seen]], two_at_once: float) -> list[Seen]:
    """Which sightings are of the second of two things, when a mixture of two explains where all lie better than one.

    `two_at_once` is the log evidence for two from how often passes saw one or both. Expectation maximisation; every
    sighting's error is known.
    """
    seens = thing.seens
    spots = np.array([thing.offset(seen.lat, seen.lon) for seen in seens])
    variance = np.array([(s.covariance[0] + s.covariance[2]) / 2 + FLOOR_M2 for s in seens])
    weight = 1.0 / variance
    middle = weight @ spots / weight.sum()
    around = spots - middle
    if pairs:
        steps = np.array([np.subtract(thing.offset(b.lat, b.lon), thing.offset(a.lat, a.lon)) for a, b in pairs])
        axis = np.linalg.eigh(steps.T @ steps)[1][:, -1]
    else:
        axis = np.linalg.eigh((weight[:, None] * around).T @ around)[1][:, -1]
    side = around @ axis > 0
    if side.all() or not side.any():
        return []
    one = -0.5 * (around**2).sum(axis=1) / variance
    part = side.astype(float)
    for _ in range(EM_ROUNDS):
        mine = weight * part, weight * (1.0 - part)
        places = [w @ spots / w.sum() for w in mine]
        likely = [-0.5 * ((spots - place) ** 2).sum(axis=1) / variance - math.log(2.0) for place in places]
        both = np.logaddexp(*likely)
        part = np.clip(np.exp(likely[0] - both), 1e-6, 1.0 - 1e-6)
    if math.dist(*places) < SUCCEEDED_M or TEMPER * float((both - one).sum()) + two_at_once < BY_TURNS:
        return []
    moved = [seen for seen, p in zip(seens, part.tolist(), strict=True) if p > 0.5]
    least = min(len({s.run for s in moved}), len({s.run for s in seens} - {s.run for s in moved}))
    return moved if least > 1 else []
