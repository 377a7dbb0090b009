"""Place: the key of sightings and passes, so that what concerns one neighbourhood stays in order on one partition."""

from __future__ import annotations

from collections import Counter

import h3

from vision.sighting import Pass, Sighting

PLACE_RESOLUTION = 6  # H3, about 36 km²


def place_of(item: Sighting | Pass) -> str:
    """The H3 cell that a sighting lies in, or that most of what a pass looked at does.

    A pass that looked at nothing has its vehicle instead: it concerns no place.
    """
    if isinstance(item, Sighting):
        return str(h3.latlng_to_cell(item.lat, item.lon, PLACE_RESOLUTION))
    cells = Counter(str(h3.cell_to_parent(cell, PLACE_RESOLUTION)) for cell in item.looked)
    return max(sorted(cells), key=lambda cell: cells[cell], default=item.vehicle)
