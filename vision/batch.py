"""Batch: pictures in the one shape and the few sizes that the session has been warmed up for."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.letterbox import Letterbox

BUCKETS = (1, 2, 4, 8)  # every new batch size costs a session time (on a GPU up to a second): there are only these
TO_UNIT = np.float32(1 / 255)


def portions(count: int, buckets: tuple[int, ...] = BUCKETS) -> list[int]:
    """How to cut `count` pictures into batches of the bucket sizes, largest first: 7 is 4 + 2 + 1, none is padded."""
    sizes = []
    for bucket in sorted(buckets, reverse=True):
        whole, count = divmod(count, bucket)
        sizes += [bucket] * whole
    return sizes


class Batch:
    """Room for the pictures of one batch, allocated once. Slots may be filled from several threads."""

    def __init__(self, capacity: int, shape_hw: tuple[int, int]) -> None:
        self._canvas = np.empty((capacity, *shape_hw, 3), np.uint8)  # BGR
        self._planes = np.empty((capacity, 3, *shape_hw), np.uint8)
        self._tensor = np.empty((capacity, 3, *shape_hw), np.float32)  # RGB, 0-1

    @property
    def capacity(self) -> int:
        return len(self._tensor)

    def fill(self, slot: int, image: NDArray[np.uint8], letterbox: Letterbox) -> None:
        """Letterbox a picture (BGR) into a slot."""
        canvas, planes = self._canvas[slot], self._planes[slot]
        letterbox.place(image, canvas)
        cv2.split(canvas, [planes[2], planes[1], planes[0]])
        np.multiply(planes, TO_UNIT, out=self._tensor[slot])

    def tensor(self, count: int) -> NDArray[np.float32]:
        """The first `count` slots as the model reads them: (count, 3, H, W). A view, overwritten by the next batch."""
        return self._tensor[:count]
