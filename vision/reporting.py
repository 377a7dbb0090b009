"""Reporting: from a detector's raw boxes to what a frame shows, with probabilities."""

from __future__ import annotations

from collections.abc import Sequence

from ingest.frame import Frame
from models.card import Card
from vision.detections import Detections
from vision.detector import Detector
from vision.stretch import Found
from vision.worker import Detect


def reporter(detector: Detector, card: Card) -> Detect:
    """A detector as the worker wants it: boxes over the card's threshold, scores calibrated."""

    def detect(frames: Sequence[Frame]) -> list[list[Found] | ValueError]:
        results = detector.detect_jpegs([frame.jpeg for frame in frames])
        return [r if isinstance(r, ValueError) else found(r, card) for r in results]

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
