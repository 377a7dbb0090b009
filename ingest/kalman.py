"""A vehicle's way from fixes: a Kalman filter forward, the Rauch–Tung–Striebel smoother backward.

State of each axis, east and north alike: position (m), velocity (m/s), acceleration (m/s², Gauss–Markov, as Singer
1970) and the receiver's slow error (m, Gauss–Markov). A fix measures position + slow error with white noise, and, where
the receiver tells speed and course, velocity. Noise is the same on both axes, so that they share one covariance.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ingest.geo import Floats

ACCELERATION_MPS2 = 1.2  # 1 sigma on each axis: buses and taxis in a city
ACCELERATION_S = 2.0  # how long it lasts: braking, a turn
SLOW_ERROR_S = 60.0  # how long multipath and the like last while driving
UNKNOWN_MPS = 15.0  # 1 sigma of the velocity before the first fix
POSITION, VELOCITY, ACCELERATION, ERROR = range(4)

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """N fixes of one stretch in order of time, and what is believed of their noise (1 sigma, each axis)."""

    s: Floats  # (N,) seconds, strictly ascending
    position: Floats  # (N, 2) east, north, metres
    velocity: Floats  # (N, 2) metres per second; NaN where unknown
    white_m: Floats  # (N,) of the position, new at each fix
    slow_m: Floats  # (N,) of the position, lasting
    velocity_mps: Floats  # (N,) of the velocity


class Way:
    """The smoothed way: at any moment within the fixes, with its covariance."""

    def __init__(self, measured: Measured) -> None:
        """About 0.1 ms a fix. Raises ValueError without fixes."""
        if len(measured.s) == 0:
            raise ValueError("a way needs fixes")
        self._s: list[float] = measured.s.tolist()
        self._slow_m: list[float] = measured.slow_m.tolist()
        self._filter(measured)
        self._smooth()

    def at(self, s: float) -> tuple[Floats, Floats]:
        """State (4, 2) and covariance (4, 4) of each axis at a moment. Raises ValueError outside the fixes."""
        if not self._s[0] <= s <= self._s[-1]:
            raise ValueError("the moment is outside the fixes")
        k = bisect_right(self._s, s) - 1
        if s == self._s[k]:
            return self._smoothed[k], self._smoothed_cov[k]
        state, cov = _predicted(self._filtered[k], self._filtered_cov[k], s - self._s[k], self._slow_m[k + 1])
        return self._corrected(state, cov, k + 1, self._s[k + 1] - s)

    def misfit(self, measured: Measured) -> tuple[Floats, Floats]:
        """How far each fix lies beside the way of the others: metres (N,), and normalised (N,), of one axis 1 sigma.

        `measured` is what the way was made of. Of one outlier among good fixes the normalised misfit is the largest.
        """
        state, cov = np.array(self._smoothed), np.array(self._smoothed_cov)
        off = np.linalg.norm(measured.position - state[:, POSITION] - state[:, ERROR], axis=1)
        known = cov[:, POSITION, POSITION] + 2 * cov[:, POSITION, ERROR] + cov[:, ERROR, ERROR]
        variance = measured.white_m**2
        left = np.maximum(variance - known, 1e-6 * variance)
        return off * variance / left, off / np.sqrt(left)

    def _filter(self, measured: Measured) -> None:
        self._filtered: list[Floats] = []
        self._filtered_cov: list[Floats] = []
        self._ahead: list[Floats] = []  # predicted for each fix from those before it
        self._ahead_cov: list[Floats] = []
        state, cov = _beginning(measured)
        has_velocity = np.atleast_1d(np.isfinite(measured.velocity).all(axis=1))
        for k in range(len(self._s)):
            if k:
                state, cov = _predicted(state, cov, self._s[k] - self._s[k - 1], self._slow_m[k])
            self._ahead.append(state)
            self._ahead_cov.append(cov)
            seen = cov[POSITION] + cov[ERROR]
            off = measured.position[k] - state[POSITION] - state[ERROR]
            state, cov = _updated(state, cov, seen, off, seen[POSITION] + seen[ERROR] + measured.white_m[k] ** 2)
            if has_velocity[k]:
                seen = cov[VELOCITY]
                off = measured.velocity[k] - state[VELOCITY]
                state, cov = _updated(state, cov, seen, off, seen[VELOCITY] + measured.velocity_mps[k] ** 2)
            self._filtered.append(state)
            self._filtered_cov.append(cov)

    def _smooth(self) -> None:
        self._smoothed = list(self._filtered)
        self._smoothed_cov = list(self._filtered_cov)
        for k in range(len(self._s) - 2, -1, -1):
            self._smoothed[k], self._smoothed_cov[k] = self._corrected(
                self._filtered[k], self._filtered_cov[k], k + 1, self._s[k + 1] - self._s[k]
            )

    def _corrected(self, state: Floats, cov: Floats, after: int, dt: float) -> tuple[Floats, Floats]:
        """What is known from before, and now also from the fix `after`, dt seconds later, and those that follow."""
        gain = np.linalg.solve(self._ahead_cov[after], _transition(dt) @ cov).T
        smoothed = state + gain @ (self._smoothed[after] - self._ahead[after])
        return smoothed, cov + gain @ (self._smoothed_cov[after] - self._ahead_cov[after]) @ gain.T


def _beginning(measured: Measured) -> tuple[Floats, Floats]:
    """Before the first fix: somewhere around it, moving as the first fixes do."""
    state = np.zeros((4, 2))
    state[POSITION] = measured.position[0]
    if len(measured.s) > 1:
        state[VELOCITY] = (measured.position[1] - measured.position[0]) / (measured.s[1] - measured.s[0])
        speed = float(np.hypot(*state[VELOCITY]))
        state[VELOCITY] *= min(1.0, 2 * UNKNOWN_MPS / max(speed, 1e-9))  # noise over a short time is no speed
    anywhere = 100.0 * (measured.white_m[0] ** 2 + measured.slow_m[0] ** 2)
    return state, np.diag([anywhere, UNKNOWN_MPS**2, ACCELERATION_MPS2**2, measured.slow_m[0] ** 2])


def _updated(state: Floats, cov: Floats, seen: Floats, off: Floats, variance: float) -> tuple[Floats, Floats]:
    """After one measurement: `seen` is its covariance with the state, `off` its surprise, `variance` that one's."""
    gain = seen / variance
    return state + gain[:, None] * off, cov - gain[:, None] * seen


