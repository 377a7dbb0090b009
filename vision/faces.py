"""Faces, found by YuNet."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.detections import Detections
from vision.postprocess import suppressed
from vision.regions import PRIVACY, Boxes, Image, PrivacyUnavailable, released

SMALL_PX = 1280  # pictures up to this long are searched at double size too: faces down to about 8 pixels
SAME = 0.3  # overlap from which two boxes are one face


class FaceFinder:
    """YuNet, at full size and, for small pictures, at double size."""

    def __init__(self, folder: Path = PRIVACY) -> None:
        """Load the model that the folder's card.toml names; raises PrivacyUnavailable."""
        card, data = released(folder, "face detector")
        try:
            self._net = _net(np.frombuffer(data, np.uint8), float(card["score"]))
        except (ValueError, KeyError, cv2.error) as error:
            raise PrivacyUnavailable(f"the face detector does not load: {error}") from error

    def __call__(self, image: Image) -> Boxes:
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            # OpenCV would run on some of these and find nobody
            raise PrivacyUnavailable(f"no picture of 8-bit BGR pixels, but {image.dtype} {image.shape}")
        found = self._faces(image)
        if max(image.shape[:2]) <= SMALL_PX:
            double = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
            found = np.vstack([found, self._faces(np.asarray(double, np.uint8)) * (0.5, 0.5, 0.5, 0.5, 1.0)])
        boxes, score = found[:, :4].astype(np.float32), found[:, 4].astype(np.float32)
        return suppressed(Detections(boxes, score, np.zeros(len(found), np.int64)), SAME).xyxy

    def _faces(self, image: Image) -> NDArray[np.float64]:
        """(N, 5): x1, y1, x2, y2 and score."""
        try:
            self._net.setInputSize((image.shape[1], image.shape[0]))
            _, rows = self._net.detect(image)
        except cv2.error as error:
            raise PrivacyUnavailable(f"the face detector does not run: {error.err}") from error
        if rows is None:
            return np.zeros((0, 5))
        rows = np.asarray(rows, np.float64)  # x, y, w, h, 10 landmark coordinates, score
        return np.column_stack([rows[:, :2], rows[:, :2] + rows[:, 2:4], rows[:, 14]])


def _net(model: NDArray[np.uint8], score: float) -> cv2.FaceDetectorYN:
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(
        cv2.utils.logging.LOG_LEVEL_ERROR
    )  # OpenCV 5 warns at every load of a target it lacks
    try:
        return cv2.FaceDetectorYN.create("onnx", model, np.zeros(0, np.uint8), (320, 320), score)
    finally:
        cv2.utils.logging.setLogLevel(level)
