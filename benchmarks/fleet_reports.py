"""What the cameras of a trip report: the detections of every frame, and what each really is.

Seen     a thing in the field of view, within 28 m, on the same level, not behind a parked van. One time in twelve other
         traffic hides it the whole way, and one frame in twelve otherwise. Whether the model can tell it at all in
         this pass is decided once, with the recall that the pass reports for the kind; from frame to frame it then
         reports it the surer the nearer it is.
Box      its foot where a lens with a pitch error of 0.5 deg (1 sigma, correlated over some 10 m) sees it, and the
         detector's own error of 3 pixels and 2 % of the height at each edge.
False    in 2 % of the frames, anywhere on the ground.
Mistaken an overflowing bin passes for a bin in one pass out of ten, a bin for an overflowing one in one out of 200.
Scores   calibrated among all detections of the district: see `Scores`. A poster's vary little about the poster's own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy.spatial import cKDTree
from scipy.special import betaincinv, ndtr

from benchmarks.fleet_drive import SIZE_WH, Trip, wander
from benchmarks.fleet_world import SIZE_M, District
from ingest.geo import Floats
from vision.camera import DEFAULT_CAMERAS, Camera
from vision.stretch import Found

PITCH_SIGMA_DEG = 0.5
FAR_M = 28.0
CLEAR_M = 12.0
HIDDEN = 1 / 12
FALSE_A_FRAME = 0.02
RECALL = {"garbage": 0.79, "garbage_bin": 0.89, "overflow_bin": 0.86, "street_stall": 0.85, "outside_shop": 0.8}
FALSE_KINDS = {"garbage": 0.35, "garbage_bin": 0.2, "overflow_bin": 0.2, "street_stall": 0.15, "outside_shop": 0.1}
TAKEN_FOR_BIN = 0.1
TAKEN_FOR_OVERFLOW = 0.005
POSTER_CONFIDENCE = (0.35, 0.8)
LEAST_CONFIDENCE = 0.05
DECIDED = 0.2  # a + b of the beta distribution of confidences: small is a model that is mostly sure, one way or other


@dataclass(frozen=True, slots=True)
class Reported:
    """A detection and what it really is: index of a presence, -1 for nothing."""

    found: Found
    presence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Presences:
    """Everything that can be seen, one row for each time that it is there."""

    label: list[str]  # what truth calls it
    thing: list[str]
    kind: list[str]  # what the model takes it for
    real: np.ndarray  # False for posters
    enu: Floats
    level: Floats
    hours: Floats  # (N, 2) from, until
    score: Floats  # a poster's own confidence
    tree: cKDTree

    @classmethod
    def of(cls, district: District) -> Presences:
        rows = []
        for thing in district.things:
            if thing.permanent:
                edges = [-1e6, *(h for e in thing.episodes for h in (e.born_h, e.removed_h)), 1e6]
                for begin, end in zip(edges[::2], edges[1::2], strict=True):
                    rows.append((thing.id, thing, thing.kind, begin, end))
            rows += [(e.id, thing, e.kind, e.born_h, e.removed_h) for e in thing.episodes]
        dice = np.random.default_rng([district.seed, 3])
        enu = np.array([row[1].enu for row in rows])
        return cls(
            label=[row[0] for row in rows],
            thing=[row[1].id for row in rows],
            kind=[row[2] for row in rows],
            real=np.array([not row[1].poster for row in rows]),
            enu=enu,
            level=np.array([row[1].level for row in rows], np.float64),
            hours=np.array([row[3:5] for row in rows]),
            score=dice.uniform(*POSTER_CONFIDENCE, len(rows)),
            tree=cKDTree(enu),
        )


@dataclass(frozen=True, slots=True)
class Scores:
    """How confidences are spread, so that they are calibrated: of those at c, the part c is right.

    All detections of a group have a beta distribution over LEAST_CONFIDENCE to 1 whose mean is the part of them that is
    right; right ones are drawn from it in proportion to c, wrong ones to 1 - c.
    """

    level: Floats  # (2, K) equally likely confidences: of violations, of bins
    right: Floats  # (2, K) cumulative share of the right ones up to each
    wrong: Floats

    @classmethod
    def of(cls, violations_right: float, bins_right: float) -> Scores:
        steps = (np.arange(2000) + 0.5) / 2000
        rows = []
        for part in (violations_right, bins_right):
            mean = min(max((part - LEAST_CONFIDENCE) / (1 - LEAST_CONFIDENCE), 0.02), 0.98)
            beta = betaincinv(DECIDED * mean, DECIDED * (1 - mean), steps)
            rows.append(np.clip(LEAST_CONFIDENCE + (1 - LEAST_CONFIDENCE) * beta, LEAST_CONFIDENCE, 0.995))
        level = np.array(rows)
        right, wrong = np.cumsum(level, axis=1), np.cumsum(1 - level, axis=1)
        return cls(level, right / right[:, -1:], wrong / wrong[:, -1:])

    @classmethod
    def uncalibrated(cls) -> Scores:
        """What a model says that was never calibrated: right ones about 0.8, wrong ones 0.3 to 0.7."""
        steps = (np.arange(2000) + 0.5) / 2000
        right, wrong = betaincinv(8.0, 2.0, steps), 0.3 + 0.4 * steps
        level = np.linspace(0.05, 0.995, 2000)
        tables = [np.tile(np.searchsorted(np.sort(t), level) / 2000, (2, 1)) for t in (right, wrong)]
        return cls(np.tile(level, (2, 1)), *tables)

    def draw(self, quantile: Floats, right: np.ndarray, bin: np.ndarray) -> Floats:
        """Confidences (N,) of detections that are right or wrong, of bins or violations."""
        out = np.zeros(len(quantile))
        for group in (0, 1):
            for table, mask in ((self.right, right), (self.wrong, ~right)):
                mine = mask & (bin == bool(group))
                at = np.minimum(np.searchsorted(table[group], quantile[mine]), self.level.shape[1] - 1)
                out[mine] = self.level[group, at]
        return np.round(out, 4)


def scores(district: District, known: Presences, some: Sequence[Trip]) -> Scores:
    """The spread of confidences of a district, from what is right among the detections of some of its trips."""
    dice = np.random.default_rng([district.seed, 7])
    right, wrong = np.zeros(2), np.zeros(2)
    for trip in some:
        for camera in cameras_of(trip).values():
            seen = _seen(dice, district, known, trip, camera)
            bins = FALSE_KINDS["garbage_bin"]
            wrong += FALSE_A_FRAME * len(trip.hours) * np.array([1 - bins, bins])
            for kind, good in {
                (p, k): (k, g) for p, k, g in zip(seen.presence, seen.kind, seen.right, strict=True)
            }.values():
                (right if good else wrong)[int(kind == "garbage_bin")] += 1  # as often as it becomes a sighting
    part = right / np.maximum(right + wrong, 1)
    return Scores.of(float(part[0]), float(part[1]))


def cameras_of(trip: Trip) -> dict[str, Camera]:
    return {name: DEFAULT_CAMERAS[name] for name in trip.cameras}


@dataclass(frozen=True, slots=True)
class Seen:
    """Detections of things, N of them, in order of frames."""

    row: np.ndarray  # (N,) of the trip
    presence: np.ndarray
    kind: list[str]  # as the model calls it
    boxes: Floats  # (N, 4) pixels
    right: np.ndarray  # a thing of that kind is there


def reports(
    dice: Generator, district: District, known: Presences, trip: Trip, camera: Camera, spread: Scores
) -> list[list[Reported]]:
    """What the model reports in each frame of one camera."""
    seen = _seen(dice, district, known, trip, camera)
    together = dice.standard_normal(len(known.kind))[seen.presence]
    quantile = ndtr(math.sqrt(0.5) * (together + dice.standard_normal(len(seen.row))))
    confidence = spread.draw(quantile, seen.right, np.array([kind == "garbage_bin" for kind in seen.kind], np.bool_))
    own = np.clip(known.score[seen.presence] + 0.08 * dice.standard_normal(len(seen.row)), LEAST_CONFIDENCE, 0.95)
    confidence = np.where(known.real[seen.presence], confidence, np.round(own, 4))
    out: list[list[Reported]] = [[] for _ in trip.hours]
    for i, row in enumerate(seen.row.tolist()):
        x1, y1, x2, y2 = seen.boxes[i].tolist()
        found = Found(kind=seen.kind[i], confidence=float(confidence[i]), box_xyxy=(x1, y1, x2, y2))
        out[row].append(Reported(found, int(seen.presence[i])))
    for row, found in _false(dice, camera, len(trip.hours), spread):
        out[row].append(Reported(found, -1))
    return out


def _seen(dice: Generator, district: District, known: Presences, trip: Trip, camera: Camera) -> Seen:
    pitch = camera.pitch_deg + PITCH_SIGMA_DEG * wander(dice, len(trip.hours), 10.0)[:, 0]
    row, presence = _in_reach(known, trip)
    road = _road(known.enu[presence] - trip.enu[row], trip.heading_deg[row] + camera.yaw_deg)
    reach = np.hypot(road[:, 0], road[:, 1])
    keep = (road[:, 0] > 0.5) & (reach < FAR_M) & ~_behind_van(district, known, trip, row, presence)
    keep &= _reportable(dice, known, presence, reach)
    row, presence, road = row[keep], presence[keep], road[keep]
    kind = _kinds(dice, known, presence)
    size = np.array([SIZE_M[k] for k in kind]).reshape(-1, 2)
    boxes, inside = _boxes(dice, camera, pitch[row], road, size)
    row, presence, boxes = row[inside], presence[inside], boxes[inside]
    kind = [k for k, ok in zip(kind, inside.tolist(), strict=True) if ok]
    right = known.real[presence] & np.array([k == known.kind[p] for k, p in zip(kind, presence, strict=True)], np.bool_)
    return Seen(row, presence, kind, boxes, right)


def _in_reach(known: Presences, trip: Trip) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of (row of the trip, presence) near one another, there at that time, on the same level."""
    near: list[list[int]] = list(known.tree.query_ball_point(trip.enu, FAR_M))  # type: ignore[arg-type]  # of rows
    row = np.repeat(np.arange(len(near)), [len(found) for found in near])
    presence = np.array([p for found in near for p in sorted(found)], np.int64)
    hours = trip.hours[row]
    there = (known.hours[presence, 0] <= hours) & (hours < known.hours[presence, 1])
    there &= known.level[presence] == trip.level[row]
    return row[there], presence[there]


