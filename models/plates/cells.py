"""Cells of feature maps to learn from: of drawn plates, and of what a head takes for plates in vain."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.plates.drawn import Box, Image, Rng, hung, worn
from models.plates.head import Cells, Head
from models.plates.net import CELL, Net

CROP_PX = 256
PICTURE_WH = 640, 480  # in which a head's errors are looked for
PLAIN, HARD = 160, 220  # cells without a plate that are kept of a crop, and of a picture
NEAR_PX = 40  # least side of a vehicle that gets a drawn plate
DOUBT = -0.5  # logit from which a head's error is one
KNOWN = 0.3  # score of the net's own plate that says: this vehicle has no other


def gathered(net: Net, streets: Sequence[Path], traffic: Sequence[Path], count: int, rng: Rng) -> Cells:
    """Of `count` crops, half of them of traffic, six in seven with a drawn plate."""
    parts = []
    for number in range(count):
        jam = number % 2 == 0
        image, vehicles = opened(traffic if jam else streets, jam, rng)
        crop, boxes = dressed(image, vehicles, rng)
        features, own = net(crop)
        plate, sides = where(boxes)
        blank = ~around([*own[:, :4].tolist(), *boxes], 1, plate.shape)
        few = rng.permutation(np.flatnonzero(blank & ~plate))[:PLAIN]
        parts.append(taken(features, np.concatenate([np.flatnonzero(plate), few]), plate, sides, jam))
    return joined(parts)


def mined(net: Net, head: Head, streets: Sequence[Path], traffic: Sequence[Path], count: int, rng: Rng) -> Cells:
    """Of `count` pictures, what `head` takes for a plate though there is none."""
    parts = []
    for number in range(count):
        jam = number % 2 == 0
        image, vehicles = opened(traffic if jam else streets, jam, rng)
        image = np.asarray(cv2.resize(image, PICTURE_WH, interpolation=cv2.INTER_AREA), np.uint8)
        boxes = vehicles * np.tile(PICTURE_WH, 2) if len(vehicles) else vehicles
        if rng.random() < 0.4:  # a part of it, twice as large, as a second look at a vehicle shows it
            left, top = int(rng.integers(0, 320)), int(rng.integers(0, 224))
            image = np.asarray(cv2.resize(image[top : top + 256, left : left + 320], (640, 512)), np.uint8)
            boxes = (boxes - np.array([left, top] * 2)) * 2 if len(boxes) else boxes
        features, own = net(image)
        shape = features.shape[1], features.shape[2]
        empty = ~around(own[:, :4].tolist(), 2, shape) & ~around(hidden(boxes, own), 0, shape)
        score = head.logits(features.reshape(len(features), -1).T.astype(np.float32))
        few = rng.permutation(np.flatnonzero(empty.ravel() & (score > DOUBT)))[:HARD]
        parts.append(taken(features, few, np.zeros(shape, bool), np.zeros((*shape, 4), np.float32), jam))
    return joined(parts)


def opened(paths: Sequence[Path], jam: bool, rng: Rng) -> tuple[Image, NDArray[np.float64]]:
    """A picture of `paths`, drawn at random, and its vehicles' boxes (N, 4), x1, y1, x2, y2 as parts of its sides."""
    path = paths[int(rng.integers(len(paths)))]
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise OSError(f"{path} is no picture")
    if not jam:  # these were squeezed into a square
        image = cv2.resize(image, (int(image.shape[1] * rng.uniform(1.1, 1.5)), image.shape[0]))
        return np.asarray(image, np.uint8), np.zeros((0, 4))
    told = np.loadtxt(path.parents[1] / "labels" / f"{path.stem}.txt", ndmin=2).reshape(-1, 5)[:, 1:]
    return np.asarray(image, np.uint8), np.hstack([told[:, :2] - told[:, 2:] / 2, told[:, :2] + told[:, 2:] / 2])


