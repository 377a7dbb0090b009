"""Smoothing: what all fixes of a finished track together say of where the vehicle was.

For recordings only: a moment is placed with what came after it, too. Frames that arrive one by one keep the fix they
bring.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from ingest.frame import Fix, rfc3339
from ingest.geo import Floats, latlon_from_offset, offset_from_latlon
from ingest.kalman import ERROR, POSITION, VELOCITY, Measured, Way
from ingest.latency import Agreement, agreement
from ingest.rejected import Rejected
from ingest.track import MIN_MOVING_MPS, Track
from ingest.tracklog import read_track

ASSUMED_ACCURACY_M = 4.0  # 1 sigma on each axis, of a receiver that does not say
SLOW_SHARE = 0.5  # at least this part of a position's variance lasts over many fixes: multipath, atmosphere
LEAST_WHITE_M = 0.1
GATE = 5.0  # a fix so many times its accuracy beside the way of the others is none
GATE_TURNS = 5  # outliers hide behind greater ones
MIN_FIXES = 3  # a shorter stretch has no way to be smoothed
SPEED_MPS = 0.25  # 1 sigma of a Doppler speed on each axis, errors that last over a second included
COURSE_DEG = 1.5  # 1 sigma of a course
MAX_TURN_DEG = 10.0  # a course that is off by more is no course
SURE_SIGMAS = 3.0  # a slower movement may be noise, and has no direction
NO_VELOCITY = (math.nan, math.nan)


@dataclass(frozen=True, slots=True)
class Outlier:
    """A fix that was left out, and why."""

    fix: Fix
    reason: str


@dataclass(frozen=True, slots=True)
class _Stretch:
    begin_s: float
    end_s: float
    way: Way


def read_smooth(path: Path) -> tuple[SmoothTrack, list[Rejected]]:
    """A track file, smoothed, and what was refused of it. Raises ValueError as `read_track`."""
    track, rejected = read_track(path)
    smooth = SmoothTrack(track)
    return smooth, rejected + [Rejected(outlier.reason, file=path.name) for outlier in smooth.outliers]


class SmoothTrack:
    """A vehicle's smoothed way. Gaps, jumps and ends are refused as by Track."""

    def __init__(self, track: Track, *, latency_s: float = 0.0) -> None:
        """`latency_s` is how late the fixes are stamped on the clock that asks (`ingest.latency.position_lag`).

        Velocities that the receiver gives later than its positions, and courses that are turned, are put right first
        where the track tells it without doubt. About 0.3 ms a fix.
        """
        self._latency = timedelta(seconds=latency_s)
        self._zero = track.start
        self._origin = (track.fixes[0].lat, track.fixes[0].lon)
        self.outliers: tuple[Outlier, ...] = ()
        self.agreement: Agreement | None = _agreement(track.fixes, self._origin)
        kept: list[Fix] = []
        self._stretches: list[_Stretch] = []
        for fixes in track.stretches():
            kept += self._add(fixes)
        self._track = Track(kept)  # of smoothed fixes: it knows gaps, ends and the headings of who stands

    def __len__(self) -> int:
        return len(self._track)

    @property
    def start(self) -> datetime:
        return self._track.start - self._latency

    @property
    def end(self) -> datetime:
        return self._track.end - self._latency

    @property
    def fixes(self) -> tuple[Fix, ...]:
        """The smoothed fixes, without outliers."""
        return tuple(replace(fix, time=fix.time - self._latency) for fix in self._track.fixes)

    def at(self, time: datetime) -> Fix:
        """The vehicle at `time`, with the accuracy that the fixes around leave. Raises ValueError as Track.at."""
        asked = time + self._latency
        fix = replace(self._track.at(asked), time=time.astimezone(UTC))
        s = (asked - self._zero).total_seconds()
        i = bisect_right(self._stretches, s, key=lambda stretch: stretch.begin_s) - 1
        if i < 0 or s > self._stretches[i].end_s:
            return fix
        return self._fix(fix, *self._stretches[i].way.at(s))

    def _add(self, fixes: Sequence[Fix]) -> list[Fix]:
        """Smooth one stretch. Returns its fixes, smoothed."""
        fixes = self._without_outliers(list(fixes))
        if len(fixes) < MIN_FIXES:
            return [replace(fix, accuracy_m=fix.accuracy_m or ASSUMED_ACCURACY_M) for fix in fixes]
        measured = self._measured(fixes, white_m=_white_m(fixes, self._origin))
        way = Way(measured)
        self._stretches.append(_Stretch(float(measured.s[0]), float(measured.s[-1]), way))
        return _held([self._fix(fix, *way.at(s)) for fix, s in zip(fixes, measured.s.tolist(), strict=True)])

    def _without_outliers(self, fixes: list[Fix]) -> list[Fix]:
        """The fixes that lie near the way of the others; the rest is told in `outliers`."""
        kept, beside_m = fixes, dict.fromkeys(map(id, fixes), 0.0)
        for _ in range(GATE_TURNS):
            if len(kept) <= MIN_FIXES:
                break
            measured = self._measured(kept, white_m=None)
            misfit_m, sigmas = Way(measured).misfit(measured)
            beyond = misfit_m > GATE * np.array([_accuracy_m(fix) for fix in kept])
            worst = _peaks(np.where(beyond, sigmas, 0.0))
            if not worst:
                break
            beside_m |= {id(kept[i]): float(misfit_m[i]) for i in worst}
            kept = [fix for i, fix in enumerate(kept) if i not in worst]
        if len(kept) == len(fixes):
            return fixes
        beside_m |= self._beside(kept, fixes)
        good = [fix for fix in fixes if beside_m[id(fix)] <= GATE * _accuracy_m(fix)]
        left_out = [fix for fix in fixes if beside_m[id(fix)] > GATE * _accuracy_m(fix)]
        self.outliers += tuple(_outlier(fix, beside_m[id(fix)]) for fix in left_out)
        return good

    def _beside(self, kept: Sequence[Fix], fixes: Sequence[Fix]) -> dict[int, float]:
        """By id(), how far fixes that were not kept lie beside the way of those that were, metres.

        Only where that way goes: beyond its ends nobody knows better.
        """
        measured = self._measured(kept, white_m=None)
        way = Way(measured)
        asked = [fix for fix in fixes if fix not in kept and kept[0].time < fix.time < kept[-1].time]
        found = {}
        for fix, place in zip(asked, _positions(asked, self._origin), strict=True):
            state, _ = way.at((fix.time - self._zero).total_seconds())
            found[id(fix)] = float(np.hypot(*(place - state[POSITION] - state[ERROR])))
        return found

    def _measured(self, fixes: Sequence[Fix], *, white_m: float | None) -> Measured:
        """`white_m` is the noise from fix to fix that the track shows; without it the most that is possible."""
        s = np.array([(fix.time - self._zero).total_seconds() for fix in fixes])
        accuracy = np.array([_accuracy_m(fix) for fix in fixes])
        most = math.sqrt(1 - SLOW_SHARE)
        share = most if white_m is None else min(most, white_m / float(np.median(accuracy)))
        velocity = _velocities(fixes)
        speed = np.hypot(*velocity.T)
        if self.agreement is not None:
            velocity = _corrected(s, velocity, self.agreement)
        return Measured(
            s=s,
            position=_positions(fixes, self._origin),
            velocity=velocity,
            white_m=share * accuracy,
            slow_m=math.sqrt(1 - share**2) * accuracy,
            velocity_mps=np.hypot(SPEED_MPS, math.radians(COURSE_DEG) * speed) * _repeated(s),
        )

    def _fix(self, fix: Fix, state: Floats, cov: Floats) -> Fix:
        """A fix of the same moment with what the smoothed state knows better."""
        lat, lon = latlon_from_offset(*self._origin, *state[POSITION].tolist())
        east, north = state[VELOCITY].tolist()
        speed, heading = math.hypot(east, north), fix.heading_deg
        if speed >= max(MIN_MOVING_MPS, SURE_SIGMAS * math.sqrt(float(cov[VELOCITY, VELOCITY]))):
            heading = math.degrees(math.atan2(east, north)) % 360
        accuracy = math.sqrt(float(cov[POSITION, POSITION]))
        return replace(fix, lat=lat, lon=lon, speed_mps=speed, heading_deg=heading, accuracy_m=accuracy)


