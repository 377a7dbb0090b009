"""Bystanders: people and vehicles of a street picture, and which heads must be covered where no face was found."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from vision.detections import Detections
from vision.faces import FaceFinder
from vision.plates import PlateFinder
from vision.postprocess import suppressed
from vision.regions import MARGIN, PRIVACY, Boxes, Image, Net, none, released

SIZE = 640  # of the net's input, square
SAME = 0.6  # overlap from which two boxes are one person, or one vehicle
PERSON, CAR, BUS, TRUCK = 0, 2, 5, 7  # of COCO
VEHICLES = (CAR, BUS, TRUCK)
SMALLEST_PX = 24  # of a vehicle's width: smaller ones have no plate that can be read
HEAD_PX = 40  # of a person's height: smaller ones have no face that can be told
UPRIGHT = 1.5  # height to width of a person who is seen whole; of others only the upper part is
HEAD = (0.5, 0.2)  # of an upright person's box: width and height of what holds the head
BUST = (0.7, 0.4)  # and of one who is seen in part


class Bodies:
    """YOLOv8n, trained on COCO: people and vehicles."""

    def __init__(self, folder: Path = PRIVACY / "bodies") -> None:
        """Load the model that the folder's card.toml names; raises PrivacyUnavailable."""
        card, data = released(folder, "detector of people and vehicles")
        self._net = Net(data, "detector of people and vehicles")
        self._score = float(card["score"])

    def __call__(self, image: Image) -> tuple[Boxes, Boxes]:
        """People, vehicles. Raises PrivacyUnavailable."""
        scale = SIZE / max(image.shape[:2])
        wide, high = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
        canvas = np.full((SIZE, SIZE, 3), 114, np.uint8)
        canvas[:high, :wide] = cv2.resize(image, (wide, high), interpolation=cv2.INTER_LINEAR)
        batch = (canvas[:, :, ::-1].transpose(2, 0, 1)[None] / 255).astype(np.float32)
        rows = self._net.run(batch)[0][0].T  # x, y, w, h, a score a class
        kinds = rows[:, 4:]
        person = kinds[:, PERSON]
        vehicle = kinds[:, VEHICLES].max(axis=1)
        return tuple(self._boxes(rows, score, scale) for score in (person, vehicle))  # type: ignore[return-value]

    def _boxes(self, rows: Boxes, score: Boxes, scale: float) -> Boxes:
        keep = score >= self._score
        middle, half = rows[keep, :2], rows[keep, 2:4] / 2
        boxes = (np.hstack([middle - half, middle + half]) / scale).astype(np.float32)
        return suppressed(Detections(boxes, score[keep], np.zeros(len(boxes), np.int64)), SAME).xyxy


class StreetFinder:
    """Faces, plates, and the heads of people of whom no face was found."""

    def __init__(self) -> None:
        """Load every model; raises PrivacyUnavailable when one of them is not there."""
        self._faces, self._plates, self._bodies = FaceFinder(), PlateFinder(), Bodies()

    def __call__(self, image: Image) -> Boxes:
        """One box per region. Raises PrivacyUnavailable."""
        faces = self._faces(image)
        people, vehicles = self._bodies(image)
        plates = self._plates(image, vehicles[vehicles[:, 2] - vehicles[:, 0] >= SMALLEST_PX])
        return np.vstack([none(), faces, plates, heads(people, faces)]).astype(np.float32)


def heads(people: Boxes, faces: Boxes) -> Boxes:
    """Where the heads of people are of whom no face was found: upper middle, faceless from behind as well."""
    regions = [head(box) for box in people.tolist() if box[3] - box[1] >= HEAD_PX]
    middles = (faces[:, :2] + faces[:, 2:]) / 2
    bare = [region for region in regions if not ((middles > region[:2]) & (middles < region[2:])).all(axis=1).any()]
    return np.array([shrunk(region) for region in bare], np.float32).reshape(-1, 4)


def head(person: list[float]) -> np.ndarray:
    """The region of a person's box that holds the head."""
    x1, y1, x2, y2 = person
    wide, high = HEAD if y2 - y1 >= UPRIGHT * (x2 - x1) else BUST
    middle, half = (x1 + x2) / 2, wide * (x2 - x1) / 2
    return np.array([middle - half, y1, middle + half, y1 + high * (y2 - y1)])


def shrunk(region: np.ndarray) -> np.ndarray:
    """The box that becomes the region when MARGIN is added on each side."""
    loss = (region[2:] - region[:2]) * MARGIN / (1 + 2 * MARGIN)
    return np.concatenate([region[:2] + loss, region[2:] - loss])
