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

GATE = 5.99  # chi² with two degrees of freedom at 95 %: wider, and neighbours 6 m apart become one too often
BEYOND = GATE + 1.0  # what counts for every distance outside of the gate
JITTER_M = 1.0  # 1 sigma, each axis, of a receiver from frame to frame
DRIFTS = 1 / 200  # of the vehicle's own variance: by so much more its position is off a metre farther down the road
ALIKE = 0.3  # correlation of a frame's other errors with those of the frames around it: pitch and heading sway slowly
FLOOR_M = 0.3  # never surer than this within a pass
AGREEING = 0.25  # what a further frame adds to the evidence of the best one: their errors go together
MAX_LOGIT = 4.6  # 0.99: one pass alone never says more

# Two by two is done in plain numbers: numpy takes longer to begin than Python does to end.
Offset = tuple[float, float]  # metres east and north
Symmetric = tuple[float, float, float]  # east-east, east-north, north-north


@dataclass(slots=True, eq=False, kw_only=True)
class Spot:
    """One detection, placed. Nobody changes it: it is not frozen because freezing triples what making one costs."""

    frame: Frame
    bare: Frame  # the same without the bytes of its picture
    box_xyxy: tuple[float, float, float, float]  # pixels of the frame
    kind: str
    confidence: float  # calibrated, of the frame alone
    enu: Offset  # of the pass's origin
    covariance: Symmetric  # m², without the vehicle's own error
    from_enu: Offset  # where the vehicle was
    accuracy_m: float  # the vehicle's own position error, 1 sigma
    rank: int  # order among the frame's boxes of its group, from left to right

    def without_picture(self) -> Spot:
        """The same spot, its frame without the bytes: the pictures of a whole pass would fill the memory."""
        return self if self.frame is self.bare else replace(self, frame=self.bare)


@dataclass(slots=True, eq=False)
class Track:
    """One thing of one pass, growing."""

    spots: list[Spot]  # without their pictures
    information: Symmetric
    weighted: Offset  # information times position
    best: Spot
    enu: Offset = field(init=False)  # in the frame of the spots
    covariance: Symmetric = field(init=False)  # m², without the vehicle's own error
    sent: bool = False
    _surest: dict[str, Spot] = field(default_factory=dict)  # of each kind, with its picture

    def __post_init__(self) -> None:
        self._fuse()

    @classmethod
    def started(cls, spot: Spot) -> Track:
        information = _information(spot)
        return cls(
            [spot.without_picture()], information, _applied(information, spot.enu), spot, _surest={spot.kind: spot}
        )

    def _fuse(self) -> None:
        """What is known of the position by now; once a spot, as it is asked for at every frame."""
        n = len(self.spots)
        spread = ee, en, nn = _inverse(self.information)
        self.enu = _applied(spread, self.weighted)
        sway = ALIKE * (n - 1)
        own = FLOOR_M**2 - sway * JITTER_M**2 / n
        self.covariance = (ee * (1 + sway) + own, en * (1 + sway), nn * (1 + sway) + own)

    def add(self, spot: Spot) -> None:
        information = _information(spot)
        self._learn(information, _applied(information, spot.enu))
        self.spots.append(spot.without_picture())
        self._fuse()
        if not self.sent:  # what is told of it is told
            self._show(spot)

    def absorb(self, other: Track) -> None:
        """Take in a track of the same thing."""
        self._learn(other.information, other.weighted)
        self.spots = sorted([*self.spots, *other.spots], key=lambda spot: spot.frame.time)
        self._fuse()
        if not self.sent:
            for spot in (other.best, *other._surest.values()):
                self._show(spot)

    def _learn(self, information: Symmetric, weighted: Offset) -> None:
        (ee, en, nn), (east, north) = self.information, self.weighted
        self.information = (ee + information[0], en + information[1], nn + information[2])
        self.weighted = (east + weighted[0], north + weighted[1])

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
    near, cost = _distances(tracks, spots)
    taken = set()
    if near:
        rows, columns = linear_sum_assignment(cost)
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            if cost[row, column] <= GATE:
                near[row].add(spots[column])
                taken.add(column)
    return tracks + [Track.started(spot) for i, spot in enumerate(spots) if i not in taken]


def same(track: Track, others: Sequence[Track]) -> Track | None:
    """The nearest of other tracks that no frame shows beside this one, and that is the same thing; None for none."""
    own, last = track.covariance, track.spots[-1]
    near: list[tuple[float, int]] = []
    for i, other in enumerate(others):
        drift = _drift(last, other.spots[-1])
        distance = _apart(track.enu, own, other.enu, other.covariance, drift)
        if distance <= GATE:
            near.append((distance, i))
    if not near:
        return None
    frames = {spot.frame.id for spot in track.spots}
    for _, i in sorted(near):
        if frames.isdisjoint(spot.frame.id for spot in others[i].spots):
            return others[i]
    return None


def _distances(tracks: list[Track], spots: list[Spot]) -> tuple[list[Track], np.ndarray]:
    """The tracks that a spot may belong to, and (T, S) squared Mahalanobis distances, those beyond the gate alike."""
    near, cost = [], []
    for track in tracks:
        drift = JITTER_M**2 + (_drift(track.spots[-1], spots[0]) if spots else 0.0)
        row = [_apart(track.enu, track.covariance, spot.enu, spot.covariance, drift) for spot in spots]
        if row and min(row) <= GATE:
            near.append(track)
            cost.append(row)
    return near, np.minimum(np.array(cost, np.float64).reshape(len(near), len(spots)), BEYOND)


def _apart(a: Offset, a_spread: Symmetric, b: Offset, b_spread: Symmetric, each_axis: float) -> float:
    """The squared Mahalanobis distance of two points, with an error of both that is alike on each axis.

    BEYOND where it is plain that they are that far from each other.
    """
    east, north = b[0] - a[0], b[1] - a[1]
    ee, nn = a_spread[0] + b_spread[0] + each_axis, a_spread[2] + b_spread[2] + each_axis
    squared = east * east + north * north
    if squared > BEYOND * (ee + nn):  # no direction has more variance than both axes together
        return BEYOND
    en = a_spread[1] + b_spread[1]
    return (nn * east * east - 2 * en * east * north + ee * north * north) / (ee * nn - en * en)


def _inverse(of: Symmetric) -> Symmetric:
    ee, en, nn = of
    determinant = ee * nn - en * en
    return (nn / determinant, -en / determinant, ee / determinant)


def _applied(to: Symmetric, offset: Offset) -> Offset:
    east, north = offset
    return (to[0] * east + to[1] * north, to[1] * east + to[2] * north)


def _information(spot: Spot) -> Symmetric:
    ee, en, nn = spot.covariance
    return _inverse((ee + JITTER_M**2, en, nn + JITTER_M**2))


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
