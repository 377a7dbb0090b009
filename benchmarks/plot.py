"""Plots as PNG, drawn with OpenCV: the runtime has it, and a plotting library would be one more thing to install."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

SIZE_WH = (1100, 640)
LEFT, RIGHT, TOP, BOTTOM = 92, 24, 92, 76  # margins, pixels
INK, FAINT, PAPER = (60, 52, 48), (228, 224, 220), (255, 255, 255)  # BGR
COLOURS = (  # BGR; told apart also by who sees no red or no green (Okabe and Ito)
    (178, 114, 0),
    (0, 94, 213),
    (115, 158, 0),
    (167, 121, 204),
    (0, 159, 230),
    (233, 180, 86),
)
FONT = cv2.FONT_HERSHEY_SIMPLEX
SHARP = 2  # drawn so much larger, then shrunk: smooth edges

Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Points joined by a line, in order of x."""

    name: str  # in the legend; ASCII, as all text here
    x: Sequence[float]
    y: Sequence[float]
    marks: bool = True  # a dot a point


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What stands around a plot. `note` is a second, smaller line under the title: machine, date."""

    title: str
    x: str
    y: str
    note: str = ""


def lines(path: Path, drawn: Sequence[Line], words: Words, *, log_y: bool = False) -> None:
    """Draw lines over common axes, both from zero unless `log_y`. Raises ValueError when there is no point at all."""
    xs = [float(v) for line in drawn for v in line.x]
    ys = [float(v) for line in drawn for v in line.y]
    if not xs:
        raise ValueError("there is nothing to draw")
    y_ticks = _decades(min(ys), max(ys)) if log_y else _ticks(max(ys))
    sheet = _Sheet(_ticks(max(xs)), y_ticks, log_y=log_y)
    sheet.frame(words, x_numbers=True)
    for i, line in enumerate(drawn):
        sheet.line([(float(x), float(y)) for x, y in zip(line.x, line.y, strict=True)], _colour(i), marks=line.marks)
    sheet.legend([line.name for line in drawn])
    sheet.write(path)


def bars(path: Path, groups: Sequence[str], values: Mapping[str, Sequence[float]], words: Words) -> None:
    """Draw one bar a group and name, side by side within each group; the value stands over it.

    Raises ValueError when there are none, or when a name lacks a value for a group.
    """
    if not groups or not values:
        raise ValueError("there is nothing to draw")
    highest = max(float(v) for row in values.values() for v in row)
    sheet = _Sheet([0.0, float(len(groups))], _ticks(highest))
    sheet.frame(words, x_numbers=False)
    width = 0.8 / len(values)
    for i, (_, row) in enumerate(values.items()):
        for group, value in zip(range(len(groups)), row, strict=True):
            left = group + 0.1 + i * width
            sheet.bar(left, left + 0.92 * width, float(value), _colour(i))
    for group, name in enumerate(groups):
        sheet.below(group + 0.5, name)
    if len(values) > 1:
        sheet.legend(list(values))
    sheet.write(path)


def scatter(path: Path, groups: Mapping[str, Sequence[tuple[float, float, str]]], words: Words) -> None:
    """Draw named points (x, y, name), those of a group joined; y runs over what there is, not from zero.

    Raises ValueError when there are none.
    """
    ys = [y for points in groups.values() for _, y, _ in points]
    if not ys:
        raise ValueError("there is nothing to draw")
    sheet = _Sheet(_ticks(1.1 * max(x for points in groups.values() for x, _, _ in points)), _between(min(ys), max(ys)))
    sheet.frame(words, x_numbers=True)
    for i, points in enumerate(groups.values()):
        sheet.line([(x, y) for x, y, _ in points], _colour(i), marks=True)
        for x, y, name in points:
            sheet.beside(x, y, name)
    sheet.legend(list(groups))
    sheet.write(path)


class _Sheet:
    """Paper with axes; everything is placed in the data's own units."""

    def __init__(self, x_ticks: Sequence[float], y_ticks: Sequence[float], *, log_y: bool = False) -> None:
        width, height = SIZE_WH
        self._image: Picture = np.full((SHARP * height, SHARP * width, 3), PAPER, np.uint8)
        self._x_ticks, self._y_ticks, self._log_y = x_ticks, y_ticks, log_y

    def frame(self, words: Words, *, x_numbers: bool) -> None:
        width, height = SIZE_WH
        for tick in self._y_ticks:
            y = self._v(tick)
            self._stroke((LEFT, y), (width - RIGHT, y), FAINT, 1)
            self._text(_number(tick), (LEFT - 8, y + 5), 0.46, align="right")
        for tick in self._x_ticks if x_numbers else ():
            x = self._u(tick)
            self._stroke((x, TOP), (x, height - BOTTOM), FAINT, 1)
            self._text(_number(tick), (x, height - BOTTOM + 20), 0.46, align="middle")
        self._stroke((LEFT, height - BOTTOM), (width - RIGHT, height - BOTTOM), INK, 1)
        self._stroke((LEFT, TOP), (LEFT, height - BOTTOM), INK, 1)
        self._text(words.title, (LEFT, 30), 0.72)
        self._text(words.note, (LEFT, 52), 0.44)
        self._text(words.x, ((LEFT + width - RIGHT) / 2, height - 22), 0.52, align="middle")
        self._upright(words.y)

    def line(self, points: Sequence[tuple[float, float]], colour: tuple[int, int, int], *, marks: bool) -> None:
        placed = [(self._u(x), self._v(y)) for x, y in points]
        for start, end in itertools.pairwise(placed):
            self._stroke(start, end, colour, 2)
        for at in placed if marks else ():
            cv2.circle(self._image, _scaled(at), 4 * SHARP, colour, -1, cv2.LINE_AA)

    def bar(self, left: float, right: float, value: float, colour: tuple[int, int, int]) -> None:
        top_left, bottom_right = (self._u(left), self._v(value)), (self._u(right), self._v(0.0))
        cv2.rectangle(self._image, _scaled(top_left), _scaled(bottom_right), colour, -1)
        self._text(_number(value), ((top_left[0] + bottom_right[0]) / 2, top_left[1] - 6), 0.46, align="middle")

    def beside(self, x: float, y: float, text: str) -> None:
        self._text(text, (self._u(x) + 8, self._v(y) - 6), 0.42)

    def below(self, x: float, text: str) -> None:
        self._text(text, (self._u(x), SIZE_WH[1] - BOTTOM + 20), 0.46, align="middle")

    def legend(self, names: Sequence[str]) -> None:
        """In one row over the axes, right of nothing: plots differ in where they leave room."""
        x = float(LEFT)
        for i, name in enumerate(names):
            self._stroke((x, 74), (x + 22, 74), _colour(i), 5)
            self._text(name, (x + 30, 79), 0.48)
            x += 30 + _width(name, 0.48) + 26

    def write(self, path: Path) -> None:
        small = cv2.resize(self._image, SIZE_WH, interpolation=cv2.INTER_AREA)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not cv2.imwrite(str(path), small):
            raise OSError(f"{path} cannot be written")

    def _u(self, x: float) -> float:
        return LEFT + (x - self._x_ticks[0]) / (self._x_ticks[-1] - self._x_ticks[0]) * (SIZE_WH[0] - LEFT - RIGHT)

    def _v(self, y: float) -> float:
        low, high = self._y_ticks[0], self._y_ticks[-1]
        part = (y - low) / (high - low) if not self._log_y else math.log(max(y, low) / low) / math.log(high / low)
        return SIZE_WH[1] - BOTTOM - part * (SIZE_WH[1] - TOP - BOTTOM)

    def _stroke(
        self, start: tuple[float, float], end: tuple[float, float], colour: tuple[int, int, int], width: int
    ) -> None:
        cv2.line(self._image, _scaled(start), _scaled(end), colour, width * SHARP, cv2.LINE_AA)

    def _text(self, text: str, at: tuple[float, float], size: float, *, align: str = "left") -> None:
        shift = {"left": 0.0, "middle": 0.5, "right": 1.0}[align] * _width(text, size)
        where = _scaled((at[0] - shift, at[1]))
        cv2.putText(self._image, text, where, FONT, size * SHARP, INK, SHARP, cv2.LINE_AA)

    def _upright(self, text: str) -> None:
        """The y axis's name, read from the right."""
        strip: Picture = np.full((28 * SHARP, (SIZE_WH[1] - TOP - BOTTOM) * SHARP, 3), PAPER, np.uint8)
        x = round((strip.shape[1] - SHARP * _width(text, 0.52)) / 2)
        cv2.putText(strip, text, (x, 20 * SHARP), FONT, 0.52 * SHARP, INK, SHARP, cv2.LINE_AA)
        turned = cv2.rotate(strip, cv2.ROTATE_90_COUNTERCLOCKWISE)
        self._image[TOP * SHARP : TOP * SHARP + turned.shape[0], 4 * SHARP : 4 * SHARP + turned.shape[1]] = turned


