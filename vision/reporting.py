"""Reporting: from a detector's raw boxes to what a frame shows, with probabilities."""

from __future__ import annotations

from collections.abc import Sequence

from ingest.frame import Frame
from models.card import Card
from vision.detections import Detections
from vision.detector import Detector
from vision.stretch import Found
from vision.worker import Detect, Shown


def reporter(detector: Detector, card: Card) -> Detect:
    """A detector as the worker wants it: behind the quality gate, boxes above thresholds, scores calibrated."""

    def detect(frames: Sequence[Frame]) -> list[Shown]:
        results = [future.result() for future in [detector.submit_gated(frame.jpeg) for frame in frames]]
        return [found(r, card) if isinstance(r, Detections) else r for r in results]

    return detect


def found(detections: Detections, card: Card) -> list[Found]:
    """The detections that count, each with the probability that it is right."""
    out = []
    for box, score, label in zip(detections.xyxy, detections.score, detections.label, strict=True):
        kind = card.classes[int(label)]
        if score >= card.thresholds[int(label)]:
            x1, y1, x2, y2 = (float(v) for v in box)
            out.append(Found(kind=kind, confidence=card.calibrated(kind, float(score)), box_xyxy=(x1, y1, x2, y2)))
    return out
