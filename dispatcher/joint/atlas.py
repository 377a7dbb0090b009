"""Atlas: the map of all things, and how sightings find their place on it.

The fleet surveys its own landmarks: what many passes saw fixes the position error of each new pass, and each pass moves
what it saw. Sightings are placed when they arrive; a run is worked out again when its passes arrive, and when the map
around it has changed.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from copy import copy

import numpy as np

from dispatcher.joint.associate import (
    CLEAR,
    LOG_NEIGHBOUR,
    TWICE,
    Pairs,
    Solution,
    beside,
    log_likely,
    noise_of,
    pairs_of,
    reach_m,
    refined,
    relative,
    solve,
)
from dispatcher.joint.bias import Fit, Window
from dispatcher.joint.fleet import Run
from dispatcher.joint.kin import Kin
from dispatcher.joint.map import SUSPECT_M
from dispatcher.joint.seen import Seen, plus
from dispatcher.joint.thing import CREDIBLE, Thing
from vision.sighting import Covariance, Sighting

CONTEXT_S = 60.0  # a run is worked out with so much of its vehicle's time around it
CHUNK = 24  # sightings associated together when a run is worked out again
AGAIN_S = (2 * 3600.0, 12 * 3600.0)  # a run is worked out again so long after it was first
DUE = 3  # so many at each pass
SUSPECTS = 2  # so many at each pass
GHOSTLY = 0.3  # seen by less than this part of the passes that should have seen it, each as far as it can be believed,
# a permanent thing is none ...
GHOSTLY_AFTER = 3.0  # ... once so many should have
KNOWN = 0.3  # chance of being anything from which on a thing counts as known
UNSURE = 0.1  # confidence below which one frame alone is next to nothing
FOUNDS_M = 0.5  # 1 sigma of the map where one run is all there is: its errors are the map's own
MAPPED_M = 40.0  # a stretch is mapped when other runs saw something so near


Identify = Callable[[Sighting], str | None]  # the true thing's name; None for one of its own


class Atlas(Kin):
    """A map that places what is seen on itself."""

    def __init__(self, identify: Identify | None = None) -> None:
        super().__init__()
        self._identify = identify  # an oracle that tells what is what, to measure what association costs
        self._identified: dict[str, Thing] = {}
        self._due: list[deque[tuple[float, Run]]] = [deque() for _ in AGAIN_S]

    # Placing

    def place(self, seen: Seen) -> dict[int, Thing]:
        """Find what a new sighting is of. Returns the things that changed."""
        self.fleet.add(seen)
        if seen.sighting.matter is None:
            self.standing.add(seen.key)
        touched: dict[int, Thing] = {}
        if self._identify is None and self._stray(seen):
            self._move(seen, self._new(seen), touched)
            return touched
        beside = self._heads(self.fleet.beside(seen), seen)
        window = Window.of(beside)
        if self._identify is not None or not self._clear(seen, copy(window), touched):
            self._settle(beside, touched, window)
        self._merge_near(touched)
        return touched

    def _stray(self, seen: Seen) -> bool:
        """True for a sighting that is next to nothing, of nothing that is known: it can wait for one that says more."""
        if seen.sighting.frames > 1 or seen.sighting.confidence >= UNSURE or seen.pinned:
            return False
        if seen.thing is not None and len(seen.thing.passes) > 1:
            return False
        return not any(thing.believed > KNOWN for thing in self._near(seen, reach_m(seen)))

    def _clear(self, seen: Seen, window: Window, touched: dict[int, Thing]) -> bool:
        """Place a sighting for which what its vehicle saw before leaves one answer only. False when it does not."""
        pairs = pairs_of(
            window,
            lambda other, reach: self._near(other, reach) if other is seen else self._held(other, reach),
            self._fresh,
        )
        own = window.seens.index(seen)
        mine = np.flatnonzero(pairs.i == own)
        solution = solve(window, pairs, fixed=len(window.seens))
        choice = None
        if len(mine):
            mean, spread = solution.fit.at_all()
            likely = log_likely(pairs, mean[pairs.i], spread[pairs.i])[mine]
            order = np.argsort(-likely, kind="stable")
            rivals = [pairs.new[own], *likely[order[1:2]].tolist()]
            if likely[order[0]] - max(rivals) < CLEAR:
                return False
            choice = int(mine[order[0]])
            if seen.look in pairs.things[choice].passes:
                return False
        self._assign(seen, None if choice is None else pairs.things[choice], touched)
        if choice is not None:
            pair = [choice if i == own else p for i, p in enumerate(solution.pair)]
            solution = refined(window, pairs, pair, scored=False)
        self._locate(window, pairs, solution, lambda other: other is seen, touched)
        return True

    def rework(self, run: Run) -> dict[int, Thing]:
        """Work out a run as a whole against the map as it is now. Returns the things that changed."""
        touched: dict[int, Thing] = {}
        own = [seen for seen in self._heads(self.fleet.run(run)) if not self._stray(seen)]
        if not own:
            self.fleet.stale.discard(run)
            return touched
        for start in range(0, len(own), CHUNK):
            self._settle(own[start : start + CHUNK], touched)
        around = [seen for seen in self._heads(self.fleet.run(run, CONTEXT_S)) if not self._stray(seen)]
        window = Window.of(around)
        pairs = pairs_of(window, self._held, self._fresh)
        self.fleet.fits[run] = self._locate(
            window, pairs, solve(window, pairs, fixed=len(around)), lambda s: s.run == run, touched
        )
        self.fleet.stale.discard(run)
        self._merge_near(touched)
        return touched

    def rework_due(self, now: float) -> dict[int, Thing]:
        """Work out again the runs whose time has come: the map knows more by now. A few at a time."""
        touched: dict[int, Thing] = {}
        for _ in range(DUE):
            ready = [queue for queue in self._due if queue and queue[0][0] <= now]
            if not ready:
                break
            _, run = ready[0].popleft()
            touched |= self.rework(run)
        return touched

    def finish(self, run: Run, now: float) -> dict[int, Thing]:
        """Work out a run whose passes arrived, and plan when to do so again."""
        if run not in self.fleet.fits:
            for queue, later in zip(self._due, AGAIN_S, strict=True):
                queue.append((now + later, run))
        return self.rework(run)

    def rework_suspects(self, seen: Iterable[Thing]) -> dict[int, Thing]:
        """Work out again the runs that saw something odd beside things that are known better by now."""
        runs: dict[Run, None] = {}
        for thing in seen:
            if len(runs) >= SUSPECTS or not thing.runs:
                continue
            for other in self._grid.near(thing.key, thing.lat, thing.lon, SUSPECT_M):
                n = len(thing.passes)
                rare = 2 * len(other.passes) <= n and n >= 2 * other.tried
                if other is thing or not rare or thing.distance_m(other) > SUSPECT_M:
                    continue
                other.tried = n
                runs |= dict.fromkeys(list(other.runs)[:SUSPECTS])
        touched: dict[int, Thing] = {}
        for run in list(runs)[:SUSPECTS]:
            touched |= self.rework(run)
        return touched

    def scatter(self, things: Iterable[Thing]) -> dict[int, Thing]:
        """Undo the permanent things that hardly any pass saw of those that should have: ghosts that happened to lie
        close by, or a wrong copy of a thing. What was seen of them finds its place anew."""
        touched: dict[int, Thing] = {}
        if self._identify is not None:
            return touched
        for thing in things:
            if not _ghostly(thing):
                continue
            seens = sorted(thing.seens, key=lambda seen: seen.number)
            for seen in seens:
                thing.remove(seen)
            touched[thing.number] = thing
            self._regroup(thing)
            for seen in seens:
                if seen.thing is None:
                    self._settle(self._heads(self.fleet.beside(seen), seen), touched)
                if seen.thing is not None and len(seen.thing.passes) == 1:
                    seen.thing.expected = max(seen.thing.expected, thing.expected)
        return touched

    def _settle(self, seens: list[Seen], touched: dict[int, Thing], window: Window | None = None) -> None:
        """Associate neighbouring sightings of one vehicle, and place them."""
        if self._identify is not None:
            self._told(seens, touched)
            return
        window = Window.of(seens) if window is None else window
        pairs = pairs_of(window, self._near, self._fresh)
        solution = solve(window, pairs)
        for seen, pair in zip(seens, solution.pair, strict=True):
            self._assign(seen, None if pair < 0 else pairs.things[pair], touched)
        self._locate(window, pairs, solution, lambda _: True, touched)

    def _told(self, seens: list[Seen], touched: dict[int, Thing]) -> None:
        """Place sightings whose identity is told."""
        assert self._identify is not None
        for seen in seens:
            if seen.thing is None:
                name = self._identify(seen.sighting)
                thing = self._identified.get(name) if name is not None else None
                thing = self._new(seen) if thing is None else thing
                if name is not None:
                    self._identified[name] = thing
                self._move(seen, thing, touched)
        window = Window.of(self._heads(seens))
        pairs = pairs_of(window, self._held, self._fresh)
        self._locate(window, pairs, solve(window, pairs, fixed=len(window.seens)), lambda _: True, touched)

    def _assign(self, seen: Seen, thing: Thing | None, touched: dict[int, Thing]) -> None:
        if seen.pinned and seen.thing is not None:
            return
        if thing is None:
            if seen.thing is not None and seen.thing.without(seen.run) is None:
                return  # its run alone knows the thing
            thing = self._own_find(seen) or self._new(seen)
        self._move(seen, thing, touched)

    def _own_find(self, seen: Seen) -> Thing | None:
        """A thing near by that only this run has seen, or a bank that the sighting stands in."""
        best: tuple[float, int, Thing] | None = None
        for thing in self._near(seen, 15.0):
            mates = thing.runs.get(seen.run)
            if not mates or thing is seen.thing:
                continue
            least = self._fresh(seen)
            if beside(seen, thing):
                likely = 0.0
            elif thing.without(seen.run) is None:
                price = TWICE if seen.look in thing.passes else 0.0
                least = max(least, LOG_NEIGHBOUR) if price < 0.0 else least
                likely = max(relative(seen, other) for other in mates) + price + math.log(thing.believed)
            else:
                continue
            if likely >= least and (best is None or (-likely, thing.number) < best[:2]):
                best = (-likely, thing.number, thing)
        return None if best is None else best[2]

    def _move(self, seen: Seen, thing: Thing, touched: dict[int, Thing]) -> None:
        before = seen.thing
        if before is thing:
            return
        movers = [seen]
        if before is not None:  # those that stand beside it in one bank go with it
            mates = before.passes.get(seen.look, [])
            movers = list(mates) if mates and mates[0] is seen else [seen]
            for mover in movers:
                before.remove(mover)
            touched[before.number] = before
        for mover in movers:
            thing.add(mover)
        touched[thing.number] = thing
        self._regroup(*([thing] if before is None else [before, thing]))

    def _locate(
        self,
        window: Window,
        pairs: Pairs,
        solution: Solution,
        wanted: Callable[[Seen], bool],
        touched: dict[int, Thing],
    ) -> Fit:
        """Take the estimated bias off the wanted sightings of a window: for each thing, what the others say of it."""
        curve = solution.fit
        everywhere, uncertain = curve.at_all()
        mean, spread = everywhere.copy(), uncertain.copy()
        groups: dict[int, list[int]] = {}
        for m, i in enumerate(curve.used.tolist()):
            thing = window.seens[i].thing
            if thing is not None:
                groups.setdefault(thing.number, []).append(m)
        asked = {seen.thing.number for seen in window.seens if seen.thing is not None and wanted(seen)}
        members = [group for number, group in groups.items() if number in asked]
        blind = curve.without(members, noise_of(pairs, solution))
        for group, (bias, error) in zip(members, blind, strict=True):
            for m in group:
                mean[curve.used[m]], spread[curve.used[m]] = bias, error
        changed: dict[tuple[int, Run], Thing] = {}
        spots, spreads = (window.enu - mean).tolist(), spread.tolist()
        for i, seen in enumerate(window.seens):
            if seen.thing is not None and wanted(seen):
                (ee, en), (_, nn) = spreads[i]
                if seen.thing.without(seen.run) is None and self._unmapped(seen):
                    ee, en, nn = FOUNDS_M**2, 0.0, FOUNDS_M**2
                self._shift(seen, *window.latlon(*spots[i]), (ee, en, nn))
                changed[seen.thing.number, seen.run] = seen.thing
        for (_, of), thing in changed.items():
            thing.update(of)
            touched[thing.number] = thing
            self._put(thing)
        return curve

    def _unmapped(self, seen: Seen) -> bool:
        """True where no other run saw anything sure: there the first to come is the map."""
        for thing in self._all.near("", seen.sighting.lat, seen.sighting.lon, MAPPED_M):
            others = len(thing.runs) - (seen.run in thing.runs)
            if others and thing.believed > 0.5:
                return False
        return True

    @staticmethod
    def _shift(seen: Seen, lat: float, lon: float, spread: Covariance) -> None:
        """Place a sighting, and with it those that stand in one bank with it."""
        ee, en, nn = spread
        covariance = plus(seen.own, (max(ee, 0.0), en, max(nn, 0.0)))
        if covariance[0] * covariance[2] <= covariance[1] ** 2:
            covariance = (covariance[0], 0.0, covariance[2])
        dlat, dlon = lat - seen.lat, lon - seen.lon
        seen.lat, seen.lon, seen.covariance = lat, lon, covariance
        assert seen.thing is not None  # only placed sightings are shifted
        for mate in seen.thing.passes.get(seen.look, ()):
            if mate is not seen:
                mate.lat, mate.lon, mate.covariance = mate.lat + dlat, mate.lon + dlon, covariance

    # Two things that are one

    def _merge_near(self, touched: dict[int, Thing]) -> None:
        if self._identify is not None:
            return
        for thing in list(touched.values()):
            self._halve(thing, touched)
            self._succeed(thing, touched)
            while thing.runs:
                found = self._twin(thing)
                if found is None:
                    break
                keeper, gone = sorted((thing, found), key=lambda t: t.number)
                self.join(keeper, gone, touched)
                thing = keeper


def _ghostly(thing: Thing) -> bool:
    """True for what looks like a permanent thing, and was missed by nearly every pass that looked."""
    if not thing.plain or len(thing.passes) < 2 or (thing.likely > CREDIBLE and not _overlooked(thing)):
        return False
    return not any(record.told for record in thing.records) and not any(seen.pinned for seen in thing.seens)


def _overlooked(thing: Thing) -> bool:
    """True when less than GHOSTLY of the passes that should have seen a thing did, each as far as it is believed."""
    if thing.expected < GHOSTLY_AFTER or len(thing.passes) > thing.expected / 2:
        return False
    saw = sum(max(seen.sighting.confidence for seen in seens) for seens in thing.passes.values())
    return saw <= GHOSTLY * thing.expected
