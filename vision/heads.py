"""Heads: what a net's raw output means. Each is a pure function of one picture's output, and knows its layout.

Sources: ultralytics `Detect.forward` and its exporter (v8, 9, 11, 12, 26, and v5 to v10 as it makes them; with
`nms=True` and NMS-free), ultralytics/yolov5 `models/yolo.py`, Megvii YOLOX `yolo_head.py` and `demo_utils.py`.
An anchor may speak for several classes, as in ultralytics' validation (`multi_label`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from vision.detections import Detections

FINEST_STRIDE = 8  # pixels, of a YOLOX's first level; every further level has twice that

Floats = NDArray[np.float32]
ShapeHw = tuple[int, int]
Read = Callable[[Floats, Floats, ShapeHw], Detections]
"""One picture's raw output, the floor of each class (C,) and the input's shape, to candidates in input pixels."""


@dataclass(frozen=True, slots=True)
class Head:
    """One layout of a raw output."""

    read: Read
    axes: Callable[[int], tuple[int | str, int | str]]  # of one picture's output, by the number of classes
    repeats: bool  # one thing may be told several times: suppression is needed

    def fits(self, shape: Sequence[int | str | None], classes: int) -> bool:
        """Whether a net's output of this shape, batch first, may be this head; a name or None is a free dimension."""
        wanted = ("batch", *self.axes(classes))
        pairs = zip(shape, wanted, strict=False)
        return len(shape) == 3 and all(isinstance(a, str | None) or isinstance(b, str) or a == b for a, b in pairs)

    def told(self, classes: int) -> str:
        """The output's shape, for people."""
        first, second = self.axes(classes)
        return f"(batch, {first}, {second})"


def xywh_scores(raw: Floats, floor: Floats, _: ShapeHw) -> Detections:
    """(4 + C, A): box centre and size in input pixels, then a score for each class."""
    scores = raw[4:].reshape(-1)
    told = np.flatnonzero(raw[4:] > floor[:, None])
    if not told.size:
        return Detections.empty()
    label, anchor = np.divmod(told, raw.shape[1])
    few = raw[:4].take(anchor, axis=1)
    return _told(few[:2].T, few[2:].T, scores.take(told), label)


def xywh_objectness(raw: Floats, floor: Floats, _: ShapeHw) -> Detections:
    """(A, 5 + C): box centre and size in input pixels, objectness, a score for each class; their product counts."""
    few = raw[raw[:, 4] > floor.min()]  # a product is never above its first factor
    return _products(few[:, :2], few[:, 2:4], few, floor)


def grid_objectness(raw: Floats, floor: Floats, shape_hw: ShapeHw) -> Detections:
    """(A, 5 + C): as `xywh_objectness`, but centre in cells from the anchor's own and size as logarithm, in cells."""
    anchor = np.flatnonzero(raw[:, 4] > floor.min())
    if not anchor.size:
        return Detections.empty()
    few, (cell, stride) = raw[anchor], grid(shape_hw, len(raw))
    with np.errstate(
        over="ignore"
    ):  # a size beyond all numbers is no box, and dropped like any other that is not finite
        size = np.exp(few[:, 2:4]) * stride[anchor]
    return _products((few[:, :2] + cell[anchor]) * stride[anchor], size, few, floor)


def xyxy_score_class(raw: Floats, floor: Floats, _: ShapeHw) -> Detections:
    """(K, 6): corners in input pixels, score, class number. Each thing is told once."""
    few = raw[raw[:, 4] > floor.min()]
    with np.errstate(invalid="ignore"):
        label = few[:, 5].astype(np.int64)
    known = (label >= 0) & (label < len(floor))
    few, label = few[known], label[known]
    above = few[:, 4] > floor[label]
    return Detections(few[above, :4], few[above, 4], label[above])


@lru_cache(maxsize=8)
def grid(shape_hw: ShapeHw, anchors: int) -> tuple[Floats, Floats]:
    """The cells of all levels, row by row: (A, 2) column and row, and (A, 1) stride in pixels.

    Three levels or four, whichever has as many cells as there are anchors. Raises ValueError when neither has.
    """
    for levels in (3, 4):
        strides = [FINEST_STRIDE << level for level in range(levels)]
        sizes = [(shape_hw[0] // stride, shape_hw[1] // stride) for stride in strides]
        if sum(rows * columns for rows, columns in sizes) == anchors:
            cells = [np.indices(size).reshape(2, -1)[::-1].T for size in sizes]
            widths = [np.full((len(cell), 1), stride) for cell, stride in zip(cells, strides, strict=True)]
            return np.vstack(cells).astype(np.float32), np.vstack(widths).astype(np.float32)
    raise ValueError(f"{anchors} anchors are not the cells of strides 8 to 32 or 64 on an input of {shape_hw}")


def _products(centre: Floats, size: Floats, few: Floats, floor: Floats) -> Detections:
    """Boxes whose objectness times class score is above the floor."""
    if not len(few):
        return Detections.empty()
    scores = few[:, 5:] * few[:, 4:5]
    row, label = np.nonzero(scores > floor)
    return _told(centre[row], size[row], scores[row, label], label)


def _told(centre: Floats, size: Floats, score: Floats, label: NDArray[np.int64]) -> Detections:
    half = size / 2
    xyxy = np.empty((len(score), 4), np.float32)
    np.subtract(centre, half, out=xyxy[:, :2])
    np.add(centre, half, out=xyxy[:, 2:])
    return Detections(xyxy, score, label)


HEADS: Mapping[str, Head] = MappingProxyType(
    {
        "xywh-scores": Head(xywh_scores, lambda c: (4 + c, "anchors"), repeats=True),
        "xywh-objectness": Head(xywh_objectness, lambda c: ("anchors", 5 + c), repeats=True),
        "grid-objectness": Head(grid_objectness, lambda c: ("anchors", 5 + c), repeats=True),
        "xyxy-score-class": Head(xyxy_score_class, lambda _: ("boxes", 6), repeats=False),
    }
)
"""By the `head` of a card."""
