"""What `jiexun cases replay` promises (docs/wire.md), whichever engine decides: lines in, one document out."""

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import h3
import pytest

from dispatcher.area import Areas, read_areas
from dispatcher.dispatch import Dispatcher
from dispatcher.document import document
from dispatcher.engine import Engine
from dispatcher.joint.dispatch import Dispatcher as JointDispatcher
from dispatcher.joint.engine import Engine as JointEngine
from dispatcher.replay import replay_lines
from dispatcher.store.store import Store
from ingest.geo import latlon_from_offset
from models.taxonomy import Taxonomy
from vision.sighting import Pass, Sighting, enveloped

MORNING = datetime(2026, 11, 18, 1, tzinfo=UTC)
AREAS = Path(__file__).parents[2] / "datasets" / "sample" / "areas.geojson"
INSIDE = (22.5372, 114.06035)  # in 木棉里, some hundred metres from every border
AT_SEA = (22.30, 114.60)
Decides = Callable[[list[str]], dict[str, Any]]


@pytest.fixture(scope="module")
def areas() -> Areas:
    return read_areas(AREAS)[0]


@pytest.fixture(params=["joint", "shipped"])
def decide(request: pytest.FixtureRequest, areas: Areas, tmp_path: Path) -> Decides:
    """The document that an engine makes of lines."""

    def decided(lines: list[str]) -> dict[str, Any]:
        file = tmp_path / "events.jsonl"
        file.write_text("\n".join(lines), encoding="utf8")
        if request.param == "joint":
            joint = JointEngine(areas, Taxonomy.read())
            return document(joint, replay_lines(file, JointDispatcher(joint)))
        engine = Engine(areas, Taxonomy.read())
        with Store.open("sqlite://") as store:
            return document(engine, replay_lines(file, Dispatcher(engine, store)))

    return decided


def sighting(n: int, *, at: tuple[float, float] = INSIDE, hours: float = 0.0, kind: str = "overflow_bin") -> Sighting:
    lat, lon = latlon_from_offset(*at, n * 2 % 3 - 1.0, n * 7 % 5 - 2.0)
    return Sighting(
        id=f"s{n}",
        pass_id=f"p{n}",
        vehicle=f"bus-{n}",
        camera="right",
        kind=kind,
        matter=Taxonomy.read().matter_of_kind(kind),
        confidence=0.87,
        seen_at=MORNING + timedelta(hours=hours),
        lat=lat,
        lon=lon,
        covariance_m2=(4.1, 0.6, 5.8),
        shared_covariance_m2=(3.9, 0.5, 5.2),
        frames=5,
        model="test@sha256:0",
    )


def looked(n: int, *, hours: float, lasts: timedelta = timedelta(minutes=2)) -> Pass:
    at = MORNING + timedelta(hours=hours)
    cells = h3.grid_disk(h3.latlng_to_cell(*INSIDE, 13), 5)
    return Pass(
        id=f"look{n}",
        vehicle=f"van-{n}",
        camera="right",
        started_at=at - lasts,
        ended_at=at,
        model="test@sha256:0",
        h3_resolution=13,
        looked=dict.fromkeys(cells, 0.9),
        recall={"overflow_bin": 0.9},
    )


def line(item: Sighting | Pass, *, late: timedelta = timedelta(seconds=5)) -> str:
    at = item.seen_at if isinstance(item, Sighting) else item.ended_at
    return enveloped(item, made_at=at + late).dumps()


