"""The fleet benchmark's figures, on worlds small enough to count by hand."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.fleet_score import calibration_error, score

AREA = "440304001001"


def thing(id: str, *episodes: tuple[int, int], lat: float = 22.54, **more: Any) -> dict[str, Any]:
    """A thing at (lat, 114.05) with episodes from hour to hour of 18 November."""
    told = [
        {"id": f"{id}/e{n}", "kind": "garbage", "born_at": at(born), "removed_at": at(gone), "removed": True}
        for n, (born, gone) in enumerate(episodes)
    ]
    kind = "garbage_bin" if more.get("bin") else "garbage"
    base = {"id": id, "kind": kind, "lat": lat, "lon": 114.05, "bin": False, "poster": False, "level": 0}
    return base | {"area": AREA, "border_m": 50.0, "episodes": told} | more


def at(hour: float) -> str:
    return f"2026-11-18T{int(hour):02d}:{round(hour % 1 * 60):02d}:00.000Z"


def seen(*rows: tuple[str, str | None, str], kind: str = "garbage") -> dict[str, Any]:
    """Sightings: (id, what it is of, pass), one an hour from 01:00."""
    return {id: {"of": of, "pass": p, "kind": kind, "at": at(n + 1)} for n, (id, of, p) in enumerate(rows)}


def truth(things: list[dict[str, Any]], sightings: dict[str, Any]) -> dict[str, Any]:
    return {"seed": 0, "starts_at": at(0), "ends_at": at(23), "things": things, "sightings": sightings}


def case(id: str, *sightings: str, **more: Any) -> dict[str, Any]:
    """A case that was opened at 02:00 and told to AREA."""
    base = {"id": id, "kind": "garbage", "lat": 22.54, "lon": 114.05, "opened_at": at(2), "closed_at": None}
    told = [{"recipient": AREA, "event": "opened", "at": at(2)}]
    more_ = {"episode": 1, "previous": None, "owners": [{"area": AREA, "p": 1.0}], "alerts": told}
    return base | more_ | {"sightings": list(sightings)} | more


def document(*cases: dict[str, Any], objects: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return {"cases": list(cases), "objects": list(objects), "rejected": []}


TWO = truth(
    [thing("a", (0, 20)), thing("b", (0, 20))],
    seen(("a1", "a/e0", "p1"), ("a2", "a/e0", "p2"), ("b1", "b/e0", "p1"), ("b2", "b/e0", "p2")),
)


def test_a_perfect_document_has_perfect_figures() -> None:
    found = score(document(case("A", "a1", "a2"), case("B", "b1", "b2")), TWO)
    assert found["pairwise"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0}
    assert found["b_cubed"]["f1"] == 1.0
    assert (found["duplicates"], found["lost"], found["false"]) == (0.0, 0.0, 0.0)
    assert found["unplaced"] == 0


def test_two_things_in_one_case_cost_precision_and_one_is_lost() -> None:
    found = score(document(case("A", "a1", "a2", "b1", "b2")), TWO)
    assert found["pairwise"] == {"precision": pytest.approx(2 / 6, abs=1e-4), "recall": 1.0, "f1": 0.5}
    assert found["b_cubed"]["precision"] == 0.5
    assert found["lost"] == 0.5


def test_one_thing_in_two_cases_costs_recall_and_is_told_twice() -> None:
    found = score(document(case("A", "a1"), case("A2", "a2"), case("B", "b1", "b2")), TWO)
    assert found["pairwise"]["precision"] == 1.0
    assert found["pairwise"]["recall"] == 0.5
    assert found["duplicates"] == 0.5  # one push too many for two disorders


def test_a_candidate_is_no_opening() -> None:
    waiting = case("B", "b1", "b2", opened_at=None, alerts=[])
    found = score(document(case("A", "a1", "a2"), waiting), TWO)
    assert found["opened"] == 1
    assert found["lost"] == 0.5


def test_a_thing_seen_by_one_pass_cannot_be_lost() -> None:
    once = truth([thing("a", (0, 20))], seen(("a1", "a/e0", "p1")))
    assert score(document(case("A", "a1", opened_at=None, alerts=[])), once)["lost"] is None


def test_a_merged_case_that_was_told_twice_is_a_duplicate_but_a_neighbour_told_at_once_is_none() -> None:
    twice = [{"recipient": AREA, "event": "opened", "at": at(h)} for h in (2, 3)]
    beside = [{"recipient": area, "event": "opened", "at": at(2)} for area in (AREA, "440304001002")]
    found = score(document(case("A", "a1", "a2", alerts=twice), case("B", "b1", "b2", alerts=beside)), TWO)
    assert found["duplicates"] == 0.5


def test_posters_strays_and_bins_taken_for_overflowing_ones_are_false_cases() -> None:
    sightings = seen(
        ("p1", "poster-0", "x"), ("p2", "poster-0", "y"), ("m", "bin-000/mistaken", "x"), ("s", None, "x"),
        ("a1", "a/e0", "x"),
    )  # fmt: skip
    things = [thing("a", (0, 20)), thing("poster-0", poster=True), thing("bin-000", bin=True)]
    cases = [case("P", "p1", "p2"), case("M", "m"), case("S", "s"), case("A", "a1")]
    found = score(document(*cases), truth(things, sightings))
    assert found["false"] == 0.75
    assert found["with_strays"]["pairwise"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0}


def test_strays_count_among_pairs_only_where_it_says_so() -> None:
    sightings = seen(("a1", "a/e0", "x"), ("a2", "a/e0", "y"), ("s", None, "x"))
    found = score(document(case("A", "a1", "a2", "s")), truth([thing("a", (0, 20))], sightings))
    assert found["pairwise"]["precision"] == 1.0
    assert found["with_strays"]["pairwise"]["precision"] == pytest.approx(1 / 3, abs=1e-4)


def test_on_a_tie_an_episode_wins_over_a_stray() -> None:
    sightings = seen(("s", None, "x"), ("a1", "a/e0", "x"))
    assert score(document(case("A", "a1", "s")), truth([thing("a", (0, 20))], sightings))["false"] == 0.0


def test_time_to_open_counts_from_birth_and_from_the_first_sighting_to_the_alert() -> None:
    world = truth([thing("a", (0, 20))], seen(("a1", "a/e0", "p1"), ("a2", "a/e0", "p2")))
    late = [{"recipient": AREA, "event": "opened", "at": at(4.5)}]
    found = score(document(case("A", "a1", "a2", alerts=late)), world)["open_h"]
    assert found["from_birth"]["median"] == 4.5
    assert found["from_first_sighting"]["median"] == 3.5


CLOSING = [
    # closed at, precision, recall, hours
    (12, 1.0, 1.0, 2.0),
    (8, 0.0, 0.0, None),
    (None, None, 0.0, None),
]


@pytest.mark.parametrize(("closed", "precision", "recall", "hours"), CLOSING)
def test_a_closing_is_right_after_the_removal(
    closed: int | None, precision: float | None, recall: float, hours: float | None
) -> None:
    world = truth([thing("a", (0, 10))], seen(("a1", "a/e0", "p1"), ("a2", "a/e0", "p2")))
    closed_at = None if closed is None else at(closed)
    found = score(document(case("A", "a1", "a2", closed_at=closed_at)), world)["close"]
    assert (found["precision"], found["recall"], found["hours"]["median"]) == (precision, recall, hours)


def test_a_removal_in_the_last_hours_need_not_be_verified() -> None:
    world = truth([thing("a", (0, 18))], seen(("a1", "a/e0", "p1"), ("a2", "a/e0", "p2")))
    assert score(document(case("A", "a1", "a2")), world)["close"]["recall"] is None


RETURN = truth(
    [thing("a", (0, 3), (5, 20)), thing("b", (0, 20))],
    seen(
        ("a1", "a/e0", "p1"), ("a2", "a/e0", "p2"), ("b1", "b/e0", "p3"), ("b2", "b/e0", "p3"), ("a3", "a/e1", "p5"),
        ("a4", "a/e1", "p6"),
    ),
)  # fmt: skip
FIRST = case("A", "a1", "a2", closed_at=at(4))


def test_a_return_is_told_as_one() -> None:
    again = case("A2", "a3", "a4", episode=2, previous="A")
    found = score(document(FIRST, again), RETURN)["rebound"]
    assert (found["recall"], found["precision"]) == (1.0, 1.0)


def test_a_return_told_as_new_is_missed() -> None:
    found = score(document(FIRST, case("A2", "a3", "a4")), RETURN)["rebound"]
    assert (found["recall"], found["precision"], found["told"]) == (0.0, None, 0)


def test_another_thing_told_as_a_return_is_wrong() -> None:
    found = score(document(FIRST, case("B", "b1", "b2", episode=2, previous="A")), RETURN)["rebound"]
    assert found["precision"] == 0.0


def test_a_return_to_a_case_that_was_never_closed_is_asked_for_only_in_recall_all() -> None:
    found = score(document(case("A", "a1", "a2", "a3", "a4")), RETURN)["rebound"]
    assert found["recall"] is None
    assert found["recall_all"] == 0.0


def object_(*sightings: str, lat: float = 22.54) -> dict[str, Any]:
    return {"kind": "garbage_bin", "lat": lat, "lon": 114.05, "covariance_m2": [1, 0, 1], "sightings": list(sightings)}


BINS = truth(
    [thing("bin-000", bin=True), thing("bin-001", bin=True, lat=22.5401)],
    seen(
        ("x1", "bin-000", "p1"), ("x2", "bin-000", "p2"), ("x3", "bin-000", "p3"), ("y1", "bin-001", "p1"),
        ("y2", "bin-001", "p2"), ("s1", None, "p1"), ("s2", None, "p2"), kind="garbage_bin",
    ),
)  # fmt: skip
LAYOUTS = [
    # objects, split or invented, swallowed
    ((("x1", "x2", "x3"), ("y1", "y2"), ("s1",), ("s2",)), 0.0, 0.0),
    ((("x1", "x2"), ("x3",), ("y1", "y2")), 0.5, 0.0),
    ((("x1", "x2", "x3"), ("y1", "y2"), ("s1", "s2")), 0.5, 0.0),
    ((("x1", "x2", "x3", "y1", "y2"),), 0.0, 0.5),
]


@pytest.mark.parametrize(("layout", "split", "swallowed"), LAYOUTS)
def test_each_bin_is_one_object(layout: tuple[tuple[str, ...], ...], split: float, swallowed: float) -> None:
    found = score(document(objects=tuple(object_(*ids) for ids in layout)), BINS)["bins"]
    assert (found["seen"], found["split_or_invented"], found["swallowed"]) == (2, split, swallowed)


def test_position_errors_are_metres_by_the_number_of_passes() -> None:
    north = object_("x1", "x2", "x3", lat=22.54 + 3 / 110_750)  # a degree of latitude has 110.75 km there
    found = score(document(objects=(north, object_("y1", lat=22.5401))), BINS)["position_m"]
    assert found["2-4"] == {"n": 1, "median": pytest.approx(3.0, abs=0.01), "p90": pytest.approx(3.0, abs=0.01)}
    assert found["1"]["median"] == pytest.approx(0.0, abs=0.01)


def test_position_errors_of_things_are_by_the_passes_that_saw_them() -> None:
    """x was told by three passes; one of its sightings lies apart, as an object of its own that is not x's place."""
    near, stray = object_("x1", "x2", lat=22.54 + 3 / 110_750), object_("x3", lat=22.5403)
    found = score(document(objects=(near, stray)), BINS)["position_m"]
    assert found["1"]["n"] == 1
    assert found["of_things"]["1"]["n"] == 0
    assert found["of_things"]["2-4"] == {
        "n": 1,
        "median": pytest.approx(3.0, abs=0.01),
        "p90": pytest.approx(3.0, abs=0.01),
    }


