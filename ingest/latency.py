"""How late one clock or signal is behind another, from the vehicle's own movement.

A position that is stamped late lies behind on the road, the more so the faster the vehicle drives: distances driven,
compared with a speed over time, tell by how much. Only changes of speed tell it. All times in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingest.geo import Floats

SPAN_S = 4.0  # distances are taken over so long: far more than the noise of two fixes, short against a traffic light
MAX_LAG_S = 3.0  # a receiver that is later than this is broken
MIN_SPANS = 10  # fewer tell nothing
BELIEVED_SIGMAS = 2.5  # an estimate nearer to zero than this many of its errors may be none
TURNS = 30
NOISE_M = 1.0  # of a distance, beside what `rough` makes of it
COARSE_S = 0.5  # first step of a search
FAR = 2.0  # residuals beyond so many sigmas weigh less (Huber)

Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure and its error (1 sigma)."""

    value: float
    error: float

    @property
    def believed(self) -> float:
        """The value when it stands out of its error, else zero: what may be corrected."""
        return self.value if abs(self.value) > BELIEVED_SIGMAS * self.error else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How a receiver's velocity fits its own positions."""

    lag_s: Estimate  # positive: the velocity is that of so long ago
    turn_deg: Estimate  # positive: courses read so far clockwise of the movement


def clock_offset_s(arrived_s: Floats, stamped_s: Floats) -> float:
    """What to add to a receiver's own stamps to have them on the clock that noted their arrival.

    The median: single messages arrive late or early by a busy computer's whim, stamps do not.
    """
    return float(np.median(arrived_s - stamped_s))


def position_lag(
    s: Floats,
    position: Floats,
    speed_s: Floats,
    speed_mps: Floats,
    *,
    within_s: float = MAX_LAG_S,
    rough: float = 0.0,
) -> Estimate | None:
    """How late positions (N, 2) stamped `s` are behind a speed on another clock: odometer, or motion in the picture.

    The speed may be off by any factor, and by a part `rough` of it that differs from place to place. Lags are looked
    for up to `within_s`, early or late; those that leave less than half of the spans are not. None where too little was
    driven to tell.
    """
    driven = _integral(speed_s, speed_mps[:, None])
    a, b = _spans(s)
    moved = np.hypot(*(position[b] - position[a]).T)

    def off(lag: float, scale: float) -> tuple[Floats, Floats]:
        at, to = s[a] - lag, s[b] - lag
        inside = (at >= speed_s[0]) & (to <= speed_s[-1])
        way = (_at(to, speed_s, driven) - _at(at, speed_s, driven))[inside, 0]
        gained = np.interp(to, speed_s, speed_mps)[inside] - np.interp(at, speed_s, speed_mps)[inside]
        sigma = np.hypot(NOISE_M, rough * scale * way)[:, None]
        residual = (moved[inside] - scale * way)[:, None] / sigma
        return residual, np.stack([-scale * gained, way], axis=-1)[:, None] / sigma[..., None]

    def scale_of(lag: float) -> tuple[float, float]:
        """The best factor at a lag, and the squared error that it leaves, of the distances' own."""
        at, to = s[a] - lag, s[b] - lag
        inside = (at >= speed_s[0]) & (to <= speed_s[-1])
        way = (_at(to, speed_s, driven) - _at(at, speed_s, driven))[inside, 0]
        if 2 * len(way) < len(a) or not way.any():
            return 0.0, math.inf
        scale = float(way @ moved[inside] / (way @ way))
        return scale, float(np.mean((moved[inside] - scale * way) ** 2) / np.mean(moved[inside] ** 2))

    if len(a) < MIN_SPANS or not moved.any():
        return None
    lags = np.arange(-math.floor(within_s / COARSE_S), within_s / COARSE_S + 0.5) * COARSE_S
    best = min(lags.tolist(), key=lambda lag: scale_of(lag)[1])
    if math.isinf(scale_of(best)[1]):
        return None
    found = _fitted(off, (best, scale_of(best)[0]), overlap=_overlap(s))
    return None if found is None or abs(found[0].value) > within_s else found[0]


