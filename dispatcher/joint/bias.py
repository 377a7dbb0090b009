"""Bias: the position error that everything seen by one vehicle on one stretch of road shares.

A Gauss-Markov curve along the road: two sightings of one vehicle have the more of it in common, the closer they lie.
What it saw of things whose place is known measures the curve; the curve then corrects the rest.
"""

from __future__ import annotations

import math
from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from dispatcher.joint.matrix import cholesky, inverse_at, invert_lower, zeros
from dispatcher.joint.seen import LOG_2PI, Seen, length
from ingest.geo import m_per_deg

ALONG_M: Final = 400.0  # over so many metres of road the error's correlation falls to 1/e
OVER_S: Final = 900.0  # and over so many seconds
UNKNOWN: Final = -1.0  # instead of a variance

Bias = tuple[float, float, float, float, float]  # metres east and north, and their covariance (ee, en, nn)


class Window:
    """N sightings of one vehicle as vectors. Frame: metres east and north of the first one's reported position."""

    def __init__(self, seens: list[Seen]) -> None:
        n: i64 = len(seens)
        self.seens = seens
        self.size: i64 = n
        self.lat0, self.lon0 = seens[0].reported
        self.per_lat, self.per_lon = m_per_deg(self.lat0)
        self.east = zeros(n)  # (N,) as reported
        self.north = zeros(n)
        self.drift = zeros(n)  # (N,) variance of how far the map is off at each
        self.alike = zeros(n * n)  # (N, N) correlation of an error at one with that at another
        self._alone = zeros(4 * n * n)
        self._measure()
        self.prior = self._alone  # (2N, 2N) of the bias at each of them, in the map's own frame

    def _measure(self) -> None:
        n, wide = self.size, 2 * self.size
        east, north, alike, prior = self.east, self.north, self.alike, self._alone
        for i in range(n):
            seen = self.seens[i]
            lat, lon = seen.reported
            e, y = (lon - self.lon0) * self.per_lon, (lat - self.lat0) * self.per_lat
            east[i], north[i] = e, y
            a, b, c = seen.root
            for j in range(i + 1):
                other = self.seens[j]
                apart = length(e - east[j], y - north[j])
                common = math.exp(-apart / ALONG_M - abs(seen.at - other.at) / OVER_S)
                alike[i * n + j] = alike[j * n + i] = common
                p, q, r = other.root
                ee, en = (a * p + b * q) * common, (a * q + b * r) * common
                ne, nn = (b * p + c * q) * common, (b * q + c * r) * common
                at, mirrored = 2 * i * wide + 2 * j, 2 * j * wide + 2 * i
                prior[at], prior[at + 1], prior[at + wide], prior[at + wide + 1] = ee, en, ne, nn
                prior[mirrored], prior[mirrored + 1] = ee, ne
                prior[mirrored + wide], prior[mirrored + wide + 1] = en, nn

    def adrift(self, drift: vec[float]) -> None:
        """Reckon in the map's own frame: the map is off, by about the same for all things on a stretch.

        `drift` (N,) has the variance of that at each sighting, m² each axis. Where it is UNKNOWN the nearest one's
        holds.
        """
        n, wide = self.size, 2 * self.size
        self.drift, self.prior = zeros(n), self._alone
        size = zeros(n)
        for i in range(n):
            nearest = _nearest_known(drift, n, i)
            if nearest < 0:
                return
            self.drift[i] = drift[nearest]
            size[i] = math.sqrt(drift[nearest])
        prior = vec[float](self._alone)
        for i in range(n):
            for j in range(n):
                common = size[i] * size[j] * self.alike[i * n + j]
                at = 2 * i * wide + 2 * j
                prior[at] += common
                prior[at + wide + 1] += common
        self.prior = prior

    def latlon(self, east: float, north: float) -> tuple[float, float]:
        """Degrees of a point of the window's frame."""
        return self.lat0 + north / self.per_lat, self.lon0 + east / self.per_lon

    def index(self, seen: Seen) -> i64:
        """Where a sighting stands in the window; -1 when it is not of it."""
        for i in range(self.size):
            if self.seens[i] is seen:
                return i
        return -1