def _held(fixes: list[Fix]) -> list[Fix]:
    """Fixes of one stretch, where a heading is not known with the one before: a vehicle does not turn on the spot."""
    held: list[Fix] = []
    for fix in fixes:
        before = held[-1].heading_deg if held else None
        held.append(fix if fix.heading_deg is not None else replace(fix, heading_deg=before))
    return held


def _outlier(fix: Fix, beside_m: float) -> Outlier:
    return Outlier(fix, f"the fix of {rfc3339(fix.time)} lies {beside_m:.0f} m beside the way of the others")


def _agreement(fixes: Sequence[Fix], origin: tuple[float, float]) -> Agreement | None:
    s = np.array([(fix.time - fixes[0].time).total_seconds() for fix in fixes])
    found = agreement(s, _positions(fixes, origin), _velocities(fixes)) if len(fixes) > 1 else None
    return None if found is None or abs(found.turn_deg.value) > MAX_TURN_DEG else found


def _accuracy_m(fix: Fix) -> float:
    return fix.accuracy_m or ASSUMED_ACCURACY_M


def _positions(fixes: Sequence[Fix], origin: tuple[float, float]) -> Floats:
    return np.array([offset_from_latlon(fix.lat, fix.lon, *origin) for fix in fixes])


def _velocities(fixes: Sequence[Fix]) -> Floats:
    """(N, 2) metres per second; NaN where speed or course is unknown. Who stands needs no course."""
    found = []
    for fix in fixes:
        if fix.speed_mps is None or (fix.heading_deg is None and fix.speed_mps >= MIN_MOVING_MPS):
            found.append(NO_VELOCITY)
        else:
            course = math.radians(fix.heading_deg or 0.0)
            speed = fix.speed_mps if fix.heading_deg is not None else 0.0
            found.append((speed * math.sin(course), speed * math.cos(course)))
    return np.array(found)