def agreement(s: Floats, position: Floats, velocity: Floats) -> Agreement | None:
    """Fit a receiver's velocities (N, 2) to its own positions (N, 2). None where too little was driven to tell.

    Spans in which a velocity is NaN tell nothing.
    """
    known = np.isfinite(velocity).all(axis=1)
    if np.count_nonzero(known) < MIN_SPANS:
        return None
    whole = np.column_stack([np.interp(s, s[known], axis[known]) for axis in velocity.T])
    driven = _integral(s, whole)
    a, b = _spans(s, np.cumsum(~known))
    moved = position[b] - position[a]

    def off(lag: float, turn: float) -> tuple[Floats, Floats]:
        at, to = s[a] + lag, s[b] + lag
        inside = (at >= s[0]) & (to <= s[-1])
        turned = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
        way = (_at(to, s, driven) - _at(at, s, driven))[inside] @ turned.T
        gained = (_at(to, s, whole) - _at(at, s, whole))[inside] @ turned.T
        return moved[inside] - way, np.stack([gained, np.column_stack([-way[:, 1], way[:, 0]])], axis=-1)

    found = _fitted(off, (0.0, 0.0), overlap=_overlap(s))
    if found is None or abs(found[0].value) > MAX_LAG_S:
        return None
    lag, turn = found  # a turn to the left (east to north) makes up for courses too far clockwise
    return Agreement(lag_s=lag, turn_deg=Estimate(value=math.degrees(turn.value), error=math.degrees(turn.error)))


def _spans(s: Floats, missing: Indices | None = None) -> tuple[Indices, Indices]:
    """Indices of the first and last fix of each span; none crosses a silence or, as counted so far, a missing value."""
    a = np.arange(len(s))
    b = np.searchsorted(s, s + SPAN_S * 0.99)
    b = np.minimum(b, len(s) - 1)
    keep = (s[b] - s[a] >= SPAN_S * 0.99) & (s[b] - s[a] <= 2 * SPAN_S)
    if missing is not None:
        keep &= missing[b] == missing[np.maximum(a - 1, 0)]
    return a[keep], b[keep]


def _overlap(s: Floats) -> float:
    """How many spans tell the same thing."""
    return max(1.0, SPAN_S / float(np.median(np.diff(s))))


def _integral(s: Floats, rate: Floats) -> Floats:
    steps = np.diff(s)[:, None] * (rate[1:] + rate[:-1]) / 2
    return np.vstack([np.zeros((1, rate.shape[1])), np.cumsum(steps, axis=0)])


def _at(when: Floats, s: Floats, values: Floats) -> Floats:
    return np.column_stack([np.interp(when, s, axis) for axis in values.T])


def _fitted(
    off: Callable[[float, float], tuple[Floats, Floats]], start: tuple[float, float], *, overlap: float
) -> tuple[Estimate, Estimate] | None:
    """Gauss–Newton with Huber's weights. `off` gives residuals (n, d) and what they fall by (n, d, 2), n may vary."""
    found = np.array(start)
    for _ in range(TURNS):
        residual, slope = off(float(found[0]), float(found[1]))
        if len(residual) < MIN_SPANS:
            return None
        size = np.linalg.norm(residual, axis=1)
        weight = 1 / np.maximum(1.0, size / (FAR * 1.4826 * float(np.median(size)) + 1e-9))
        normal = np.einsum("kij,kil,k->jl", slope, slope, weight)
        if not np.linalg.cond(normal) < 1e12:
            return None
        step = np.linalg.solve(normal, np.einsum("kij,ki,k->j", slope, residual, weight))
        found = found + step
        if np.abs(step).max() < 1e-6:
            break
    variance = float(np.sum(weight * size**2) / np.sum(weight)) / residual.shape[1]
    errors = np.sqrt(np.diag(np.linalg.inv(normal)) * variance * overlap)
    first, second = (Estimate(value=float(v), error=float(e)) for v, e in zip(found, errors, strict=True))
    return first, second
