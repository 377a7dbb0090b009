"""Bias: the position error that everything seen by one vehicle on one stretch of road shares.

A Gauss-Markov curve along the road: two sightings of one vehicle have the more of it in common, the closer they lie.
What it saw of things whose place is known measures the curve; the curve then corrects the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dispatcher.joint.seen import LOG_2PI, Seen
from ingest.geo import Floats, m_per_deg

ALONG_M = 400.0  # over so many metres of road the error's correlation falls to 1/e
OVER_S = 900.0  # and over so many seconds
PAIR = np.array([0, 1])  # east and north


@dataclass(slots=True)
class Window:
    """N sightings of one vehicle as arrays. Frame: metres east and north of the first one's reported position."""

    seens: list[Seen]
    lat0: float
    lon0: float
    per_lat: float
    per_lon: float
    enu: Floats  # (N, 2) as reported
    root: Floats  # (N, 2, 2)
    prior: Floats  # (2N, 2N) of the bias at each of them, less the map's own
    drift: list[float]  # variance of how far the map is off at each
    alike: Floats  # (N, N) correlation of an error at one with that at another

    @classmethod
    def of(cls, seens: Sequence[Seen]) -> Window:
        lat0, lon0 = seens[0].sighting.lat, seens[0].sighting.lon
        per_lat, per_lon = m_per_deg(lat0)
        enu = np.array([((s.sighting.lon - lon0) * per_lon, (s.sighting.lat - lat0) * per_lat) for s in seens])
        at = np.array([s.at for s in seens])
        roots = matrices([s.root for s in seens])
        east, north = enu[:, 0], enu[:, 1]
        apart = np.hypot(east[:, None] - east, north[:, None] - north)
        alike = np.exp(apart / -ALONG_M - np.abs(at[:, None] - at) / OVER_S)
        n = len(seens)
        flat = roots.reshape(2 * n, 2)  # symmetric roots: their products are this by its transpose
        prior = (flat @ flat.T).reshape(n, 2, n, 2) * alike[:, None, :, None]
        return cls(list(seens), lat0, lon0, per_lat, per_lon, enu, roots, prior.reshape(2 * n, 2 * n), [0.0] * n, alike)

    def adrift(self, drift: Sequence[float | None]) -> None:
        """Reckon in the map's own frame: the map is off, by about the same for all things on a stretch.

        `drift` has the variance of that at each sighting, m² each axis. Where it is None the nearest one's holds.
        """
        known = [n for n, variance in enumerate(drift) if variance is not None]
        if not known:
            return
        self.drift = [
            (drift[min(known, key=lambda k: (abs(k - n), k))] or 0.0) if own is None else own
            for n, own in enumerate(drift)
        ]
        size = np.sqrt(np.array(self.drift))
        common = size[:, None] * size * self.alike
        self.prior = self.prior.copy()  # the window before goes on with its own
        self.prior[0::2, 0::2] += common
        self.prior[1::2, 1::2] += common

    def offset(self, lat: float, lon: float) -> tuple[float, float]:
        return (lon - self.lon0) * self.per_lon, (lat - self.lat0) * self.per_lat

    def latlon(self, east: float, north: float) -> tuple[float, float]:
        return self.lat0 + north / self.per_lat, self.lon0 + east / self.per_lon