def _corrected(s: Floats, velocity: Floats, told: Agreement) -> Floats:
    """Velocities of the fixes' own moments and directions; NaN where the receiver had not told them by the end."""
    late = told.lag_s.believed
    turn = math.radians(told.turn_deg.believed)
    if late:
        velocity = np.column_stack([np.interp(s + late, s, axis, left=np.nan, right=np.nan) for axis in velocity.T])
    east, north = velocity.T
    return np.column_stack(
        [math.cos(turn) * east - math.sin(turn) * north, math.sin(turn) * east + math.cos(turn) * north]
    )


def _repeated(s: Floats) -> float:
    """Errors of a velocity last for about a second: ten fixes a second tell it once."""
    return math.sqrt(max(1.0, 1.0 / float(np.median(np.diff(s)))))


def _white_m(fixes: Sequence[Fix], origin: tuple[float, float]) -> float | None:
    """Noise from fix to fix on each axis, at most: third differences of evenly spaced fixes, free of the movement.

    Robust against outliers and turns. None where too few are evenly spaced.
    """
    s = np.array([(fix.time - fixes[0].time).total_seconds() for fix in fixes])
    steps = np.diff(s)
    even = [i for i in range(len(steps) - 2) if np.ptp(steps[i : i + 3]) < 0.1 * steps[i]]
    if len(even) < 10:
        return None
    jerk = np.diff(_positions(fixes, origin), 3, axis=0)[even]
    return max(LEAST_WHITE_M, 1.4826 * float(np.median(np.abs(jerk))) / math.sqrt(20))


def _peaks(sigmas: Floats) -> set[int]:
    """Of those above zero, and of neighbours only the worst: it may have drawn the others' way to itself."""
    peaks: set[int] = set()
    for i in np.argsort(-sigmas).tolist():
        if sigmas[i] <= 0:
            break
        if not {i - 2, i - 1, i + 1, i + 2} & peaks:
            peaks.add(i)
    return peaks
