"""GCJ-02: published points come out, and back is the way there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.gcj02 import gcj02_from_wgs84, wgs84_from_gcj02
from ingest.geo import distance_m

CHINA = (st.floats(3.5, 53.5), st.floats(73.6, 135.0))


def test_the_example_of_the_coordtransform_library_comes_out():
    """Its README: wgs84togcj02(116.404, 39.915) is [116.41024449916938, 39.91640428150164]."""
    lat, lon = gcj02_from_wgs84(39.915, 116.404)
    assert (float(lat), float(lon)) == pytest.approx((39.91640428150164, 116.41024449916938), abs=1e-12)


@given(lat=CHINA[0], lon=CHINA[1])
@settings(max_examples=500, deadline=None)
def test_there_and_back_is_the_same_place_to_a_hundredth_of_a_millimetre(lat, lon):
    back = wgs84_from_gcj02(*gcj02_from_wgs84(lat, lon))
    assert np.abs(np.array(back) - (lat, lon)).max() < 1e-10
    there = gcj02_from_wgs84(*wgs84_from_gcj02(lat, lon))
    assert np.abs(np.array(there) - (lat, lon)).max() < 1e-10


def test_the_shift_is_hundreds_of_metres_in_shenzhen_and_nothing_in_london():
    lat, lon = gcj02_from_wgs84(22.5401, 114.0453)
    assert 300 < distance_m(22.5401, 114.0453, float(lat), float(lon)) < 800
    assert tuple(map(float, gcj02_from_wgs84(51.5, -0.1))) == (51.5, -0.1)
    assert tuple(map(float, wgs84_from_gcj02(51.5, -0.1))) == (51.5, -0.1)


def test_arrays_are_converted_as_their_points_are():
    lat, lon = np.array([[22.5, 39.9], [51.5, 31.2]]), np.array([[114.0, 116.4], [-0.1, 121.5]])
    together = wgs84_from_gcj02(lat, lon)
    alone = [wgs84_from_gcj02(y, x) for y, x in zip(lat.flat, lon.flat, strict=True)]
    assert np.allclose(np.stack(together, -1).reshape(-1, 2), alone, rtol=0, atol=1e-12)
    assert [part.shape for part in wgs84_from_gcj02(np.empty(0), np.empty(0))] == [(0,), (0,)]
