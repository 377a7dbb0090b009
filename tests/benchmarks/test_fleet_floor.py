"""The floor of position errors is the least squares solution, and no engine's."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.fleet_floor import covariance, errors, read, solved, tracks
from benchmarks.fleet_messages import Size, build, write
from dispatcher.joint.seen import Seen
from ingest.geo import offset_from_latlon
from tests.joint.test_joint_engine import INSIDE, sighting, vehicles_own

TINY = Size(days=0.5, bins=60, disorders=30, posters=2, vehicles=6, trips_a_day=4.0)


def seen(number: int, east: float, sigma: float, vehicle: int) -> Seen:
    return Seen.of(vehicles_own(sighting(east, 0, sigma=sigma), vehicle), number, "", 0)


def test_a_thing_is_where_its_sightings_are_each_by_what_it_claims() -> None:
    near, far = seen(0, 0.0, 1.0, 1), seen(1, 6.0, 3.0, 2)
    weights = [1 / covariance([one], np.zeros((1, 2)))[0, 0] for one in (near, far)]
    where = solved([near, far], {near.sighting.id: "x", far.sighting.id: "x"})["x"]
    east, north = offset_from_latlon(*where, *INSIDE)
    assert east == pytest.approx(6.0 * weights[1] / sum(weights), abs=1e-3)
    assert north == pytest.approx(0.0, abs=1e-3)


def test_what_others_know_of_one_thing_tells_how_far_a_vehicle_is_off_at_the_next() -> None:
    """Twenty vehicles know x; one that is 6 m off saw x and y: so y is not where it said, but most of 6 m back."""
    many = [seen(n, 0.0, 1.0, n) for n in range(20)]
    x, y = seen(20, 6.0, 3.0, 99), seen(21, 26.0, 3.0, 99)
    names = {one.sighting.id: "x" for one in [*many, x]} | {y.sighting.id: "y"}
    east, _ = offset_from_latlon(*solved([*many, x, y], names)["y"], *INSIDE)
    assert 20.0 < east < 24.0


def test_a_vehicle_that_comes_again_has_another_error() -> None:
    a, b = seen(0, 0, 1, 1), seen(1, 5, 1, 1)
    later = Seen.of(vehicles_own(sighting(0, 0, day=1), 1), 2, "", 0)
    assert [len(track) for track in tracks([later, a, b])] == [2, 1]


def test_in_a_world_it_beats_the_single_sightings(tmp_path: Path) -> None:
    messages, truth, areas = build(11, TINY, processes=1)
    write(tmp_path, messages, truth, areas)
    found = errors(tmp_path)
    assert len(found["1"]) > 5
    assert len(found["2-4"]) > 5
    assert np.median(found["2-4"]) < np.median(found["1"]) < 6.0
    assert len(list(read(tmp_path / "world.jsonl"))) == len({s.sighting.id for s in read(tmp_path / "world.jsonl")})
