"""Ownership: probability mass against brute force, and who is told."""

import math
from itertools import pairwise

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from dispatcher.area import Area, Areas, Layer
from dispatcher.case import Share
from dispatcher.owner import _told, owners, recipients

LAT, LON = 22.54, 114.06
# Metres per degree there, from the series of the WGS-84 ellipsoid, not from ingest.geo
PHI = math.radians(LAT)
PER_LAT = 111132.92 - 559.82 * math.cos(2 * PHI) + 1.175 * math.cos(4 * PHI)
PER_LON = 111412.84 * math.cos(PHI) - 93.5 * math.cos(3 * PHI)


def area(code, shell, *holes, layer=Layer.COMMUNITY):
    """An area from metres east and north of (LAT, LON)."""
    rings = [[(LON + e / PER_LON, LAT + n / PER_LAT) for e, n in ring] for ring in (shell, *holes)]
    return Area(code, code, layer, None, shapely.Polygon(rings[0], rings[1:]))


def box(west, south, east, north):
    return [(west, south), (east, south), (east, north), (west, north)]


def shares(areas, covariance=(25.0, 0.0, 25.0), east=0.0, north=0.0):
    return owners(Areas(areas), LAT + north / PER_LAT, LON + east / PER_LON, covariance)


def brute(areas, covariance, side=500):
    """The mass in each area by a grid of points over 5 sigmas, turned so that no border runs along it."""
    u, v = np.meshgrid(np.linspace(-5, 5, side), np.linspace(-5, 5, side), indexing="ij")
    weight = np.exp(-(u * u + v * v) / 2)
    weight /= weight.sum()
    u, v = u * math.cos(0.7) - v * math.sin(0.7), u * math.sin(0.7) + v * math.cos(0.7)
    ee, en, nn = covariance
    e = math.sqrt(ee) * u
    n = en / math.sqrt(ee) * u + math.sqrt(nn - en * en / ee) * v
    inside = [shapely.contains_xy(a.polygon, LON + e / PER_LON, LAT + n / PER_LAT) for a in areas]
    count = np.maximum(np.sum(inside, axis=0), 1)
    return {a.code: float((weight * mask / count).sum()) for a, mask in zip(areas, inside, strict=True)}


def test_without_areas_nobody_owns_anything():
    assert owners(Areas.none(), LAT, LON, (4.0, 0.0, 4.0)) == ()


def test_far_from_every_area_is_unowned():
    assert shares([area("a", box(100, 100, 200, 200))]) == ()


def test_well_inside_an_area_is_certain():
    assert shares([area("a", box(-50, -50, 50, 50)), area("b", box(50, -50, 90, 50))]) == (Share("a", 1.0),)


def test_on_a_straight_border_each_side_has_half_and_the_code_decides_the_order():
    assert shares([area("b", box(-90, -90, 0, 90)), area("a", box(0, -90, 90, 90))]) == (
        Share("a", 0.5),
        Share("b", 0.5),
    )


@pytest.mark.parametrize("distance", [0.0, 0.5, 2.0, 5.0, 9.0, 14.0])
@pytest.mark.parametrize("sigma", [0.3, 5.0, 40.0])
def test_beside_a_straight_border_the_share_is_the_normal_distribution(distance, sigma):
    far = 500.0
    found = shares([area("a", box(-far, -far, distance, far))], (sigma**2, 0.0, sigma**2))
    assert sum(share.p for share in found) == pytest.approx(norm.cdf(distance / sigma), abs=1e-4)


def test_at_the_corner_of_four_areas_each_has_a_quarter():
    corners = [(-90, -90), (-90, 0), (0, -90), (0, 0)]
    found = shares([area(str(i), box(e, n, e + 90, n + 90)) for i, (e, n) in enumerate(corners)])
    assert [(share.area, share.p) for share in found] == [(str(i), 0.25) for i in range(4)]


@pytest.mark.parametrize(("correlation", "share"), [(0.0, 0.25), (0.5, 1 / 3), (-0.5, 1 / 6), (0.8, 0.3976)])
def test_a_slanted_ellipse_reaches_into_the_quadrants_along_its_axis(correlation, share):
    # orthant probability of the bivariate normal: 1/4 + asin(rho) / 2 pi
    found = shares([area("ne", box(0, 0, 400, 400))], (25.0, correlation * 30.0, 36.0))
    assert found[0].p == pytest.approx(share, abs=1e-4)


