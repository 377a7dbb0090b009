"""The simulated district is what the benchmark says it is, and the same for the same seed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.fleet_areas import communities, owner_of
from benchmarks.fleet_baselines import baselines
from benchmarks.fleet_drive import fixes, trips, wander
from benchmarks.fleet_messages import Message, Size, build, write
from benchmarks.fleet_reports import Scores
from benchmarks.fleet_score import score
from benchmarks.fleet_world import CLOSEST_M, HALF_M, ORIGIN, District, district
from dispatcher.area import read_areas
from dispatcher.dispatch import parsed
from ingest.envelope import parse_envelope
from ingest.geo import offset_from_latlon
from vision.sighting import Pass, Sighting

TINY = Size(days=0.5, bins=60, disorders=30, posters=2, vehicles=6, trips_a_day=4.0)


@pytest.fixture(scope="module")
def place() -> District:
    return district(5)


@pytest.fixture(scope="module")
def world() -> tuple[list[Message], dict[str, object], str]:
    return build(11, TINY, processes=1)


def test_a_district_has_what_the_benchmark_promises(place: District) -> None:
    bins = [t for t in place.things if t.kind == "garbage_bin"]
    episodes = [e for t in place.things for e in t.episodes]
    assert (len(bins), len(episodes)) == (400, 200)
    assert any(t.episodes for t in bins)
    assert any(len(t.episodes) > 1 for t in place.things)
    assert sum(t.poster for t in place.things) == 6
    assert any(t.level for t in place.things)


@pytest.mark.parametrize("kind", ["garbage_bin", "garbage"])
def test_neighbours_of_a_kind_come_as_close_as_six_metres(place: District, kind: str) -> None:
    enu = np.array([t.enu for t in place.things if t.kind == kind and not t.poster and not t.level])
    apart = np.hypot(*(enu[:, None] - enu[None]).transpose(2, 0, 1))
    np.fill_diagonal(apart, np.inf)
    assert CLOSEST_M <= apart.min() < CLOSEST_M + 1
    assert np.abs(enu).max() <= HALF_M


def test_communities_tile_the_district_and_some_border_follows_a_street(place: District) -> None:
    faces = communities(place)
    assert sum(face.area for face in faces.values()) == pytest.approx(2200.0**2)
    assert all(owner_of(faces, thing.enu)[0] for thing in place.things)
    middles = [s.at_m for s in place.streets[:6]]
    straight = {round(x, 6) for face in faces.values() for x, _ in face.exterior.coords}
    assert any(round(m, 6) in straight for m in middles)


def test_a_bias_wanders_with_unit_variance_and_forgets_over_its_length() -> None:
    path = wander(np.random.default_rng(1), 400_000, 400.0)[:, 0]
    assert path.std() == pytest.approx(1.0, abs=0.05)
    lag = 100  # 400 m in steps of 4 m
    assert np.corrcoef(path[:-lag], path[lag:])[0, 1] == pytest.approx(np.exp(-1.0), abs=0.06)


def test_fixes_are_as_wrong_as_they_say(place: District) -> None:
    off = []
    for number, trip in enumerate(trips(place, vehicles=20)):
        for fix, enu in zip(fixes(np.random.default_rng(number), trip), trip.enu, strict=True):
            east, north = offset_from_latlon(fix.lat, fix.lon, *ORIGIN)
            off.append((np.hypot(east - enu[0], north - enu[1]) / 2**0.5, fix.accuracy_m))
    error, said = np.array(off).T
    for low, high in ((2.0, 5.0), (7.0, 15.0)):  # open sky, canyons
        those = (said > low) & (said < high)
        assert np.sqrt((error[those] ** 2).mean()) == pytest.approx(np.sqrt((said[those] ** 2).mean()), rel=0.15)


def test_scores_are_calibrated() -> None:
    dice = np.random.default_rng(2)
    spread = Scores.of(0.4, 0.9)
    right = dice.random(200_000) < 0.4
    confidence = spread.draw(dice.random(len(right)), right, np.zeros(len(right), np.bool_))
    for low in np.arange(0.1, 1.0, 0.1):
        those = (confidence >= low) & (confidence < low + 0.1)
        assert right[those].mean() == pytest.approx(confidence[those].mean(), abs=0.06)


def test_every_line_is_read_as_the_dispatcher_reads_it_and_every_sighting_has_a_truth(
    world: tuple[list[Message], dict[str, object], str],
) -> None:
    messages, truth, _ = world
    items = [parsed(parse_envelope(m.line)) for m in messages]
    kinds = truth["sightings"]
    assert isinstance(kinds, dict)
    assert {item.id for item in items if isinstance(item, Sighting)} == set(kinds)
    assert {item.pass_id for item in items if isinstance(item, Sighting)} <= {
        item.id for item in items if isinstance(item, Pass)
    }
    assert [m.arrives for m in messages] == sorted(m.arrives for m in messages)


def test_the_same_seed_gives_the_same_lines(world: tuple[list[Message], dict[str, object], str]) -> None:
    again, truth, areas = build(11, TINY, processes=2)
    assert [m.line for m in again] == [m.line for m in world[0]]
    assert (truth, areas) == world[1:]


def test_baselines_place_every_sighting_once(
    world: tuple[list[Message], dict[str, object], str], tmp_path: Path
) -> None:
    write(tmp_path, *world)
    truth = json.loads((tmp_path / "truth.json").read_text())
    assert read_areas(tmp_path / "areas.geojson")[1] == []
    for name, made in baselines(tmp_path / "world.jsonl", tmp_path / "areas.geojson").items():
        placed = [s for entity in made["cases"] + made["objects"] for s in entity["sightings"]]
        assert sorted(placed) == sorted(truth["sightings"]), name
        assert score(made, truth)["unplaced"] == 0


def test_a_track_is_never_more_than_one_sighting_and_a_radius_is_wider_than_a_cell(
    world: tuple[list[Message], dict[str, object], str], tmp_path: Path
) -> None:
    write(tmp_path, *world)
    made = baselines(tmp_path / "world.jsonl", tmp_path / "areas.geojson")
    assert {len(case["sightings"]) for case in made["track"]["cases"]} == {1}
    assert len(made["radius"]["objects"]) < len(made["h3"]["objects"]) < len(made["track"]["objects"])
