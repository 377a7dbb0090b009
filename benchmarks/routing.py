"""How many points a second find their community, on one core, and is each answer the one of trying every polygon?

`python -m benchmarks.routing [--json] [--save]`. A city of 100 × 100 communities with crooked borders that neighbours
share vertex by vertex, and a million points over it: 1,000 of them within 2 m of a border, the others anywhere. What is
timed is `Areas.holding`, which the dispatcher routes points with, in processor time of this one thread; points wait as
arrays. Beside it runs shapely's tree alone, asked in bulk. The answers for 10,000 points, those at the borders among
them, are compared with a loop over all polygons without index or preparation.
"""

from __future__ import annotations

import argparse
import json as jsonlib
import os
import sys
import time
from typing import Any

import numpy as np
import shapely
from shapely import Polygon

from benchmarks.machine import RESULTS, machine
from benchmarks.routing_city import mesh
from dispatcher.area import Area, Areas, Layer
from dispatcher.holding import NOBODY, Ints
from ingest.geo import Floats, m_per_deg

SIDE, PIECES = 100, 16  # 10,000 polygons of 64 vertices
AT_BORDER_M = 2.0
ROUNDS = 5


def main(
    *, json: bool = False, save: bool = False, seed: int = 1, points: int = 1_000_000, side: int = SIDE
) -> dict[str, Any]:
    """Measure; the table goes to standard error, one line of JSON to standard output."""
    load = round(os.getloadavg()[0], 2)
    polygons = mesh(side, PIECES, seed)
    rng = np.random.default_rng(seed)
    checked, near = min(10_000, points), min(1_000, points // 10)
    lat, lon, border_m = scattered(polygons, points, near, rng)
    areas = Areas(_areas(polygons))
    _, build_s = _timed(lambda: areas.holding(Layer.COMMUNITY, lat[:1], lon[:1]))
    took = [_timed(lambda: areas.holding(Layer.COMMUNITY, lat, lon)) for _ in range(ROUNDS)]
    found, seconds = took[0][0], sorted(each for _, each in took)
    tree_s = _timed(lambda: by_tree(polygons, lat[:checked], lon[:checked]))[1]
    truth = tried_all(polygons, lat[:checked], lon[:checked])
    differ = int((truth != found[:checked]).sum())
    rate = points / seconds[ROUNDS // 2]
    result = {
        "benchmark": "routing",
        "points_per_s_per_core": round(rate),
        "agrees_with_brute_force": differ == 0,
        "checked": checked,
        "differ": differ,
        "checked_within_2_m": int((border_m <= AT_BORDER_M).sum()),
        "points": points,
        "polygons": len(polygons),
        "vertices_each": int(shapely.get_num_coordinates(polygons[0])) - 1,
        "held": round(float((found != NOBODY).mean()), 4),
        "rounds_points_per_s": [round(points / each) for each in seconds],
        "build_s": round(build_s, 3),
        "tree_alone_points_per_s": round(checked / tree_s),
        "seed": seed,
        "load_before": load,
        **machine(),
    }
    if save:
        text = jsonlib.dumps(result, indent=1, ensure_ascii=False)
        (RESULTS / "routing.json").write_text(text + "\n", encoding="utf8")
    if not json:
        print(table(result), file=sys.stderr)
    print(jsonlib.dumps(result, allow_nan=False))
    return result


def scattered(
    polygons: list[Polygon], points: int, near: int, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """Latitudes, longitudes, and of the first `near`, which lie at borders, the metres to the nearest one."""
    west, south, east, north = shapely.total_bounds(polygons)
    lat, lon = rng.uniform(south, north, points), rng.uniform(west, east, points)
    xy, ring = shapely.get_coordinates(polygons, return_index=True)
    starts = np.flatnonzero(ring[:-1] == ring[1:])
    at = rng.choice(starts, near)
    x, y = (xy[at] + rng.uniform(0.0, 1.0, (near, 1)) * (xy[at + 1] - xy[at])).T
    per_lat, per_lon = m_per_deg((south + north) / 2)
    off, turn = rng.uniform(0.0, 0.99 * AT_BORDER_M, near), rng.uniform(0.0, 2.0 * np.pi, near)
    lat[:near], lon[:near] = y + off * np.sin(turn) / per_lat, x + off * np.cos(turn) / per_lon
    return lat, lon, _to_border_m(polygons, lat[:near], lon[:near])


def _to_border_m(polygons: list[Polygon], lat: Floats, lon: Floats) -> Floats:
    per_lat, per_lon = m_per_deg(float(lat.mean()))
    flat = shapely.boundary(shapely.transform(polygons, lambda xy: xy * (per_lon, per_lat)))
    tree = shapely.STRtree(flat)
    where = shapely.points(lon * per_lon, lat * per_lat)
    found: Floats = tree.query_nearest(where, return_distance=True, all_matches=False)[1]
    return found


def tried_all(polygons: list[Polygon], lat: Floats, lon: Floats) -> Ints:
    """Every point against every polygon; the first that holds it."""
    found = np.full(len(lat), NOBODY, dtype=np.int64)
    for number, polygon in enumerate(polygons):
        shapely.destroy_prepared(polygon)
        held = shapely.intersects_xy(polygon, lon, lat)
        found[held & (found == NOBODY)] = number
    return found


def by_tree(polygons: list[Polygon], lat: Floats, lon: Floats) -> Ints:
    """What shapely's tree says when asked in bulk."""
    found = np.full(len(lat), len(polygons), dtype=np.int64)
    point, polygon = shapely.STRtree(polygons).query(shapely.points(lon, lat), predicate="intersects")
    np.minimum.at(found, point, polygon)
    return np.where(found == len(polygons), NOBODY, found)


def _areas(polygons: list[Polygon]) -> list[Area]:
    return [
        Area(f"4403{n // 1000:02d}{n // 100 % 10:03d}{n % 1000:03d}", f"社区{n}", Layer.COMMUNITY, None, polygon)
        for n, polygon in enumerate(polygons)
    ]


def _timed(work: Any) -> tuple[Any, float]:
    start = time.thread_time()
    done = work()
    return done, time.thread_time() - start


def table(result: dict[str, Any]) -> str:
    """The figures for people."""
    agrees = "equal" if result["agrees_with_brute_force"] else f"{result['differ']:,} DIFFER"
    return "\n".join(
        (
            f"{result['points']:,} points, {result['polygons']:,} polygons of {result['vertices_each']} vertices",
            f"  points a second and core   {result['points_per_s_per_core']:>12,}",
            f"  the tree alone             {result['tree_alone_points_per_s']:>12,}",
            f"  to make the table          {result['build_s']:>12.2f} s, once",
            f"  {result['checked']:,} compared with trying every polygon: {agrees};"
            f" {result['checked_within_2_m']:,} of them within {AT_BORDER_M:g} m of a border",
            f"{result['processor']}, load before {result['load_before']}, {result['commit']}, {result['date']}",
        )
    )


def command() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="no table")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/routing.json")
    args = parser.parse_args()
    main(json=args.json, save=args.save)


if __name__ == "__main__":
    command()