def test_a_round_hole_keeps_what_the_rayleigh_distribution_says():
    hole = [(10 * math.cos(t), 10 * math.sin(t)) for t in np.linspace(0, 2 * math.pi, 400, endpoint=False)]
    found = shares([area("a", box(-200, -200, 200, 200), hole), area("b", hole)])
    assert found[0] == Share("b", pytest.approx(1 - math.exp(-2), abs=1e-4))
    assert found[1] == Share("a", pytest.approx(math.exp(-2), abs=1e-4))


@pytest.mark.parametrize("clockwise", [False, True])
def test_the_direction_of_a_ring_does_not_matter(clockwise):
    ring = box(-3, -90, 90, 90)
    found = shares([area("a", ring[::-1] if clockwise else ring)])
    assert found[0].p == pytest.approx(norm.cdf(3 / 5), abs=1e-4)


def test_where_polygons_overlap_each_counts_its_part():
    found = shares([area(code, box(-90, -90, 90, 90)) for code in "abc"])
    assert [(share.area, share.p) for share in found] == [("a", 0.3333), ("b", 0.3333), ("c", 0.3333)]


def test_an_overlap_on_one_side_is_shared_and_the_rest_is_not():
    found = shares([area("a", box(-90, -90, 90, 90)), area("b", box(0, -90, 90, 90))])
    assert [(share.area, share.p) for share in found] == [("a", 0.75), ("b", 0.25)]


def test_an_area_in_two_parts_owns_both():
    west, east = area("a", box(-90, -90, -5, 90)), area("a", box(5, -90, 90, 90))
    parts = shapely.MultiPolygon([west.polygon, east.polygon])
    found = shares([Area("a", "a", Layer.COMMUNITY, None, parts), area("b", box(-5, -90, 5, 90))])
    assert found == (Share("b", pytest.approx(0.6827, abs=1e-4)), Share("a", pytest.approx(0.3173, abs=1e-4)))


def test_only_the_routing_layer_owns():
    street = area("s", box(-90, -90, 90, 90), layer=Layer.STREET)
    assert shares([street]) == (Share("s", 1.0),)
    assert shares([street, area("c", box(0, -90, 90, 90))]) == (Share("c", 0.5),)


def test_less_than_a_thousandth_is_left_out():
    # beyond 3.1 sigma lies 0.00097, beyond 3.0 sigma 0.00135
    assert [s.area for s in shares([area("a", box(-90, -90, 15.5, 90)), area("b", box(15.5, -90, 90, 90))])] == ["a"]
    assert len(shares([area("a", box(-90, -90, 15, 90)), area("b", box(15, -90, 90, 90))])) == 2


@pytest.mark.parametrize("covariance", [(25.0, 25.0, 25.0), (0.0, 0.0, 0.0), (25.0, 0.0, 0.0), (1e-12, 0.0, 1e-12)])
def test_an_ellipse_without_width_is_still_shared_out(covariance):
    found = shares([area("a", box(-90, -90, 0, 90)), area("b", box(0, -90, 90, 90))], covariance)
    assert [share.p for share in found] == pytest.approx([0.5, 0.5], abs=2e-3)


metres = st.floats(-40, 40)
covariances = st.tuples(st.floats(0.5, 15), st.floats(0.5, 15), st.floats(-0.95, 0.95)).map(
    lambda s: (s[0] ** 2, s[2] * s[0] * s[1], s[1] ** 2)
)


@st.composite
def crooked_borders(draw):
    """Two neighbours along one crooked border, the eastern one with a hole that may touch anything."""
    norths = [-300, -60, -25, -12, -4, 3, 11, 26, 60, 300]
    border = [(draw(st.floats(-25, 25)), n) for n in norths]
    west = [(-300, -300), *border, (-300, 300)]
    east = [(300, -300), *border, (300, 300)]
    e, n, size = draw(st.floats(30, 60)), draw(metres), draw(st.floats(2, 25))
    hole = [(e, n - size), (e + size, n), (e, n + size / 2), (e - min(size, 4), n)]
    return [area("w", west), area("e", east, hole)]


