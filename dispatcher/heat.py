"""Heat: cases over expected clear looks by H3 cell, and how much of each area was looked at. No data is not clean."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Protocol

import h3
import numpy as np
import shapely
from numpy.typing import ArrayLike

from dispatcher.area import Area, Layer
from dispatcher.case import State
from dispatcher.holding import NOBODY, Ints

FINE = 10  # the H3 resolution that looks and cases are counted in
COARSE = 7
SEEN_LOOKS = 1.0  # fewer clear looks than one say nothing
MOST_CELLS = 200_000  # of a map


class Tiled(Protocol):
    """The areas that a map is of; `dispatcher.area.Areas` is the real one."""

    @property
    def routing_layer(self) -> Layer | None: ...

    def __hash__(self) -> int: ...
    def of_layer(self, layer: Layer) -> Sequence[Area]: ...
    def holding(self, layer: Layer, lat: ArrayLike, lon: ArrayLike) -> Ints: ...


class Sight(StrEnum):
    """Whether a cell was looked at. One that was not is never clean, whatever it holds."""

    SEEN = "seen"
    UNSEEN = "unseen"


@dataclass(slots=True)
class Warm:
    """One cell of the map."""

    cell: int
    counts: Counter[str] = field(default_factory=Counter)  # of unsettled cases by state
    looks: float = 0.0  # expected clear looks, over the fine cells in it
    fine_seen: int = 0  # fine cells with SEEN_LOOKS or more

    @property
    def sight(self) -> Sight:
        return Sight.SEEN if self.looks >= SEEN_LOOKS else Sight.UNSEEN

    @property
    def open(self) -> int:
        return self.counts[State.OPEN]

    @property
    def per_look(self) -> float | None:
        """Open cases over expected clear looks; None where nobody looked."""
        return self.open / self.looks if self.sight is Sight.SEEN else None


class TooFine(ValueError):
    """A map would have too many cells: it is to be coarser, or of a smaller place."""


def owners_of(areas: Tiled, cells: Sequence[int]) -> list[str | None]:
    """The area of the routing layer that the centre of each cell lies in."""
    if areas.routing_layer is None or not cells:
        return [None] * len(cells)
    centres = np.array([h3.cell_to_latlng(h3.int_to_str(cell)) for cell in cells])
    members = areas.of_layer(areas.routing_layer)
    found = areas.holding(areas.routing_layer, centres[:, 0], centres[:, 1])
    return [None if n == NOBODY else members[n].code for n in found]


@lru_cache(maxsize=8)
def tiles(areas: Tiled, resolution: int) -> dict[int, str]:
    """Every cell whose centre lies in an area of the routing layer, and in which. Raises TooFine."""
    if areas.routing_layer is None:
        return {}
    west, south, east, north = shapely.total_bounds([area.polygon for area in areas.of_layer(areas.routing_layer)])
    corners = ((south, west), (south, east), (north, east), (north, west))
    size_m2 = h3.average_hexagon_area(resolution, unit="m^2")
    if (east - west) * (north - south) * 111_000.0**2 * np.cos(np.radians((south + north) / 2)) / size_m2 > MOST_CELLS:
        raise TooFine(f"a map of all areas has too many cells of resolution {resolution}: ask for a coarser one")
    cells = sorted(h3.str_to_int(cell) for cell in h3.polygon_to_cells(h3.LatLngPoly(corners), resolution))
    owners = zip(cells, owners_of(areas, cells), strict=True)
    return {cell: owner for cell, owner in owners if owner is not None}


def heat(
    ground: Sequence[int], looks: Mapping[int, float], cases: Mapping[int, Counter[str]], resolution: int
) -> list[Warm]:
    """The cells of a map: those of the ground, and those with looks or cases, which come by cells of FINE."""
    warm = {cell: Warm(cell) for cell in ground}
    for cell, expected in looks.items():
        above = _above(cell, resolution)
        found = warm.setdefault(above, Warm(above))
        found.looks += expected
        found.fine_seen += expected >= SEEN_LOOKS
    for cell, counts in cases.items():
        above = _above(cell, resolution)
        warm.setdefault(above, Warm(above)).counts.update(counts)
    return [warm[cell] for cell in sorted(warm)]


@dataclass(slots=True)
class Covered:
    """How much of an area was looked at, in fine cells."""

    area: str
    cells: int = 0
    seen: int = 0
    looks: float = 0.0
    last_day: str | None = None  # on which anybody looked, however long ago


def coverage(ground: Mapping[int, str], looks: Mapping[int, float], last_looked: Mapping[int, str]) -> list[Covered]:
    """By area. A cell of a park or a lake, where no vehicle drives, counts too."""
    found: defaultdict[str, Covered] = defaultdict(lambda: Covered(""))
    for cell, area in ground.items():
        row = found[area]
        row.area, expected, day = area, looks.get(cell, 0.0), last_looked.get(cell)
        row.cells += 1
        row.seen += expected >= SEEN_LOOKS
        row.looks += expected
        row.last_day = max(filter(None, (row.last_day, day)), default=None)
    return [found[area] for area in sorted(found)]


def _above(cell: int, resolution: int) -> int:
    above: int = h3.str_to_int(h3.cell_to_parent(h3.int_to_str(cell), resolution))
    return above
