"""Communities that tile the simulated district: crooked borders, some of them along the middle of a street."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import shapely
from numpy.random import Generator

from benchmarks.fleet_world import District, latlon

EDGE_M = 1100.0
FINEST_M = 30.0
CROOKED = 0.12
INNER = (-560.0, 20.0, 540.0)  # where the inner borders run; the middle one of each direction follows a street
Position = tuple[float, float]


def communities(district: District) -> dict[str, shapely.Polygon]:
    """Code -> polygon in metres. Sixteen communities of four streets (街道)."""
    dice = np.random.default_rng([district.seed, 2])
    nodes = _nodes(dice, district)
    lines = []
    for i in range(5):
        for j in range(5):
            for k, m in ((i + 1, j), (i, j + 1)):
                if k < 5 and m < 5:
                    along_street = (i == k == 2) or (j == m == 2)
                    lines.append(_border(dice, nodes[i, j], nodes[k, m], straight=along_street or _outer(i, j, k, m)))
    faces, cuts, dangles, bad = shapely.polygonize_full(lines)
    if len(faces.geoms) != 16 or not (cuts.is_empty and dangles.is_empty and bad.is_empty):
        raise ValueError(f"seed {district.seed}: the borders enclose {len(faces.geoms)} faces, not 16")
    found = sorted(faces.geoms, key=lambda face: (round(face.centroid.y / 550), face.centroid.x))
    codes = (f"440304{1 + n // 4:03d}{1 + n % 4:03d}" for n in range(len(found)))
    return {code: face for code, face in zip(codes, found, strict=True) if isinstance(face, shapely.Polygon)}


def collection(faces: dict[str, shapely.Polygon]) -> dict[str, Any]:
    """The GeoJSON that `cases replay --areas` reads."""
    features = [_feature(code, f"社区{code[-6:]}", "community", f"{code[:9]}000", face) for code, face in faces.items()]
    for code in sorted({code[:9] for code in faces}):
        street = shapely.union_all([face for c, face in faces.items() if c.startswith(code)])
        parts = shapely.get_parts(street)[:1]
        features += [_feature(f"{code}000", f"街道{code[-3:]}", "street", None, part) for part in parts]
    return {"type": "FeatureCollection", "features": features}


def _feature(code: str, name: str, layer: str, parent: str | None, face: shapely.Polygon) -> dict[str, Any]:
    ring = [[round(v, 8) for v in reversed(latlon((x, y)))] for x, y in face.exterior.coords]
    return {
        "type": "Feature",
        "properties": {"code": code, "name": name, "layer": layer, "parent": parent},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }


def owner_of(faces: Mapping[str, shapely.Polygon], enu: Position) -> tuple[str | None, float]:
    """(code, metres to the nearest border) of a point."""
    point = shapely.Point(enu)
    for code, face in faces.items():
        if face.covers(point):
            return code, float(face.exterior.distance(point))
    return None, math.inf


def _nodes(dice: Generator, district: District) -> dict[tuple[int, int], Position]:
    columns = (-EDGE_M, *INNER, EDGE_M)
    east_of = min((s.at_m for s in district.streets[:6]), key=lambda v: abs(v - INNER[1]))
    north_of = min((s.at_m for s in district.streets[6:]), key=lambda v: abs(v - INNER[1]))
    nodes = {}
    for i in range(5):
        for j in range(5):
            x = columns[i] + (dice.uniform(-90, 90) if i in (1, 3) else 0.0)
            y = columns[j] + (dice.uniform(-90, 90) if j in (1, 3) else 0.0)
            nodes[i, j] = (east_of if i == 2 else x, north_of if j == 2 else y)
    return nodes


def _outer(i: int, j: int, k: int, m: int) -> bool:
    return (i == k and i in (0, 4)) or (j == m and j in (0, 4))


def _border(dice: Generator, start: Position, end: Position, *, straight: bool) -> shapely.LineString:
    return shapely.LineString([start, end] if straight else [*_crooked(dice, start, end), end])


def _crooked(dice: Generator, start: Position, end: Position) -> list[Position]:
    """Points from start up to, without, end: a straight line made crooked by moving midpoints sideways."""
    east, north = end[0] - start[0], end[1] - start[1]
    if math.hypot(east, north) < 2 * FINEST_M:
        return [start]
    aside = dice.uniform(-CROOKED, CROOKED)
    middle = ((start[0] + end[0]) / 2 - aside * north, (start[1] + end[1]) / 2 + aside * east)
    return _crooked(dice, start, middle) + _crooked(dice, middle, end)


def dumps(faces: dict[str, shapely.Polygon]) -> str:
    return json.dumps(collection(faces), ensure_ascii=False)