@settings(max_examples=40, deadline=None)
@given(crooked_borders(), covariances)
def test_shares_across_a_crooked_border_agree_with_brute_force(areas, covariance):
    expected = brute(areas, covariance)
    found = {share.area: share.p for share in shares(areas, covariance)}
    for code, p in expected.items():
        assert found.get(code, 0.0) == pytest.approx(p, abs=0.005)


@st.composite
def stars(draw):
    """A spiky polygon round a point somewhere near."""
    e, n = draw(metres), draw(metres)
    radii = draw(st.lists(st.floats(1, 80), min_size=5, max_size=12))
    turns = np.linspace(0, 2 * math.pi, len(radii), endpoint=False)
    return [(e + r * math.cos(t), n + r * math.sin(t)) for r, t in zip(radii, turns, strict=True)]


@settings(max_examples=40, deadline=None)
@given(st.lists(stars(), min_size=1, max_size=4), covariances)
def test_shares_of_overlapping_stars_agree_with_brute_force(rings, covariance):
    areas = [area(f"{i}", ring) for i, ring in enumerate(rings)]
    expected = brute(areas, covariance)
    found = shares(areas, covariance)
    assert [(-s.p, s.area) for s in found] == sorted((-s.p, s.area) for s in found)
    assert sum(share.p for share in found) <= 1.0
    by_code = {share.area: share.p for share in found}
    for code, p in expected.items():
        assert by_code.get(code, 0.0) == pytest.approx(p, abs=0.005)


def test_shares_that_round_to_more_than_one_stay_in_order():
    assert _told({"0": 0.2613, "1": 0.36936, "2": 0.36937}) == (
        Share("2", 0.3694),
        Share("1", 0.3693),
        Share("0", 0.2613),
    )


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-30, 30), min_size=0, max_size=6), covariances)
def test_shares_of_a_full_cover_sum_to_one_and_never_above(cuts, covariance):
    edges = [-400.0, *sorted(cuts), 400.0]
    areas = [area(f"{i}", box(w, -400, e, 400)) for i, (w, e) in enumerate(pairwise(edges)) if e > w]
    total = sum(share.p for share in shares(areas, covariance))
    assert total <= 1.0
    assert total >= 1.0 - 0.0011 * len(areas)  # what was left out, and rounding


@pytest.mark.parametrize(
    ("ps", "told"),
    [
        ([], ""),
        ([1.0], "a"),
        ([0.0999], ""),
        ([0.10], "a"),
        ([0.05, 0.04], ""),
        ([0.76, 0.24], "a"),
        ([0.75, 0.25], "ab"),
        ([0.5, 0.5], "ab"),
        ([0.4, 0.35, 0.25], "abc"),
        ([0.4, 0.35, 0.2], "ab"),
        ([0.25, 0.25, 0.25, 0.25], "abcd"),
        ([0.2, 0.2, 0.2, 0.2, 0.2], "a"),
    ],
)
def test_the_most_probable_owner_is_told_and_the_others_on_a_close_call(ps, told):
    assert recipients([Share(code, p) for code, p in zip("abcde", ps, strict=False)]) == tuple(told)


def test_an_area_is_said_to_be_alone_only_where_it_covers_and_no_other_touches():
    west, east = area("a", box(-1000, -1000, 0, 1000)), area("b", box(0, -1000, 1000, 1000))
    areas, found = Areas([west, east]), set()
    for at in range(-1200, 1201, 7):
        bounds = (LON + (at - 4) / PER_LON, LAT - 4 / PER_LAT, LON + (at + 4) / PER_LON, LAT + 4 / PER_LAT)
        alone = areas.alone(*bounds)
        if alone is not None:
            found.add(alone.code)
            around = shapely.box(*bounds)
            assert shapely.covers(alone.polygon, around)
            assert not any(shapely.intersects(a.polygon, around) for a in (west, east) if a.code != alone.code)
    assert found == {"a", "b"}
    assert areas.alone(LON - 0.01, LAT, LON + 0.01, LAT + 0.001) is None  # no small box
