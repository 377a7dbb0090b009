"""A made-up city of communities whose crooked borders are shared, vertex by vertex."""

from __future__ import annotations

import numpy as np
import shapely
from shapely import Polygon

from ingest.geo import Floats

WEST, SOUTH, SIDE_DEG = 113.5, 22.3, 0.01  # a community is about a kilometre wide
SHAKEN = 0.12  # of a side: how far corners lie from their places, and borders from the straight line


def mesh(side: int, pieces: int, seed: int) -> list[Polygon]:
    """side × side polygons of 4 × pieces edges, row by row."""
    rng = np.random.default_rng(seed)
    corners = np.stack(np.meshgrid(np.arange(side + 1.0), np.arange(side + 1.0)), -1)
    corners = corners + rng.uniform(-SHAKEN, SHAKEN, corners.shape)
    across = _borders(corners[:, :-1], corners[:, 1:], pieces, rng)  # (row, column, point, 2)
    up = _borders(corners[:-1], corners[1:], pieces, rng)
    made = []
    for r in range(side):
        for c in range(side):
            parts = (across[r, c], up[r, c + 1][1:], across[r + 1, c][::-1][1:], up[r, c][::-1][1:])
            made.append(Polygon(np.vstack(parts)))
    assert shapely.is_valid(made).all()
    return made


def _borders(start: Floats, end: Floats, pieces: int, rng: np.random.Generator) -> Floats:
    """A crooked line from each start to its end, in degrees."""
    t = np.linspace(0.0, 1.0, pieces + 1)
    along = end - start
    aside = np.stack([-along[..., 1], along[..., 0]], -1)
    off = rng.uniform(-SHAKEN, SHAKEN, (*along.shape[:2], pieces + 1)) * 4.0 * t * (1.0 - t)
    line = start[..., None, :] + t[:, None] * along[..., None, :] + off[..., None] * aside[..., None, :]
    line[..., -1, :] = end  # rounding must not open a crack at a corner
    degrees: Floats = line * SIDE_DEG + (WEST, SOUTH)
    return degrees
