"""Kin: a map on which two things may turn out to be one, and one to be two."""

from __future__ import annotations

import numpy as np

from dispatcher.joint.associate import BANK_M, apart_m
from dispatcher.joint.map import Map
from dispatcher.joint.seen import Seen
from dispatcher.joint.thing import Thing
from dispatcher.joint.twins import BOTH, ONE_OF_TWO, sameness, two, widest

SAME = 0.0  # what taking two things for one must gain (log)
SUCCEEDED = 25.0  # chi² at which what was seen of a thing after some moment is of another one ...
SUCCEEDED_M = 4.0  # ... that lies so far from it at least


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
        """Make two things of one that passes keep seeing twice, apart."""
        if sum(map(len, thing.passes.values())) < len(thing.passes) + 2:
            return
        pairs = [pair for seens in thing.passes.values() if (pair := widest(thing, seens)) is not None]
        once = len(thing.passes) - len(pairs)
        both = sum(two(apart_m(*pair)) for pair in pairs)
        if len(pairs) < 2 or -BOTH * both < ONE_OF_TWO * once + 1.0 or any(s.pinned for s in thing.seens):
            return
        spots = {id(seen): thing.offset(seen.lat, seen.lon) for seen in thing.seens}
        apart = np.array([np.subtract(spots[id(b)], spots[id(a)]) for a, b in pairs])
        axis = np.linalg.eigh(apart.T @ apart)[1][:, -1]
        if float(np.median(np.abs(apart @ axis))) < BANK_M:
            return
        middle = float(np.mean([np.add(spots[id(a)], spots[id(b)]) @ axis / 2 for a, b in pairs]))
        far = {id(a if np.dot(spots[id(a)], axis) > np.dot(spots[id(b)], axis) else b) for a, b in pairs}
        near = {id(seen) for pair in pairs for seen in pair} - far
        moved = [s for s in thing.seens if id(s) not in near and (id(s) in far or np.dot(spots[id(s)], axis) > middle)]
        other = self._new(moved[0])
        for seen in moved:
            thing.remove(seen)
            other.add(seen)
        other.looks, other.expected = dict(thing.looks), thing.expected
        touched[other.number] = other
        self._regroup(thing, other)

    def _succeed(self, thing: Thing, touched: dict[int, Thing]) -> None:
        """Make two things of one that moved: a disorder went, and another one came close by."""
        if thing.plain or len(thing.runs) < 4 or any(seen.pinned for seen in thing.seens):
            return
        runs = sorted(thing.runs.values(), key=lambda seens: (min(s.at for s in seens), seens[0].number))
        surest = [min(seens, key=lambda s: s.covariance[0] + s.covariance[2]) for seens in runs]
        weight = np.array([2.0 / (s.covariance[0] + s.covariance[2]) for s in surest])
        spots = np.array([thing.offset(s.lat, s.lon) for s in surest])
        before, moments = np.cumsum(weight)[:-1], np.cumsum(weight[:, None] * spots, axis=0)
        after = weight.sum() - before
        step = (moments[-1] - moments[:-1]) / after[:, None] - moments[:-1] / before[:, None]
        apart = np.hypot(step[:, 0], step[:, 1])
        chi2 = apart**2 / (1.0 / before + 1.0 / after + 0.25)
        cut = int(np.argmax(chi2))
        if chi2[cut] < SUCCEEDED or apart[cut] < SUCCEEDED_M:
            return
        moved = [seen for seens in runs[cut + 1 :] for seen in seens]
        other = self._new(moved[0])
        for seen in moved:
            thing.remove(seen)
            other.add(seen)
        touched[other.number] = other
        self._regroup(thing, other)

    def _twin(self, thing: Thing) -> Thing | None:
        """Another thing that is likelier the same than not."""
        best: tuple[float, int, Thing] | None = None
        for other in self.neighbours(thing):
            gain = sameness(thing, other)
            if gain > SAME and (best is None or (-gain, other.number) < best[:2]):
                best = (-gain, other.number, other)
        return None if best is None else best[2]