def _nearest_known(drift: vec[float], n: i64, i: i64) -> i64:
    for step in range(n):
        if i - step >= 0 and drift[i - step] >= 0.0:
            return i - step
        if i + step < n and drift[i + step] >= 0.0:
            return i + step
    return -1


class Fit:
    """The curve after M of a window's sightings measured it.

    `used` (M,): which, ascending. `error` (2M,): reported less known position of each; `noise` (3M,): its covariance.
    """

    def __init__(self, window: Window, used: vec[i64], error: vec[float], noise: vec[float]) -> None:
        self.window = window
        self.used = used
        self.error = error
        self.noise = noise
        m: i64 = len(used)
        n = 2 * m
        self.size: i64 = m
        self.low = zeros(n * n)  # inverse of the lower factor of what they measured
        self.weights = zeros(n)
        self.log_likelihood = 0.0
        self._known = False
        self.mean = zeros(0)  # (2N,) of the bias at every sighting, given all that was measured
        self.spread = zeros(0)  # (3N,)
        if m:
            self._measure()

    def _measure(self) -> None:
        m, n, wide = self.size, 2 * self.size, 2 * self.window.size
        low, prior, used, noise = self.low, self.window.prior, self.used, self.noise
        for r in range(m):
            for c in range(r + 1):
                at, to = 2 * used[r] * wide + 2 * used[c], 2 * r * n + 2 * c
                low[to], low[to + 1] = prior[at], prior[at + 1]
                low[to + n], low[to + n + 1] = prior[at + wide], prior[at + wide + 1]
            to = 2 * r * n + 2 * r
            low[to] += noise[3 * r]
            low[to + 1] = 0.0
            low[to + n] += noise[3 * r + 1]
            low[to + n + 1] += noise[3 * r + 2]
        log_det = cholesky(low, n)
        invert_lower(low, n)
        chi2 = 0.0
        whitened = zeros(n)
        for r in range(n):
            s = 0.0
            for k in range(r + 1):
                s += low[r * n + k] * self.error[k]
            whitened[r] = s
            chi2 += s * s
        for r in range(n):
            s = 0.0
            for k in range(r, n):
                s += low[k * n + r] * whitened[k]
            self.weights[r] = s
        self.log_likelihood = -0.5 * chi2 - 0.5 * log_det - float(m) * LOG_2PI

    def everywhere(self) -> None:
        """Work out `mean` and `spread`, unless that was done."""
        if self._known:
            return
        self._known = True
        window, m, n = self.window, self.size, 2 * self.size
        wide, prior = 2 * window.size, window.prior
        self.mean, self.spread = zeros(wide), zeros(3 * window.size)
        mean, spread, low, used, weights = self.mean, self.spread, self.low, self.used, self.weights
        across = zeros(2 * n)
        for i in range(window.size):
            at = 2 * i * wide + 2 * i
            ee, en, nn = prior[at], prior[at + 1], prior[at + wide + 1]
            east, north = 0.0, 0.0
            for k in range(m):
                at = 2 * i * wide + 2 * used[k]
                across[2 * k], across[2 * k + 1] = prior[at], prior[at + 1]
                across[n + 2 * k], across[n + 2 * k + 1] = prior[at + wide], prior[at + wide + 1]
            for r in range(n):
                east += across[r] * weights[r]
                north += across[n + r] * weights[r]
                e, y = 0.0, 0.0
                for k in range(r + 1):
                    e += low[r * n + k] * across[k]
                    y += low[r * n + k] * across[n + k]
                ee, en, nn = ee - e * e, en - e * y, nn - y * y
            mean[2 * i], mean[2 * i + 1] = east, north
            spread[3 * i], spread[3 * i + 1], spread[3 * i + 2] = ee, en, nn

    def at(self, i: i64) -> Bias:
        """The bias at a sighting of the window."""
        self.everywhere()
        mean, spread = self.mean, self.spread
        return mean[2 * i], mean[2 * i + 1], spread[3 * i], spread[3 * i + 1], spread[3 * i + 2]

    def without(self, group: list[int]) -> Bias:
        """The bias at some used sightings, by their place among the used, had they measured nothing.

        They saw one thing: one bias for all of them.
        """
        n, k = 2 * self.size, 2 * len(group)
        block = zeros(k * k)
        columns = [2 * m + axis for m in group for axis in (0, 1)]
        for r in range(k):
            for c in range(r + 1):
                block[r * k + c] = inverse_at(self.low, n, columns[r], columns[c])
        cholesky(block, k)
        invert_lower(block, k)
        east = north = ee = en = nn = 0.0
        for g in range(len(group)):
            m: i64 = group[g]
            r = 2 * g
            e, y = self.error[2 * m], self.error[2 * m + 1]
            for c in range(k):
                weight = self.weights[columns[c]]
                e -= inverse_at(block, k, r, c) * weight
                y -= inverse_at(block, k, r + 1, c) * weight
            east, north = east + e, north + y
            ee += inverse_at(block, k, r, r) - self.noise[3 * m]
            en += inverse_at(block, k, r, r + 1) - self.noise[3 * m + 1]
            nn += inverse_at(block, k, r + 1, r + 1) - self.noise[3 * m + 2]
        many = float(len(group))
        return east / many, north / many, ee / many, en / many, nn / many

    def curve(self) -> Curve:
        """What it comes to along the road."""
        self.everywhere()
        window, wide = self.window, 2 * self.window.size
        prior = zeros(3 * window.size)
        for i in range(window.size):
            at = 2 * i * wide + 2 * i
            prior[3 * i], prior[3 * i + 1] = window.prior[at], window.prior[at + 1]
            prior[3 * i + 2] = window.prior[at + wide + 1]
        frame = (window.lat0, window.lon0, window.per_lat, window.per_lon)
        return Curve(frame, window.east, window.north, self.mean, self.spread, prior)


