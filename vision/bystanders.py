"""Bystanders: people and vehicles of a street picture, and what of them must be covered."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vision.detections import Detections
from vision.faces import FaceFinder
from vision.plates import PlateFinder, unseen
from vision.regions import MARGIN, PRIVACY, Boxes, Image, fitted
from vision.yolonet import YoloNet

PERSON, MOTORCYCLE = 0, 3  # of COCO's classes; all but people that the card names are vehicles
VEHICLE = 0.4  # score of a vehicle that is covered where its plate must be
HEAD_PX = 50  # of a person's height: smaller ones have no face that can be told
HEAD = (0.65, 0.2, 0.6)  # height of what holds the head: of the person's width; but of the height, least and most
ABOVE = 0.03  # of a person's height: so much of the head may lie above the box
WITHIN = 0.8  # of a box inside a larger one: it need not be covered twice


class Bodies:
    """YOLO26n, trained on COCO: people and vehicles."""

    def __init__(self, folder: Path = PRIVACY / "bodies") -> None:
        """Load the model that the folder's card.toml names; raises PrivacyUnavailable."""
        self._net = YoloNet(folder, "detector of people and vehicles")

    def __call__(self, image: Image) -> tuple[Detections, Detections]:
        """People, vehicles. Raises PrivacyUnavailable."""
        found = self._net(image)
        return found[found.label == PERSON], found[found.label != PERSON]


class StreetFinder:
    """Faces, heads, plates, and where a near vehicle's plate must be when none is found."""

    def __init__(self) -> None:
        """Load every model; raises PrivacyUnavailable when one of them is not there."""
        self._faces, self._plates, self._bodies = FaceFinder(), PlateFinder(), Bodies()

    def __call__(self, image: Image) -> Boxes:
        """One box per region. Raises PrivacyUnavailable."""
        faces = self._faces(image)
        people, vehicles = self._bodies(image)
        plates = self._plates(image, vehicles.xyxy)
        sure = vehicles[(vehicles.score >= VEHICLE) & (vehicles.label != MOTORCYCLE)].xyxy
        places = unseen(sure, plates, fitted(image)[1])
        return once(np.vstack([faces, plates, shrunk(heads(people.xyxy)), shrunk(places)]))


def heads(people: Boxes) -> Boxes:
    """The region of each person's box that holds the head: its upper part, over the whole width.

    People bend, turn and stretch their arms: the head is as often beside the middle as in it. It is a fifth of the
    height of a person who is seen whole; of one who is cut off by something, the width says how large it is.
    """
    wide, high = (people[:, 2:] - people[:, :2]).T
    deep = np.clip(HEAD[0] * wide, HEAD[1] * high, HEAD[2] * high)
    top = people[:, 1]
    regions = np.column_stack([people[:, 0], top - ABOVE * high, people[:, 2], top + deep])
    return np.asarray(regions[high >= HEAD_PX], np.float32)


def shrunk(regions: Boxes) -> Boxes:
    """The boxes that become the regions when MARGIN is added on each side."""
    loss = np.tile((regions[:, 2:] - regions[:, :2]) * MARGIN / (1 + 2 * MARGIN), 2)
    return np.asarray(regions + loss * np.array([1, 1, -1, -1]), np.float32)


def once(boxes: Boxes) -> Boxes:
    """Without boxes that lie in a larger one: what is covered need not be covered again. The largest first."""
    size = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    kept: list[int] = []
    for number in np.argsort(-size, kind="stable").tolist():
        box, larger = boxes[number], boxes[kept]
        sides = np.minimum(box[2:], larger[:, 2:]) - np.maximum(box[:2], larger[:, :2])
        if not (np.prod(np.maximum(sides, 0), axis=1) >= WITHIN * size[number]).any():
            kept.append(number)
    return boxes[kept]