def _road(away: Floats, bearing_deg: Floats) -> Floats:
    """(N, 2) forward and right of points east and north, each for its own bearing."""
    s, c = np.sin(np.radians(bearing_deg)), np.cos(np.radians(bearing_deg))
    return np.stack([away[:, 0] * s + away[:, 1] * c, away[:, 0] * c - away[:, 1] * s], axis=1)


def _behind_van(district: District, known: Presences, trip: Trip, row: np.ndarray, presence: np.ndarray) -> np.ndarray:
    """True where a parked van stands between the lens and the thing."""
    hidden = np.zeros(len(row), np.bool_)
    begin, end = trip.hours[0], trip.hours[-1]
    for van in district.vans:
        if van.until_h < begin or van.from_h > end:
            continue
        a, b = np.array(van.ends[0]), np.array(van.ends[1])
        close = np.hypot(*(known.enu[presence] - (a + b) / 2).T) < FAR_M
        lens, thing = trip.enu[row[close]], known.enu[presence[close]]
        crosses = (_side(a, b, lens) != _side(a, b, thing)) & (_side(lens, thing, a) != _side(lens, thing, b))
        hidden[np.flatnonzero(close)[crosses]] = True
    return hidden


def _side(a: Floats, b: Floats, point: Floats) -> np.ndarray:
    """On which side of the line a–b a point lies. All (…, 2)."""
    along, to = b - a, point - a
    return np.asarray(along[..., 0] * to[..., 1] - along[..., 1] * to[..., 0] > 0)


