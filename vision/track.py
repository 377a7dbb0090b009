"""Track: one thing through the frames of a pass, fused in ground coordinates.

The camera moves metres between frames, so boxes do not overlap from one to the next: things are matched where they
stand. Frames are fused in information form; the vehicle's own position error is common to all and kept apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from ingest.frame import Frame
from ingest.geo import Floats

GATE = 9.21  # chi² with two degrees of freedom at 99 %
JITTER_M = 0.7  # from frame to frame a receiver wanders by about this
FLOOR_M = 0.3  # errors of frames are not independent: never surer than this within a pass
AGREEING = 0.25  # what a further frame adds to the evidence of the best one: their errors go together
MAX_LOGIT = 4.6  # 0.99: one pass alone never says more


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """One detection, placed."""

    frame: Frame
    box_xyxy: tuple[float, float, float, float]  # pixels of the frame
    kind: str
    confidence: float  # calibrated, of the frame alone
    enu: Floats  # (2,) metres east and north of the pass's origin
    covariance: Floats  # (2, 2)
    accuracy_m: float  # the vehicle's own position error, 1 sigma
    rank: int  # order among the frame's boxes of its group, from left to right

    def without_picture(self) -> Spot:
        """The same spot, its frame without the bytes: the pictures of a whole pass would fill the memory."""
        return replace(self, frame=replace(self.frame, jpeg=b""))


@dataclass(slots=True)
class Track:
    """One thing of one pass, growing."""

    spots: list[Spot]  # without their pictures
    information: Floats  # (2, 2)
    weighted: Floats  # (2,) information @ position
    best: Spot
    enu: Floats = field(init=False)  # (2,) metres, in the frame of the spots
    covariance: Floats = field(init=False)  # (2, 2) m², without the vehicle's own error
    sent: bool = False
    _surest: dict[str, Spot] = field(default_factory=dict)  # of each kind, with its picture

    def __post_init__(self) -> None:
        self._fuse()

    @classmethod
    def started(cls, spot: Spot) -> Track:
        information = np.asarray(np.linalg.inv(spot.covariance), np.float64)
        lean = spot.without_picture()
        return cls([lean], information, information @ spot.enu, spot, _surest={spot.kind: spot})

    def _fuse(self) -> None:
        """What is known of the position by now; once a spot, as it is asked for at every frame."""
        spread = np.linalg.inv(self.information)
        self.enu, self.covariance = spread @ self.weighted, spread + FLOOR_M**2 * np.eye(2)

    def add(self, spot: Spot) -> None:
        information = np.linalg.inv(spot.covariance + JITTER_M**2 * np.eye(2))
        self.information = self.information + information
        self.weighted = self.weighted + information @ spot.enu
        self._fuse()
        self.spots.append(spot.without_picture())
        if self.sent:
            return  # what is told of it is told
        if _worth(spot) > _worth(self.best):
            self.best = spot
        if spot.kind not in self._surest or spot.confidence > self._surest[spot.kind].confidence:
            self._surest[spot.kind] = spot

    def shown_by(self, kind: str) -> Spot:
        """The spot whose picture shows the thing best, as that kind."""
        return self.best if self.best.kind == kind else self._surest[kind]

    def told(self) -> None:
        """It was sent: later spots belong to it still, and are not told again. Its pictures are let go."""
        self.sent = True
        self.best = self.best.without_picture()
        self._surest.clear()

    def verdict(self) -> tuple[str, float]:
        """(kind, probability): the kind with the most weight over the frames, and how sure the pass is of it."""
        weight: dict[str, float] = {}
        for spot in self.spots:
            weight[spot.kind] = weight.get(spot.kind, 0.0) + spot.confidence
        kind = max(sorted(weight), key=lambda k: weight[k])
        logits = sorted((_logit(s.confidence) for s in self.spots if s.kind == kind), reverse=True)
        pooled = logits[0] + AGREEING * sum(max(0.0, v) for v in logits[1:])
        share = weight[kind] / sum(weight.values())
        return kind, share / (1.0 + math.exp(-min(pooled, MAX_LOGIT)))


def associate(tracks: list[Track], spots: list[Spot]) -> list[Track]:
    """Give each spot of one frame to the track it belongs to (Hungarian, one to one), or start a track. Returns all."""
    if not tracks or not spots:
        return tracks + [Track.started(spot) for spot in spots]
    cost = _distances(tracks, spots)
    rows, columns = linear_sum_assignment(np.minimum(cost, GATE + 1.0))
    taken = set()
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        if cost[row, column] <= GATE:
            tracks[row].add(spots[column])
            taken.add(column)
    return tracks + [Track.started(spot) for i, spot in enumerate(spots) if i not in taken]


def _distances(tracks: list[Track], spots: list[Spot]) -> Floats:
    """(T, S) squared Mahalanobis distances between what each track knows and each spot."""
    apart = np.array([spot.enu for spot in spots]) - np.array([track.enu for track in tracks])[:, None]
    own = np.array([spot.covariance for spot in spots])
    spread = np.array([track.covariance for track in tracks])[:, None] + own + JITTER_M**2 * np.eye(2)
    east, north = apart[..., 0], apart[..., 1]
    ee, en, nn = spread[..., 0, 0], spread[..., 0, 1], spread[..., 1, 1]
    return np.asarray((nn * east**2 - 2 * en * east * north + ee * north**2) / (ee * nn - en**2))


def _worth(spot: Spot) -> float:
    """How good a picture of the thing a spot is: sure, large, and not cut by the picture's edge."""
    x1, y1, x2, y2 = spot.box_xyxy
    width, height = spot.frame.size_wh
    cut = x1 <= 1 or y1 <= 1 or x2 >= width - 1 or y2 >= height - 1
    size = math.sqrt(max(0.0, (x2 - x1) * (y2 - y1)) / (width * height))
    return spot.confidence * min(1.0, 0.5 + size) * (0.7 if cut else 1.0)


def _logit(p: float) -> float:
    p = min(max(p, 1e-4), 1 - 1e-4)
    return math.log(p / (1 - p))
