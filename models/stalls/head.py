"""Head: from the features of one cell to whether it shows a stall, and where its sides are. Solved, not descended.

Whether: linear discriminant analysis, cells inside stalls against cells outside, one covariance for both. Where: ridge
regression of the logarithm of the distances to the four sides, in strides. Both need only sums over cells, which are
taken once a picture and added up for any choice of pictures, so that three arms and three folds cost seconds. NumPy
only; nothing is drawn by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STRIDES = (8, 16, 32)
CHANNELS = (64, 128, 256)
SHAPE_HW = (384, 640)

Floats = NDArray[np.float64]
Boxes = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Numbers of a recipe file's [learn]."""

    reach: float  # the inner part of a box, of each side, whose cells answer for it
    sizes_px: tuple[tuple[float, float], ...]  # by level: longer side of the boxes it answers for
    shrink: float  # of the covariance, towards its mean variance
    ridge: float  # of the sides, as a multiple of the mean variance of the features
    every: int  # of the cells outside stalls one in so many is counted


@dataclass(slots=True)
class Sums:
    """Of cells of one level: outside stalls (`no`), inside (`yes`, each stall weighing 1), and towards the sides."""

    no: float
    no_x: Floats  # (C,)
    no_xx: Floats  # (C, C)
    yes: float
    yes_cells: int
    yes_x: Floats
    yes_xx: Floats
    y: Floats  # (4,) log distances
    xy: Floats  # (C, 4)

    @classmethod
    def none(cls, channels: int) -> Sums:
        c = channels
        return cls(
            0.0, np.zeros(c), np.zeros((c, c)), 0.0, 0, np.zeros(c), np.zeros((c, c)), np.zeros(4), np.zeros((c, 4))
        )

    def __add__(self, other: Sums) -> Sums:
        return Sums(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Head:
    """What was learned for one level: rows are the log-odds and the logarithm of left, top, right, bottom."""

    weight: Floats  # (5, C)
    bias: Floats  # (5,)

    def told(self, x: NDArray[np.float32], level: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Features (N, C) of all cells to boxes (N, 4) in input pixels and scores (N,)."""
        out = x @ self.weight.T.astype(np.float32) + self.bias.astype(np.float32)
        sides = np.exp(np.clip(out[:, 1:], -4.0, 6.0)) * STRIDES[level]
        centre = grid(level)
        boxes = np.concatenate([centre - sides[:, :2], centre + sides[:, 2:]], axis=1)
        score = 1.0 / (1.0 + np.exp(-np.clip(out[:, 0], -30.0, 30.0)))
        return np.asarray(boxes, np.float32), np.asarray(score, np.float32)


def cells(rows: int, columns: int, stride: int) -> NDArray[np.float32]:
    """Centres (rows * columns, 2) of the cells of a map, x and y in input pixels."""
    y, x = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    return ((np.stack([x.ravel(), y.ravel()], axis=1) + 0.5) * stride).astype(np.float32)


def grid(level: int) -> NDArray[np.float32]:
    """The cells of a level of the input."""
    stride = STRIDES[level]
    return cells(SHAPE_HW[0] // stride, SHAPE_HW[1] // stride, stride)


def answers(boxes: Boxes, level: int, recipe: Recipe) -> NDArray[np.int64]:
    """For each cell of a level the box that it answers for; -1 for none, -2 inside a stall but not at its middle."""
    centre = grid(level)
    out = np.full(len(centre), -1, np.int64)
    low, high = recipe.sizes_px[level]
    for k, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
        inside = (centre > (x1, y1)).all(axis=1) & (centre < (x2, y2)).all(axis=1)
        out[inside & (out < 0)] = -2
        if low <= max(x2 - x1, y2 - y1) < high:
            off = np.abs(centre - ((x1 + x2) / 2, (y1 + y2) / 2))
            out[(off <= np.array([x2 - x1, y2 - y1]) / 2 * recipe.reach).all(axis=1)] = k
    return out


def sums(x: NDArray[np.float32], boxes: Boxes, level: int, recipe: Recipe) -> Sums:
    """Those of one picture: features (N, C) of a level's cells, and its stalls in input pixels."""
    box = answers(boxes, level, recipe)
    out = Sums.none(x.shape[1])
    outside = x[np.flatnonzero(box == -1)[:: recipe.every]]
    out.no, out.no_x, out.no_xx = float(len(outside)), outside.sum(axis=0, dtype=np.float64), _gram(outside, outside)
    yes = np.flatnonzero(box >= 0)
    if len(yes):
        weight = (1.0 / np.bincount(box[yes])[box[yes]]).astype(np.float32)[:, None]
        mine, centre = boxes[box[yes]], grid(level)[yes]
        sides = np.concatenate([centre - mine[:, :2], mine[:, 2:] - centre], axis=1) / STRIDES[level]
        y = np.log(np.maximum(sides, 0.1))
        weighted = x[yes] * weight
        out.yes, out.yes_cells = float(weight.sum()), len(yes)
        out.yes_x, out.yes_xx = weighted.sum(axis=0, dtype=np.float64), _gram(weighted, x[yes])
        out.y, out.xy = (y * weight).sum(axis=0, dtype=np.float64), _gram(weighted, y)
    return out


def _gram(a: NDArray[np.float32], b: NDArray[np.float32]) -> Floats:
    return np.asarray(a.T @ b, np.float64)


def solved(parts: Sequence[Sums], recipe: Recipe) -> Head:
    """The head of a level. Without a single stall of its size the level says that there is none."""
    total = sum(parts[1:], start=parts[0])
    channels = len(total.no_x)
    if total.yes == 0 or total.no == 0:
        return Head(np.zeros((5, channels)), np.array([-30.0, 0.0, 0.0, 0.0, 0.0]))
    no, yes = total.no_x / total.no, total.yes_x / total.yes
    within = total.no_xx / total.no - np.outer(no, no)
    around = total.yes_xx / total.yes - np.outer(yes, yes)
    mixed = 0.5 * (within + around)
    eye = np.eye(channels) * np.trace(mixed) / channels
    w = np.linalg.solve((1 - recipe.shrink) * mixed + recipe.shrink * eye, yes - no)
    odds = np.log(total.yes_cells / (total.no * recipe.every))
    sides = np.linalg.solve(around + recipe.ridge * eye, total.xy / total.yes - np.outer(yes, total.y / total.yes))
    bias = np.concatenate([[odds - 0.5 * float(w @ (yes + no))], total.y / total.yes - yes @ sides])
    return Head(np.vstack([w, sides.T]), bias)
