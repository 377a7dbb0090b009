"""GCJ-02, the shifted coordinates of Chinese web maps, from and to WGS-84.

Inside China every position is moved by a smooth function of itself, some 350 m on average. Outside nothing is moved.
Frames of reference: WGS-84 degrees (CGCS2000 differs by centimetres), GCJ-02 degrees. Scalars or arrays.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ingest.geo import Floats

# The shift is computed on the ellipsoid of Krasovsky, whatever the position is measured on.
_SEMI_MAJOR_M, _ECCENTRICITY2 = 6378245.0, 0.00669342162296594323
_WEST, _EAST, _SOUTH, _NORTH = 72.004, 137.8347, 0.8293, 55.8271
TURNS = 30  # each makes the error at least 100 times smaller: it ends at the last digit long before


def gcj02_from_wgs84(lat: ArrayLike, lon: ArrayLike) -> tuple[Floats, Floats]:
    """Where a web map draws a position."""
    lat, lon = np.asarray(lat, dtype=np.float64), np.asarray(lon, dtype=np.float64)
    shift_lat, shift_lon = _shift(lat, lon)
    return lat + shift_lat, lon + shift_lon


def wgs84_from_gcj02(lat: ArrayLike, lon: ArrayLike) -> tuple[Floats, Floats]:
    """The position that a web map draws there: the exact inverse, to a hundredth of a millimetre."""
    lat, lon = np.asarray(lat, dtype=np.float64), np.asarray(lon, dtype=np.float64)
    found_lat, found_lon = lat, lon
    for _ in range(TURNS):
        shift_lat, shift_lon = _shift(found_lat, found_lon)
        before, found_lat, found_lon = (found_lat, found_lon), lat - shift_lat, lon - shift_lon
        if np.array_equal(before[0], found_lat) and np.array_equal(before[1], found_lon):
            break
    return found_lat, found_lon


def _shift(lat: Floats, lon: Floats) -> tuple[Floats, Floats]:
    """How far a WGS-84 position is moved, in degrees."""
    x, y = lon - 105.0, lat - 35.0
    root, wave = np.sqrt(np.abs(x)), 20.0 * np.sin(6.0 * np.pi * x) + 20.0 * np.sin(2.0 * np.pi * x)
    north = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root + wave * 2.0 / 3.0
    north += (20.0 * np.sin(np.pi * y) + 40.0 * np.sin(np.pi * y / 3.0)) * 2.0 / 3.0
    north += (160.0 * np.sin(np.pi * y / 12.0) + 320.0 * np.sin(np.pi * y / 30.0)) * 2.0 / 3.0
    east = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root + wave * 2.0 / 3.0
    east += (20.0 * np.sin(np.pi * x) + 40.0 * np.sin(np.pi * x / 3.0)) * 2.0 / 3.0
    east += (150.0 * np.sin(np.pi * x / 12.0) + 300.0 * np.sin(np.pi * x / 30.0)) * 2.0 / 3.0
    phi = np.radians(lat)
    w2 = 1.0 - _ECCENTRICITY2 * np.sin(phi) ** 2
    per_lat = np.radians(_SEMI_MAJOR_M * (1.0 - _ECCENTRICITY2) / w2**1.5)
    per_lon = np.radians(_SEMI_MAJOR_M / np.sqrt(w2) * np.cos(phi))
    moved = (lon >= _WEST) & (lon <= _EAST) & (lat >= _SOUTH) & (lat <= _NORTH)
    return np.where(moved, north / per_lat, 0.0), np.where(moved, east / per_lon, 0.0)
