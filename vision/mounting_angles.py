"""Mounting angles: how a camera is turned on its vehicle, from the ways it went while the vehicle drove straight.

A vehicle that drives straight goes where its front points, along the road. Seen from a camera that looks ahead, that
way tells pitch and yaw (so openpilot's calibrationd does it); from one that looks across the road it tells yaw and
roll, and nothing of the pitch, which turns the camera about the way itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ingest.geo import Floats
from vision.camera import Camera
from vision.pair_motion import Motion

ACROSS = math.sin(math.radians(50.0))  # a camera whose way lies farther from its axis looks across the road
ROLL_SIGMA_DEG = 1.5  # of a camera that looks along the road: its way does not tell
PITCH_SIGMA_DEG = 2.0  # of a camera that looks across it
FOCAL_SIGMA = 0.02
DRIVE_SIGMA_DEG = 0.1  # load, wind and the crown of the road: of one drive
LEVER_M = (4.0, 4.0)  # from the axle that follows its wheels to the lens: mean and sigma
SPREAD_FLOOR_DEG = 0.1
GATE = 4.0  # spreads that one pair may lie beside the others


class Angle(NamedTuple):
    """An angle and its 1 sigma."""

    deg: float
    sigma_deg: float


@dataclass(frozen=True, slots=True)
class Angles:
    """What the ways tell; None for what they do not."""

    yaw: Angle
    pitch: Angle | None
    roll: Angle | None
    used: int  # pairs that agree
    spread_deg: tuple[float, float]  # 1 sigma of one pair: of the yaw, and of the other angle


def looks_across(motions: Sequence[Motion]) -> bool:
    """Whether the camera went sidewise rather than along its axis."""
    return abs(float(np.median([motion.direction[0] for motion in motions]))) > ACROSS


def angles(motions: Sequence[Motion], distances_m: Sequence[float], stretches: Sequence[int], camera: Camera) -> Angles:
    """The angles of `camera`, whose roll and pitch are as declared where the ways do not tell them."""
    across = looks_across(motions)
    of = _across if across else _along
    found = np.array([of(motion.direction, camera) for motion in motions])  # (N, 2) degrees: yaw, other
    found[:, 0] = found[0, 0] + (found[:, 0] - found[0, 0] + 180) % 360 - 180  # no jump where the circle closes
    sigma = np.array([_sigma(of, motion, camera) for motion in motions])
    bend = np.array([_clockwise_deg(motion, camera) for motion in motions]) / np.asarray(distances_m)
    middle = np.median(found, axis=0)
    spread = np.maximum(1.4826 * np.median(np.abs(found - middle), axis=0), SPREAD_FLOOR_DEG)
    kept = (np.abs(found - middle) <= GATE * np.hypot(spread, sigma)).all(axis=1)
    between = np.maximum(spread**2 - np.median(sigma, axis=0) ** 2, 0)
    weight = 1 / (sigma[kept] ** 2 + between)
    part = np.asarray(stretches)[kept]
    shared = _shared_deg(of, motions, camera)
    yaw = _pooled(found[kept, 0], weight[:, 0], part, bend[kept])
    other = _pooled(found[kept, 1], weight[:, 1], part, None)
    out = [Angle(a.deg, math.hypot(a.sigma_deg, s, DRIVE_SIGMA_DEG)) for a, s in zip((yaw, other), shared, strict=True)]
    turned = Angle((out[0].deg + 180) % 360 - 180, out[0].sigma_deg)
    return Angles(
        yaw=turned,
        pitch=None if across else out[1],
        roll=Angle(camera.roll_deg + out[1].deg, out[1].sigma_deg) if across else None,
        used=int(kept.sum()),
        spread_deg=(float(spread[0]), float(spread[1])),
    )


def _along(way: Floats, camera: Camera) -> tuple[float, float]:
    """Yaw and pitch, degrees. `camera` is not asked."""
    x, y, z = way
    ahead = 1.0 if z >= 0 else -1.0  # a rear camera goes backward
    return math.degrees(math.atan2(-x, ahead * math.hypot(y, z))), math.degrees(math.atan2(ahead * y, ahead * z))


def _across(way: Floats, camera: Camera) -> tuple[float, float]:
    """Yaw, and roll beyond the declared one, degrees; the pitch is as declared."""
    x, y, z = way
    sin, cos = math.sin(math.radians(camera.pitch_deg)), math.cos(math.radians(camera.pitch_deg))
    return math.degrees(math.atan2(-x, z * cos + y * sin)), math.degrees(math.atan((y * cos - z * sin) / -x))


_Of = Callable[[Floats, Camera], tuple[float, float]]


def _change(of: _Of, way: Floats, other: Floats, camera: Camera, told: Camera) -> Floats:
    change: Floats = np.array(of(other, told)) - np.array(of(way, camera))
    return np.asarray((change + 180) % 360 - 180, np.float64)


def _sigma(of: _Of, motion: Motion, camera: Camera) -> Floats:
    """(2,) degrees, of one pair."""
    way, step = motion.direction, 1e-5
    slopes = np.stack([_change(of, way, way + step * one, camera, camera) / step for one in np.eye(3)], axis=1)
    return np.asarray(np.sqrt(np.maximum(np.diag(slopes @ motion.covariance @ slopes.T), 1e-6)), np.float64)


def _shared_deg(of: _Of, motions: Sequence[Motion], camera: Camera) -> Floats:
    """(2,) degrees that all pairs are wrong by together: roll, pitch and field of view are not quite as declared."""
    way = np.median([motion.direction for motion in motions], axis=0)
    roll = math.radians(ROLL_SIGMA_DEG) if of is _along else 0.0
    rolled = np.array([[1, -roll, 0], [roll, 1, 0], [0, 0, 1]]) @ way
    pitched = replace(camera, pitch_deg=camera.pitch_deg + PITCH_SIGMA_DEG)
    changes = (
        _change(of, way, rolled, camera, camera),
        _change(of, way, way, camera, pitched),
        _change(of, way, way * (1, 1, 1 + FOCAL_SIGMA), camera, camera),
    )
    return np.asarray(np.linalg.norm(changes, axis=0), np.float64)


def _clockwise_deg(motion: Motion, camera: Camera) -> float:
    """How far the vehicle turned right: the scene turns the other way, about what is down."""
    pitch = math.radians(camera.pitch_deg)
    return -math.degrees(motion.turn[1] * math.cos(pitch) - motion.turn[2] * math.sin(pitch))


def _pooled(found: Floats, weight: Floats, stretches: np.ndarray, bend: Floats | None) -> Angle:
    """The weighted mean, its error by how far whole stretches differ (Liang and Zeger, Biometrika 73, 1986).

    In a bend of `bend` degrees a metre a lens ahead of the axle goes beside where the vehicle points: the lever is
    estimated along, from what is known of vehicles.
    """
    design = np.ones((len(found), 1)) if bend is None else np.stack([np.ones(len(found)), -bend], axis=1)
    known = np.zeros(design.shape[1]) if bend is None else np.array([0.0, 1 / LEVER_M[1] ** 2])
    normal = design.T @ (weight[:, None] * design) + np.diag(known)
    inverse = np.linalg.inv(normal)
    mean = inverse @ (design.T @ (weight * found) + known * LEVER_M[0])
    pulls = design * (weight * (found - design @ mean))[:, None]
    parts = [pulls[stretches == part].sum(axis=0) for part in np.unique(stretches)]
    count = len(parts)
    few = (count - 1) / (count - 3) if count > 3 else 4.0  # of Student's distribution
    meat = sum(np.outer(part, part) for part in parts) * count / max(count - 1, 1) * few + np.diag(known)
    variance = max(float((inverse @ meat @ inverse)[0, 0]), float(inverse[0, 0]))
    return Angle(float(mean[0]), math.sqrt(variance))