def _reportable(dice: Generator, known: Presences, presence: np.ndarray, reach: Floats) -> np.ndarray:
    """What the model reports: once for the pass, then by distance and passing traffic."""
    count = len(known.kind)
    recall = np.array([RECALL[k] for k in known.kind])
    able = (dice.random(count) < recall) & (dice.random(count) >= HIDDEN)
    clear = np.clip((FAR_M - reach) / (FAR_M - CLEAR_M), 0.0, 1.0) * (1 - HIDDEN)
    return np.asarray(able[presence] & (dice.random(len(presence)) < clear))


def _kinds(dice: Generator, known: Presences, presence: np.ndarray) -> list[str]:
    """What the model calls each: some overflowing bins pass for bins, and the other way round, a whole pass long."""
    draw = dice.random(len(known.kind))
    taken = [
        "garbage_bin"
        if kind == "overflow_bin" and real and p < TAKEN_FOR_BIN
        else "overflow_bin"
        if kind == "garbage_bin" and p < TAKEN_FOR_OVERFLOW
        else kind
        for kind, real, p in zip(known.kind, known.real.tolist(), draw.tolist(), strict=True)
    ]
    return [taken[p] for p in presence.tolist()]


def _boxes(
    dice: Generator, camera: Camera, pitch_deg: Floats, road: Floats, size_m: Floats
) -> tuple[Floats, np.ndarray]:
    """(N, 4) pixels with the detector's own error, cut at the picture's edge; and which show enough to be found."""
    width, height = SIZE_WH
    focal, pitch = camera.focal_px(width), np.radians(pitch_deg)
    z = np.maximum(road[:, 0] * np.cos(pitch) - camera.height_m * np.sin(pitch), 0.3)
    y = road[:, 0] * np.sin(pitch) + camera.height_m * np.cos(pitch)
    u, foot = width / 2 + focal * road[:, 1] / z, height / 2 + focal * y / z
    wide, tall = focal * size_m[:, 0] / z, focal * size_m[:, 1] / z
    boxes = np.stack([u - wide / 2, foot - tall, u + wide / 2, foot], axis=1)
    boxes += (3.0 + 0.02 * tall)[:, None] * dice.standard_normal(boxes.shape)
    inside = (u > 0.02 * width) & (u < 0.98 * width) & (foot - tall / 2 < height) & (tall > 8)
    boxes = np.clip(boxes, 0.0, [width, height, width, height])
    inside &= (boxes[:, 2] - boxes[:, 0] > 4) & (boxes[:, 3] - boxes[:, 1] > 4)
    return np.round(boxes, 1), inside