@dataclass(slots=True)
class Fit:
    """The curve after M sightings measured it."""

    window: Window
    used: np.ndarray  # (M,) which, ascending
    total: Floats  # (2M, 2M) covariance of what they measured
    inverse: Floats  # (2M, 2M)
    weights: Floats  # (2M,)
    error: Floats  # (2M,) what they measured
    everywhere: tuple[Floats, Floats] | None = None  # what at_all said

    @property
    def log_likelihood(self) -> float:
        if not len(self.used):
            return 0.0
        _, log_det = np.linalg.slogdet(self.total)
        return float(-0.5 * float(self.error @ self.weights) - 0.5 * float(log_det) - len(self.used) * LOG_2PI)

    def at_all(self) -> tuple[Floats, Floats]:
        """Mean (N, 2) and covariance (N, 2, 2) of the bias at every sighting, given all that was measured."""
        if self.everywhere is None:
            self.everywhere = self._at_all()
        return self.everywhere

    def _at_all(self) -> tuple[Floats, Floats]:
        n = len(self.window.seens)
        prior = self.window.prior
        own = blocks(prior)
        if not len(self.used):
            return np.zeros((n, 2)), own.copy()
        across = prior if len(self.used) == n else prior.take(_columns(self.used), 1)
        mean = (across @ self.weights).reshape(n, 2)
        gain = (across @ self.inverse).reshape(n, 2, -1)
        return mean, own - np.einsum("iam,ibm->iab", gain, across.reshape(n, 2, -1))

    def without(self, groups: Sequence[Sequence[int]], noise: Floats) -> list[tuple[Floats, Floats]]:
        """For each group of used sightings, mean (2,) and covariance of the bias had they measured nothing.

        `noise` (M, 2, 2) is what each was measured with. Sightings of a group saw one thing: one bias for all of them.
        """
        out: list[tuple[Floats, Floats] | None] = [None] * len(groups)
        single = [g for g, group in enumerate(groups) if len(group) == 1]
        if single:  # nearly all: worked out in one go
            m = len(self.used)
            alone = np.array([groups[g][0] for g in single], np.intp)
            unsure = np.linalg.inv(blocks(self.inverse)[alone])
            weights = self.weights.reshape(m, 2)[alone]
            means = self.error.reshape(m, 2)[alone] - np.einsum("gab,gb->ga", unsure, weights)
            spreads = unsure - noise[alone]
            spreads = (spreads + spreads.transpose(0, 2, 1)) / 2
            for n, g in enumerate(single):
                out[g] = means[n], spreads[n]
        return [
            self._without(group, noise) if found is None else found for group, found in zip(groups, out, strict=True)
        ]

    def _without(self, group: Sequence[int], noise: Floats) -> tuple[Floats, Floats]:
        columns = _columns(np.asarray(group))
        block = np.linalg.inv(self.inverse[np.ix_(columns, columns)])
        mean = self.error[columns] - block @ self.weights[columns]
        k = len(group)
        spread = block.reshape(k, 2, k, 2)
        bias = np.mean([spread[i, :, i, :] - noise[group[i]] for i in range(k)], axis=0)
        return mean.reshape(k, 2).mean(axis=0), (bias + bias.T) / 2

    def near(self, enu: Floats) -> tuple[Floats, Floats]:
        """Mean (P, 2) and covariance (P, 2, 2) of the bias at other points of the road, in the window's frame."""
        window, p, m = self.window, len(enu), len(self.used)
        apart = np.hypot(enu[:, 0, None] - window.enu[:, 0], enu[:, 1, None] - window.enu[:, 1])
        closest = window.root[np.argmin(apart, axis=1)]
        own = closest @ closest
        if not m:
            return np.zeros((p, 2)), own
        alike = np.exp(apart[:, self.used] / -ALONG_M)
        across = closest.reshape(2 * p, 2) @ window.root[self.used].reshape(2 * m, 2).T  # symmetric roots
        across = (across.reshape(p, 2, m, 2) * alike[:, None, :, None]).reshape(2 * p, 2 * m)
        mean = (across @ self.weights).reshape(p, 2)
        gain = (across @ self.inverse).reshape(p, 2, -1)
        return mean, own - np.einsum("pam,pbm->pab", gain, across.reshape(p, 2, -1))


def fit(window: Window, used: np.ndarray, error: Floats, noise: Floats) -> Fit:
    """Measure the curve: `error` (M, 2) reported less known position of the used ones, `noise` (M, 2, 2)."""
    m = len(used)
    if not m:
        return Fit(window, used, np.zeros((0, 0)), np.zeros((0, 0)), np.zeros(0), np.zeros(0))
    if m == len(window.seens):
        total = window.prior.copy()
    else:
        columns = _columns(used)
        total = window.prior.take(columns, 0).take(columns, 1)
    flat = total.reshape(-1)
    for at, (a, b) in ((0, (0, 0)), (1, (0, 1)), (2 * m, (1, 0)), (2 * m + 1, (1, 1))):
        flat[at :: 4 * m + 2] += noise[:, a, b]  # the blocks on the diagonal
    inverse = np.asarray(np.linalg.inv(total), np.float64)
    measured = error.reshape(-1)
    return Fit(window, used, total, inverse, inverse @ measured, measured)


def matrices(covariances: Sequence[tuple[float, float, float]]) -> Floats:
    """(N, 2, 2) of N triples."""
    return np.array(covariances, np.float64).reshape(-1, 3).take((0, 1, 1, 2), 1).reshape(-1, 2, 2)


def blocks(square: Floats) -> Floats:
    """(N, 2, 2) view of the blocks on the diagonal of a (2N, 2N)."""
    n = len(square) // 2
    return np.asarray(square.reshape(n, 2, n, 2).diagonal(axis1=0, axis2=2).transpose(2, 0, 1))


def _columns(used: np.ndarray) -> np.ndarray:
    return np.asarray((2 * used[:, None] + PAIR).reshape(-1))
