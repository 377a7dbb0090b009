"""No-parking areas: where two-wheelers must not be parked. Data of the city, as GeoJSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import shapely
from shapely import STRtree
from shapely.geometry.base import BaseGeometry

from ingest.geo import offset_from_latlon


class NoParkingUnreadable(ValueError):
    """The file of no-parking areas cannot be understood: a worker must not begin as if there were none."""


class NoParking:
    """Polygons, in metres about their middle: east and north. Within 0.7 % over a city."""

    def __init__(self, polygons: list[BaseGeometry]) -> None:
        """Polygons in (lon, lat) degrees of WGS-84, at least one."""
        middle = shapely.union_all(polygons).envelope.centroid
        self._home = (middle.y, middle.x)
        self._tree = STRtree([shapely.transform(one, self._metres) for one in polygons])

    @classmethod
    def read(cls, path: Path) -> NoParking:
        """Every Polygon and MultiPolygon of a FeatureCollection. Raises NoParkingUnreadable, naming the feature."""
        try:
            document = json.loads(path.read_text(encoding="utf-8-sig"))
            features = document["features"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NoParkingUnreadable(f"{path} is no GeoJSON FeatureCollection: {error}") from None
        polygons = [_polygon(path, number, feature) for number, feature in enumerate(features)]
        if not polygons:
            raise NoParkingUnreadable(f"{path} holds no area: leave JIEXUN_NO_PARKING empty when there is none")
        return cls(polygons)

    def near(self, lat: float, lon: float, reach_m: float) -> bool:
        """Whether an area is within so many metres."""
        return len(self._tree.query(self._point(lat, lon), predicate="dwithin", distance=reach_m)) > 0

    def holds(self, lat: float, lon: float) -> bool:
        """Whether the point lies in an area."""
        return len(self._tree.query(self._point(lat, lon), predicate="intersects")) > 0

    def _point(self, lat: float, lon: float) -> shapely.Point:
        return shapely.Point(offset_from_latlon(lat, lon, *self._home))

    def _metres(self, lonlat: np.ndarray) -> np.ndarray:
        return np.array([offset_from_latlon(lat, lon, *self._home) for lon, lat in lonlat.tolist()]).reshape(-1, 2)


def _polygon(path: Path, number: int, feature: object) -> BaseGeometry:
    try:
        shape = shapely.from_geojson(json.dumps(feature["geometry"]))  # type: ignore[index]  # a fault is told below
    except (KeyError, TypeError, shapely.errors.ShapelyError) as error:
        raise NoParkingUnreadable(f"{path}: feature {number} has no geometry that can be read: {error}") from None
    if shape is None or shape.geom_type not in ("Polygon", "MultiPolygon") or shape.is_empty:
        raise NoParkingUnreadable(f"{path}: feature {number} is no polygon")
    west, south, east, north = shape.bounds
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise NoParkingUnreadable(f"{path}: feature {number} is not in degrees of WGS-84: {shape.bounds}")
    return shapely.make_valid(shape)
