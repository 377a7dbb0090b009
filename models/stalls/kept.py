"""Kept: the features of a picture on disk, as `models.stalls.features` writes and `models.stalls.learn` reads them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.stalls.head import STRIDES


@dataclass(frozen=True, slots=True)
class Kept:
    """A picture as it was seen. Boxes in input pixels; `inner` is the picture's place in the input."""

    name: str
    maps: tuple[NDArray[np.float16], ...]  # by level (cells, channels)
    boxes: NDArray[np.float32]  # (M, 4)
    inner: NDArray[np.float32]  # x1, y1, x2, y2
    size_wh: NDArray[np.int64]  # of the source

    @classmethod
    def read(cls, path: Path) -> Kept:
        with np.load(path) as z:
            maps = tuple(z[f"p{level}"] for level in range(len(STRIDES)))
            return cls(path.stem, maps, z["boxes"], z["inner"], z["size_wh"])

    def write(self, path: Path) -> None:
        """Whole or not at all."""
        maps: dict[str, Any] = {f"p{level}": one for level, one in enumerate(self.maps)}
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(file, boxes=self.boxes, inner=self.inner, size_wh=self.size_wh, **maps)
        part.rename(path)

    def level(self, level: int) -> NDArray[np.float32]:
        """Features (cells, channels)."""
        return self.maps[level].astype(np.float32)

    def in_source(self, xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Boxes of the input, in the picture and cut at its edges."""
        scale = self.size_wh / (self.inner[2:] - self.inner[:2])
        moved = (xyxy - np.tile(self.inner[:2], 2)) * np.tile(scale, 2)
        return np.asarray(np.clip(moved, 0, np.tile(self.size_wh, 2)), np.float32)
