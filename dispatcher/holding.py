"""Holding: which of many polygons holds each of many points. Exact; most points cost one look into a table."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from shapely import STRtree

from dispatcher.polygon import Surface
from ingest.geo import Floats

NOBODY = -1
CELLS_EACH = 400  # table cells for each polygon: of crooked communities one point in five then lies beside a border
MOST_CELLS = 4_000_000  # 16 MB
LEAST_SIDE_DEG = 1e-7  # 1 cm
NEAR_DEG = 1e-9  # 0.1 mm: by far more than cutting an edge into pieces moves it
_BORDER = -2

Ints = NDArray[np.int64]


class Holding:
    """Polygons, indexed once. A point on a border is held; of several polygons that hold a point the first answers.

    The plane is divided into cells. All points of a cell without a border lie in the same polygons, which one look at
    the beginning of each run of such cells tells. Points of the other cells are tried against the polygons themselves.
    """

    def __init__(self, polygons: Sequence[Surface]) -> None:
        self._polygons = np.array(polygons, dtype=object)
        shapely.prepare(self._polygons)
        self._tree = STRtree(self._polygons)
        if len(self._polygons):
            self._divide()

    def __call__(self, lat: ArrayLike, lon: ArrayLike) -> Ints:
        """By point, the number of the polygon that holds it, NOBODY where none does. WGS-84 degrees, (N,) each."""
        x, y = np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64)
        if not len(self._polygons):
            return np.full(len(x), NOBODY, dtype=np.int64)
        found = self._looked_up(x, y)
        hard = np.flatnonzero(found == _BORDER)
        found[hard] = self._tried(x[hard], y[hard])
        return found

    def _looked_up(self, x: Floats, y: Floats) -> Ints:
        """From the table; _BORDER where it does not say."""
        column, row = self._columns(x), self._rows(y)
        height, width = self._table.shape
        with np.errstate(invalid="ignore"):
            within = (column >= 0) & (column < width) & (row >= 0) & (row < height)  # False for NaN too
        found = np.full(len(x), NOBODY, dtype=np.int64)
        found[within] = self._table[row[within].astype(np.int64), column[within].astype(np.int64)]
        return found

    def _tried(self, x: Floats, y: Floats) -> Ints:
        """From the polygons, by their boxes and then exactly."""
        point, polygon = self._tree.query(shapely.points(x, y))
        held = shapely.intersects_xy(self._polygons[polygon], x[point], y[point])
        first = np.full(len(x), len(self._polygons), dtype=np.int64)
        np.minimum.at(first, point[held], polygon[held])
        return np.where(first == len(self._polygons), NOBODY, first)

    def _columns(self, x: Floats) -> Floats:
        """The column of each x. However it is rounded it never falls as x grows."""
        column: Floats = np.floor((x - self._west) * self._per_deg)
        return column

    def _rows(self, y: Floats) -> Floats:
        row: Floats = np.floor((y - self._south) * self._per_deg)
        return row

    def _divide(self) -> None:
        """Make the table."""
        west, south, east, north = shapely.total_bounds(self._polygons)
        cells = min(CELLS_EACH * len(self._polygons), MOST_CELLS)
        long, short = max(east - west, north - south), min(east - west, north - south)
        side = max(math.sqrt(long * short / cells), long / MOST_CELLS, LEAST_SIDE_DEG)
        self._west, self._south, self._per_deg = west - side, south - side, 1.0 / side
        shape = int(self._rows(north)) + 2, int(self._columns(east)) + 2
        table = np.full(shape, NOBODY, dtype=np.int32)
        self._mark_borders(table, side)
        clear = table != _BORDER
        begins = clear.copy()
        begins[:, 1:] &= ~clear[:, :-1]  # no border between a clear cell and the clear cell before it
        row, column = np.nonzero(begins)
        x, y = self._west + (column + 0.5) * side, self._south + (row + 0.5) * side
        table[row, column] = self._tried(x, y)
        run = np.maximum.accumulate(np.where(begins, np.arange(shape[1]), 0), axis=1)
        spread = np.take_along_axis(table, run, axis=1)
        self._table = np.where(clear, spread, np.int32(_BORDER))

    def _mark_borders(self, table: NDArray[np.int32], side: float) -> None:
        """Mark the cells that a border comes into. A piece of half a side lies in two columns and two rows at most."""
        parts = shapely.get_parts(self._polygons)
        rings = shapely.get_rings(shapely.segmentize(parts, side / 2.0 - 4.0 * NEAR_DEG))
        xy, ring = shapely.get_coordinates(rings, return_index=True)
        same = ring[:-1] == ring[1:]
        low, high = np.minimum(xy[:-1], xy[1:])[same] - NEAR_DEG, np.maximum(xy[:-1], xy[1:])[same] + NEAR_DEG
        for x in (low[:, 0], high[:, 0]):
            for y in (low[:, 1], high[:, 1]):
                table[self._rows(y).astype(np.int64), self._columns(x).astype(np.int64)] = _BORDER
