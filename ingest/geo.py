"""WGS-84 arithmetic on the scale of a street.

Frames of reference: (lat, lon) in degrees; (east, north) in metres on the local tangent plane of an origin.
Names read out_from_in.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

SEMI_MAJOR_M = 6378137.0  # WGS-84
ECCENTRICITY2 = 6.69437999014e-3
MAX_SPEED_MPS = 70.0  # 252 km/h: no street vehicle is faster
MAX_ACCURACY_M = 200.0  # a worse fix places nothing

Floats = NDArray[np.float64]


@lru_cache(maxsize=10_000)  # the same thing is measured from again and again
def m_per_deg(lat: float) -> tuple[float, float]:
    """Metres per degree of latitude and of longitude at `lat` (radii of curvature of the ellipsoid)."""
    s = math.sin(math.radians(lat))
    w2 = 1.0 - ECCENTRICITY2 * s * s
    meridian = SEMI_MAJOR_M * (1.0 - ECCENTRICITY2) / w2**1.5
    normal = SEMI_MAJOR_M / math.sqrt(w2)
    return math.radians(meridian), math.radians(normal * math.cos(math.radians(lat)))


def latlon_from_offset(lat: float, lon: float, east_m: float, north_m: float) -> tuple[float, float]:
    """Move a point by metres. Error below 1 cm within 300 m, away from the poles."""
    per_lat, per_lon = m_per_deg(lat)
    return lat + north_m / per_lat, lon + east_m / per_lon


def offset_from_latlon(lat: float, lon: float, origin_lat: float, origin_lon: float) -> tuple[float, float]:
    """(east, north) in metres of a point as seen from an origin. The inverse of `latlon_from_offset`."""
    per_lat, per_lon = m_per_deg(origin_lat)
    return (lon - origin_lon) * per_lon, (lat - origin_lat) * per_lat


def distance_m(lat: float, lon: float, other_lat: float, other_lon: float) -> float:
    """Distance along the ground: plane up to some kilometres, a sphere beyond."""
    east, north = offset_from_latlon(lat, lon, other_lat, other_lon)
    if max(abs(east), abs(north)) < 20_000:
        return math.hypot(east, north)
    a, b = math.radians(lat), math.radians(other_lat)
    h = math.sin((a - b) / 2) ** 2 + math.cos(a) * math.cos(b) * math.sin(math.radians(lon - other_lon) / 2) ** 2
    return 2 * 6371008.8 * math.asin(math.sqrt(min(1.0, h)))


def bearing_deg(lat: float, lon: float, to_lat: float, to_lon: float) -> float:
    """Direction from one point to another nearby, clockwise from north, in [0, 360)."""
    east, north = offset_from_latlon(to_lat, to_lon, lat, lon)
    return math.degrees(math.atan2(east, north)) % 360.0


def turn_deg(from_deg: float, to_deg: float) -> float:
    """The signed turn between two headings, in [-180, 180)."""
    return (to_deg - from_deg + 180.0) % 360.0 - 180.0
