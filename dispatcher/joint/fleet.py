"""Fleet: every vehicle's sightings in order of capture time, and the bias curve last estimated for each run."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import Any, Final

from dispatcher.joint.bias import Curve, Fit
from dispatcher.joint.seen import Seen

RUN_S: Final = 300.0  # sightings of one vehicle are worked on in pieces of this length, its runs
BESIDE_S: Final = 150.0  # sightings farther apart in time are not worked on together
MOST: Final = 12  # sightings worked on together


class Fleet:
    """Runs go by number, in the order in which they were first heard of."""

    def __init__(self) -> None:
        self._tracks: dict[str, list[Seen]] = {}
        self._numbers: dict[tuple[str, int], int] = {}
        self._runs: dict[int, tuple[str, int]] = {}  # vehicle, and piece of its time
        self._next = 0
        self.fits: dict[int, Fit | Curve] = {}
        self.stale: set[int] = set()  # runs with sightings since they were last worked out

    def number(self, vehicle: str, at: float) -> int:
        """The run that a vehicle was on at a time (seconds since 1970)."""
        run = vehicle, int(at // RUN_S)
        number = self._numbers.setdefault(run, self._next)
        if number == self._next:
            self._runs[number] = run
            self._next += 1
        return number

    def state(self) -> list[Any]:
        """Its runs, which of them are the ones of now, which are to be worked out, and their curves."""
        runs = [[number, vehicle, piece] for number, (vehicle, piece) in self._runs.items()]
        numbers = [[vehicle, piece, number] for (vehicle, piece), number in self._numbers.items()]
        curves = [[run, self.curve(run).row()] for run in [*self.fits]]
        return [runs, numbers, self._next, sorted(self.stale), curves]

    def recall(self, state: list[Any]) -> None:
        """Know again what `state` told; sightings are known already."""
        runs, numbers, self._next, stale, curves = state
        self._runs = {number: (vehicle, piece) for number, vehicle, piece in runs}
        self._numbers = {(vehicle, piece): number for vehicle, piece, number in numbers}
        self.stale = set(stale)
        self.fits = {run: Curve.again(row) for run, row in curves}

    def curve(self, run: int) -> Curve:
        """The bias along a run as it was last estimated. Raises KeyError where it was not."""
        found = self.fits[run]
        if isinstance(found, Fit):  # what it was made of is not needed again
            found = self.fits[run] = found.curve()
        return found

    def add(self, seen: Seen) -> None:
        track = self._tracks.setdefault(seen.sighting.vehicle, [])
        insort(track, seen, key=_order)
        self.stale.add(seen.run)

    def restore(self, seen: Seen) -> None:
        """Know a sighting again that was let go."""
        insort(self._tracks.setdefault(seen.sighting.vehicle, []), seen, key=_order)
        run = seen.sighting.vehicle, int(seen.at // RUN_S)
        self._runs[seen.run] = run
        self._numbers.setdefault(run, seen.run)

    def let_go(self, gone: set[int], before: float) -> None:
        """Forget sightings by number, the runs of which nothing is left, and the curves of all before some time."""
        for vehicle, track in [*self._tracks.items()] if gone else ():
            left = [seen for seen in track if seen.number not in gone]
            if not left:
                del self._tracks[vehicle]
            elif len(left) < len(track):
                self._tracks[vehicle] = left
        needed = {seen.run for track in self._tracks.values() for seen in track}
        for number, (vehicle, piece) in [*self._runs.items()]:
            if (piece + 1) * RUN_S >= before:
                continue
            self.fits.pop(number, None)
            if number not in needed:
                self.stale.discard(number)
                del self._runs[number]
                if self._numbers.get((vehicle, piece)) == number:
                    del self._numbers[vehicle, piece]

    def beside(self, seen: Seen, most: int = MOST) -> list[Seen]:
        """The sightings of the same vehicle nearest in time, itself included, in order of time."""
        track = self._tracks[seen.sighting.vehicle]
        at = bisect_left(track, _order(seen), key=_order)
        low = high = at
        while high - low + 1 < most:
            before = seen.at - track[low - 1].at if low > 0 else BESIDE_S
            after = track[high + 1].at - seen.at if high + 1 < len(track) else BESIDE_S
            if min(before, after) >= BESIDE_S:
                break
            if before <= after:
                low -= 1
            else:
                high += 1
        return track[low : high + 1]

    def run(self, run: int, margin_s: float = 0.0) -> list[Seen]:
        """The sightings of a run and so many seconds before and after it."""
        if run not in self._runs:  # let go since
            return []
        vehicle, piece = self._runs[run]
        track = self._tracks.get(vehicle, [])
        low = bisect_left(track, piece * RUN_S - margin_s, key=_at)
        high = bisect_left(track, (piece + 1) * RUN_S + margin_s, key=_at)
        return track[low:high]

    def runs_between(self, vehicle: str, started: float, ended: float) -> list[int]:
        """The runs of a vehicle in which it saw something, in order. A pass may claim to last for years."""
        track = self._tracks.get(vehicle, [])
        low = bisect_left(track, started // RUN_S * RUN_S, key=_at)
        high = bisect_left(track, (ended // RUN_S + 1) * RUN_S, lo=low, key=_at)
        return list(dict.fromkeys([seen.run for seen in track[low:high]]))


def _at(seen: Seen) -> float:
    return seen.at


def _order(seen: Seen) -> tuple[float, str]:
    return seen.at, seen.sighting.id
