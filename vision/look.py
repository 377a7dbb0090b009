"""Look: which ground a frame showed, as H3 cells with the probability of a clear view.

What a pass did not look at proves nothing; what it looked at and did not report counts against a case.
"""

from __future__ import annotations

import math
from functools import lru_cache

import h3
import numpy as np
from h3.api.basic_int import latlng_to_cell  # texts for each point would cost as much again

from ingest.frame import Fix
from ingest.geo import Floats, m_per_deg
from vision.camera import Camera, ground_from_road, picture_from_road

H3_RESOLUTION = 13  # about 44 m²: 4 m from edge to edge
FAR_M = 28.0
CLEAR_M = 12.0  # up to here nothing but an obstacle hides a thing
UNHIDDEN = 0.85  # chance that no vehicle, tree or person stands between: no detector for them runs yet


def looked_cells(camera: Camera, size_wh: tuple[int, int], fix: Fix) -> dict[str, float]:
    """Cells in view and the probability that each was in clear view; none when the heading is unknown."""
    if fix.heading_deg is None:
        return {}
    road, clear = _view(camera, size_wh)
    ground = ground_from_road(road, fix.heading_deg + camera.yaw_deg) + camera.lens_enu(fix.heading_deg)
    per_lat, per_lon = m_per_deg(fix.lat)
    lats, lons = (fix.lat + ground[:, 1] / per_lat).tolist(), (fix.lon + ground[:, 0] / per_lon).tolist()
    cells: dict[int, float] = {}
    for lat, lon, p in zip(lats, lons, clear, strict=True):  # the clearest point of a cell comes first
        cells.setdefault(latlng_to_cell(lat, lon, H3_RESOLUTION), p)
    return {h3.int_to_str(cell): p for cell, p in cells.items()}


@lru_cache(maxsize=64)
def _view(camera: Camera, size_wh: tuple[int, int]) -> tuple[Floats, list[float]]:
    """Points (N, 2) of the road in the picture, forward and right, 1.5 m apart, and how clearly each is seen.

    Those most clearly seen come first.
    """
    half = math.radians(camera.hfov_deg / 2)
    points = []
    for reach in np.arange(1.5, FAR_M, 1.5):
        steps = max(1, math.ceil(2 * half * reach / 2.0))
        angles = np.linspace(-half, half, steps + 1)
        points += [(reach * math.cos(angle), reach * math.sin(angle)) for angle in angles]
    road = np.array(points)
    uv = picture_from_road(road, size_wh, camera)
    inside = (uv[:, 0] >= 0) & (uv[:, 0] <= size_wh[0]) & (uv[:, 1] >= 0) & (uv[:, 1] <= size_wh[1])
    road = road[inside]
    reach = np.hypot(road[:, 0], road[:, 1])
    clear = UNHIDDEN * np.clip((FAR_M - reach) / (FAR_M - CLEAR_M), 0.0, 1.0)
    first = np.argsort(-clear, kind="stable")
    return road[first], np.round(clear[first], 3).tolist()
