"""Track: one thing through the frames of a pass, fused in ground coordinates.

The camera moves metres between frames, so boxes do not overlap from one to the next: things are matched where they
stand. Frames are fused in information form; the vehicle's own position error is common to all and kept apart, but for
what of it changes from frame to frame. A thing that two tracks share, because it seemed too far off at first, is one
again before it is told.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from ingest.frame import Frame
from ingest.geo import Floats

GATE = 5.99  # chi² with two degrees of freedom at 95 %: wider, and neighbours 6 m apart become one too often
JITTER_M = 1.0  # 1 sigma, each axis, of a receiver from frame to frame
DRIFTS = 1 / 200  # of the vehicle's own variance: by so much more its position is off a metre farther down the road
ALIKE = 0.3  # correlation of a frame's other errors with those of the frames around it: pitch and heading sway slowly
FLOOR_M = 0.3  # never surer than this within a pass
AGREEING = 0.25  # what a further frame adds to the evidence of the best one: their errors go together
MAX_LOGIT = 4.6  # 0.99: one pass alone never says more
EYE = np.eye(2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """One detection, placed."""

    frame: Frame
    box_xyxy: tuple[float, float, float, float]  # pixels of the frame
    kind: str
    confidence: float  # calibrated, of the frame alone
    enu: Floats  # (2,) metres east and north of the pass's origin
    covariance: Floats  # (2, 2)
    from_enu: tuple[float, float]  # where the vehicle was
    accuracy_m: float  # the vehicle's own position error, 1 sigma
    rank: int  # order among the frame's boxes of its group, from left to right

    def without_picture(self) -> Spot:
        """The same spot, its frame without the bytes: the pictures of a whole pass would fill the memory."""
        return replace(self, frame=replace(self.frame, jpeg=b""))


@dataclass(slots=True, eq=False)
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
        information = _information(spot)
        return cls([spot.without_picture()], information, information @ spot.enu, spot, _surest={spot.kind: spot})

    def _fuse(self) -> None:
        """What is known of the position by now; once a spot, as it is asked for at every frame."""
        n = len(self.spots)
        spread = np.linalg.inv(self.information)
        self.enu = spread @ self.weighted
        self.covariance = spread + ALIKE * (n - 1) * (spread - JITTER_M**2 / n * EYE) + FLOOR_M**2 * EYE

    def add(self, spot: Spot) -> None:
        information = _information(spot)
        self.information = self.information + information
        self.weighted = self.weighted + information @ spot.enu
        self.spots.append(spot.without_picture())
        self._fuse()
        if not self.sent:  # what is told of it is told
            self._show(spot)

    def absorb(self, other: Track) -> None:
        """Take in a track of the same thing."""
        self.information = self.information + other.information
        self.weighted = self.weighted + other.weighted
        self.spots = sorted([*self.spots, *other.spots], key=lambda spot: spot.frame.time)
        self._fuse()
        if not self.sent:
            for spot in (other.best, *other._surest.values()):
                self._show(spot)

    def _show(self, spot: Spot) -> None:
        """Keep the picture of a spot when it is the best yet."""
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


def same(track: Track, others: Sequence[Track]) -> Track | None:
    """The nearest of other tracks that no frame shows beside this one, and that is the same thing; None for none."""
    if not others:
        return None
    apart = np.array([other.enu for other in others]) - track.enu
    spread = np.array([other.covariance for other in others]) + track.covariance
    spread += np.array([_drift(track.spots[-1], other.spots[-1]) for other in others])[:, None, None] * EYE
    distance = _mahalanobis(apart, spread)
    frames = {spot.frame.id for spot in track.spots}
    for i in np.argsort(distance, kind="stable").tolist():
        if distance[i] > GATE:
            return None
        if frames.isdisjoint(spot.frame.id for spot in others[i].spots):
            twin: Track = others[i]
            return twin
    return None


def _distances(tracks: list[Track], spots: list[Spot]) -> Floats:
    """(T, S) squared Mahalanobis distances between what each track knows and each spot."""
    apart = np.array([spot.enu for spot in spots]) - np.array([track.enu for track in tracks])[:, None]
    own = np.array([spot.covariance for spot in spots])
    drift = JITTER_M**2 + np.array([_drift(track.spots[-1], spots[0]) for track in tracks])
    known = np.array([track.covariance for track in tracks]) + drift[:, None, None] * EYE
    return _mahalanobis(apart, known[:, None] + own)


def _mahalanobis(apart: Floats, spread: Floats) -> Floats:
    """(…) squared, of offsets (…, 2) under covariances (…, 2, 2)."""
    east, north = apart[..., 0], apart[..., 1]
    ee, en, nn = spread[..., 0, 0], spread[..., 0, 1], spread[..., 1, 1]
    return np.asarray((nn * east**2 - 2 * en * east * north + ee * north**2) / (ee * nn - en**2))


def _information(spot: Spot) -> Floats:
    return np.asarray(np.linalg.inv(spot.covariance + JITTER_M**2 * EYE), np.float64)


def _drift(a: Spot, b: Spot) -> float:
    """Variance, m² each axis, by which the vehicle's own error differs between two frames, beside the jitter."""
    (east, north), (other_east, other_north) = a.from_enu, b.from_enu
    return DRIFTS * a.accuracy_m * b.accuracy_m * math.hypot(east - other_east, north - other_north)


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