def test_the_owner_is_right_by_distance_to_the_border() -> None:
    things = [thing("a", (0, 20), border_m=1.0), thing("b", (0, 20), border_m=30.0)]
    world = truth(things, TWO["sightings"])
    wrong = [{"area": "440304001002", "p": 0.6}, {"area": AREA, "p": 0.4}]
    found = score(document(case("A", "a1", "a2", owners=wrong), case("B", "b1", "b2")), world)["owner"]
    assert found["accuracy"] == 0.5
    assert found["by_border_m"]["0-2"] == {"n": 1, "accuracy": 0.0}
    assert found["by_border_m"]["20+"] == {"n": 1, "accuracy": 1.0}
    assert found["ece"] == pytest.approx((0.6 + 0.0) / 2)


CALIBRATED = [
    ([1.0, 1.0], [True, True], 0.0),
    ([0.75] * 4, [True, True, True, False], 0.0),
    ([0.95] * 2, [True, False], 0.45),
    ([0.9, 0.2], [False, False], 0.55),
]


@pytest.mark.parametrize(("p", "right", "error"), CALIBRATED)
def test_calibration_error_is_the_mean_gap_between_said_and_true(
    p: list[float], right: list[bool], error: float
) -> None:
    assert calibration_error(p, right) == pytest.approx(error)


def test_an_empty_document_of_an_empty_world_divides_by_nothing() -> None:
    found = score(document(), truth([], {}))
    assert found["pairwise"] == {"precision": None, "recall": None, "f1": None}
    assert found["owner"]["ece"] is None
