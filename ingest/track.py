"""Track: where one vehicle was over time, and its Fix at any moment within."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby
from typing import Protocol

from ingest.frame import Fix
from ingest.geo import bearing_deg, distance_m, turn_deg
from ingest.plausible import reachable

MAX_OUTSIDE_S = 1.0  # a picture this far beyond an end still gets that end's position
MAX_GAP_S = 10.0  # between fixes; a longer silence may hide a turn
STANDING_M = 5.0  # both ends of a silence this close: the vehicle stood
MIN_MOVING_MPS = 1.0  # slower movement is receiver noise and has no direction
SMOOTH_S = 1.5  # movement is taken from this long before to this long after


class Places(Protocol):
    """A vehicle's way over time: a Track, or a smoothed one."""

    @property
    def start(self) -> datetime:
        """The first moment it knows."""

    def at(self, time: datetime) -> Fix:
        """The vehicle at `time`. Raises ValueError with the reason where that is not known."""


class Track:
    """Fixes of one vehicle, sorted by time."""

    def __init__(self, fixes: Iterable[Fix]) -> None:
        """Raises ValueError without fixes, or when two have the same time."""
        self.fixes = tuple(sorted(fixes, key=lambda fix: fix.time))
        if not self.fixes:
            raise ValueError("the track has no fixes")
        self._s = [(fix.time - self.fixes[0].time).total_seconds() for fix in self.fixes]
        if any(a == b for a, b in zip(self._s, self._s[1:], strict=False)):
            raise ValueError("two fixes of the track have the same time")
        self._stretch = self._stretches()
        self._headings: list[float | None] = []
        for i in range(len(self.fixes)):
            self._headings.append(self._heading_of(i))

    def __len__(self) -> int:
        return len(self.fixes)

    @property
    def start(self) -> datetime:
        return self.fixes[0].time

    @property
    def end(self) -> datetime:
        return self.fixes[-1].time

    def at(self, time: datetime) -> Fix:
        """The vehicle at `time`, between the fixes around it.

        Heading: turned evenly between given ones, else from movement, else held from before. Raises ValueError with
        the reason beyond the ends, in a gap, and where the fixes around are too far apart to be true.
        """
        s = (time - self.start).total_seconds()
        if s < -MAX_OUTSIDE_S:
            raise ValueError(f"the track begins {-s:.1f} s after the picture")
        if s > self._s[-1] + MAX_OUTSIDE_S:
            raise ValueError(f"the track ends {s - self._s[-1]:.1f} s before the picture")
        i = bisect_left(self._s, s)
        if i == len(self.fixes) or s < 0:
            return self._beyond_end(time, min(max(s, 0.0), self._s[-1]), s)
        if self._s[i] == s:
            return self._exact(i)
        self._check_between(i)
        return self._between(i, s, time)

    def stretches(self) -> list[list[Fix]]:
        """The fixes, cut at gaps and at jumps that no vehicle makes."""
        numbered = groupby(zip(self._stretch, self.fixes, strict=True), key=lambda pair: pair[0])
        return [[fix for _, fix in stretch] for _, stretch in numbered]

    def _exact(self, i: int) -> Fix:
        fix = self.fixes[i]
        speed = fix.speed_mps
        if speed is None and (movement := self._movement(self._s[i])) is not None:
            speed = movement[0]
        return replace(fix, heading_deg=self._headings[i], speed_mps=speed)

    def _beyond_end(self, time: datetime, end_s: float, s: float) -> Fix:
        """The end's fix; what the vehicle may have moved since is added to its error."""
        fix = self._exact(0 if s < 0 else len(self.fixes) - 1)
        accuracy = fix.accuracy_m
        if accuracy is not None and fix.speed_mps is not None:
            accuracy += fix.speed_mps * abs(s - end_s)
        return replace(fix, time=time.astimezone(UTC), accuracy_m=accuracy)

    def _check_between(self, i: int) -> None:
        a, b = self.fixes[i - 1], self.fixes[i]
        if not reachable(a, b):
            moved, elapsed = distance_m(a.lat, a.lon, b.lat, b.lon), self._s[i] - self._s[i - 1]
            raise ValueError(f"the track jumps {moved:.0f} m in {elapsed:.1f} s around the picture")
        if self._s[i] - self._s[i - 1] > MAX_GAP_S and distance_m(a.lat, a.lon, b.lat, b.lon) > STANDING_M:
            raise ValueError(f"the track has a gap of {self._s[i] - self._s[i - 1]:.1f} s around the picture")

    def _between(self, i: int, s: float, time: datetime) -> Fix:
        a, b = self.fixes[i - 1], self.fixes[i]
        part = (s - self._s[i - 1]) / (self._s[i] - self._s[i - 1])
        lat, lon = self._position(s)
        movement = self._movement(s)
        speed = None if movement is None else movement[0]
        if a.speed_mps is not None and b.speed_mps is not None:
            speed = a.speed_mps + part * (b.speed_mps - a.speed_mps)
        heading = self._headings[i - 1]
        if a.heading_deg is not None and b.heading_deg is not None:
            heading = (a.heading_deg + part * turn_deg(a.heading_deg, b.heading_deg)) % 360
        elif movement is not None and movement[1] is not None and (speed is None or speed >= MIN_MOVING_MPS):
            heading = movement[1]
        accuracy = max(a.accuracy_m, b.accuracy_m) if a.accuracy_m is not None and b.accuracy_m is not None else None
        return Fix(
            time=time.astimezone(UTC), lat=lat, lon=lon, speed_mps=speed, heading_deg=heading, accuracy_m=accuracy
        )

    def _heading_of(self, i: int) -> float | None:
        """The heading at a fix; those before it are known already."""
        fix = self.fixes[i]
        if fix.heading_deg is not None:
            return fix.heading_deg % 360
        movement = self._movement(self._s[i])
        if movement is not None and movement[1] is not None and not _stands(fix):
            return movement[1]
        if i == 0 or self._moved_unseen(i):
            return None
        return self._headings[i - 1]

    def _moved_unseen(self, i: int) -> bool:
        """Whether the vehicle went elsewhere in the silence before a fix, and may have turned."""
        a, b = self.fixes[i - 1], self.fixes[i]
        return self._stretch[i] != self._stretch[i - 1] and distance_m(a.lat, a.lon, b.lat, b.lon) > STANDING_M

    def _stretches(self) -> list[int]:
        """For each fix, the index of the first fix of its stretch without gap or jump."""
        starts = [0]
        for i in range(1, len(self.fixes)):
            whole = self._s[i] - self._s[i - 1] <= MAX_GAP_S and reachable(self.fixes[i - 1], self.fixes[i])
            starts.append(starts[-1] if whole else i)
        return starts

    def _movement(self, s: float) -> tuple[float, float | None] | None:
        """(speed, direction or None when too slow) around a moment; None where the track does not tell."""
        i = min(bisect_right(self._s, s), len(self.fixes)) - 1
        first = self._stretch[i]
        last = bisect_right(self._stretch, first) - 1
        if s > self._s[last]:
            return None
        begin, end = max(s - SMOOTH_S, self._s[first]), min(s + SMOOTH_S, self._s[last])
        if end <= begin:
            return None
        a, b = self._position(begin), self._position(end)
        speed = distance_m(*a, *b) / (end - begin)
        return speed, bearing_deg(*a, *b) if speed >= MIN_MOVING_MPS else None

    def _position(self, s: float) -> tuple[float, float]:
        i = bisect_left(self._s, s)
        b = self.fixes[i]
        if self._s[i] == s:
            return b.lat, b.lon
        a = self.fixes[i - 1]
        part = (s - self._s[i - 1]) / (self._s[i] - self._s[i - 1])
        return a.lat + part * (b.lat - a.lat), a.lon + part * (b.lon - a.lon)


def _stands(fix: Fix) -> bool:
    return fix.speed_mps is not None and fix.speed_mps < MIN_MOVING_MPS