Frame = tuple[float, float, float, float]  # latitude and longitude of its origin, metres in a degree of each


class Curve:
    """The bias at each of N sightings along a road: (N,) east and north of them, (2N,) mean, (3N,) spread and prior."""

    def __init__(
        self,
        frame: Frame,
        east: vec[float],
        north: vec[float],
        mean: vec[float],
        spread: vec[float],
        prior: vec[float],
    ) -> None:
        self.frame = frame
        self.size: i64 = len(east)
        self.east, self.north, self.mean, self.spread, self.prior = east, north, mean, spread, prior

    def row(self) -> list[list[float]]:
        """As plain numbers."""
        return [list(self.frame), *(list(one) for one in (self.east, self.north, self.mean, self.spread, self.prior))]

    @classmethod
    def again(cls, row: list[list[float]]) -> Curve:
        """From `row`."""
        lat0, lon0, per_lat, per_lon = row[0]
        east, north, mean, spread, prior = [vec[float](one) for one in row[1:]]
        return cls((lat0, lon0, per_lat, per_lon), east, north, mean, spread, prior)

    def near(self, lat: float, lon: float) -> Bias:
        """The bias at another point of the road: that at the nearest sighting, as far as it is still the same."""
        lat0, lon0, per_lat, per_lon = self.frame
        east, north = (lon - lon0) * per_lon, (lat - lat0) * per_lat
        nearest: i64 = 0
        least = math.inf
        for i in range(self.size):
            away = length(east - self.east[i], north - self.north[i])
            if away < least:
                nearest, least = i, away
        same = math.exp(-least / ALONG_M)
        kept, lost = same * same, 1.0 - same * same
        mean, spread, prior, of = self.mean, self.spread, self.prior, 3 * nearest
        return (
            same * mean[2 * nearest],
            same * mean[2 * nearest + 1],
            kept * spread[of] + lost * prior[of],
            kept * spread[of + 1] + lost * prior[of + 1],
            kept * spread[of + 2] + lost * prior[of + 2],
        )
