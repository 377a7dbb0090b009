"""Places: every place, found again by where it lies and by the cells that a pass looked into."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, ValuesView

import h3

from dispatcher.identity import Grid
from dispatcher.place import Located, Place
from vision.sighting import Pass

INDEX_RESOLUTION = 13  # places are indexed by H3 cells of the resolution that passes normally have
PART = "/"  # in ids of the grid: place/number of a part


class Places:
    """Places by their ids. One that is retired is known, and found by nobody."""

    def __init__(self) -> None:
        self._all: dict[str, Place] = {}
        self._grid = Grid()
        self._cells: dict[str, set[str]] = {}  # H3 cell -> places in it

    def __getitem__(self, id: str) -> Place:
        return self._all[id]

    def get(self, id: str) -> Place | None:
        return self._all.get(id)

    def all(self) -> ValuesView[Place]:
        return self._all.values()

    def put(self, place: Place) -> None:
        """Know a place. Call it again when its last episode has moved."""
        self._all[place.id] = place
        if place.retired:
            return
        lat, lon, _ = place.now.position
        self._grid.put(place.id, place.matter, lat, lon)
        for n, (part_lat, part_lon, _) in enumerate(place.parts):
            self._grid.put(f"{place.id}{PART}{n}", place.matter, part_lat, part_lon)
        middle = h3.latlng_to_cell(lat, lon, INDEX_RESOLUTION)
        if middle == place.middle:
            return
        cells = set(h3.grid_disk(middle, 1))
        for cell in place.cells - cells:
            self._cells[cell].discard(place.id)
        for cell in cells - place.cells:
            self._cells.setdefault(cell, set()).add(place.id)
        place.cells, place.middle = cells, middle

    def hide(self, place: Place) -> None:
        """Nobody finds it any more."""
        if not place.cells:
            return
        for id in (place.id, *(f"{place.id}{PART}{n}" for n in range(len(place.parts)))):
            self._grid.remove(id)
        for cell in place.cells:
            self._cells[cell].discard(place.id)
        place.cells, place.middle = set(), ""

    def forget(self, place: Place) -> None:
        self.hide(place)
        del self._all[place.id]

    def tidy(self) -> None:
        """Let go of cells in which nothing lies any more."""
        self._cells = {cell: places for cell, places in self._cells.items() if places}

    def near(self, matter: str, lat: float, lon: float, reach_m: float) -> Iterator[tuple[str, Place, Located]]:
        """Spots of places of a matter, in a fixed order: their own, and those of what was merged into them."""
        for id in self._grid.near(matter, lat, lon, reach_m):
            of, _, n = id.partition(PART)
            place = self._all[of]
            yield id, place, place.parts[int(n)] if n else place.now.position

    def of_spot(self, id: str) -> Place:
        return self._all[id.partition(PART)[0]]

    def in_view(self, item: Pass) -> set[str]:
        """Places in cells that a pass looked into."""
        if item.h3_resolution == INDEX_RESOLUTION:
            cells: Iterable[str] = item.looked
        elif item.h3_resolution > INDEX_RESOLUTION:
            cells = {h3.cell_to_parent(cell, INDEX_RESOLUTION) for cell in item.looked}
        else:
            cells = (child for cell in item.looked for child in h3.cell_to_children(cell, INDEX_RESOLUTION))
        return {id for cell in cells for id in self._cells.get(cell, ())}