def _false(dice: Generator, camera: Camera, n: int, spread: Scores) -> list[tuple[int, Found]]:
    """(row, detection) where there is nothing."""
    rows = np.flatnonzero(dice.random(n) < FALSE_A_FRAME)
    kinds = dice.choice(list(FALSE_KINDS), len(rows), p=list(FALSE_KINDS.values())).tolist()
    bin = np.array([kind == "garbage_bin" for kind in kinds], np.bool_)
    confidence = spread.draw(dice.random(len(rows)), np.zeros(len(rows), np.bool_), bin)
    z = dice.uniform(5.0, 26.0, len(rows))
    side = dice.uniform(-0.9, 0.9, len(rows)) * math.tan(math.radians(camera.hfov_deg / 2))
    road = np.stack([z, z * side], axis=1)
    size = np.array([SIZE_M[kind] for kind in kinds]).reshape(-1, 2)
    boxes, inside = _boxes(dice, camera, np.full(len(rows), camera.pitch_deg), road, size)
    out = []
    for i in np.flatnonzero(inside).tolist():
        x1, y1, x2, y2 = boxes[i].tolist()
        out.append((int(rows[i]), Found(kind=kinds[i], confidence=float(confidence[i]), box_xyxy=(x1, y1, x2, y2))))
    return out
