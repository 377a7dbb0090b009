"""Lattice: which H3 cell a point lies in, without asking H3 each time: over some kilometres cells are a plane lattice.

A cell's index spells how to get to it from the centre of its base cell, digit by digit, each a step on a lattice of
cells with a seventh of the area, turned by 19.1 degrees (Sahr, White, Kimerling 2003, "Geodesic discrete global grid
systems"; H3's documentation, "Index representations"). Where the lattice lies is measured by the centres of some cells.
"""

from __future__ import annotations

import math
from typing import Final

import h3.api.basic_int as h3
import numpy as np
from mypy_extensions import i64

ALONG: Final = np.array([0, -1, 0, -1, 1, 0, 1, 0], np.int64)  # steps of the digits 0 to 7: of axis i less k ...
ACROSS: Final = np.array([0, -1, 1, 0, 0, -1, 1, 0], np.int64)  # ... and of j less k
LOWEST: Final = 8  # resolution from which on a pass covers so little that its cells lie on a plane
SAMPLE: Final = 8  # cells whose centres, and those of the cells around them, measure it
MOST_OFF: Final = 0.02  # of a step between cells, that a centre may lie off the plane lattice: a hand's breadth
SIDE: Final[i64] = 1 << 31
BASE: Final = np.int64(0x7F << 45)


class Lattice:
    """Cells of one resolution as pairs of whole numbers, and the quadratic map of degrees to them."""

    def __init__(self, lat0: float, lon0: float, resolution: int, along: list[float], across: list[float]) -> None:
        self._lat0 = lat0
        self._lon0 = lon0
        self._resolution = resolution
        self._a0, self._ax, self._ay, self._axx, self._axy, self._ayy = along
        self._b0, self._bx, self._by, self._bxx, self._bxy, self._byy = across

    @classmethod
    def of(cls, cells: np.ndarray) -> Lattice | None:
        """The lattice of cells (N,) int64 of one resolution; None where they do not lie on one: across the edge of two
        base cells, at a pentagon, too large."""
        if not len(cells):
            return None
        resolution = int(cells[0] >> 52) & 0xF
        if resolution < LOWEST or (cells & BASE != cells[0] & BASE).any():
            return None
        chosen = cells[np.linspace(0, len(cells) - 1, min(SAMPLE, len(cells))).astype(np.intp)]
        some = np.unique(np.array([near for cell in chosen.tolist() for near in h3.grid_disk(cell, 1)], np.int64))
        spots = np.array([h3.cell_to_latlng(cell) for cell in some.tolist()])
        lat0, lon0 = spots.mean(axis=0).tolist()
        y, x = (spots - (lat0, lon0)).T
        terms = np.stack([np.ones(len(x)), x, y, x * x, x * y, y * y], axis=1)
        steps = np.stack(_steps(some, resolution), axis=1)
        scale = np.abs(terms).max(axis=0)
        scale[scale == 0.0] = 1.0
        factors = np.linalg.lstsq(terms / scale, steps, rcond=None)[0] / scale[:, None]
        if np.abs(terms @ factors - steps).max() > MOST_OFF:
            return None
        return cls(lat0, lon0, resolution, factors[:, 0].tolist(), factors[:, 1].tolist())

    def keys(self, cells: np.ndarray) -> np.ndarray:
        """(N,) int64, one for each cell."""
        along, across = _steps(cells, self._resolution)
        return np.asarray(along * SIDE + across)

    def key(self, lat: float, lon: float) -> i64:
        """That of the cell a point lies in."""
        x, y = lon - self._lon0, lat - self._lat0
        xx, xy, yy = x * x, x * y, y * y
        a = self._a0 + self._ax * x + self._ay * y + self._axx * xx + self._axy * xy + self._ayy * yy
        b = self._b0 + self._bx * x + self._by * y + self._bxx * xx + self._bxy * xy + self._byy * yy
        # cube coordinates, rounded; the one that was rounded most follows from the others
        i, j, k = math.floor(a + 0.5), math.floor(-b + 0.5), math.floor(b - a + 0.5)
        di, dj, dk = abs(float(i) - a), abs(float(j) + b), abs(float(k) - b + a)
        if di > dj and di > dk:
            i = -j - k
        elif dj > dk:
            j = -i - k
        return i * SIDE - j


def _steps(cells: np.ndarray, resolution: int) -> tuple[np.ndarray, np.ndarray]:
    """Whole steps along and across from the centre of the base cell."""
    along = np.zeros(len(cells), np.int64)
    across = np.zeros(len(cells), np.int64)
    for r in range(1, resolution + 1):
        if r % 2:
            along, across = 2 * along + across, 3 * across - along
        else:
            along, across = 3 * along - across, along + 2 * across
        digit = cells >> 3 * (15 - r) & 7
        along += ALONG[digit]
        across += ACROSS[digit]
    return along, across