def _ticks(highest: float) -> list[float]:
    """From zero in 4 to 8 round steps to `highest` or a little beyond."""
    highest = highest if highest > 0 else 1.0
    power = 10.0 ** math.floor(math.log10(highest))
    step = next(s * power for s in (0.1, 0.2, 0.25, 0.5, 1.0, 2.0) if highest / (s * power) <= 8)
    return [i * step for i in range(math.ceil(highest / step - 1e-9) + 1)]


def _between(lowest: float, highest: float) -> list[float]:
    """Round steps from at or below `lowest` to at or above `highest`."""
    steps = _ticks(highest - lowest)
    step = steps[1] - steps[0]
    first, last = math.floor(lowest / step - 1e-9), math.ceil(highest / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def _decades(lowest: float, highest: float) -> list[float]:
    """1, 2, 5 of each power of ten around the values."""
    if lowest <= 0:
        raise ValueError("a logarithmic axis has no zero")
    marks = [
        m * 10.0**e
        for e in range(math.floor(math.log10(lowest)), math.ceil(math.log10(highest)) + 1)
        for m in (1, 2, 5)
    ]
    first = max(i for i, mark in enumerate(marks) if mark <= lowest)
    last = min(i for i, mark in enumerate(marks) if mark >= highest)
    return marks[first : max(last, first + 1) + 1]


def _number(value: float) -> str:
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _colour(i: int) -> tuple[int, int, int]:
    return COLOURS[i % len(COLOURS)]


def _width(text: str, size: float) -> float:
    return float(cv2.getTextSize(text, FONT, size * SHARP, SHARP)[0][0]) / SHARP


def _scaled(at: tuple[float, float]) -> tuple[int, int]:
    return round(at[0] * SHARP), round(at[1] * SHARP)
