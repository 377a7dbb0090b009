"""Geotag: the bottom centre of a box is where a thing stands; its ray meets the road there.

Errors in pixels, pitch, heading and lens height are propagated to a covariance to first order. With a lens 1.6 m
high, 5 px are 0.4 m at 10 m and 3 m at 30 m; half a degree of pitch is 2.5 m at 20 m: hence the range limit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ingest.frame import Fix
from ingest.geo import Floats
from vision.camera import Camera, ground_from_road, road_from_picture

RANGE_LIMIT_M = 40.0  # farther, a degree of pitch is worth 17 m and more
PITCH_SIGMA_DEG = 0.6  # a vehicle nods and streets are not level
HEADING_SIGMA_DEG = 1.5
HEIGHT_SIGMA = 0.05  # of the lens height
EDGE_PX_SIGMA = 4.0  # of a box edge, in a picture 1280 px wide ...
EDGE_BOX_SIGMA = 0.03  # ... plus this part of the box's height
DEFAULT_ACCURACY_M = 4.0  # 1 sigma of an ordinary receiver that does not say
VAGUE_RANGE_M = (15.0, 8.0)  # mean and sigma for a near thing whose foot the level-road model puts in the sky
HALF_WIDTH_M = 0.5  # of a bin or a heap
STEPS = np.diag([0.5, 0.5, 0.05, 0.01])  # of the central differences: pixels right, down; degrees; part of the height
NEAR_BOX = 0.10  # a box at least this part of the picture's height is near, whatever the model says


@dataclass(frozen=True, slots=True)
class Spots:
    """N things on the ground as seen from one vehicle position."""

    keep: np.ndarray  # (N,) indices into the boxes given: those near enough to place
    enu: Floats  # (N, 2) east and north of the vehicle's position, metres
    covariance: Floats  # (N, 2, 2) m², without the vehicle's own position error
    range_m: Floats  # (N,)


def geotag(xyxy: Floats, size_wh: tuple[int, int], camera: Camera, fix: Fix) -> Spots:
    """Place boxes (N, 4), in pixels, on the ground. Boxes too far away to place are left out."""
    boxes = np.asarray(xyxy, np.float64).reshape(-1, 4)
    width, height = size_wh
    feet = np.stack([(boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]], axis=1)
    box_height = boxes[:, 3] - boxes[:, 1]
    road = road_from_picture(feet, size_wh, camera)
    distance = np.hypot(road[:, 0], road[:, 1])
    vague = ~(distance <= RANGE_LIMIT_M) & (box_height >= NEAR_BOX * height)
    keep = np.flatnonzero((distance <= RANGE_LIMIT_M) | vague)
    feet, box_height, vague = feet[keep], box_height[keep], vague[keep]

    covariance = _road_covariance(feet, box_height, size_wh, camera)
    cut = boxes[keep, 3] >= height - 2  # the foot lies below the picture: nearer than it looks
    road = road[keep]
    _stretch_range(covariance, road, cut)
    for i in np.flatnonzero((boxes[keep, 0] <= 2) | (boxes[keep, 2] >= width - 2)):
        covariance[i] += _along(road[i], 0.0, HALF_WIDTH_M)  # its middle lies beside the picture
    focal = camera.focal_px(width)
    for i in np.flatnonzero(vague):
        side = (feet[i, 0] - width / 2) / focal
        road[i] = VAGUE_RANGE_M[0] * np.array([1.0, side]) / math.hypot(1.0, side)
        covariance[i] = _along(road[i], VAGUE_RANGE_M[1], 0.1 * VAGUE_RANGE_M[0])
    return _on_ground(keep, road, covariance, camera, fix)


def accuracy_m(fix: Fix) -> float:
    """1 sigma of the vehicle's own position, each axis."""
    return DEFAULT_ACCURACY_M if fix.accuracy_m is None else max(fix.accuracy_m, 0.5)


def _on_ground(keep: np.ndarray, road: Floats, covariance: Floats, camera: Camera, fix: Fix) -> Spots:
    reach = np.hypot(road[:, 0], road[:, 1])
    if fix.heading_deg is None:  # somewhere around the vehicle, at that distance
        around = (reach**2 / 2)[:, None, None] * np.eye(2) + covariance
        return Spots(keep, np.zeros_like(road), around, reach)
    bearing = fix.heading_deg + camera.yaw_deg
    turn = ground_from_road(np.eye(2), bearing).T  # columns: where forward and right point
    return Spots(keep, ground_from_road(road, bearing), turn @ covariance @ turn.T, reach)


def _road_covariance(feet: Floats, box_height: Floats, size_wh: tuple[int, int], camera: Camera) -> Floats:
    """(N, 2, 2) of (forward, right): central differences over each source of error, all in one go."""
    edge = EDGE_PX_SIGMA * size_wh[0] / 1280 + EDGE_BOX_SIGMA * box_height
    sigma = np.stack([edge, edge, np.full(len(feet), PITCH_SIGMA_DEG), np.full(len(feet), HEIGHT_SIGMA)])
    steps = np.vstack([STEPS, -STEPS])
    seen = road_from_picture(
        (feet + steps[:, None, :2]).reshape(-1, 2),
        size_wh,
        camera,
        pitch_deg=np.repeat(camera.pitch_deg + steps[:, 2], len(feet)),
        height_m=np.repeat(camera.height_m * (1 + steps[:, 3]), len(feet)),
    ).reshape(8, -1, 2)
    with np.errstate(invalid="ignore"):
        slope = (seen[:4] - seen[4:]) / (2 * STEPS.max(axis=1))[:, None, None]
    slope = np.nan_to_num(slope, nan=0.0, posinf=0.0, neginf=0.0) * sigma[:, :, None]
    out = np.einsum("snx,sny->nxy", slope, slope)
    road = road_from_picture(feet, size_wh, camera)
    sideways = np.stack([-road[:, 1], road[:, 0]], axis=1) * math.radians(HEADING_SIGMA_DEG)
    sideways = np.nan_to_num(sideways, nan=0.0, posinf=0.0, neginf=0.0)
    return np.asarray(out + sideways[:, :, None] * sideways[:, None, :] + 0.01 * np.eye(2))


def _stretch_range(covariance: Floats, road: Floats, cut: np.ndarray) -> None:
    for i in np.flatnonzero(cut):
        covariance[i] += _along(road[i], 0.3 * float(np.hypot(*road[i])) + 0.5, 0.0)


def _along(direction: Floats, along_m: float, across_m: float) -> Floats:
    unit = direction / np.hypot(*direction)
    across = np.array([-unit[1], unit[0]])
    return np.asarray(along_m**2 * np.outer(unit, unit) + across_m**2 * np.outer(across, across))
