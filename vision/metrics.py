"""Average precision as ultralytics counts it, so that its numbers and ours can be compared.

After `ap_per_class`, `compute_ap` and `match_predictions` of ultralytics 8.4 (AGPL-3.0), whose outcome they keep:
101-point interpolation, IoU 0.5 to 0.95, greedy matching in order of score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vision.detections import Detections
from vision.postprocess import iou_matrix

IOUS = np.linspace(0.5, 0.95, 10)
SCORES = np.linspace(0.0, 1.0, 1000)  # where precision and recall are read off
RECALLS = np.linspace(0.0, 1.0, 101)
SMOOTHED = 0.1  # width over which the F1 curve is averaged before its best score is sought
EPS = 1e-16

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Truth:
    """What is really in one picture."""

    xyxy: NDArray[np.float32]  # (M, 4), in the same pixels as the detections
    label: NDArray[np.int64]  # (M,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """By class that has ground truth: K rows."""

    label: NDArray[np.int64]  # (K,)
    boxes: NDArray[np.int64]  # (K,) how many there are
    ap: Floats  # (K, 10), at IOUS
    precision: Floats  # (K,) at `score`
    recall: Floats  # (K,) at `score`
    f1: Floats  # (K, 1000), at SCORES
    score: float  # where F1, averaged over the classes, is best


def matched(found: Detections, truth: Truth) -> Bools:
    """(N, 10): whether each detection, best first, hits a true box of its class that no better one has, at IOUS."""
    hits = np.zeros((len(found), len(IOUS)), bool)
    overlap = iou_matrix(truth.xyxy, found.xyxy) * (truth.label[:, None] == found.label[None, :])
    taken = np.zeros((len(truth.label), len(IOUS)), bool)
    steps = np.arange(len(IOUS))
    for j in np.flatnonzero((overlap >= IOUS[0]).any(axis=0)):
        free = np.where(taken, 0.0, overlap[:, j, None])
        best = free.argmax(axis=0)
        hits[j] = free[best, steps] >= IOUS
        taken[best, steps] |= hits[j]
    return hits


def metrics(found: Sequence[Detections], truths: Sequence[Truth]) -> Metrics:
    """Of any number of pictures, none included; detections of each best first."""
    hits = np.concatenate([matched(f, t) for f, t in zip(found, truths, strict=True)] or [np.zeros((0, 10), bool)])
    everything = joined(found)
    order = np.argsort(-everything.score, kind="stable")
    everything, hits = everything[order], hits[order]
    true_labels = np.concatenate([t.label for t in truths] or [np.zeros(0, np.int64)])
    labels, boxes = np.unique(true_labels, return_counts=True)
    ap = np.zeros((len(labels), len(IOUS)))
    precision, recall = np.zeros((len(labels), len(SCORES))), np.zeros((len(labels), len(SCORES)))
    for k, (label, count) in enumerate(zip(labels, boxes, strict=True)):
        own = everything.label == label
        if own.any():
            ap[k], precision[k], recall[k] = _curves(hits[own], everything.score[own], int(count))
    f1 = 2 * precision * recall / (precision + recall + EPS)
    best = int(smooth(f1.mean(axis=0)).argmax()) if len(labels) else 0
    return Metrics(
        label=labels.astype(np.int64),
        boxes=boxes.astype(np.int64),
        ap=ap,
        precision=precision[:, best],
        recall=recall[:, best],
        f1=f1,
        score=float(SCORES[best]),
    )


def joined(found: Sequence[Detections]) -> Detections:
    """The detections of several pictures, one after the other."""
    parts = [Detections.empty(), *found]
    return Detections(
        np.concatenate([p.xyxy for p in parts]),
        np.concatenate([p.score for p in parts]),
        np.concatenate([p.label for p in parts]),
    )


def average_precision(recall: Floats, precision: Floats) -> float:
    """Area under the envelope of a precision-recall curve, read at 101 recalls."""
    recall = np.concatenate([[0.0], recall, [recall[-1], 1.0]])
    precision = np.concatenate([[1.0], precision, [0.0, 0.0]])
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.trapezoid(np.interp(RECALLS, recall, envelope), RECALLS))


def smooth(curve: Floats, fraction: float = SMOOTHED) -> Floats:
    """A curve averaged over a window that is `fraction` of its length; its ends are held."""
    window = round(len(curve) * fraction * 2) // 2 + 1
    held = np.pad(curve, window // 2, mode="edge")
    return np.convolve(held, np.ones(window) / window, mode="valid")


def _curves(hits: Bools, score: NDArray[np.float32], count: int) -> tuple[Floats, Floats, Floats]:
    """One class, best first: AP at IOUS (10,), precision and recall at SCORES (1000,)."""
    right, wrong = hits.cumsum(axis=0), (~hits).cumsum(axis=0)
    recall, precision = right / (count + EPS), right / (right + wrong)
    ap = np.array([average_precision(recall[:, j], precision[:, j]) for j in range(len(IOUS))])
    at = (-SCORES, -score.astype(np.float64))  # np.interp wants rising abscissae
    return ap, np.interp(*at, precision[:, 0], left=1.0), np.interp(*at, recall[:, 0], left=0.0)
