"""Track: positions and headings between fixes, and refusals where it does not know."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.frame import Fix
from ingest.geo import latlon_from_offset, offset_from_latlon
from ingest.plausible import longest_chain, reachable
from ingest.track import Track

START = datetime(2026, 11, 20, 8, tzinfo=UTC)
LAT, LON = 22.54, 114.05


def fix(s: float, east_m: float = 0.0, north_m: float = 0.0, **known: float) -> Fix:
    lat, lon = latlon_from_offset(LAT, LON, east_m, north_m)
    return Fix(time=START + timedelta(seconds=s), lat=lat, lon=lon, **known)


def at(track: Track, s: float) -> Fix:
    return track.at(START + timedelta(seconds=s))


def east_north(found: Fix) -> tuple[float, float]:
    return offset_from_latlon(found.lat, found.lon, LAT, LON)


def test_a_position_between_two_fixes_is_interpolated() -> None:
    found = at(Track([fix(2, 20, 10), fix(0), fix(1, 10, 0)]), 1.25)
    assert east_north(found) == pytest.approx((12.5, 2.5), abs=1e-3)
    assert found.time == START + timedelta(seconds=1.25)


@pytest.mark.parametrize(
    ("s", "reason"),
    [
        (-12.3, r"the track begins 12\.3 s after the picture"),
        (14.3, r"the track ends 12\.3 s before the picture"),
        (3.1, r"the track ends 1\.1 s before the picture"),
        (-1.1, r"the track begins 1\.1 s after the picture"),
    ],
)
def test_a_picture_beyond_the_ends_is_refused(s: float, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        at(Track([fix(0), fix(1, 10), fix(2, 20)]), s)


def test_within_a_second_of_an_end_the_position_is_held_and_its_error_grows() -> None:
    track = Track([fix(0, 0, accuracy_m=3.0), fix(1, 10, accuracy_m=3.0)])
    late = at(track, 1.5)
    assert east_north(late) == pytest.approx((10, 0), abs=1e-3)
    assert late.accuracy_m == pytest.approx(3.0 + 5.0, abs=0.01)  # 10 m/s for half a second
    assert east_north(at(track, -0.5)) == pytest.approx((0, 0), abs=1e-3)


def test_in_a_gap_nothing_is_known() -> None:
    track = Track([fix(0), fix(1, 10), fix(35, 350), fix(36, 360)])
    with pytest.raises(ValueError, match=r"a gap of 34\.0 s"):
        at(track, 20)
    assert east_north(at(track, 1)) == pytest.approx((10, 0), abs=1e-3)  # its edges are fixes
    assert east_north(at(track, 35.5)) == pytest.approx((355, 0), abs=1e-3)


def test_ten_seconds_are_no_gap() -> None:
    assert east_north(at(Track([fix(0), fix(10, 100)]), 5)) == pytest.approx((50, 0), abs=1e-3)


def test_a_silence_of_a_standing_vehicle_is_no_gap() -> None:
    track = Track([fix(0), fix(1, 10), fix(300, 12), fix(301, 22)])
    assert east_north(at(track, 150)) == pytest.approx((11, 0), abs=0.1)
    assert at(track, 150).heading_deg == pytest.approx(90, abs=0.1)


def test_between_fixes_that_no_vehicle_links_nothing_is_known() -> None:
    with pytest.raises(ValueError, match=r"jumps 5000 m in 4\.0 s"):
        at(Track([fix(0), fix(4, 5000)]), 2)


@pytest.mark.parametrize(("a", "b", "middle"), [(350, 10, 0), (10, 350, 0), (80, 100, 90), (0, 90, 45)])
def test_given_headings_turn_the_short_way(a: float, b: float, middle: float) -> None:
    found = at(Track([fix(0, heading_deg=a), fix(1, 10, heading_deg=b)]), 0.5)
    assert found.heading_deg is not None
    assert math.cos(math.radians(found.heading_deg - middle)) == pytest.approx(1)


@pytest.mark.parametrize(
    ("east_m", "north_m", "heading"), [(0, 10, 0), (10, 0, 90), (0, -10, 180), (-10, 0, 270), (7, 7, 45)]
)
def test_without_headings_the_movement_tells(east_m: float, north_m: float, heading: float) -> None:
    track = Track([fix(s, s * east_m, s * north_m) for s in range(6)])
    for s in (0, 0.4, 3, 4.7, 5):
        found = at(track, s).heading_deg
        assert found is not None
        assert math.cos(math.radians(found - heading)) == pytest.approx(1, abs=1e-6)


def test_a_standing_vehicle_keeps_the_heading_it_came_with() -> None:
    noise = [(0.3, -0.2), (-0.4, 0.1), (0.2, 0.4), (0.0, -0.3), (0.1, 0.2), (-0.2, 0.0)]
    came = [fix(s, 10 * s) for s in range(5)]
    stood = [fix(5 + i, 40 + e, n) for i, (e, n) in enumerate(noise)]
    found = at(Track(came + stood), 9.5)
    assert found.heading_deg == pytest.approx(90, abs=3)


def test_a_heading_never_known_is_none() -> None:
    track = Track([fix(0), fix(1, 0.1), fix(2)])
    assert at(track, 1.5).heading_deg is None
    assert at(Track([fix(0)]), 0).heading_deg is None


def test_a_heading_is_not_held_across_a_gap_in_which_the_vehicle_went_elsewhere() -> None:
    track = Track([fix(0), fix(1, 10), fix(60, 200), fix(61, 200.1)])
    assert at(track, 60.5).heading_deg is None


def test_the_worse_accuracy_and_the_speed_between_are_given() -> None:
    known = [fix(0, accuracy_m=3.0, speed_mps=4.0), fix(1, 5, accuracy_m=8.0, speed_mps=6.0)]
    found = at(Track(known), 0.25)
    assert (found.accuracy_m, found.speed_mps) == (8.0, 4.5)
    unknown = at(Track([fix(0), fix(1, 5)]), 0.25)
    assert unknown.accuracy_m is None
    assert unknown.speed_mps == pytest.approx(5, abs=0.01)


def test_a_track_needs_fixes_of_different_times() -> None:
    with pytest.raises(ValueError, match="no fixes"):
        Track([])
    with pytest.raises(ValueError, match="same time"):
        Track([fix(0), fix(0, 1)])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(0.1, 9), st.floats(-40, 40), st.floats(-40, 40)), min_size=2, max_size=12))
def test_a_track_goes_through_its_fixes_and_never_outside_them(steps: list[tuple[float, float, float]]) -> None:
    s, east, north, fixes = 0.0, 0.0, 0.0, []
    for ds, de, dn in steps:
        s, east, north = s + ds, east + de * min(ds, 1), north + dn * min(ds, 1)
        fixes.append(fix(s, east, north))
    track = Track(fixes)
    for a, b in zip(track.fixes, track.fixes[1:], strict=False):
        assert (track.at(a.time).lat, track.at(a.time).lon) == (a.lat, a.lon)
        middle = track.at(a.time + (b.time - a.time) / 2)
        assert min(a.lat, b.lat) - 1e-9 <= middle.lat <= max(a.lat, b.lat) + 1e-9
        assert min(a.lon, b.lon) - 1e-9 <= middle.lon <= max(a.lon, b.lon) + 1e-9


@pytest.mark.parametrize(
    ("places", "blamed"),
    [
        ([], []),
        ([0], []),
        ([0, 10, 20, 30], []),
        ([0, 9000, 20, 30], [1]),
        ([9000, 10, 20, 30], [0]),
        ([0, 10, 20, 9000], [3]),
        ([0, 10, 9000, 9010, 40, 50], [2, 3]),
        ([0, 9000, 20, -9000, 40, 50], [1, 3]),
        ([0, 9000], [1]),  # nobody can tell: the first stays
    ],
)
def test_the_outlier_is_blamed_and_not_its_neighbours(places: list[float], blamed: list[int]) -> None:
    chain = longest_chain([fix(s, east) for s, east in enumerate(places)], reachable)
    assert sorted(set(range(len(places))) - set(chain)) == blamed


def test_a_longer_way_wins_over_an_earlier_one_and_a_burst_of_noise_is_bridged() -> None:
    wrong = [fix(s, 50_000 + s) for s in range(300)]
    right = [fix(300 + s, s) for s in range(500)]
    assert longest_chain(wrong + right, reachable) == list(range(300, 800))
    noise = [fix(300 + s, (-1) ** s * 40_000 * (s + 1)) for s in range(150)]
    after = [fix(450 + s, 50_450 + s) for s in range(50)]
    assert longest_chain(wrong + noise + after, reachable) == [*range(300), *range(450, 500)]
