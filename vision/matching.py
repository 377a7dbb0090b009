"""Matching: points of the street that two pictures of one camera show, by SIFT (Lowe, IJCV 60(2), 2004)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ingest.geo import Floats

WIDTH_PX = 960  # pictures are shrunk to it
POINTS = 1500
DISTINCT = 0.8  # the best match is this much closer than the second best


@dataclass(frozen=True, slots=True)
class Points:
    """N points of a picture: `uv` (N, 2) in pixels of the whole picture, `looks` (N, 128)."""

    uv: Floats
    looks: NDArray[np.float32]


def points_of(jpeg: bytes) -> tuple[Points, tuple[int, int]] | None:
    """What can be recognised in a picture, and its size; None when it does not decode."""
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        return None
    height, width = picture.shape[:2]
    scale = min(1.0, WIDTH_PX / width)
    if scale < 1:
        small = max(1, round(width * scale)), max(1, round(height * scale))
        picture = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
    found, looks = cv2.SIFT_create(nfeatures=POINTS).detectAndCompute(picture, None)  # type: ignore[attr-defined]
    if looks is None:
        return Points(np.empty((0, 2)), np.empty((0, 128), np.float32)), (width, height)
    uv = (np.array([point.pt for point in found], np.float64) + 0.5) / scale  # its (0, 0) is a pixel's middle
    return Points(uv, np.asarray(looks, np.float32)), (width, height)


def matched(a: Points, b: Points) -> tuple[Floats, Floats]:
    """Pixels (N, 2) and (N, 2) of points that each picture's own takes for the other's."""
    if min(len(a.uv), len(b.uv)) < 2:
        return np.empty((0, 2)), np.empty((0, 2))
    pairs = sorted(_best(a, b) & {(i, j) for j, i in _best(b, a)})
    one = [i for i, _ in pairs]
    other = [j for _, j in pairs]
    return a.uv[one].reshape(-1, 2), b.uv[other].reshape(-1, 2)


def _best(a: Points, b: Points) -> set[tuple[int, int]]:
    found = cv2.BFMatcher(cv2.NORM_L2).knnMatch(a.looks, b.looks, k=2)
    return {(m.queryIdx, m.trainIdx) for m, second in found if m.distance < DISTINCT * second.distance}