def told(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    return sorted((a["at"], a["recipient"], a["event"]) for case in found["cases"] for a in case["alerts"])


def parts(found: dict[str, Any]) -> set[frozenset[str]]:
    return {frozenset(entry["sightings"]) for entry in found["cases"] + found["objects"]}


def test_a_few_sightings_of_one_thing_are_one_case_told_once_repeats_or_not(decide: Decides) -> None:
    lines = [line(sighting(n, hours=n / 2)) for n in range(4)]
    found = decide([*lines, lines[0], lines[-1]])
    (case,) = found["cases"]
    assert (case["state"], case["passes"], case["previous"]) == ("open", 4, None)
    assert [(a["recipient"], a["event"]) for a in case["alerts"]] == [(case["owners"][0]["area"], "opened")]
    assert found == decide(lines)


def test_a_thing_that_went_is_closed_and_what_comes_back_is_another_episode(decide: Decides) -> None:
    seen = [line(sighting(n, hours=n / 2)) for n in range(3)]
    clean = [line(looked(n, hours=20 + 2 * n)) for n in range(6)]
    back = [line(sighting(n, hours=40 + n / 2)) for n in range(3, 6)]
    before, after = decide([*seen, *clean, *back])["cases"]
    assert (before["state"], after["state"]) == ("closed", "open")
    assert (after["previous"], after["episode"]) == (before["id"], 2)
    assert [a["event"] for a in before["alerts"] + after["alerts"]] == ["opened", "closed", "rebounded"]


def test_two_vehicles_at_a_border_at_the_same_moment_make_one_case_told_to_both(decide: Decides, areas: Areas) -> None:
    west, east = [a for a in areas.of_layer(areas.routing_layer) if a.name in ("蓝花楹社区", "星桥社区")]  # type: ignore[arg-type]
    border = west.polygon.intersection(east.polygon)
    middle = (
        border.interpolate(0.5, normalized=True) if border.geom_type == "LineString" else border.representative_point()
    )
    (case,) = decide([line(sighting(n, at=(middle.y, middle.x))) for n in range(2)])["cases"]
    assert sorted((a["recipient"], a["event"]) for a in case["alerts"]) == sorted(
        (area.code, "opened") for area in (west, east)
    )


def test_what_makes_no_sense_is_listed_by_line_and_the_rest_counts(decide: Decides) -> None:
    good = sighting(1, hours=1)
    nan = line(sighting(2)).replace("[4.1,0.6,5.8]", "[NaN,0.6,5.8]")
    huge = line(replace(sighting(3), covariance_m2=(1e9, 0.0, 1e9)))
    unknown = line(replace(sighting(4), matter="06031"))
    nowhere = line(replace(sighting(5), lat=0.0, lon=0.0))
    future = line(sighting(6, hours=9000), late=timedelta(hours=-9000))
    found = decide([line(sighting(0)), nan, huge, unknown, nowhere, future, "no JSON", "", line(good)])
    assert [entry["line"] for entry in found["rejected"]] == [2, 3, 4, 5, 6, 7]
    assert parts(found) == {frozenset({"s0", "s1"})}


def test_a_position_as_vague_as_is_accepted_names_no_owner_of_others(decide: Decides) -> None:
    vague = replace(sighting(9), covariance_m2=(8e5, 0.0, 8e5), shared_covariance_m2=(8e5, 0.0, 8e5))
    found = decide([line(sighting(0)), line(sighting(1)), line(vague)])
    assert sorted(s for part in parts(found) for s in part) == ["s0", "s1", "s9"]
    assert all(sum(share["p"] for share in case["owners"]) <= 1 for case in found["cases"])


@pytest.mark.parametrize("at", [AT_SEA, (89.9999, 20.0), (-90.0, 0.0), (0.5, 180.0)], ids=str)
def test_at_sea_and_at_the_ends_of_the_earth_a_case_is_nobodys(decide: Decides, at: tuple[float, float]) -> None:
    seen = [replace(sighting(n), lat=at[0], lon=at[1]) for n in range(3)]
    (case,) = decide([line(item) for item in seen])["cases"]
    assert (case["state"], case["owners"], case["alerts"]) == ("open", [], [])


def test_a_clock_that_goes_backwards_never_takes_an_alert_back_in_time(decide: Decides) -> None:
    first = [line(sighting(n, hours=5 + n)) for n in range(2)]
    earlier = [line(sighting(n, hours=n / 4)) for n in range(2, 5)]
    (case,) = decide([*first, *earlier])["cases"]
    assert len(case["sightings"]) == 5
    assert case["alerts"]
    assert min(a["at"] for a in case["alerts"]) >= "2026-11-18T06:00:05.000Z"
    assert case["first_seen_at"] == "2026-11-18T01:30:00.000Z"


def test_late_lines_lead_to_the_same_cases_and_are_never_told_again(decide: Decides) -> None:
    near = latlon_from_offset(*INSIDE, 30.0, 0.0)
    items: list[Sighting | Pass] = [sighting(n, hours=n) for n in range(6)]
    items += [sighting(n, at=near, hours=n / 2, kind="garbage") for n in range(6, 12)]
    lines = [line(item) for item in items]
    in_order = decide(sorted(lines, key=lambda text: text[text.index("seen_at") :]))
    for seed in (1, 2):
        late = decide(random.Random(seed).sample(lines, len(lines)))
        assert parts(late) == parts(in_order)
        events = [(case["id"], a["recipient"], a["event"]) for case in late["cases"] for a in case["alerts"]]
        assert len(events) == len(set(events))


def test_the_first_half_of_a_file_tells_what_the_whole_tells_up_to_there(decide: Decides) -> None:
    lines = [line(sighting(n, at=latlon_from_offset(*INSIDE, n % 4 * 11.0, 0.0), hours=n)) for n in range(16)]
    lines[8:8] = [line(looked(n, hours=7 + n / 4)) for n in range(3)]
    half, whole = told(decide(lines[:10])), told(decide(lines))
    assert half
    assert whole[: len(half)] == half


def test_every_accepted_sighting_is_in_exactly_one_case_or_object(decide: Decides) -> None:
    kinds = ("garbage", "garbage_bin", "overflow_bin")
    spots = [latlon_from_offset(*INSIDE, n % 7 * 4.0, n % 5 * 5.0) for n in range(30)]
    found = decide([line(sighting(n, at=spots[n], hours=n, kind=kinds[n % 3])) for n in range(30)])
    held = [s for entry in found["cases"] + found["objects"] for s in entry["sightings"]]
    assert sorted(held) == sorted(f"s{n}" for n in range(30))


def test_a_pass_that_claims_to_have_lasted_for_years_costs_no_more_than_others(decide: Decides) -> None:
    lines = [line(sighting(n)) for n in range(2)]
    endless = looked(1, hours=2, lasts=timedelta(days=700_000))
    (case,) = decide([*lines, line(replace(endless, vehicle="bus-1"))])["cases"]
    assert case["state"] == "open"
