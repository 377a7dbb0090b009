"""Polygons of GeoJSON: read, checked, repaired. Plane geometry in degrees, x = lon and y = lat (WGS-84)."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from shapely import MultiPolygon, Polygon

from ingest.geo import Floats, m_per_deg

MIN_AREA_M2 = 1.0  # a smaller polygon is a slip of the pen; a smaller overlap is the noise of a digitised border
Surface = Polygon | MultiPolygon


def parsed_polygon(geometry: Any) -> tuple[Surface, str | None]:
    """A GeoJSON geometry as a valid polygon, rings oriented as RFC 7946 says, and what a repair did to it.

    Raises ValueError with the reason why it is of no use.
    """
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind not in ("Polygon", "MultiPolygon"):
        raise ValueError("it has no geometry" if kind is None else f"its geometry is a {kind}, not a polygon")
    parts = [geometry.get("coordinates")] if kind == "Polygon" else geometry.get("coordinates")
    if not isinstance(parts, list) or not all(isinstance(part, list) for part in parts):
        raise ValueError("its coordinates are no lists of rings")
    drawn = [Polygon(rings[0], rings[1:]) for part in parts if (rings := [_ring(ring) for ring in part])]
    shape: Surface = drawn[0] if len(drawn) == 1 else MultiPolygon(drawn)
    before, repair = area_m2(shape), None
    if not shape.is_valid:
        shape = surface(shapely.make_valid(shape, method="structure", keep_collapsed=False))
        after = area_m2(shape)
        repair = f"crosses or overlaps itself and was repaired: {before:,.0f} m² became {after:,.0f} m²"
    if area_m2(shape) < MIN_AREA_M2:
        raise ValueError("its polygon is empty or has no area")
    return surface(shapely.orient_polygons(shape)), repair


def outline(polygon: Surface) -> Floats:
    """(E, 2, 2) of the edges of all its rings: from and to, lon and lat; what is inside lies on their left."""
    rings = shapely.get_rings(shapely.get_parts(shapely.orient_polygons(polygon)))
    lonlat, ring = shapely.get_coordinates(rings, return_index=True)
    edges = np.stack([lonlat[:-1], lonlat[1:]], axis=1)
    return np.asarray(edges[(ring[:-1] == ring[1:]) & (edges[:, 0] != edges[:, 1]).any(axis=1)])


def _ring(ring: Any) -> Floats:
    try:
        xy = np.array([point[:2] for point in ring], dtype=np.float64)
    except (ValueError, TypeError, KeyError, OverflowError):
        raise ValueError("a ring's coordinates are not numbers") from None
    if xy.ndim != 2 or xy.shape[1] != 2 or len(xy) < 3 or not np.isfinite(xy).all():
        raise ValueError("a ring is not a list of at least 4 [lon, lat] positions")
    (west, south), (east, north) = xy.min(axis=0), xy.max(axis=0)
    # China taken for (lon, lat) the wrong way round lies in the Arctic Ocean or beyond the pole
    if west >= 3 and east <= 54 and south >= 73 and north <= 136:
        raise ValueError(f"its coordinates look swapped, [lat, lon] instead of [lon, lat]: {xy[0].tolist()}")
    if west < -180 or east > 180 or south < -90 or north > 90:
        raise ValueError(f"its coordinates are out of range; WGS-84 degrees are expected: {xy[0].tolist()}")
    return xy


def surface(geometry: shapely.Geometry) -> Surface:
    """The polygons in a geometry; the points and lines that set operations leave are let go."""
    parts = [part for part in shapely.get_parts(shapely.get_parts(geometry)) if isinstance(part, Polygon)]
    return parts[0] if len(parts) == 1 else MultiPolygon(parts)


def area_m2(shape: Surface) -> float:
    """Within 1 % for anything the size of a city."""
    if shape.is_empty:
        return 0.0
    _, south, _, north = shape.bounds
    per_lat, per_lon = m_per_deg((south + north) / 2)
    return float(shape.area) * per_lat * per_lon
