"""Licence plates, found by LPD-YuNet: in the picture, window by window, and in every vehicle, enlarged."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.detections import Detections
from vision.postprocess import suppressed
from vision.regions import PRIVACY, Boxes, Image, Net, fitted, released

WIDTH, HEIGHT = 320, 240  # of the net's input
STRIDES = {8: (10, 16, 24), 16: (32, 48), 32: (64, 96), 64: (128, 192, 256)}  # of its priors, and their sizes
CORNERS = (4, 6, 10, 12)  # columns of `loc` with the offsets of a plate's corners; x, then y
VARIANCE = 0.1
WINDOW = 640.0  # width of the windows that cover the picture, pixels as stored: plates of some 16 up; docs/privacy.md
STEP = 0.6  # of a window's size, to the next
WIDEST = 0.4  # of a window: what is wider is a bin, a board or a bus, not a plate
SHAPES = (1.2, 6.0)  # width to height of a plate's upright box: two rows to one row
ROOM = 1.15  # a vehicle's window, to its box
SAME = 0.3  # overlap from which two boxes are one plate

Floats = NDArray[np.float32]


class PlateFinder:
    """LPD-YuNet, trained on Chinese plates."""

    def __init__(self, folder: Path = PRIVACY / "plates") -> None:
        """Load the model that the folder's card.toml names; raises PrivacyUnavailable."""
        card, data = released(folder, "plate detector")
        self._net = Net(data, "plate detector")
        self._score = float(card["score"])
        self._priors = priors()

    def __call__(self, image: Image, vehicles: Boxes) -> Boxes:
        """One box a plate. Raises PrivacyUnavailable."""
        stored, scale = fitted(image)  # a plate too small in what is kept need not be found in what is not
        spread = [self._in(stored, window) for window in covering(stored.shape[1], stored.shape[0])]
        near = [self._in(image, around(box)) for box in vehicles.tolist()]
        whole = np.vstack(spread) / np.array([scale] * 4 + [1], np.float32)
        boxes = np.vstack([whole, *near])
        label = np.zeros(len(boxes), np.int64)
        return suppressed(Detections(boxes[:, :4], boxes[:, 4], label), SAME).xyxy

    def _in(self, image: Image, window: tuple[float, float, float]) -> Floats:
        """(N, 5): boxes in the picture's pixels and their scores."""
        left, top, width = window
        scale = WIDTH / width
        move = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
        how = cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR
        view = cv2.warpAffine(image, move, (WIDTH, HEIGHT), flags=how, borderValue=(114, 114, 114))
        loc, conf, iou = self._net.run(view.transpose(2, 0, 1)[None].astype(np.float32))
        score = np.sqrt(conf[:, 1] * np.clip(iou[:, 0], 0, 1))
        keep = score > self._score
        boxes = upright(loc[keep], self._priors[keep])
        wide, high = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
        plate = (wide < WIDEST * WIDTH) & (wide > SHAPES[0] * high) & (wide < SHAPES[1] * high)
        boxes = boxes / scale + (left, top, left, top)
        return np.column_stack([boxes, score[keep]])[plate].astype(np.float32)


def priors() -> Floats:
    """(N, 3): x, y and size of each prior, in the net's pixels and order."""
    rows = [
        ((x + 0.5) * stride, (y + 0.5) * stride, size)
        for stride, sizes in STRIDES.items()
        for y in range(HEIGHT // stride)
        for x in range(WIDTH // stride)
        for size in sizes
    ]
    return np.array(rows, np.float32)


def upright(loc: Floats, prior: Floats) -> Floats:
    """(N, 4): the upright boxes around the four corners of each plate."""
    corners = np.stack([prior[:, :2] + loc[:, c : c + 2] * VARIANCE * prior[:, 2:] for c in CORNERS], axis=1)
    return np.hstack([corners.min(axis=1), corners.max(axis=1)])


def covering(width: int, height: int) -> list[tuple[float, float, float]]:
    """Windows (left, top, width) that cover a picture."""
    lefts, tops = _starts(width, WINDOW), _starts(height, WINDOW * HEIGHT / WIDTH)
    return [(left, top, WINDOW) for top in tops for left in lefts]


def _starts(length: int, window: float) -> list[float]:
    room = max(0.0, length - window)
    return [float(start) for start in np.linspace(0.0, room, int(np.ceil(room / (window * STEP))) + 1)]


def around(box: list[float]) -> tuple[float, float, float]:
    """The window around a vehicle."""
    x1, y1, x2, y2 = box
    width = ROOM * max(x2 - x1, (y2 - y1) * WIDTH / HEIGHT)
    return (x1 + x2 - width) / 2, (y1 + y2 - width * HEIGHT / WIDTH) / 2, width
