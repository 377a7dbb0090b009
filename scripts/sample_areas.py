#!/usr/bin/env python
"""Draw the demo areas round the sample drive into datasets/sample/areas.geojson: `python scripts/sample_areas.py`.

The borders are invented and the file says so in every feature. Districts and streets carry their real names and
codes (those on which both lists of ATTRIBUTION agree), communities invented ones. Neighbours share a border point
by point, streets are the union of their communities, and the district that of its streets.
"""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import shapely
from shapely import Geometry, LineString, Point

from ingest.geo import latlon_from_offset

OUT = Path(__file__).parent.parent / "datasets" / "sample" / "areas.geojson"
ORIGIN = (22.5350, 114.0600)  # where the drive begins; it runs 1 km north and drifts 43 m east
SEED = 20261124
FINEST_M = 30.0  # a border turns at least this often
CROOKED = 0.13  # how far a border strays, as a part of its length
NOTE = "示意辖区，非官方边界"
ATTRIBUTION = (
    "Demo polygons: drawn for Jiexun, not official borders. Names and codes of district and streets: "
    "xiangyuecn/AreaCity-JsSpider-StatsGov (MIT) and modood/Administrative-divisions-of-China (WTFPL). "
    "Community names and codes are invented."
)

# Where borders meet: metres east and north of ORIGIN. The road passes east = 0.0426 * north.
NODES = {
    "sw": (-430, -270), "se": (470, -250), "ne": (500, 1290), "nw": (-400, 1270),
    "w1": (-445, 110), "w2": (-425, 275), "w3": (-415, 600), "w4": (-408, 830),
    "e1": (480, 90), "e2": (478, 300), "e3": (484, 455), "e4": (492, 650), "e5": (497, 850),
    "a": (150, 150), "b": (165, 320), "c": (-165, 290), "d": (18, 440), "e": (34, 625), "f": (210, 690),
}  # fmt: skip
# Each border from node to node. Listed once, so that both sides get the same.
BORDERS = [
    ("sw", "se"), ("se", "e1"), ("e1", "e2"), ("e2", "e3"), ("e3", "e4"), ("e4", "e5"), ("e5", "ne"),
    ("ne", "nw"), ("nw", "w4"), ("w4", "w3"), ("w3", "w2"), ("w2", "w1"), ("w1", "sw"),
    ("w1", "a"), ("a", "e1"), ("a", "b"), ("w2", "c"), ("b", "e2"), ("c", "d"), ("d", "e3"), ("f", "e4"),
    ("e", "f"), ("w3", "e"), ("w4", "e5"),
]  # fmt: skip
# Drawn by hand: the first cuts the road at a slant, the second runs along it, first in the middle, then at the kerb.
BY_HAND: list[tuple[Any, ...]] = [
    ("c", (-110, 302), (-62, 276), (-24, 281), (4, 268), (9, 289), (17, 312), (36, 318), (92, 301), (128, 327), "b"),
    ("d", (21, 462), (18, 484), (23, 507), (20, 523), (27, 541), (31, 562), (33, 583), (31, 604), "e"),
]  # fmt: skip
DISTRICT = ("440304000000", "福田区")
STREETS = {"440304004000": "福田街道", "440304009000": "华富街道", "440304008000": "莲花街道"}
COMMUNITIES = {  # code -> name, a point inside (metres)
    "440304004101": ("榕荫社区", (0, -100)),
    "440304004102": ("木棉里社区", (-100, 200)),
    "440304004103": ("晚棠社区", (320, 200)),
    "440304009101": ("听蝉社区", (150, 380)),
    "440304009102": ("星桥社区", (250, 560)),
    "440304008101": ("蓝花楹社区", (-200, 450)),
    "440304008102": ("云栈社区", (100, 750)),
    "440304008103": ("鹿鸣里社区", (50, 1050)),
}

Position = tuple[float, float]


def crooked(start: Position, end: Position, dice: random.Random) -> list[Position]:
    """Points from start up to, without, end: a straight line made crooked by moving midpoints sideways."""
    east, north = end[0] - start[0], end[1] - start[1]
    if math.hypot(east, north) < 2 * FINEST_M:
        return [start]
    aside = dice.uniform(-CROOKED, CROOKED)
    middle = ((start[0] + end[0]) / 2 - aside * north, (start[1] + end[1]) / 2 + aside * east)
    return crooked(start, middle, dice) + crooked(middle, end, dice)


def lonlat(point: Position) -> Position:
    """Six decimals, the file's resolution: rounded before anything is built, so that neighbours stay exact."""
    lat, lon = latlon_from_offset(*ORIGIN, *point)
    return round(lon, 6), round(lat, 6)


def borders() -> list[LineString]:
    drawn = []
    for start, end in BORDERS:
        points = crooked(NODES[start], NODES[end], random.Random(f"{SEED} {start} {end}"))
        drawn.append(LineString([lonlat(point) for point in [*points, NODES[end]]]))
    for start, *points, end in BY_HAND:
        drawn.append(LineString([lonlat(point) for point in [NODES[start], *points, NODES[end]]]))
    return drawn


def communities() -> dict[str, Geometry]:
    """Code -> polygon: the faces between the borders. Raises ValueError where the drawing does not close."""
    faces, cuts, dangles, bad = shapely.polygonize_full(borders())
    if not (cuts.is_empty and dangles.is_empty and bad.is_empty) or len(faces.geoms) != len(COMMUNITIES):
        raise ValueError(f"the borders enclose {len(faces.geoms)} faces, not {len(COMMUNITIES)}, or have loose ends")
    return {
        code: next(face for face in faces.geoms if shapely.contains(face, Point(lonlat(inside))))
        for code, (_, inside) in COMMUNITIES.items()
    }


def feature(code: str, name: str, layer: str, parent: str | None, polygon: Geometry, *, invented: bool) -> str:
    """One line of JSON."""
    properties = {"code": code, "name": name, "layer": layer, "parent": parent, "demo": True, "note": NOTE}
    if invented:
        properties["invented"] = True
    geometry = json.loads(shapely.to_geojson(shapely.orient_polygons(shapely.normalize(polygon))))
    return json.dumps(
        {"type": "Feature", "properties": properties, "geometry": geometry}, ensure_ascii=False, separators=(",", ":")
    )


def collection() -> str:
    """The file's text, the same on every machine."""
    faces = communities()
    streets = {
        street: shapely.coverage_union_all([face for code, face in faces.items() if code[:9] == street[:9]])
        for street in STREETS
    }
    lines = [feature(*DISTRICT, "district", None, shapely.coverage_union_all(list(streets.values())), invented=False)]
    for code, polygon in sorted(streets.items()):
        lines.append(feature(code, STREETS[code], "street", DISTRICT[0], polygon, invented=False))
    for code, face in sorted(faces.items()):
        name = COMMUNITIES[code][0]
        lines.append(feature(code, name, "community", f"{code[:9]}000", face, invented=True))
    head = json.dumps({"attribution": ATTRIBUTION}, ensure_ascii=False)[1:-1]
    return '{"type":"FeatureCollection",\n' + head + ',\n"features":[\n' + ",\n".join(lines) + "\n]}\n"


if __name__ == "__main__":
    OUT.write_text(collection(), encoding="utf-8", newline="\n")
    print(f"{OUT}: {OUT.stat().st_size:,} bytes")