def _predicted(state: Floats, cov: Floats, dt: float, slow_m: float) -> tuple[Floats, Floats]:
    step = _transition(dt)
    cov = step @ cov @ step.T + _growth(dt)
    cov[ERROR, ERROR] -= slow_m**2 * math.expm1(-2 * dt / SLOW_ERROR_S)
    return step @ state, cov


def _transition(dt: float) -> Floats:
    return _transition_of(round(dt, 6))


def _growth(dt: float) -> Floats:
    return _growth_of(round(dt, 6))


@lru_cache(maxsize=4096)
def _transition_of(dt: float) -> Floats:
    step = np.eye(4)
    step[POSITION, VELOCITY] = dt
    step[: ACCELERATION + 1, ACCELERATION] = _pushed(dt)
    step[ERROR, ERROR] = math.exp(-dt / SLOW_ERROR_S)
    return step


@lru_cache(maxsize=4096)
def _growth_of(dt: float) -> Floats:
    """Covariance that unknown acceleration adds in dt seconds; by quadrature, since the closed form cancels badly."""
    pushed = np.array([_pushed(dt * (1 + node) / 2) for node in _NODES])
    growth = np.zeros((4, 4))
    strength = 2 * ACCELERATION_MPS2**2 / ACCELERATION_S
    growth[:3, :3] = strength * dt / 2 * np.einsum("n,ni,nj->ij", _WEIGHTS, pushed, pushed)
    return growth


def _pushed(dt: float) -> list[float]:
    """Position, velocity and acceleration dt seconds after an acceleration of 1."""
    t = dt / ACCELERATION_S
    return [ACCELERATION_S**2 * (math.expm1(-t) + t), -ACCELERATION_S * math.expm1(-t), math.exp(-t)]
