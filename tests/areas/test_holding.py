"""The area of each of many points is the one that trying every polygon gives, on borders too."""

from __future__ import annotations

import json

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import MultiPolygon, Polygon, box

from benchmarks.routing_city import mesh
from dispatcher.area import Areas, Layer, parse_areas
from dispatcher.holding import NOBODY, Holding

NUDGES = (0.0, 1e-15, -1e-15, 3e-14, -3e-14, 1e-11, -1e-11, 2e-7, -2e-7, 2e-5)  # degrees: from rounding to two metres


def one_by_one(polygons, lat, lon):
    """Without index, unprepared: the first polygon that holds the point."""
    held = [
        [shapely.intersects(polygon, shapely.Point(x, y)) for polygon in polygons]
        for y, x in zip(lat, lon, strict=True)
    ]
    return [next((n for n, holds in enumerate(row) if holds), NOBODY) for row in held]


@given(data=st.data(), seed=st.integers(0, 1000), side=st.integers(1, 4), pieces=st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_points_on_and_beside_crooked_shared_borders_are_held_as_by_trying_every_polygon(data, seed, side, pieces):
    polygons = mesh(side, pieces, seed)
    rings = shapely.get_coordinates(polygons)
    lat, lon = [], []
    for _ in range(12):
        at = data.draw(st.integers(0, len(rings) - 2))
        t = data.draw(st.sampled_from((0.0, 0.5, 1 / 3)) | st.floats(0, 1))
        x, y = rings[at] + t * (rings[at + 1] - rings[at])
        lon.append(x + data.draw(st.sampled_from(NUDGES)))
        lat.append(y + data.draw(st.sampled_from(NUDGES)))
    assert Holding(polygons)(lat, lon).tolist() == one_by_one(polygons, lat, lon)


@given(
    shapes=st.lists(st.tuples(*[st.integers(0, 12)] * 2, *[st.integers(1, 6)] * 2), min_size=1, max_size=6),
    points=st.lists(st.tuples(st.integers(-2, 40), st.integers(-2, 40)), min_size=1, max_size=30),
)
@settings(max_examples=150, deadline=None)
def test_where_polygons_overlap_or_touch_the_first_one_answers(shapes, points):
    polygons = [box(x / 10, y / 10, (x + w) / 10, (y + h) / 10) for x, y, w, h in shapes]
    lon, lat = [x / 20 for x, _ in points], [y / 20 for _, y in points]
    assert Holding(polygons)(lat, lon).tolist() == one_by_one(polygons, lat, lon)


def test_holes_and_parts_are_minded():
    ring = Polygon(box(0, 0, 1, 1).exterior, [box(0.4, 0.4, 0.6, 0.6).exterior])
    island = MultiPolygon([box(0.45, 0.45, 0.55, 0.55), box(3, 3, 3.001, 3.001)])
    lat, lon = [0.2, 0.42, 0.4, 0.5, 3.0005, 2.0], [0.2, 0.42, 0.5, 0.5, 3.0005, 2.0]
    assert Holding([ring, island])(lat, lon).tolist() == [0, NOBODY, 0, 1, 1, NOBODY]


@pytest.mark.parametrize("polygons", [[], [box(114.0, 22.5, 114.1, 22.6)]])
def test_no_points_no_polygons_and_no_numbers_are_held_by_nobody(polygons):
    holding = Holding(polygons)
    assert holding([], []).tolist() == []
    far = [float("nan"), float("inf"), -90.0, 22.55, 1e300]
    assert holding(far, [114.05, 114.05, 114.05, float("nan"), 1e300]).tolist() == [NOBODY] * 5


def test_a_shape_as_thin_as_a_hair_and_one_as_wide_as_the_world_find_their_points():
    hair, world = box(114.0, 22.5, 114.0 + 1e-7, 24.0), box(-180.0, -90.0, 180.0, 90.0)
    for polygons in ([hair], [hair, world], [box(0, 0, 1e-5, 1e-5)] * 3000):
        lat, lon = [22.6, 0.0, 90.0, 5e-6], [114.00000005, 1e-5, 180.0, 5e-6]
        assert Holding(polygons)(lat, lon).tolist() == one_by_one(polygons, lat, lon)


def test_areas_say_by_layer_who_holds_a_point():
    properties = [("district", "440304", 114.04, 114.06), ("community", "440304004902", 114.05, 114.06)]
    features = [
        {
            "type": "Feature",
            "properties": {"code": code, "name": code, "layer": layer},
            "geometry": json.loads(shapely.to_geojson(box(west, 22.5, east, 22.6))),
        }
        for layer, code, west, east in properties
    ]
    areas, _ = parse_areas(json.dumps({"type": "FeatureCollection", "features": features}), "")
    lat, lon = np.full(3, 22.55), np.array([114.045, 114.055, 114.07])
    assert areas.holding(Layer.COMMUNITY, lat, lon).tolist() == [-1, 0, -1]
    assert areas.holding(Layer.DISTRICT, lat, lon).tolist() == [0, 0, -1]
    assert areas.holding(Layer.GRID, lat, lon).tolist() == [-1, -1, -1]
    assert Areas.none().holding(Layer.STREET, [22.5], [114.0]).tolist() == [-1]
