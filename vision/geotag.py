"""Geotag: the bottom centre of a box is where a thing stands; its ray meets the road there.

Errors in pixels, pitch, heading and lens height are propagated to a covariance to first order. With a lens 1.6 m
high, 5 px are 0.4 m at 10 m and 3 m at 30 m; half a degree of pitch is 2.5 m at 20 m: hence the range limit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ingest.frame import Fix
from ingest.geo import Floats
from vision.camera import Camera

RANGE_LIMIT_M = 40.0  # farther, a degree of pitch is worth 17 m and more
PITCH_SIGMA_DEG = 0.6  # a vehicle nods and streets are not level
HEADING_SIGMA_DEG = 1.5
HEIGHT_SIGMA = 0.05  # of the lens height
EDGE_PX_SIGMA = 4.0  # of a box edge, in a picture 1280 px wide ...
EDGE_BOX_SIGMA = 0.03  # ... plus this part of the box's height
DEFAULT_ACCURACY_M = 4.0  # 1 sigma of an ordinary receiver that does not say
VAGUE_RANGE_M = (15.0, 8.0)  # mean and sigma for a near thing whose foot the level-road model puts in the sky
HALF_WIDTH_M = 0.5  # of a bin or a heap
HORIZON = 1e-9  # a ray that falls less than this per unit ahead meets no road
FLOOR_M2 = 0.01  # of each axis: nothing stands on a point
NEAR_BOX = 0.10  # a box at least this part of the picture's height is near, whatever the model says


@dataclass(frozen=True, slots=True)
class Spots:
    """N things on the ground as seen from one vehicle position."""

    keep: np.ndarray  # (N,) indices into the boxes given: those near enough to place
    enu: Floats  # (N, 2) east and north of the vehicle's position, metres
    covariance: Floats  # (N, 2, 2) m², without the vehicle's own position error
    range_m: Floats  # (N,) from the lens


def geotag(xyxy: Floats, size_wh: tuple[int, int], camera: Camera, fix: Fix) -> Spots:
    """Place boxes (N, 4), in pixels, on the ground. Boxes too far away to place are left out.

    A frame shows a handful of things: a loop over plain numbers takes a tenth of the time that arrays of them do.
    """
    view = _View.of(size_wh, camera)
    placed = [(i, view.place(*box)) for i, box in enumerate(np.asarray(xyxy, np.float64).reshape(-1, 4).tolist())]
    near = [(i, place) for i, place in placed if place is not None]
    road = np.array([place.road for _, place in near]).reshape(-1, 2)
    covariance = np.array([(a, b, b, c) for _, (_, (a, b, c)) in near]).reshape(-1, 2, 2)
    return _on_ground(np.array([i for i, _ in near], np.intp), road, covariance, camera, fix)


def accuracy_m(fix: Fix) -> float:
    """1 sigma of the vehicle's own position, each axis."""
    return DEFAULT_ACCURACY_M if fix.accuracy_m is None else max(fix.accuracy_m, 0.5)


Symmetric = tuple[float, float, float]  # of a covariance in m²: forward-forward, forward-right, right-right


class _Place(NamedTuple):
    """Where a thing stands: metres forward and right, and the error of it."""

    road: tuple[float, float]
    covariance: Symmetric


