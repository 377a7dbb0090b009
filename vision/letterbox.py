"""Letterbox: where a picture lies in the model's input, never stretched.

Frames of reference: *source* pixels (the picture as it lies on disk) and *input* pixels (the tensor), both (x, y) with
the origin at the top left corner of the top left pixel. Names read out_from_in.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

GREY = 114  # of the bars, as in training

Boxes = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Letterbox:
    """The place of one picture in the input: as large as fits, centred, grey around it."""

    source_wh: tuple[int, int]  # pixels
    left: int  # of the picture in the input, pixels
    top: int
    inner_wh: tuple[int, int]  # its size there, pixels

    @classmethod
    def fit(cls, source_wh: tuple[int, int], shape_hw: tuple[int, int]) -> Letterbox:
        """Scale up or down to touch two sides. Rounds as ultralytics' LetterBox does."""
        (width, height), (rows, columns) = source_wh, shape_hw
        scale = min(rows / height, columns / width)
        inner_w, inner_h = max(round(width * scale), 1), max(round(height * scale), 1)
        left, top = round((columns - inner_w) / 2 - 0.1), round((rows - inner_h) / 2 - 0.1)
        return cls(source_wh=source_wh, left=left, top=top, inner_wh=(inner_w, inner_h))

    def input_from_source(self, xyxy: Boxes) -> Boxes:
        """Boxes (N, 4) of the picture, in the input."""
        return (xyxy * self._scale + self._offset).astype(np.float32)

    def source_from_input(self, xyxy: Boxes) -> Boxes:
        """Boxes (N, 4) of the input, in the picture and cut at its edges."""
        limit = np.array(self.source_wh * 2, np.float32)
        return np.asarray(np.clip((xyxy - self._offset) / self._scale, 0, limit), np.float32)

    def place(self, image: NDArray[np.uint8], slot: NDArray[np.uint8]) -> None:
        """Write `image` (the picture, or it decoded smaller) and the bars into `slot` (H, W, 3); allocates nothing."""
        bottom, right = self.top + self.inner_wh[1], self.left + self.inner_wh[0]
        slot[: self.top] = GREY
        slot[bottom:] = GREY
        slot[self.top : bottom, : self.left] = GREY
        slot[self.top : bottom, right:] = GREY
        halved = image.shape[1] >= 2 * self.inner_wh[0] and image.shape[0] >= 2 * self.inner_wh[1]
        how = (
            cv2.INTER_AREA if halved else cv2.INTER_LINEAR
        )  # linear looks at 2 x 2 pixels only: beyond that it aliases
        cv2.resize(image, self.inner_wh, dst=self.inner(slot), interpolation=how)

    def inner(self, slot: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture in `slot`, without the bars."""
        return slot[self.top : self.top + self.inner_wh[1], self.left : self.left + self.inner_wh[0]]

    @property
    def _scale(self) -> Boxes:
        sizes = (self.inner_wh[0] / self.source_wh[0], self.inner_wh[1] / self.source_wh[1])
        return np.array(sizes * 2, np.float32)

    @property
    def _offset(self) -> Boxes:
        return np.array((self.left, self.top) * 2, np.float32)
