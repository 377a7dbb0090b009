"""Plots: the ink lies where the numbers say."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.plot import BOTTOM, COLOURS, LEFT, RIGHT, SIZE_WH, TOP, Line, Words, bars, lines, scatter

WORDS = Words(title="Title", x="across", y="up")


def ink(path: Path, colour: tuple[int, int, int]) -> np.ndarray:
    """(N, 2) pixels of one colour within the axes, as x and y."""
    image = cv2.imread(str(path))
    assert image.shape[1::-1] == SIZE_WH
    near = np.abs(image.astype(int) - colour).max(axis=2) < 12
    near[:TOP] = False
    rows, columns = np.nonzero(near)
    return np.column_stack([columns, rows])


def test_a_line_runs_from_its_first_point_to_its_last(tmp_path: Path) -> None:
    lines(tmp_path / "l.png", [Line(name="one", x=[0, 10], y=[0, 100]), Line(name="two", x=[5], y=[50])], WORDS)
    found = ink(tmp_path / "l.png", COLOURS[0])
    x, y = found[:, 0], found[:, 1]
    assert (x.min(), x.max()) == pytest.approx((LEFT, SIZE_WH[0] - RIGHT), abs=6)
    assert (y.min(), y.max()) == pytest.approx((TOP, SIZE_WH[1] - BOTTOM), abs=6)
    middle = ink(tmp_path / "l.png", COLOURS[1]).mean(axis=0)
    assert tuple(middle) == pytest.approx(((LEFT + SIZE_WH[0] - RIGHT) / 2, (TOP + SIZE_WH[1] - BOTTOM) / 2), abs=2)


def test_decades_are_evenly_apart_on_a_logarithmic_axis(tmp_path: Path) -> None:
    drawn = [Line(name=str(v), x=[1.0], y=[v]) for v in (1.0, 10.0, 100.0)]
    lines(tmp_path / "l.png", drawn, WORDS, log_y=True)
    low, middle, high = (ink(tmp_path / "l.png", COLOURS[i])[:, 1].mean() for i in range(3))
    assert low - middle == pytest.approx(middle - high, abs=2)
    with pytest.raises(ValueError, match="zero"):
        lines(tmp_path / "z.png", [Line(name="z", x=[1], y=[0])], WORDS, log_y=True)


def test_a_bar_of_twice_the_value_is_twice_as_high(tmp_path: Path) -> None:
    bars(tmp_path / "b.png", ["1080p"], {"half": [20.0], "whole": [40.0]}, WORDS)
    half, whole = (np.ptp(ink(tmp_path / "b.png", COLOURS[i])[:, 1]) for i in range(2))
    assert whole == pytest.approx(2 * half, abs=4)


def test_nothing_to_draw_and_a_missing_value_are_told(tmp_path: Path) -> None:
    for nothing in (lambda: lines(tmp_path / "n.png", [], WORDS), lambda: bars(tmp_path / "n.png", [], {}, WORDS)):
        with pytest.raises(ValueError, match="nothing"):
            nothing()
    with pytest.raises(ValueError):
        bars(tmp_path / "n.png", ["a", "b"], {"one": [1.0]}, WORDS)


def test_points_lie_between_round_numbers_around_them(tmp_path: Path) -> None:
    groups = {"one": [(10.0, 0.91, "a")], "two": [(30.0, 0.93, "b")]}
    scatter(tmp_path / "s.png", groups, WORDS)
    low, high = (ink(tmp_path / "s.png", COLOURS[i]).mean(axis=0) for i in range(2))
    assert low[0] < high[0]
    assert low[1] - high[1] > (SIZE_WH[1] - TOP - BOTTOM) / 2  # most of the height: the axis does not start at zero
    with pytest.raises(ValueError, match="nothing"):
        scatter(tmp_path / "n.png", {}, WORDS)
