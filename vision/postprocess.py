"""What a model says becomes boxes: threshold, suppress repeats, go back to the source picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vision.detections import Detections
from vision.heads import Floats, Head, ShapeHw
from vision.letterbox import Letterbox

IOU = 0.7  # boxes of a class that overlap more are one thing; as ultralytics
MAX_DETECTIONS = 300  # of a picture
MAX_CANDIDATES = (
    30_000  # of a picture, the best: bounds what a net that sees things everywhere can cost; as ultralytics
)
FEW = 64  # boxes that a loop settles sooner than arrays do
DOUBT = 1e-5  # overlaps so close to the threshold may fall on either side of it in float32
TINY, HUGE = 1e-12, 1e12  # square pixels: areas between them neither vanish nor overflow in float32
BLOCK = 128  # boxes compared with all others at a time: more would not stay in the processor's cache

Indices = NDArray[np.int64]


def one_picture(raw: Floats, letterbox: Letterbox, floor: Floats, head: Head, shape_hw: ShapeHw) -> Detections:
    """One picture's raw output as boxes in the pixels of the source picture, best first.

    `floor` (C,) is by class: scores above it count. `shape_hw` is that of the input.
    """
    found = head.read(raw, floor, shape_hw)
    if not len(found):
        return found
    finite = np.isfinite(found.xyxy)
    if not finite.all():  # a net in half precision may overflow
        found = found[np.asarray(finite.all(axis=1))]
    if len(found) > MAX_CANDIDATES:
        found = found[np.argpartition(-found.score, MAX_CANDIDATES)[:MAX_CANDIDATES]]
    found = suppressed(found) if head.repeats else best_first(found)[:MAX_DETECTIONS]
    return Detections(letterbox.source_from_input(found.xyxy), found.score, found.label)


def best_first(found: Detections) -> Detections:
    """By score; of equal ones the first stays the first."""
    return found[np.argsort(-found.score, kind="stable")] if len(found) > 1 else found


def suppressed(found: Detections, iou: float = IOU, limit: int = MAX_DETECTIONS) -> Detections:
    """Best first, without boxes that overlap a better one of their class by more than `iou`; at most `limit`.

    Exactly what torchvision's `nms` keeps class by class, to the last bit of its float32 arithmetic.
    """
    found = best_first(found)
    if len(found) < 2:
        return found[:limit]
    chosen = kept_of_few(found, iou) if len(found) <= FEW else None
    return found[kept(found, iou, limit) if chosen is None else chosen[:limit]]


def kept_of_few(found: Detections, iou: float) -> Indices | None:
    """As `kept`, without its arrays: for what a street shows, a fifth of the time. None where float32 may decide.

    Overlaps are computed in double precision. float32 errs by less than a millionth of them, so that only those close
    to the threshold, and boxes of absurd size, could come out otherwise.
    """
    stays: list[int] = []
    better: list[tuple[float, float, float, float, float, int]] = []
    for number, ((x1, y1, x2, y2), label) in enumerate(zip(found.xyxy.tolist(), found.label.tolist(), strict=True)):
        size = (x2 - x1) * (y2 - y1)
        if not TINY < size < HUGE or x2 < x1:
            return None
        for left, top, right, bottom, other, kind in better:
            width = (x2 if x2 < right else right) - (x1 if x1 > left else left)
            height = (y2 if y2 < bottom else bottom) - (y1 if y1 > top else top)
            if kind != label or width <= 0 or height <= 0:
                continue
            common = width * height
            over = common / (size + other - common) - iou
            if abs(over) < DOUBT:
                return None
            if over > 0:
                break
        else:
            stays.append(number)
            better.append((x1, y1, x2, y2, size, label))
    return np.array(stays, np.int64)


def kept(found: Detections, iou: float, limit: int) -> Indices:
    """Which of boxes that are sorted best first are no repeats: their indices, at most `limit`.

    A block of the best that are left is settled among itself, then clears away its repeats among all others.
    """
    columns = np.empty((6, len(found)), np.float32)
    columns[:4], columns[4], columns[5] = found.xyxy.T, area(found.xyxy), found.label
    threshold = _at_most(iou)
    left = np.arange(len(found))
    chosen: list[Indices] = []
    while True:
        block, left = left[:BLOCK], left[BLOCK:]
        better, worse = repeats(columns[:, block], columns[:, block], threshold)
        chosen.append(block[_settled(better, worse, len(block))])
        if not len(left) or sum(map(len, chosen)) >= limit:
            return np.concatenate(chosen)[:limit]
        _, worse = repeats(columns[:, chosen[-1]], columns[:, left], threshold)
        left = np.delete(left, worse)


def repeats(columns: Floats, other: Floats, threshold: np.float32) -> tuple[Indices, Indices]:
    """Pairs (i, j) of one class where box i of `columns` and box j of `other` overlap by more than `threshold`.

    Rows are x1, y1, x2, y2, area and class. Most pairs do not touch, which takes only comparisons to see.
    """
    x1, y1, x2, y2, _, label = columns[:, :, None]
    touch = label == other[5]
    for before, after in ((x1, other[2]), (other[0], x2), (y1, other[3]), (other[1], y2)):
        touch &= before < after
    i, j = touch.nonzero()
    one, two = columns[:, i], other[:, j]
    sides = np.minimum(one[2:4], two[2:4]) - np.maximum(one[:2], two[:2])
    np.maximum(sides, 0, out=sides)  # a net may tell a box whose right is left of its left
    common = sides[0] * sides[1]
    with np.errstate(divide="ignore", invalid="ignore"):  # boxes without area overlap nothing
        over = common / (one[4] + two[4] - common) > threshold
    return i[over], j[over]


def iou_matrix(xyxy: Floats, other: Floats) -> Floats:
    """Intersection over union of (N, 4) with (M, 4) boxes: (N, M). Boxes without area have none."""
    low = np.maximum(xyxy[:, None, :2], other[None, :, :2])
    high = np.minimum(xyxy[:, None, 2:], other[None, :, 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=2)
    union = area(xyxy)[:, None] + area(other)[None, :] - common
    return np.asarray(np.divide(common, union, out=np.zeros_like(common), where=union > 0))


def area(xyxy: Floats) -> Floats:
    """Of (N, 4) boxes, in square pixels: (N,)."""
    return (xyxy[:, 2] - xyxy[:, 0]) * (xyxy[:, 3] - xyxy[:, 1])


def _settled(better: Indices, worse: Indices, count: int) -> NDArray[np.bool_]:
    """Who stays of boxes sorted best first: those that no better one which stays repeats.

    Each round settles at least the next box in order, so that it ends; a few rounds do.
    """
    stays = np.ones(count, bool)
    later = better < worse
    if not later.any():
        return stays
    better, worse = better[later], worse[later]
    while True:
        now = np.ones(count, bool)
        now[worse[stays[better]]] = False
        if (now == stays).all():
            return stays
        stays = now


def _at_most(iou: float) -> np.float32:
    """The largest float32 that is not above `iou`: overlaps are compared with the threshold as it was given."""
    nearest = np.float32(iou)
    return nearest if float(nearest) <= iou else np.nextafter(nearest, np.float32(-1))
