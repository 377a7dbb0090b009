"""Parked: two-wheelers without rider that stand still where parking them is forbidden (非机动车乱停放, 09010).

A second model, trained on COCO, looks at a frame only when a no-parking area is near; else it costs nothing. What it
finds becomes a sighting only when several frames of a pass show it at one place on the ground, inside such an area.
It is a candidate: human confirmation required. How sure a sighting is, is held below what opens a case at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ingest.frame import Frame
from models.card import MODELS, Card, Measured, read_card, read_measured
from vision.detections import Detections
from vision.detector import Detector
from vision.engines import AUTO
from vision.geotag import RANGE_LIMIT_M
from vision.no_parking import NoParking
from vision.postprocess import suppressed
from vision.stretch import Found
from vision.track import JITTER_M, Track

MODEL = MODELS / "two-wheelers-v1"
KIND = "parked_two_wheeler"
PERSON, BICYCLE, MOTORCYCLE = 0, 1, 3  # of COCO's classes
PERSON_SCORE = 0.15  # low on purpose: who is taken for a rider in vain costs a sighting, not an office's time
ASIDE = 0.3  # of the narrower box: so much of rider and two-wheeler lies over each other from side to side
SADDLE = 0.4  # of a two-wheeler's height, from above: a rider begins above it ...
SAME = 0.6  # overlap of a bicycle and a motorcycle that are one thing
FRAMES = 3  # of a pass that show it
MOVES_MPS = 1.0  # what is slower stands ...
SIGMAS = 2.0  # ... as does what may be standing, as far as its positions are known
MOST = 0.65  # of a sighting's confidence: below `dispatcher.belief.OPENS_AT`, so that one pass alone opens no case

Floats = NDArray[np.float32]


class Parked:
    """The second model and its areas."""

    def __init__(self, areas: NoParking, engine: str = AUTO, folder: Path = MODEL) -> None:
        """Load the model. Raises ModelUnusable, or EngineUnavailable."""
        self._areas = areas
        card = read_card(folder, unmeasured=True)
        self._known = two_wheeler(card)
        self._detector = Detector(card, engine=engine)
        self.version = self._detector.version
        self.looks = 0  # frames that it looked at

    def near(self, frame: Frame) -> bool:
        """Whether the frame may show a no-parking area."""
        return self._areas.near(frame.fix.lat, frame.fix.lon, RANGE_LIMIT_M)

    def __call__(self, frames: Sequence[Frame]) -> list[list[Found] | ValueError]:
        """The two-wheelers without rider in each frame, or why a picture does not decode."""
        self.looks += len(frames)
        results = self._detector.detect_jpegs([frame.jpeg for frame in frames], floor=PERSON_SCORE)
        return [self._found(one) if isinstance(one, Detections) else one for one in results]

    def judged(self, track: Track, kind: str, confidence: float, lat: float, lon: float) -> float | None:
        """How sure a sighting is that it should be told; None when it should not."""
        if kind != KIND:
            return confidence
        frames = len({spot.frame.id for spot in track.spots})
        if frames < FRAMES or not self._areas.holds(lat, lon) or not stands(track):
            return None
        return min(confidence, MOST)

    def _found(self, told: Detections) -> list[Found]:
        alone = riderless(told)
        alone = alone[alone.score >= self._known.threshold]
        out = []
        for (x1, y1, x2, y2), score in zip(alone.xyxy.tolist(), alone.score.tolist(), strict=True):
            out.append(Found(kind=KIND, confidence=worth(self._known, score), box_xyxy=(x1, y1, x2, y2)))
        return out


def two_wheeler(card: Card) -> Measured:
    """Threshold and calibration of two-wheelers. Raises ModelUnusable when they were measured on another file."""
    known, _ = read_measured(card.folder, {"fp32": card.weights["fp32"].sha256}, ("two_wheeler",))
    return known["two_wheeler"]


def worth(known: Measured, score: float) -> float:
    """The probability that a detection of raw `score` shows a two-wheeler."""
    score = min(max(score, 1e-6), 1 - 1e-6)
    return 1 / (1 + math.exp(-(known.slope * math.log(score / (1 - score)) + known.offset)))


def two_wheelers(told: Detections) -> Detections:
    """Bicycles and motorcycles, each thing once, all of label 0."""
    own = told[(told.label == BICYCLE) | (told.label == MOTORCYCLE)]
    return suppressed(Detections(own.xyxy, own.score, np.zeros(len(own), np.int64)), SAME)


def riderless(told: Detections) -> Detections:
    """The two-wheelers that no person's box overlaps from above."""
    own, people = two_wheelers(told), told.xyxy[told.label == PERSON]
    return own[np.asarray(~ridden(own.xyxy, people).any(axis=1))]


def ridden(xyxy: Floats, people: Floats) -> NDArray[np.bool_]:
    """Of two-wheelers (N, 4), which of the people (M, 4) sit on it: (N, M)."""
    own, others = xyxy[:, None], people[None]
    wide = np.minimum(own[..., 2], others[..., 2]) - np.maximum(own[..., 0], others[..., 0])
    narrower = np.minimum(own[..., 2] - own[..., 0], others[..., 2] - others[..., 0])
    saddle = own[..., 1] + SADDLE * (own[..., 3] - own[..., 1])
    over = (others[..., 1] < saddle) & (others[..., 3] > own[..., 1])
    return np.asarray(over & (wide > ASIDE * narrower))


def stands(track: Track) -> bool:
    """Whether the positions of a pass are those of a thing that does not move: a straight line in time is fitted."""
    at = np.array([spot.frame.time.timestamp() for spot in track.spots])
    at -= at.mean()
    enu = np.array([spot.enu for spot in track.spots])
    variance = np.array([(s.covariance[0] + s.covariance[2]) / 2 + JITTER_M**2 for s in track.spots])
    at -= np.average(at, weights=1 / variance)
    moment = float((at**2 / variance).sum())
    if moment <= 0:
        return False  # all at one time: nobody can tell
    mps = np.hypot(*((at / variance) @ enu / moment))
    return bool(mps <= max(MOVES_MPS, SIGMAS / math.sqrt(moment)))
