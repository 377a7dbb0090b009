"""How stalls are measured: by hand, on a few rows."""

import numpy as np
import pytest

from vision.stalls import ap50, intervals, recall_at, seen, table, threshold_at


def row(group, truth, told):  # type: ignore[no-untyped-def]
    return {"group": group, "truth": truth, "xyxy": [box for box, _ in told], "score": [score for _, score in told]}


A, B = [0, 0, 100, 100], [300, 0, 400, 100]
ROWS = [
    row("g1", [A], [(A, 0.9), ([2, 2, 101, 101], 0.8), (B, 0.3)]),  # found, told twice, and a false alarm
    row("g2", [A, B], [(A, 0.5)]),  # one found, one missed
    row("g3", [], [(A, 0.7)]),  # a false alarm
    row("g4", [], []),
]


def test_a_thing_told_twice_counts_once() -> None:
    assert seen(ROWS[0]).hit.tolist() == [True, False]


def test_average_precision_by_hand() -> None:
    # In order: right, wrong, right, wrong; recalls 1/3 and 2/3 of three boxes, precisions 1 and 2/3.
    assert ap50([seen(one) for one in ROWS]) == pytest.approx(5 / 9, abs=0.01)


def test_recall_where_alarms_are_few_enough() -> None:
    pictures = [seen(one) for one in ROWS]
    assert recall_at(pictures, 0.0) == pytest.approx(1 / 3)  # before the first false alarm
    assert recall_at(pictures, 0.25) == pytest.approx(2 / 3)  # one in four pictures
    assert threshold_at(pictures, 0.0) == pytest.approx(0.7)
    assert threshold_at(pictures, 0.5) == 0.0  # there are no more than two


def test_nothing_told_and_nothing_there() -> None:
    assert ap50([seen(row("g", [A], []))]) == 0.0
    assert recall_at([seen(row("g", [], []))]) == 0.0
    assert len(seen(row("g", [], [])).score) == 0


def test_an_interval_holds_its_value_and_is_the_same_each_time() -> None:
    pictures = [seen(one) for one in ROWS]
    ap, recall = intervals(pictures, draws=200)
    assert ap.low <= ap.value <= ap.high
    assert (ap, recall) == intervals(pictures, draws=200)
    assert ap.high - ap.low > 0.3  # four groups prove little


def test_a_table_says_on_how_few_groups_it_rests() -> None:
    lines = table("real", [seen(one) for one in ROWS])
    assert "groups_with_stalls = 2" in lines
    assert "boxes = 3" in lines
    assert not any("nan" in line for line in lines)
    np.testing.assert_equal(len(lines), 11)
