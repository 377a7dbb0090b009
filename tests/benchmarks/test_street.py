"""The streets of the fault benchmark: seeded, unambiguous, and readable as any drive."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path

import pytest
import shapely

from benchmarks.street import FRAMES, ROUNDS, Place, write_run
from ingest.drive import Drive, open_drive
from ingest.geo import distance_m, latlon_from_offset, offset_from_latlon

VEHICLES = 4
ORIGIN = (22.6100, 114.0485)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Place]]:
    folder = tmp_path_factory.mktemp("street") / "run"
    return folder, write_run(folder, 3, vehicles=VEHICLES)


@pytest.fixture(scope="module")
def drive(run: tuple[Path, list[Place]]) -> Drive:
    return open_drive(run[0], now=datetime(2026, 11, 24, tzinfo=UTC), zone=UTC, every_m=0.0)


def test_the_drive_is_read_whole(drive: Drive) -> None:
    assert len(drive) == VEHICLES * len(ROUNDS) * FRAMES == 400
    assert (drive.rejected, drive.repeats, drive.left_out, drive.unlisted) == ((), 0, 0, 0)


def test_the_same_seed_makes_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        write_run(tmp_path / name, seed, vehicles=2, rounds=1)
    files = {name: {f.name: f.read_bytes() for f in (tmp_path / name).iterdir()} for name in "abc"}
    assert files["a"] == files["b"]
    assert all(files["a"][f] != files["c"][f] for f in files["a"] if f.endswith((".jpg", ".csv")))


def test_places_are_too_far_apart_to_be_taken_for_each_other(run: tuple[Path, list[Place]]) -> None:
    spots = [latlon_from_offset(*ORIGIN, place.east_m, place.north_m) for place in run[1]]
    assert len(spots) == 3 * VEHICLES
    assert min(distance_m(*a, *b) for a, b in combinations(spots, 2)) >= 40


def test_in_a_round_each_street_has_one_vehicle_and_over_the_rounds_several(drive: Drive) -> None:
    driven = defaultdict(set)
    for row in drive.rows:
        round_ = max(number for number, begin in enumerate(ROUNDS) if row.time >= begin)
        east_m, _ = offset_from_latlon(row.fix.lat, row.fix.lon, *ORIGIN)
        driven[round_, round(east_m / 80)].add(row.vehicle)
    assert len(driven) == VEHICLES * len(ROUNDS)
    assert all(len(vehicles) == 1 for vehicles in driven.values())
    by_street = defaultdict(set)
    for (_, street), vehicles in driven.items():
        by_street[street] |= vehicles
    assert all(len(vehicles) >= 3 for vehicles in by_street.values())


def test_the_border_runs_through_one_place_and_stays_away_from_the_others(run: tuple[Path, list[Place]]) -> None:
    features = json.loads((run[0] / "areas.geojson").read_text())["features"]
    west, east = (shapely.geometry.shape(feature["geometry"]) for feature in features)
    assert west.is_valid
    assert east.is_valid
    border = west.intersection(east)
    metres = 111_000.0
    away = []
    for place in run[1]:
        lat, lon = latlon_from_offset(*ORIGIN, place.east_m, place.north_m)
        assert west.union(east).contains(shapely.Point(lon, lat))
        away.append(border.distance(shapely.Point(lon, lat)) * metres)
    assert sum(distance < 0.1 for distance in away) == 1
    assert sum(distance < 15 for distance in away) == 1


def test_cases_open_close_and_come_back(run: tuple[Path, list[Place]]) -> None:
    stories = Counter(place.story for place in run[1])
    assert any("DC" in story and "CD" in story for story in stories)
    assert all("D" in story and len(story) == len(ROUNDS) for story in stories)
