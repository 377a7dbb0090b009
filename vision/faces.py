"""Faces, found by YuNet.

The layout of its outputs is that of OpenCV's `FaceDetectorYN`; ONNX Runtime takes two thirds of its time.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from vision.detections import Detections
from vision.postprocess import suppressed
from vision.regions import PRIVACY, Boxes, Image, Net, PrivacyUnavailable, released

SMALL_PX = 1280  # pictures up to this long are searched at double size too: faces down to about 8 pixels
SAME = 0.3  # overlap from which two boxes are one face
DOUBLED = np.array([2, 2, 2, 2, 1], np.float32)  # of a found row: its box, not its score
STRIDES = (8, 16, 32)  # of its levels, in the order of its outputs: three of classes, of objects, of boxes, of points


class FaceFinder:
    """YuNet, at full size and, for small pictures, at double size."""

    def __init__(self, folder: Path = PRIVACY) -> None:
        """Load the model that the folder's card.toml names; raises PrivacyUnavailable."""
        card, data = released(folder, "face detector")
        self._net = Net(data, "face detector")
        self._score = float(card["score"])

    def __call__(self, image: Image) -> Boxes:
        """One box a face. Raises PrivacyUnavailable."""
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise PrivacyUnavailable(f"no picture of 8-bit BGR pixels, but {image.dtype} {image.shape}")
        found = self._faces(image)
        if max(image.shape[:2]) <= SMALL_PX:
            double = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
            found = np.vstack([found, self._faces(np.asarray(double, np.uint8)) / DOUBLED])
        return suppressed(Detections(found[:, :4], found[:, 4], np.zeros(len(found), np.int64)), SAME).xyxy

    def _faces(self, image: Image) -> Boxes:
        """(N, 5): x1, y1, x2, y2 and score; a face may be told several times."""
        high, wide = (-(-length // STRIDES[-1]) * STRIDES[-1] for length in image.shape[:2])
        canvas = np.zeros((1, 3, high, wide), np.float32)
        canvas[0, :, : image.shape[0], : image.shape[1]] = image.transpose(2, 0, 1)
        out = self._net.run(canvas)
        levels = zip(STRIDES, out[0:3], out[3:6], out[6:9], strict=True)
        return np.vstack([level(s, wide, cls[0], obj[0], box[0], self._score) for s, cls, obj, box in levels])


def level(stride: int, wide: int, classes: Boxes, objects: Boxes, boxes: Boxes, least: float) -> Boxes:
    """(N, 5): the faces of one level, of an input so wide, with at least this score: the mean, as ratios go, of two."""
    score = np.sqrt(np.clip(classes[:, 0], 0, 1) * np.clip(objects[:, 0], 0, 1))
    cell = np.flatnonzero(score >= least)
    few = boxes[cell]
    row, column = np.divmod(cell, wide // stride)
    middle = (np.stack([column, row], axis=1) + few[:, :2]) * stride
    half = np.exp(few[:, 2:4]) * stride / 2
    return np.column_stack([middle - half, middle + half, score[cell]]).astype(np.float32)
