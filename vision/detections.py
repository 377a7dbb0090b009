"""Detections: the boxes of one frame, as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Detections:
    """N boxes of one frame."""

    xyxy: NDArray[np.float32]  # (N, 4) in pixels of the source picture
    score: NDArray[np.float32]  # (N,) in 0–1, as the model says it
    label: NDArray[np.int64]  # (N,) index into the model's class names

    def __len__(self) -> int:
        return len(self.score)

    def __getitem__(self, keep: NDArray[np.bool_] | NDArray[np.int64] | slice) -> Detections:
        return Detections(self.xyxy[keep], self.score[keep], self.label[keep])

    @classmethod
    def empty(cls) -> Detections:
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