def dressed(image: Image, vehicles: NDArray[np.float64], rng: Rng) -> tuple[Image, list[Box]]:
    """A crop of CROP_PX, mostly around where a plate may be, and the box of the plate that was drawn there, if any."""
    size = np.array([image.shape[1], image.shape[0]])
    near = vehicles[((vehicles[:, 2:] - vehicles[:, :2]) * size).min(axis=1) >= NEAR_PX] if len(vehicles) else vehicles
    high, middle = rng.uniform(9, 30), rng.uniform((0.1, 0.3), (0.9, 0.95)) * size
    if len(near) and rng.random() < 0.8:
        box = near[rng.integers(len(near))].reshape(2, 2) * size
        extent = box[1] - box[0]
        middle = box.mean(axis=0) + rng.uniform((-0.25, 0), (0.25, 0.42)) * extent
        high = extent[0] * rng.uniform(0.16, 0.32) / rng.uniform(1.6, 3.2)
    scale = float(np.clip(np.exp(rng.uniform(np.log(9), np.log(34))) / high, 0.4, 4))
    at = rng.uniform(0.2, 0.8, 2) * CROP_PX
    move = np.array([[scale, 0, at[0] - middle[0] * scale], [0, scale, at[1] - middle[1] * scale]])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    crop = np.asarray(cv2.warpAffine(image, move, (CROP_PX, CROP_PX), flags=how, borderValue=(114,) * 3), np.uint8)
    if rng.random() < 0.5:
        crop, at[0] = np.ascontiguousarray(crop[:, ::-1]), CROP_PX - at[0]
    if rng.random() >= 0.85:
        return worn(crop, rng), []
    (left, top), reach = at.astype(int), int(high * scale * 2) + 2
    light = float(crop[max(0, top - reach) : top + reach, max(0, left - reach) : left + reach].mean())
    out, plate = hung(crop, at, high * scale, light, rng)
    return worn(out, rng), [plate]


def where(boxes: Sequence[Box]) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Which cells of a crop are in the middle of a plate (H, W), and how far its sides are from each (H, W, 4)."""
    count = CROP_PX // CELL
    y, x = (np.mgrid[:count, :count] + 0.5) * CELL
    plate, sides = np.zeros((count, count), bool), np.zeros((count, count, 4), np.float32)
    for x1, y1, x2, y2 in boxes:
        beside = np.abs(x - (x1 + x2) / 2) <= max((x2 - x1) / 4, 2.5)
        inside = beside & (np.abs(y - (y1 + y2) / 2) <= max((y2 - y1) / 4, 2.5))
        plate |= inside
        sides[inside] = np.stack([x - x1, y - y1, x2 - x, y2 - y], axis=-1)[inside]
    return plate, sides


def around(boxes: Sequence[Sequence[float]], room: int, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """(H, W): which cells are in any box, or `room` cells beside it."""
    out = np.zeros(shape, bool)
    for x1, y1, x2, y2 in boxes:
        top, left = max(0, int(y1 // CELL) - room), max(0, int(x1 // CELL) - room)
        out[top : max(0, int(y2 // CELL) + 1 + room), left : max(0, int(x2 // CELL) + 1 + room)] = True
    return out


def hidden(vehicles: NDArray[np.float64], own: NDArray[np.float32]) -> list[list[float]]:
    """The part of each vehicle in which a plate may be that the net does not find: all but its top."""
    middle = (own[own[:, 4] >= KNOWN, :2] + own[own[:, 4] >= KNOWN, 2:4]) / 2
    out = []
    for x1, y1, x2, y2 in vehicles:
        inside = (middle > (x1, y1)) & (middle < (x2, y2))
        if not inside.all(axis=1).any():
            out.append([x1, y1 + 0.35 * (y2 - y1), x2, y2 + 0.1 * (y2 - y1)])
    return out


def taken(
    features: NDArray[np.float32],
    rows: NDArray[np.int64],
    plate: NDArray[np.bool_],
    sides: NDArray[np.float32],
    jam: bool,
) -> Cells:
    """Some cells of a picture."""
    flat = features.reshape(len(features), -1)[:, rows].T.astype(np.float16)
    return Cells(flat, plate.ravel()[rows], np.full(len(rows), jam), sides.reshape(-1, 4)[rows])


def joined(parts: Sequence[Cells]) -> Cells:
    """All cells."""
    return Cells(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.plate for part in parts]),
        np.concatenate([part.traffic for part in parts]),
        np.concatenate([part.sides for part in parts]),
    )
