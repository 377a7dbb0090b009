"""View: what a pass looked at, kept compactly, and how surely it would have reported a thing."""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import h3.api.basic_int as h3
import numpy as np
from h3.api.basic_int import latlng_to_cell

from dispatcher.joint.grid import square_of, squares_near
from dispatcher.joint.thing import Located
from ingest.geo import Floats, m_per_deg
from vision.sighting import Covariance, Pass

COARSE = 11  # H3 resolution at which views are found again: cells some 50 m across


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
    centres: Floats  # (M, 2) degrees, of the coarse cells it looked into
    margin_m: float  # no point of a cell lies farther from the centre of its coarse one

    @classmethod
    def of(cls, item: Pass) -> View:
        cells = np.array([int(cell, 16) for cell in item.looked], np.int64)
        clear = np.fromiter(item.looked.values(), np.float32, len(cells))
        order = np.argsort(cells)
        cells, clear = cells[order], clear[order]
        centres = [h3.cell_to_latlng(cell) for cell in np.unique(_parents(cells, item.h3_resolution)).tolist()]
        squares = dict.fromkeys(square_of(lat, lon) for lat, lon in centres)
        edge_m = h3.average_hexagon_edge_length(min(item.h3_resolution, COARSE), "m")
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
            np.array(centres, np.float64).reshape(-1, 2),
            2.0 * edge_m,
        )

    def looked(self, spots: Sequence[Located]) -> list[float]:
        """Probability that each thing was in clear view, over where it may lie in the vehicle's own frame."""
        near = self._in_reach(spots)
        wanted: list[int] = []
        for n in near:
            lat, lon, covariance = spots[n]
            per_lat, per_lon = m_per_deg(lat)
            a, b, c = _cholesky(covariance)
            for u in STEPS:
                y, x = lat, lon + a * u / per_lon
                wanted += [latlng_to_cell(y + (b * u + c * v) / per_lat, x, self.resolution) for v in STEPS]
        out = [0.0] * len(spots)
        if near and len(self.cells):
            at = np.minimum(np.searchsorted(self.cells, wanted), len(self.cells) - 1)
            clear = np.where(self.cells[at] == wanted, self.clear[at].astype(np.float64), 0.0).reshape(-1, 9)
            total = np.zeros(len(near))
            for k, weight in enumerate(WEIGHTS):
                total += weight * clear[:, k]
            for n, probability in zip(near, total.tolist(), strict=True):
                out[n] = probability
        return out

    def _in_reach(self, spots: Sequence[Located]) -> list[int]:
        """Which of the spots may lie where the pass looked."""
        if not spots or not len(self.centres):
            return []
        per_lat, per_lon = m_per_deg(spots[0][0])
        at = np.array([spot[:2] for spot in spots])
        spread = np.array([ee + 2.0 * nn for _, _, (ee, _, nn) in spots])
        north = (at[:, 0, None] - self.centres[:, 0]) * per_lat
        east = (at[:, 1, None] - self.centres[:, 1]) * per_lon
        reach = self.margin_m + STEPS[-1] * np.sqrt(np.maximum(spread, 0.0))
        near: list[int] = np.flatnonzero((north**2 + east**2).min(axis=1) <= reach**2).tolist()
        return near


STEPS = (-math.sqrt(3.0), 0.0, math.sqrt(3.0))  # three-point Gauss-Hermite, in sigma ...
WEIGHT = (1 / 6, 2 / 3, 1 / 6)  # ... and what each counts
WEIGHTS = [a * b for a in WEIGHT for b in WEIGHT]


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
