"""Licence plates: looked for in the picture and again, enlarged, in near vehicles; and where one must be."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vision.detections import Detections
from vision.postprocess import suppressed
from vision.regions import PRIVACY, Boxes, Floats, Image, fitted
from vision.yolonet import YoloNet

SURE = 0.6  # score of a plate outside of vehicles: lettered bins look like plates
ROOM = 0.1  # of a vehicle's size: so far beyond its box a plate may be its own
SAME = 0.3  # overlap from which two boxes are one plate
ENLARGED = 1.5  # how much larger a vehicle is looked at again
ENLARGED_PX = (320, 640)  # its longer side then, from and to
NEAR_PX = (70, 400)  # of vehicles looked at again: longer side from, width to; in pixels as stored
MOST = 6  # of them in a picture, the largest: bounds the cost
FACING = (0.75, 1.4)  # height to width of a vehicle that is seen from the front or from behind
READABLE_PX = 150  # width from which such a vehicle's plate could be read; in pixels as stored
PLACE = np.array([0.15, 0.5, 0.85, 0.95], np.float32)  # left, top, right, bottom of where it is, in the vehicle's box


class PlateFinder:
    """A YOLO trained on plates of many countries."""

    def __init__(self, folder: Path = PRIVACY / "plates") -> None:
        """Load the model that the folder's card.toml names; raises PrivacyUnavailable."""
        self._net = YoloNet(folder, "plate detector")

    def __call__(self, image: Image, vehicles: Boxes) -> Boxes:
        """One box a plate. Raises PrivacyUnavailable."""
        stored, scale = fitted(image)  # a plate too small in what is kept need not be found in what is not
        seen = vehicles * np.float32(scale)
        found = np.vstack([rows(self._net(stored)), *(self._again(stored, box) for box in near(seen))])
        found = found[(found[:, 4] >= SURE) | owned(found[:, :4], seen).any(axis=1)]
        label = np.zeros(len(found), np.int64)
        return suppressed(Detections(found[:, :4], found[:, 4], label), SAME).xyxy / np.float32(scale)

    def _again(self, stored: Image, vehicle: Boxes) -> Floats:
        """(N, 5): what a look at one vehicle alone shows."""
        x1, y1, x2, y2 = (int(side) for side in vehicle)
        longer = round(ENLARGED * max(x2 - x1, y2 - y1))
        crop = np.ascontiguousarray(stored[y1:y2, x1:x2])
        found = rows(self._net(crop, min(max(longer, ENLARGED_PX[0]), ENLARGED_PX[1])))
        return found + np.array([x1, y1, x1, y1, 0], np.float32)


def rows(found: Detections) -> Floats:
    """(N, 5): boxes and their scores."""
    return np.column_stack([found.xyxy, found.score]).astype(np.float32)


def near(vehicles: Boxes) -> Boxes:
    """Which vehicles are worth a second look, the largest first."""
    wide, high = (vehicles[:, 2:] - vehicles[:, :2]).T
    chosen = (np.maximum(wide, high) >= NEAR_PX[0]) & (wide < NEAR_PX[1]) & (np.minimum(wide, high) >= 1)
    few = np.flatnonzero(chosen)
    return vehicles[few[np.argsort(-(wide * high)[few], kind="stable")][:MOST]]


def owned(boxes: Boxes, vehicles: Boxes) -> np.ndarray:
    """(N, M): whether the middle of each box lies in each vehicle, or close to it."""
    middle = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
    room = ROOM * (vehicles[:, 2:] - vehicles[:, :2])
    inside = (middle > vehicles[:, :2] - room) & (middle < vehicles[:, 2:] + room)
    return np.asarray(inside.all(axis=2))


def unseen(vehicles: Boxes, plates: Boxes, scale: float) -> Boxes:
    """Where the plates of near, facing vehicles are in which none was found.

    `scale`: pixels as stored = pixels of the boxes * scale.
    """
    size = vehicles[:, 2:] - vehicles[:, :2]
    shape = size[:, 1] / np.maximum(size[:, 0], 1)
    facing = (size[:, 0] * scale >= READABLE_PX) & (shape > FACING[0]) & (shape < FACING[1])
    middle = (plates[:, None, :2] + plates[:, None, 2:]) / 2
    holds = ((middle > vehicles[:, :2]) & (middle < vehicles[:, 2:])).all(axis=2).any(axis=0)
    bare = facing & ~holds
    return np.asarray(np.tile(vehicles[bare, :2], 2) + PLACE * np.tile(size[bare], 2), np.float32)