class _View(NamedTuple):
    """A camera and the size of its pictures, as needed for one thing after the other."""

    camera: Camera
    width: int
    height: int
    focal_px: float
    lens_m: float
    sin: float  # of the pitch
    cos: float
    pitch_sigma: float
    bearing_sigma: float

    @classmethod
    def of(cls, size_wh: tuple[int, int], camera: Camera) -> _View:
        pitch = math.radians(camera.pitch_deg)
        nods = math.radians(math.hypot(PITCH_SIGMA_DEG, camera.pitch_sigma_deg))
        turns = math.radians(math.hypot(HEADING_SIGMA_DEG, camera.yaw_sigma_deg))
        focal = camera.focal_px(size_wh[0])
        return cls(camera, *size_wh, focal, camera.height_m, math.sin(pitch), math.cos(pitch), nods, turns)

    def place(self, x1: float, y1: float, x2: float, y2: float) -> _Place | None:
        """Place one box; None when it is too far away."""
        x, y = ((x1 + x2) / 2 - self.width / 2) / self.focal_px, (y2 - self.height / 2) / self.focal_px
        if not self.camera.is_plain:
            x, y = self.camera.unrolled(x, y)
        ahead, down = self.cos + y * self.sin, y * self.cos - self.sin  # of the ray through the foot
        scale = self.lens_m / down if down > HORIZON else math.inf
        beside = x1 <= 2 or x2 >= self.width - 2  # its middle lies beside the picture
        if scale * math.hypot(ahead, x) <= RANGE_LIMIT_M:
            road = scale * ahead, scale * x
            covariance = self._error(x, ahead, down, scale, y2 - y1)
            if y2 >= self.height - 2:  # the foot lies below the picture: nearer than it looks
                covariance = _more(covariance, road, 0.3 * math.hypot(*road) + 0.5, 0.0)
            return _Place(road, _more(covariance, road, 0.0, HALF_WIDTH_M) if beside else covariance)
        if y2 - y1 < NEAR_BOX * self.height:
            return None
        mean, sigma = VAGUE_RANGE_M
        reach = mean / math.hypot(1.0, x)
        road = reach, reach * x
        return _Place(road, _more((0.0, 0.0, 0.0), road, sigma, 0.1 * mean))

    def _error(self, x: float, ahead: float, down: float, scale: float, box_px: float) -> Symmetric:
        """First order: the derivatives of (forward, right) = scale * (ahead, x) by each source, times its sigma."""
        edge = (EDGE_PX_SIGMA * self.width / 1280 + EDGE_BOX_SIGMA * box_px) / self.focal_px
        pitch, heading = self.pitch_sigma, self.bearing_sigma
        forward, right = scale * ahead, scale * x
        slopes = (
            (0.0, scale * edge),
            ((scale * self.sin - forward * self.cos / down) * edge, -right * self.cos / down * edge),
            ((scale * down + forward * ahead / down) * pitch, right * ahead / down * pitch),
            (forward * HEIGHT_SIGMA, right * HEIGHT_SIGMA),
            (-right * heading, forward * heading),
        )
        return (
            sum(f * f for f, _ in slopes) + FLOOR_M2,
            sum(f * r for f, r in slopes),
            sum(r * r for _, r in slopes) + FLOOR_M2,
        )


def _more(covariance: Symmetric, direction: tuple[float, float], along_m: float, across_m: float) -> Symmetric:
    """The covariance, and an error along a direction and across it."""
    length = math.hypot(*direction)
    f, r = direction[0] / length, direction[1] / length
    along, across = along_m**2, across_m**2
    return (
        covariance[0] + along * f * f + across * r * r,
        covariance[1] + (along - across) * f * r,
        covariance[2] + along * r * r + across * f * f,
    )


def _on_ground(keep: np.ndarray, road: Floats, covariance: Floats, camera: Camera, fix: Fix) -> Spots:
    reach = np.hypot(road[:, 0], road[:, 1])
    if fix.heading_deg is None:  # somewhere around the vehicle, at that distance
        lever2 = camera.ahead_m**2 + camera.right_m**2
        around = ((reach**2 + lever2) / 2)[:, None, None] * np.eye(2) + covariance
        return Spots(keep, np.zeros_like(road), around, reach)
    bearing = math.radians(fix.heading_deg + camera.yaw_deg)
    sin, cos = math.sin(bearing), math.cos(bearing)
    turn = np.array([[sin, cos], [cos, -sin]])  # columns: where forward and right point
    enu = road @ turn.T + camera.lens_enu(fix.heading_deg)
    return Spots(keep, enu, turn @ covariance @ turn.T, reach)
