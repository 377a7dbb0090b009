"""Paste: things of some classes, cut from other training pictures with fading edges, set into a picture."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from ultralytics.utils.instance import Instances

Image = NDArray[np.uint8]

MARGIN = 0.08  # of a box's sides: what is copied around it, and fades
APART = 0.15  # of either box that may lie on the other
LEAST_PX = 14  # of the shorter side, once pasted


class Paste:
    """A transform of ultralytics' labels, boxes in pixels. `how`: kinds, probability, how many at most, scale."""

    def __init__(self, dataset: Any, how: dict[str, Any], classes: tuple[str, ...]) -> None:
        self.dataset, self.how = dataset, how
        wanted = [classes.index(kind) for kind in how["kinds"]]
        self.source = [
            (i, k)
            for i, label in enumerate(dataset.labels)
            for k, cls in enumerate(label["cls"][:, 0].astype(int))
            if cls in wanted
        ]

    def __call__(self, labels: dict[str, Any]) -> dict[str, Any]:
        rng = self.dataset.rng
        if rng.random() >= self.how["probability"] or not self.source:
            return labels
        labels["instances"].convert_bbox(format="xyxy")
        labels["img"] = np.ascontiguousarray(labels["img"])
        for _ in range(int(rng.integers(1, self.how["most"] + 1))):
            self._one(labels)
        return labels

    def _one(self, labels: dict[str, Any]) -> None:
        rng = self.dataset.rng
        index, k = self.source[int(rng.integers(len(self.source)))]
        image, label = cv2.imread(self.dataset.im_files[index]), self.dataset.labels[index]
        if image is None:
            return
        patch, inner = cut(np.asarray(image, np.uint8), label["bboxes"][k], rng.uniform(*self.how["scale"]))
        if rng.random() < 0.5:
            patch = np.asarray(patch[:, ::-1], np.uint8)
            inner = np.array([patch.shape[1] - inner[2], inner[1], patch.shape[1] - inner[0], inner[3]])
        height, width = labels["img"].shape[:2]
        if min(inner[2:] - inner[:2]) < LEAST_PX or patch.shape[0] >= height * 0.6 or patch.shape[1] >= width * 0.6:
            return
        left = int(rng.integers(0, width - patch.shape[1]))
        top = int(rng.integers(height // 3, max(height - patch.shape[0], height // 3 + 1)))  # things lie on the ground
        if top + patch.shape[0] > height:
            return
        box = (inner + np.array([left, top, left, top])).astype(np.float32)
        if (overlap(box, labels["instances"].bboxes) > APART).any():
            return
        place = labels["img"][top : top + patch.shape[0], left : left + patch.shape[1]]
        alpha = fading(patch.shape[0], patch.shape[1])
        place[:] = (patch * alpha + place * (1 - alpha)).astype(np.uint8)
        added = Instances(box[None], None, None, bbox_format="xyxy", normalized=False)
        labels["instances"] = Instances.concatenate([labels["instances"], added], axis=0)
        labels["cls"] = np.concatenate([labels["cls"], label["cls"][k : k + 1]], axis=0)


def cut(image: Image, xywh: NDArray[np.float32], scale: float) -> tuple[Image, NDArray[np.float64]]:
    """A thing with its margin, scaled, and its box in that patch."""
    height, width = image.shape[:2]
    x, y, w, h = xywh * np.array([width, height, width, height])
    outer = np.array([x - w * (0.5 + MARGIN), y - h * (0.5 + MARGIN), x + w * (0.5 + MARGIN), y + h * (0.5 + MARGIN)])
    x1, y1, x2, y2 = np.clip(np.round(outer), 0, [width, height, width, height]).astype(int)
    patch = cv2.resize(image[y1:y2, x1:x2], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    inner = (np.array([x - w / 2, y - h / 2, x + w / 2, y + h / 2]) - np.array([x1, y1, x1, y1])) * scale
    return np.asarray(patch, np.uint8), inner


def fading(height: int, width: int) -> NDArray[np.float32]:
    """(H, W, 1): 1 inside, falling to 0 over the margin."""
    ramps = [np.minimum(np.arange(n) + 1, n - np.arange(n)) / max(1.0, MARGIN * n) for n in (height, width)]
    return np.minimum(np.minimum.outer(*ramps), 1.0)[..., None].astype(np.float32)


def overlap(box: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N,): how much of the smaller of the two lies on the other, of one box with each of `others` (N, 4)."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    common = np.prod(np.clip(sides, 0, None), axis=1)
    area = np.prod(others[:, 2:] - others[:, :2], axis=1)
    return np.asarray(common / np.maximum(np.minimum(area, np.prod(box[2:] - box[:2])), 1e-6), np.float32)
