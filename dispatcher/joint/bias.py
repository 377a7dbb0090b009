"""Bias: the position error that everything seen by one vehicle on one stretch of road shares.

A Gauss-Markov curve along the road: two sightings of one vehicle have the more of it in common, the closer they lie.
What it saw of things whose place is known measures the curve; the curve then corrects the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dispatcher.joint.seen import Seen
from ingest.geo import Floats, m_per_deg

ALONG_M = 400.0  # over so many metres of road the error's correlation falls to 1/e
OVER_S = 900.0  # and over so many seconds


@dataclass(slots=True)
class Window:
    """N sightings of one vehicle as arrays. Frame: metres east and north of the first one's reported position."""

    seens: list[Seen]
    lat0: float
    lon0: float
    per_lat: float
    per_lon: float
    enu: Floats  # (N, 2) as reported
    at: Floats  # (N,) seconds
    own: Floats  # (N, 2, 2)
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
        own = matrices([s.own for s in seens])
        roots = matrices([s.root for s in seens])
        apart = np.hypot(enu[:, None, 0] - enu[None, :, 0], enu[:, None, 1] - enu[None, :, 1])
        alike = np.exp(-apart / ALONG_M - np.abs(at[:, None] - at[None, :]) / OVER_S)
        n = len(seens)
        prior = np.einsum("iab,jbc,ij->iajc", roots, roots, alike).reshape(2 * n, 2 * n)
        return cls(list(seens), lat0, lon0, per_lat, per_lon, enu, at, own, roots, prior, [0.0] * n, alike)

    def adrift(self, drift: Sequence[float | None]) -> None:
        """Reckon in the map's own frame: the map is off, by about the same for all things on a stretch.

        `drift` has the variance of that at each sighting, m² each axis. Where it is None the nearest one's holds.
        """
        known = [n for n, variance in enumerate(drift) if variance is not None]
        if not known:
            return
        self.drift = [drift[min(known, key=lambda k: (abs(k - n), k))] or 0.0 for n in range(len(drift))]
        size = np.sqrt(np.array(self.drift))
        common = size[:, None] * size[None, :] * self.alike
        n = len(drift)
        at = np.arange(n)
        blocks = self.prior.reshape(n, 2, n, 2)
        for axis in (0, 1):
            blocks[at[:, None], axis, at[None, :], axis] += common

    def offset(self, lat: float, lon: float) -> tuple[float, float]:
        return (lon - self.lon0) * self.per_lon, (lat - self.lat0) * self.per_lat

    def latlon(self, east: float, north: float) -> tuple[float, float]:
        return self.lat0 + north / self.per_lat, self.lon0 + east / self.per_lon


@dataclass(slots=True)
class Fit:
    """The curve after M sightings measured it."""

    window: Window
    used: np.ndarray  # (M,) which
    inverse: Floats  # (2M, 2M)
    weights: Floats  # (2M,)
    error: Floats  # (2M,) what they measured
    log_likelihood: float

    def at_all(self) -> tuple[Floats, Floats]:
        """Mean (N, 2) and covariance (N, 2, 2) of the bias at every sighting, given all that was measured."""
        n = len(self.window.seens)
        prior = self.window.prior
        own = _blocks(prior, np.arange(n))
        if not len(self.used):
            return np.zeros((n, 2)), own
        columns = _columns(self.used)
        across = prior[:, columns]
        mean = (across @ self.weights).reshape(n, 2)
        gain = (across @ self.inverse).reshape(n, 2, -1)
        return mean, own - np.einsum("iam,ibm->iab", gain, across.reshape(n, 2, -1))

    def without(self, groups: Sequence[Sequence[int]], noise: Floats) -> list[tuple[Floats, Floats]]:
        """For each group of used sightings, mean (2,) and covariance of the bias had they measured nothing.

        `noise` (M, 2, 2) is what each was measured with. Sightings of a group saw one thing: one bias for all of them.
        """
        out: list[tuple[Floats, Floats] | None] = [None] * len(groups)
        single = [g for g, group in enumerate(groups) if len(group) == 1]
        alone = np.array([groups[g][0] for g in single], np.intp)  # nearly all: worked out in one go
        m = len(self.used)
        blocks = np.linalg.inv(_blocks(self.inverse, alone)) if len(alone) else np.zeros((0, 2, 2))
        means = self.error.reshape(m, 2)[alone] - np.einsum("gab,gb->ga", blocks, self.weights.reshape(m, 2)[alone])
        spreads = blocks - noise[alone]
        for g, mean, bias in zip(single, means, (spreads + spreads.transpose(0, 2, 1)) / 2, strict=True):
            out[g] = mean, bias
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
        window = self.window
        apart = np.hypot(enu[:, None, 0] - window.enu[None, :, 0], enu[:, None, 1] - window.enu[None, :, 1])
        closest = window.root[np.argmin(apart, axis=1)]
        own = closest @ closest
        if not len(self.used):
            return np.zeros((len(enu), 2)), own
        alike = np.exp(-apart[:, self.used] / ALONG_M)
        across = np.einsum("pab,mbc,pm->pamc", closest, window.root[self.used], alike)
        across = across.reshape(len(enu), 2, -1)
        mean = across @ self.weights
        return mean, own - np.einsum("pam,mn,pbn->pab", across, self.inverse, across)


def fit(window: Window, used: np.ndarray, error: Floats, noise: Floats) -> Fit:
    """Measure the curve: `error` (M, 2) reported less known position of the used ones, `noise` (M, 2, 2)."""
    m = len(used)
    if not m:
        return Fit(window, used, np.zeros((0, 0)), np.zeros(0), np.zeros(0), 0.0)
    columns = _columns(used)
    total = window.prior[np.ix_(columns, columns)].copy()
    at = np.arange(m)
    total.reshape(m, 2, m, 2)[at, :, at, :] += noise
    inverse = np.linalg.inv(total)
    flat = error.reshape(-1)
    weights = inverse @ flat
    _, log_det = np.linalg.slogdet(total)
    score = -0.5 * float(flat @ weights) - 0.5 * float(log_det) - m * np.log(2 * np.pi)
    return Fit(window, used, inverse, weights, flat, float(score))


def matrices(covariances: Sequence[tuple[float, float, float]]) -> Floats:
    """(N, 2, 2) of N triples."""
    flat = np.array(covariances, np.float64).reshape(-1, 3)
    return flat[:, [0, 1, 1, 2]].reshape(-1, 2, 2)


def _columns(used: np.ndarray) -> np.ndarray:
    return np.stack([2 * used, 2 * used + 1], axis=1).reshape(-1)


def _blocks(prior: Floats, at: np.ndarray) -> Floats:
    n = len(prior) // 2
    return np.asarray(prior.reshape(n, 2, n, 2)[at, :, at, :])
