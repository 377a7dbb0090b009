"""How the pictures of the sample drive are laid along its track.

The camera model gives each frame the range d of its series' anchor. With the anchor L metres to the right of the
track, the frame stands where the track is d away from it, before or behind; its heading is then turned until the
anchor's bearing fits. L and the sides are those that waste the fewest frames on spacings below 4 m, keep the other
matched things of the series together and turn least.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from ingest.geo import Floats
from vision.camera import Camera, ground_from_road, road_from_picture

SIZE_WH = (640, 480)  # 4:3, as the phones took them
CAMERA = Camera(hfov_deg=67.0, height_m=1.5, pitch_deg=0.0, yaw_deg=90.0)
GAP_M = 0.6  # at least, between frames: more than 100 ms at bus speed
NUDGE_M = 0.5  # frames of equal range are moved apart by no more than this
SAMPLED_M = 4.0  # frames closer than this to the last one are left out by sampling
APART_M = 20.0  # between things of different series, along the track
NEAR_M = 30.0  # things labelled farther away say nothing about where they stand


@dataclass(frozen=True, slots=True)
class Series:
    """One place: its pictures in order of the track, and where they stand along it relative to the anchor."""

    id: str
    things: list[dict[str, int]]  # picture -> box; the first is the anchor
    pictures: list[str]
    along_m: list[float]
    nudge_m: list[float]  # how far each frame was moved from where the range puts it
    lateral_m: float
    reach_m: tuple[float, float]  # where its things lie along the track, relative to the anchor


def road_of(boxes: list[Floats]) -> Floats:
    """(N, 2) forward and right of the lens, in the camera's own direction, of the feet of boxes."""
    feet = np.array([[(x1 + x2) / 2, y2] for x1, _, x2, y2 in boxes])
    return road_from_picture(feet, SIZE_WH, CAMERA)


def laid(name: str, things: list[dict[str, int]], labels: dict[str, list[tuple[str, Floats]]]) -> Series:
    """Choose lateral offset and sides of one series."""
    pictures = list(things[0])
    roads = {p: road_of([box for _, box in labels[p]]) for p in pictures}
    ranges = np.array([np.hypot(*roads[p][things[0][p]]) for p in pictures])
    widest = min(5.0, 0.8 * float(ranges.min()))
    choices = [
        (lateral, np.array(sides) * np.sqrt(ranges**2 - lateral**2))
        for lateral in np.linspace(min(2.0, widest), widest, 9)
        for sides in itertools.product((-1, 1), repeat=len(pictures))
    ]
    lateral, along = min(choices, key=lambda c: _cost(pictures, things, roads, c[0], c[1]))
    order = np.argsort(along)
    nudge = _nudged(along[order]) - along[order]
    spots = _spots(pictures, roads, things[0], lateral, along)
    near = np.concatenate([spots[p][np.hypot(*roads[p].T) <= NEAR_M, 0] for p in pictures])
    return Series(
        name,
        things,
        [pictures[i] for i in order],
        [float(along[i]) for i in order],
        [float(v) for v in nudge],
        float(lateral),
        (float(near.min()), float(near.max())),
    )


def _spots(
    pictures: list[str], roads: dict[str, Floats], anchor: dict[str, int], lateral: float, along: Floats
) -> dict[str, Floats]:
    """Where the boxes of each picture fall: (N, 2) along and right of a straight track, from beside the anchor."""
    out = {}
    for picture, s in zip(pictures, along, strict=True):
        bearing = math.degrees(math.atan2(lateral, -s)) - aside_deg(roads[picture][anchor[picture]])
        ground = ground_from_road(roads[picture], bearing)  # of a track due north: east is right
        out[picture] = np.stack([ground[:, 1] + s, ground[:, 0]], axis=1)
    return out


def aside_deg(road: Floats) -> float:
    return math.degrees(math.atan2(road[1], road[0]))


def _cost(
    pictures: list[str], things: list[dict[str, int]], roads: dict[str, Floats], lateral: float, along: Floats
) -> float:
    ordered = _nudged(np.sort(along))
    if np.abs(ordered - np.sort(along)).max() > NUDGE_M:
        return math.inf
    last, dropped = -math.inf, 0
    for s in ordered:
        dropped += int(s - last < SAMPLED_M)
        last = last if s - last < SAMPLED_M else s
    spots = _spots(pictures, roads, things[0], lateral, along)
    spread = [spread_m([spots[p][box] for p, box in thing.items()]) for thing in things[1:]]
    aside = [aside_deg(roads[p][things[0][p]]) for p in pictures]
    turns = np.abs(np.degrees(np.arctan2(lateral, -along)) - CAMERA.yaw_deg - aside)
    return 3.0 * dropped + (float(np.mean(spread)) if spread else 0.0) + float(turns.mean()) / 30.0


def _nudged(ordered: Floats) -> Floats:
    """Positions moved apart, evenly to both sides, until no two are closer than GAP_M."""
    out = ordered.copy()
    for _ in range(100):
        short = np.maximum(0.0, GAP_M - np.diff(out)) / 2
        out[:-1] -= short
        out[1:] += short
    return out


def spread_m(points: list[Floats]) -> float:
    """Root mean square distance from their mean, metres."""
    away = np.array(points) - np.mean(points, axis=0)
    return float(np.sqrt((away**2).sum(axis=1).mean()))


def spaced(series: list[Series], length_m: float) -> list[float]:
    """The s of each anchor: as close as allowed, then what is left of the track shared out evenly."""
    at = [5.0 - series[0].along_m[0]]
    for before, this in itertools.pairwise(series):
        things = at[-1] + before.reach_m[1] + APART_M - this.reach_m[0]
        frames = at[-1] + before.along_m[-1] + SAMPLED_M + 0.5 - this.along_m[0]
        at.append(max(things, frames))
    spare = length_m - 5.0 - max(at[-1] + series[-1].along_m[-1], at[-1])
    if spare < 0:
        raise ValueError(f"the series need {-spare:.0f} m more than the track has")
    return [s + spare * i / (len(series) - 1) for i, s in enumerate(at)]
