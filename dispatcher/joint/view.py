"""View: what a pass looked at, kept compactly, and how surely it would have reported a thing."""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from dataclasses import dataclass
from datetime import datetime

import h3.api.basic_int as h3
import numpy as np

from dispatcher.joint.grid import square_of, squares_near
from ingest.geo import Floats, m_per_deg
from vision.sighting import Covariance, Pass

COARSE = 11  # H3 resolution at which views are found again: cells some 50 m across
SPREAD = ((0.0, 4 / 9), (math.sqrt(3.0), 1 / 9))  # three-point Gauss-Hermite: distance in sigma, weight


@dataclass(slots=True, eq=False)
class View:
    """One pass."""

    id: str
    vehicle: str
    started: float  # seconds since 1970
    ended: float
    ended_at: datetime
    resolution: int
    cells: np.ndarray  # (N,) int64, ascending
    clear: np.ndarray  # (N,) float32
    recall: dict[str, float]
    squares: tuple[int, ...]  # that it looked into

    @classmethod
    def of(cls, item: Pass) -> View:
        cells = np.array([int(cell, 16) for cell in item.looked], np.int64)
        clear = np.fromiter(item.looked.values(), np.float32, len(cells))
        order = np.argsort(cells)
        cells, clear = cells[order], clear[order]
        squares: dict[int, None] = {}
        for cell in np.unique(_parents(cells, item.h3_resolution)).tolist():
            lat, lon = h3.cell_to_latlng(cell)
            squares[square_of(lat, lon)] = None
        return cls(
            item.id,
            item.vehicle,
            item.started_at.timestamp(),
            item.ended_at.timestamp(),
            item.ended_at,
            item.h3_resolution,
            cells,
            clear,
            dict(item.recall),
            tuple(squares),
        )

    def looked(self, lat: float, lon: float, covariance: Covariance) -> float:
        """Probability that a thing was in clear view, over where it may lie in the vehicle's own frame."""
        per_lat, per_lon = m_per_deg(lat)
        a, b, c = _cholesky(covariance)
        total = 0.0
        cells, clear = self.cells, self.clear
        n = len(cells)
        points = []
        for i in (-1, 0, 1):
            for j in (-1, 0, 1):
                u, v = i * SPREAD[1][0], j * SPREAD[1][0]
                weight = WEIGHT[i + 1] * WEIGHT[j + 1]
                points.append((weight, lat + (b * u + c * v) / per_lat, lon + a * u / per_lon))
        wanted = [h3.latlng_to_cell(y, x, self.resolution) for _, y, x in points]
        for (weight, _, _), cell, at in zip(points, wanted, np.searchsorted(cells, wanted).tolist(), strict=True):
            if at < n and cells[at] == cell:
                total += weight * float(clear[at])
        return total


WEIGHT = (1 / 6, 2 / 3, 1 / 6)


class Views:
    """Passes, by the squares that they looked into, in order of their ends."""

    def __init__(self) -> None:
        self._by_square: dict[int, list[tuple[float, str, View]]] = {}

    def put(self, view: View) -> None:
        for square in view.squares:
            insort(self._by_square.setdefault(square, []), (view.ended, view.id, view), key=lambda v: v[:2])

    def count(self, lat: float, lon: float) -> int:
        """How many passes looked into the square of a point."""
        return len(self._by_square.get(square_of(lat, lon), ()))

    def after(self, at: float, lat: float, lon: float, reach_m: float) -> list[View]:
        """The passes that ended later and may have looked at a point, in order."""
        found: dict[str, tuple[float, str, View]] = {}
        for square in squares_near(lat, lon, reach_m):
            entries = self._by_square.get(square)
            if entries and entries[-1][0] > at:
                start = bisect_right(entries, at, key=lambda entry: entry[0])
                for entry in entries[start:]:
                    found[entry[1]] = entry
        return [view for _, _, view in sorted(found.values(), key=lambda entry: entry[:2])]


def _parents(cells: np.ndarray, resolution: int) -> np.ndarray:
    """The ancestors of H3 cells at COARSE; cells that are coarser themselves stay."""
    if resolution <= COARSE:
        return cells
    unused = (1 << 3 * (15 - COARSE)) - 1
    return (cells & ~(0xF << 52)) | (COARSE << 52) | unused


def _cholesky(a: Covariance) -> tuple[float, float, float]:
    ee = math.sqrt(max(a[0], 1e-6))
    en = a[1] / ee
    return ee, en, math.sqrt(max(a[2] - en * en, 0.0))


def points(lat0: float, lon0: float, spots: list[tuple[float, float]]) -> Floats:
    """(N, 2) metres east and north of an origin, of N points in degrees."""
    per_lat, per_lon = m_per_deg(lat0)
    return np.array([((lon - lon0) * per_lon, (lat - lat0) * per_lat) for lat, lon in spots]).reshape(-1, 2)
