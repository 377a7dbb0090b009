"""The benchmarks of the case engine run to their end on tiny worlds, and say what they say they say."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.cases import levels_of, stored
from benchmarks.cases import main as cases
from benchmarks.fleet import NAMES, TARGETS, mean, seeds_of, thing_of
from benchmarks.fleet import main as fleet
from benchmarks.fleet_messages import Size

TINY = Size(days=0.4, bins=60, disorders=40, posters=2, vehicles=8, trips_a_day=4.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fleet")


def test_bench_fleet_measures_every_system_and_judges_every_target(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet(seeds=[3], size=TINY, keep=folder, plot=folder / "fleet.svg")
    told = capsys.readouterr()
    result = json.loads(told.out)
    assert set(result["systems"]) == set(NAMES)
    assert set(result["targets"]) == set(TARGETS)
    for name, system in result["systems"].items():
        assert system["unplaced"] == 0, name
        assert 0 <= system["false"] <= 1
    assert result["systems"]["joint"]["objects"]["pairwise"]["f1"] > 0.5
    assert "oracle" in told.err
    assert {path.name for path in (folder / "3").iterdir()} == {"world.jsonl", "truth.json", "areas.geojson"}
    assert ElementTree.parse(folder / "fleet.svg").getroot().tag.endswith("svg")


def test_the_oracle_never_splits_a_bin_and_a_world_that_lies_there_is_used(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = fleet(seeds=[3], size=TINY, json=True, keep=folder)
    assert result["worlds"][0]["built_s"] is None
    told = capsys.readouterr()
    assert result["systems"]["oracle"]["bins"]["split"] == 0
    assert json.loads(told.out) == result
    assert "asked" not in told.err


def test_bench_cases_times_the_same_lines_at_every_level(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = cases(levels=[50, 200], size=TINY, plot=tmp_path / "cases.svg")
    told = capsys.readouterr()
    assert json.loads(told.out) == result
    assert [row["stored"] for row in result["levels"]] == [50, 200]
    assert [row["open"] for row in result["levels"]] == [50, 200]
    assert len({(row["lines"], row["sightings"]) for row in result["levels"]}) == 1
    assert ElementTree.parse(tmp_path / "cases.svg").getroot().tag.endswith("svg")


def test_stored_cases_stand_apart_and_outside_the_district() -> None:
    found = list(stored(500))
    assert len({s.id for s in found}) == len({(s.lat, s.lon) for s in found}) == 500
    assert all(s.matter is not None for s in found)
    assert all(abs(s.lat - 22.54) > 0.0134 or abs(s.lon - 114.05) > 0.0144 for s in found)  # 1.5 km


MEANS = [
    ([{"a": 1.0, "b": {"c": 2}}, {"a": 3.0, "b": {"c": 4}}], {"a": 2.0, "b": {"c": 3.0}}),
    ([None, 1.0], 1.0),
    ([None, None], None),
    ([], None),
]


@pytest.mark.parametrize(("values", "expected"), MEANS)
def test_the_mean_of_worlds_is_taken_figure_by_figure(values: list[object], expected: object) -> None:
    assert mean(values) == expected


TOLD = [
    (None, None),
    ("garbage-004/e1", "garbage-004"),
    ("bin-007/mistaken", "bin-007"),
    ("bin-007", "bin-007"),
]


@pytest.mark.parametrize(("of", "thing"), TOLD)
def test_the_oracle_tells_the_thing_and_not_the_episode(of: str | None, thing: str | None) -> None:
    sighting = next(stored(1))
    assert thing_of({sighting.id: {"of": of}}, sighting) == thing


def test_seeds_and_levels_that_are_no_numbers_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="1,two"):
        seeds_of("1,two")
    with pytest.raises(ValueError, match="many"):
        levels_of("many")
    assert levels_of("300,20") == [20, 300]
