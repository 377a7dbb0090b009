"""What a model says becomes boxes: threshold, suppress repeats, go back to the source picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from vision.detections import Detections
from vision.letterbox import Letterbox

IOU = 0.7  # boxes of a class that overlap more are one thing; as ultralytics
MAX_DETECTIONS = 300  # of a picture

Floats = NDArray[np.float32]


def xywh_scores(raw: Floats, floor: Floats) -> Detections:
    """One picture's raw output (4 + C, A), input pixels: every score above its class's `floor` (C,) is a candidate.

    An anchor may speak for several classes, as in ultralytics' validation (`multi_label`).
    """
    scores = raw[4:]
    label, anchor = np.nonzero(scores > floor[:, None])
    centre, half = raw[:2, anchor].T, raw[2:4, anchor].T / 2
    return Detections(np.hstack([centre - half, centre + half]), scores[label, anchor], label.astype(np.int64))


HEADS: Mapping[str, Callable[[Floats, Floats], Detections]] = MappingProxyType({"xywh-scores": xywh_scores})
"""By the `head` of a card: one picture's raw output and the floors to candidates in input pixels."""


def suppressed(found: Detections, iou: float = IOU, limit: int = MAX_DETECTIONS) -> Detections:
    """Best first, without boxes that overlap a better one of their class by more than `iou`; at most `limit`."""
    found = found[np.argsort(-found.score, kind="stable")]
    alive = np.ones(len(found), bool)
    kept: list[int] = []
    for i in range(len(found)):
        if not alive[i]:
            continue
        kept.append(i)
        if len(kept) == limit:
            break
        later = slice(i + 1, None)
        repeats = iou_matrix(found.xyxy[i : i + 1], found.xyxy[later])[0] > iou
        alive[later] &= ~(repeats & (found.label[later] == found.label[i]))
    return found[np.array(kept, np.int64)]


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


def detections(raw: Floats, letterboxes: Sequence[Letterbox], floor: Floats, head: str) -> list[Detections]:
    """A batch's raw output, one entry a picture, as boxes in the pixels of each source picture, best first."""
    read = HEADS[head]
    results = []
    for one, letterbox in zip(raw, letterboxes, strict=True):
        found = suppressed(read(one, floor))
        results.append(Detections(letterbox.source_from_input(found.xyxy), found.score, found.label))
    return results
