"""Pair motion: which way a camera went between two pictures, and how it turned, from points that both show.

Five-point relative pose (Nistér, "An efficient solution to the five-point relative pose problem", PAMI 26(6), 2004) in
RANSAC, then least squares over its inliers with a robust weight, on Sampson's distance from the epipolar lines. The
direction of travel is what FOE, the point that all things stream out of, stands for; unlike a FOE it is told as well
where the camera looks across the road and turns a little on the way.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np

from ingest.geo import Floats

AGREE_PX = 1.0  # from its epipolar line: a point that belongs to the street
MIN_POINTS = 40
MIN_AGREEING = 30
MIN_SHARE = 0.5  # of the points must agree: else the pictures are of different places, or traffic fills them
STOOD_PX = 1.0  # less movement than this is none
NOISE_PX = 0.2  # of a matched point, at least
STEP = 1e-6  # of a numeric derivative
ROUNDS = 10


class Useless(StrEnum):
    """Why two pictures do not tell."""

    BARE = "too little to recognise in both pictures"
    STRANGERS = "the pictures do not fit together"
    STOOD = "the picture stood still"


@dataclass(frozen=True, slots=True)
class Motion:
    """Between two pictures of one camera, in the frame of the camera half way."""

    direction: Floats  # (3,) of length 1: where the camera went; x right, y down, z along its axis
    covariance: Floats  # (3, 3) of the direction
    turn: Floats  # (3,) the rotation of the scene, radians about x, y, z
    agreeing: int  # points


def pair_motion(before: Floats, after: Floats, focal_px: float) -> Motion | Useless:
    """The motion that points (N, 2) at z = 1 tell, seen before and after it."""
    if len(before) < MIN_POINTS:
        return Useless.BARE
    if float(np.median(np.linalg.norm(after - before, axis=1))) * focal_px < STOOD_PX:
        return Useless.STOOD
    eye = np.eye(3)
    matrix, mask = cv2.findEssentialMat(
        before, after, eye, method=cv2.RANSAC, prob=0.999, threshold=AGREE_PX / focal_px, maxIters=2000
    )
    if matrix is None or matrix.shape != (3, 3):
        return Useless.STRANGERS
    kept = np.asarray(mask)[:, 0] > 0
    if np.count_nonzero(kept) < max(MIN_AGREEING, MIN_SHARE * len(before)):
        return Useless.STRANGERS
    ahead, rotation, step, _ = cv2.recoverPose(matrix, before[kept], after[kept], eye)
    if ahead < MIN_AGREEING:
        return Useless.STOOD  # nothing comes nearer: all of the movement is rotation
    turned, moved = np.asarray(rotation, np.float64), np.asarray(step, np.float64)[:, 0]
    return _refined(before[kept], after[kept], turned, moved, focal_px)


def _refined(before: Floats, after: Floats, rotation: Floats, step: Floats, focal_px: float) -> Motion:
    """Least squares over five numbers: three of the turn, two of the direction across itself."""
    a, b = _rays(before), _rays(after)
    noise = NOISE_PX / focal_px
    for _ in range(ROUNDS):
        across = _across(step)
        slopes = _slopes(a, b, rotation, step, across)
        off = _sampson(a, b, rotation, step)
        noise = max(1.4826 * float(np.median(np.abs(off))), NOISE_PX / focal_px)
        weight = 1 / (1 + (off / (2 * noise)) ** 2)  # Cauchy's: what lies far beside hardly pulls
        normal = slopes.T @ (weight[:, None] * slopes)
        move = np.asarray(-np.linalg.lstsq(normal, slopes.T @ (weight * off), rcond=None)[0], np.float64)
        rotation, step = _moved(rotation, step, across, move)
        if float(np.abs(move).max()) < 1e-7:
            break
    spread = np.asarray(np.linalg.pinv(normal) * noise**2, np.float64)
    return _half_way(rotation, step, _across(step), spread, len(before))


def _half_way(rotation: Floats, step: Floats, across: Floats, spread: Floats, agreeing: int) -> Motion:
    def direction(move: Floats) -> Floats:
        turned, moved = _moved(rotation, step, across, move)
        half = cv2.Rodrigues(cv2.Rodrigues(turned)[0] / 2)[0]
        return np.asarray(-half @ turned.T @ moved, np.float64)

    here = direction(np.zeros(5))
    slopes = np.stack([(direction(STEP * one) - here) / STEP for one in np.eye(5)], axis=1)
    turn = np.asarray(cv2.Rodrigues(rotation)[0], np.float64)[:, 0]
    return Motion(here, slopes @ spread @ slopes.T, turn, agreeing)


def _rays(points: Floats) -> Floats:
    return np.concatenate([points, np.ones((len(points), 1))], axis=1)


def _across(step: Floats) -> Floats:
    """(3, 2) two directions square to a step and to each other."""
    return np.asarray(np.linalg.svd(step[None])[2][1:].T, np.float64)


def _moved(rotation: Floats, step: Floats, across: Floats, move: Floats) -> tuple[Floats, Floats]:
    turned = np.asarray(cv2.Rodrigues(move[:3])[0], np.float64) @ rotation
    moved = step + across @ move[3:]
    return turned, np.asarray(moved / np.linalg.norm(moved), np.float64)


def _sampson(a: Floats, b: Floats, rotation: Floats, step: Floats) -> Floats:
    """(N,) signed distances from the epipolar lines, to first order, at z = 1."""
    x, y, z = step
    essential = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ rotation
    there, back = a @ essential.T, b @ essential
    slope = there[:, 0] ** 2 + there[:, 1] ** 2 + back[:, 0] ** 2 + back[:, 1] ** 2
    return np.asarray(np.sum(b * there, axis=1) / np.sqrt(np.maximum(slope, 1e-18)), np.float64)


def _slopes(a: Floats, b: Floats, rotation: Floats, step: Floats, across: Floats) -> Floats:
    """(N, 5) by each of the five numbers."""
    both = [
        [_sampson(a, b, *_moved(rotation, step, across, sign * STEP * one)) for sign in (1, -1)] for one in np.eye(5)
    ]
    return np.stack([(up - down) / (2 * STEP) for up, down in both], axis=1)
