"""Atlas: the map of all things, and how sightings find their place on it.

The fleet surveys its own landmarks: what many passes saw fixes the position error of each new pass, and each pass moves
what it saw. Sightings are placed when they arrive; a run is worked out again when its passes arrive, and when the map
around it has changed.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from mypy_extensions import i64

from dispatcher.joint.associate import (
    CLEAR,
    LOG_NEIGHBOUR,
    TWICE,
    Solution,
    beside,
    relative,
    solve,
    with_pair,
)
from dispatcher.joint.bias import Bias, Fit, Window
from dispatcher.joint.kin import Kin
from dispatcher.joint.map import SUSPECT_M
from dispatcher.joint.pairs import pairs_of, reach_m
from dispatcher.joint.seen import Seen, plus, surest
from dispatcher.joint.thing import CREDIBLE, Thing
from vision.sighting import Covariance, Sighting

CONTEXT_S: Final = 60.0  # a run is worked out with so much of its vehicle's time around it
CHUNK: Final = 24  # sightings associated together when a run is worked out again
AGAIN_S = (2 * 3600.0, 12 * 3600.0)  # a run is worked out again so long after it was first
DUE: Final = 3  # so many at each pass
SUSPECTS: Final = 2  # so many at each pass
GHOSTLY: Final = 0.3  # seen by less of the passes that should have seen it, each as far as it can be believed,
# a permanent thing is none ...
GHOSTLY_AFTER: Final = 3.0  # ... once so many should have
KNOWN: Final = 0.3  # chance of being anything from which on a thing counts as known
UNSURE: Final = 0.1  # confidence below which one frame alone is next to nothing
FOUNDS_M: Final = 0.5  # 1 sigma of the map where one run is all there is: its errors are the map's own
MAPPED_M: Final = 40.0  # a stretch is mapped when other runs saw something so near


Identify = Callable[[Sighting], str | None]  # the true thing's name; None for one of its own


class Atlas(Kin):
    """A map that places what is seen on itself."""

    def __init__(self, identify: Identify | None = None) -> None:
        super().__init__()
        self._identify = identify  # an oracle that tells what is what, to measure what association costs
        self._identified: dict[str, Thing] = {}
        self._due: list[deque[tuple[float, int]]] = [deque() for _ in AGAIN_S]

    def state(self) -> list[Any]:
        """What it knows beside things: of the fleet, of passes, and what is due when."""
        due = [[list(entry) for entry in queue] for queue in self._due]
        return [self._next, sorted(self.standing), due, self.fleet.state(), self.views.state()]

    def recall(self, state: list[Any]) -> None:
        """Know again what `state` told, but for passes; things are there already."""
        self._next, standing, due, fleet, views = state
        self.standing = set(standing)
        self._due = [deque([(at, run) for at, run in queue]) for queue in due]
        self.fleet.recall(fleet)
        self.views.recall(views)

    # Placing

    def place(self, seen: Seen) -> dict[int, Thing]:
        """Find what a new sighting is of. Returns the things that changed."""
        self.fleet.add(seen)
        if seen.plain:
            self.standing.add(seen.key)
        touched: dict[int, Thing] = {}
        if self._identify is None and self._stray(seen):
            self._move(seen, self._new(seen), touched)
            return touched
        beside = self._heads(self.fleet.beside(seen), seen)
        window = Window(beside)
        if self._identify is not None or not self._clear(seen, window, touched):
            self._settle(beside, touched, window)
        self._merge_near(touched)
        return touched

    def _stray(self, seen: Seen) -> bool:
        """True for a sighting that is next to nothing, of nothing that is known: it can wait for one that says more."""
        if seen.sighting.frames > 1 or seen.confidence >= UNSURE or seen.pinned:
            return False
        if seen.thing is not None and len(seen.thing.passes) > 1:
            return False
        return all(thing.believed <= KNOWN for thing in self._near(seen, reach_m(seen)))

    def _clear(self, seen: Seen, window: Window, touched: dict[int, Thing]) -> bool:
        """Place a sighting for which what its vehicle saw before leaves one answer only. False when it does not."""
        pairs = pairs_of(
            window,
            lambda other, reach: self._near(other, reach) if other is seen else self._held(other, reach),
            self._fresh,
        )
        own = window.index(seen)
        solution = solve(window, pairs, fixed=True)
        choice, best, second = -1, -math.inf, -math.inf
        for p, i in enumerate(pairs.i):
            if i == own:
                likely = pairs.likely(p, solution.fit.at(own))
                if likely > best:
                    choice, best, second = p, likely, best
                else:
                    second = max(second, likely)
        if choice >= 0:
            if best - max(pairs.new[own], second) < CLEAR:
                return False
            if seen.look in pairs.candidates[choice].thing.passes:
                return False
        self._assign(seen, None if choice < 0 else pairs.candidates[choice].thing, touched)
        if choice >= 0:
            pair = list(solution.pair)
            pair[own] = choice
            solution = with_pair(window, pairs, pair)
        self._locate(window, solution, lambda other: other is seen, touched)
        return True

    def rework(self, run: int) -> dict[int, Thing]:
        """Work out a run as a whole against the map as it is now. Returns the things that changed."""
        touched: dict[int, Thing] = {}
        own = [seen for seen in self._heads(self.fleet.run(run)) if not self._stray(seen)]
        if not own:
            self.fleet.stale.discard(run)
            return touched
        for start in range(0, len(own), CHUNK):
            self._settle(own[start : start + CHUNK], touched)
        around = [seen for seen in self._heads(self.fleet.run(run, CONTEXT_S)) if not self._stray(seen)]
        window = Window(around)
        pairs = pairs_of(window, self._held, self._fresh)
        self.fleet.fits[run] = self._locate(
            window, solve(window, pairs, fixed=True), lambda seen: seen.run == run, touched
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

    def due(self) -> set[int]:
        """The runs that will be worked out again."""
        return {run for queue in self._due for _, run in queue}

    def finish(self, run: int, now: float) -> dict[int, Thing]:
        """Work out a run whose passes arrived, and plan when to do so again."""
        if run not in self.fleet.fits:
            for queue, later in zip(self._due, AGAIN_S, strict=True):
                queue.append((now + later, run))
        return self.rework(run)

    def rework_suspects(self, seen: Iterable[Thing]) -> dict[int, Thing]:
        """Work out again the runs that saw something odd beside things that are known better by now."""
        runs: dict[int, None] = {}
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
        window = Window(seens) if window is None else window
        pairs = pairs_of(window, self._near, self._fresh)
        solution = solve(window, pairs)
        for seen, pair in zip(seens, solution.pair, strict=True):
            self._assign(seen, None if pair < 0 else pairs.candidates[pair].thing, touched)
        self._locate(window, solution, lambda _: True, touched)

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
        window = Window(self._heads(seens))
        pairs = pairs_of(window, self._held, self._fresh)
        self._locate(window, solve(window, pairs, fixed=True), lambda _: True, touched)

    def _assign(self, seen: Seen, thing: Thing | None, touched: dict[int, Thing]) -> None:
        if seen.pinned and seen.thing is not None:
            return
        if thing is None:
            if seen.thing is not None and not seen.thing.known_without(seen.run):
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
            elif not thing.known_without(seen.run):
                price = TWICE if seen.look in thing.passes else 0.0
                least = max(least, LOG_NEIGHBOUR) if price < 0.0 else least
                likely = max([relative(seen, other) for other in mates]) + price + math.log(thing.believed)
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
        self, window: Window, solution: Solution, wanted: Callable[[Seen], bool], touched: dict[int, Thing]
    ) -> Fit:
        """Take the estimated bias off the wanted sightings of a window: for each thing, what the others say of it."""
        curve = solution.fit
        groups: dict[int, list[int]] = {}
        for m in range(curve.size):
            thing = window.seens[curve.used[m]].thing
            if thing is not None:
                groups.setdefault(thing.number, []).append(m)
        blind: dict[int, Bias] = {}
        changed: dict[tuple[int, int], Thing] = {}
        found: list[tuple[Seen, Thing, Bias]] = []
        at: i64 = 0
        for i, seen in enumerate(window.seens):
            measured = at < curve.size and curve.used[at] == i
            at += measured
            thing = seen.thing
            if thing is None or not wanted(seen):
                continue
            if not measured:
                bias = curve.at(i)
            elif thing.number in blind:
                bias = blind[thing.number]
            else:
                bias = blind[thing.number] = curve.without(groups[thing.number])
            found.append((seen, thing, bias))
        for seen, thing, bias in found:
            ee, en, nn = bias[2], bias[3], bias[4]
            if not thing.known_without(seen.run) and self._unmapped(seen):
                ee, en, nn = FOUNDS_M * FOUNDS_M, 0.0, FOUNDS_M * FOUNDS_M
            east = (seen.reported[1] - window.lon0) * window.per_lon - bias[0]
            north = (seen.reported[0] - window.lat0) * window.per_lat - bias[1]
            self._shift(seen, *window.latlon(east, north), (ee, en, nn))
            changed[thing.number, seen.run] = thing
        for (_, of), thing in changed.items():
            thing.update(of)
            touched[thing.number] = thing
            self._put(thing)
        return curve

    def _unmapped(self, seen: Seen) -> bool:
        """True where no other run saw anything sure: there the first to come is the map."""
        for thing in self._all.near("", seen.reported[0], seen.reported[1], MAPPED_M):
            others = len(thing.runs) - (seen.run in thing.runs)
            if others and thing.believed > 0.5:
                return False
        return True

    @staticmethod
    def _shift(seen: Seen, lat: float, lon: float, spread: Covariance) -> None:
        """Place a sighting, and with it those that stand in one bank with it."""
        ee, en, nn = spread
        covariance = plus(seen.own, (max(ee, 0.0), en, max(nn, 0.0)))
        if covariance[0] * covariance[2] <= covariance[1] * covariance[1]:
            covariance = (covariance[0], 0.0, covariance[2])
        dlat, dlon = lat - seen.lat, lon - seen.lon
        seen.lat, seen.lon, seen.covariance = lat, lon, covariance
        assert seen.thing is not None  # only placed sightings are shifted
        for mate in seen.thing.passes[seen.look]:
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
    saw = sum([surest(seens) for seens in thing.passes.values()])
    return saw <= GHOSTLY * thing.expected
