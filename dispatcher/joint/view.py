"""View: what a pass looked at, kept compactly, and how surely it would have reported a thing."""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from datetime import datetime
from typing import Any, Final

import h3.api.basic_int as h3
import numpy as np
from h3.api.basic_int import latlng_to_cell
from librt.vecs import vec
from mypy_extensions import i64

from dispatcher.joint.grid import square_of, squares_near
from dispatcher.joint.lattice import Lattice
from ingest.geo import m_per_deg
from vision.sighting import Covariance, Pass

COARSE: Final = 11  # H3 resolution at which views are found again: cells some 50 m across


class View:
    """One pass."""

    def __init__(self, item: Pass) -> None:
        cells = np.array([int(cell, 16) for cell in item.looked], np.int64)
        clear = np.fromiter(item.looked.values(), np.float64, len(cells))
        centres = [h3.cell_to_latlng(cell) for cell in np.unique(_parents(cells, item.h3_resolution)).tolist()]
        self.id = item.id
        self.vehicle = item.vehicle
        self.started = item.started_at.timestamp()  # seconds since 1970
        self.ended = item.ended_at.timestamp()
        self.ended_at: datetime = item.ended_at
        self.recall: dict[str, float] = dict(item.recall)
        self.squares: list[int] = list(dict.fromkeys([square_of(lat, lon) for lat, lon in centres]))
        self._resolution = item.h3_resolution
        self._lattice = Lattice.of(cells)
        keys = cells if self._lattice is None else self._lattice.keys(cells)
        order = np.argsort(keys)
        self._keys = vec[i64](keys[order].tolist())  # (N,) ascending, of the cells
        self._clear = vec[float](clear[order].tolist())  # (N,) of each

    def looked(self, lat: float, lon: float, covariance: Covariance) -> float:
        """Probability that a thing was in clear view, over where it may lie in the vehicle's own frame."""
        per_lat, per_lon = m_per_deg(lat)
        ee = math.sqrt(max(covariance[0], 1e-6))
        en = covariance[1] / ee
        nn = math.sqrt(max(covariance[2] - en * en, 0.0))
        ee, en, nn = ee * STEP / per_lon, en * STEP / per_lat, nn * STEP / per_lat
        before, after = self._column(lat - en, lon - ee, nn), self._column(lat + en, lon + ee, nn)
        return MIDDLE * self._column(lat, lon, nn) + END * (before + after)

    def _column(self, lat: float, lon: float, step: float) -> float:
        """How clearly it saw what lies on a meridian, a step to either side of a point."""
        ends = self._clear_at(lat - step, lon) + self._clear_at(lat + step, lon)
        return MIDDLE * self._clear_at(lat, lon) + END * ends

    def _clear_at(self, lat: float, lon: float) -> float:
        """How clearly the pass saw the cell of a point."""
        lattice, keys = self._lattice, self._keys
        key: i64 = latlng_to_cell(lat, lon, self._resolution) if lattice is None else lattice.key(lat, lon)
        low: i64 = 0
        high: i64 = len(keys)
        while low < high:
            middle = (low + high) >> 1
            if keys[middle] < key:
                low = middle + 1
            else:
                high = middle
        return self._clear[low] if low < len(keys) and keys[low] == key else 0.0


STEP: Final = math.sqrt(3.0)  # three-point Gauss-Hermite, in sigma, and what its points count
END: Final = 1 / 6
MIDDLE: Final = 2 / 3


class Views:
    """Passes, by the squares that they looked into, in order of their ends."""

    def __init__(self) -> None:
        self._by_square: dict[int, list[tuple[float, str, View]]] = {}
        self._forgotten: dict[int, int] = {}  # by square: how many more there were

    def put(self, view: View) -> None:
        for square in view.squares:
            insort(self._by_square.setdefault(square, []), (view.ended, view.id, view), key=lambda v: v[:2])

    def state(self) -> list[Any]:
        """The ids of its passes, and of how many it knows by square that there were more."""
        ids = {view.id for entries in self._by_square.values() for _, _, view in entries}
        return [sorted(ids), list(self._forgotten.items())]

    def recall(self, state: list[Any]) -> None:
        """Know again how many more there were."""
        self._forgotten = dict(state[1])

    def count(self, lat: float, lon: float) -> int:
        """How many passes looked into the square of a point."""
        square = square_of(lat, lon)
        return len(self._by_square.get(square, ())) + self._forgotten.get(square, 0)

    def forget(self, before: float) -> None:
        """Let go the passes that ended before some time; it stays known how many there were."""
        for square, entries in [*self._by_square.items()]:
            gone = bisect_right(entries, before, key=lambda entry: entry[0])
            if gone:
                self._forgotten[square] = self._forgotten.get(square, 0) + gone
                del entries[:gone]
                if not entries:
                    del self._by_square[square]

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
