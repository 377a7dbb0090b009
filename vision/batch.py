"""Batch: letterboxed pictures lie side by side in one canvas, in the few sizes that an engine has been warmed up for.

The canvas is what every engine reads: uint8 (N, H, W, 3), BGR. An engine that can turns it into the net's own input
where it computes; for the others there is `unit_planes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from models.card import BGR_BYTE, RGB_UNIT

BUCKETS = (1, 2, 4, 8)  # every new batch size costs a session time (on a GPU up to a second): there are only these
TO_UNIT = np.float32(1 / 255)

Canvas = NDArray[np.uint8]  # (N, H, W, 3), BGR
Tensor = NDArray[np.float32]  # (N, 3, H, W)


def bucket_for(count: int, buckets: Sequence[int] = BUCKETS) -> int:
    """The smallest bucket that holds `count` pictures; what it holds beyond them is padding. At most the largest."""
    return next((bucket for bucket in sorted(buckets) if bucket >= count), max(buckets))


def unit_planes(canvas: Canvas, out: Tensor | None = None) -> Tensor:
    """A canvas as nets are trained on it: (N, 3, H, W), RGB in 0–1. Written into `out` when that is given."""
    if out is None:
        out = np.empty((len(canvas), 3, *canvas.shape[1:3]), np.float32)
    np.multiply(canvas[..., ::-1].transpose(0, 3, 1, 2), TO_UNIT, out=out)
    return out


def byte_planes(canvas: Canvas, out: Tensor | None = None) -> Tensor:
    """A canvas as YOLOX reads it: (N, 3, H, W), BGR in 0–255. Written into `out` when that is given."""
    if out is None:
        out = np.empty((len(canvas), 3, *canvas.shape[1:3]), np.float32)
    np.copyto(out, canvas.transpose(0, 3, 1, 2))
    return out


PIXELS: Mapping[str, Callable[[Canvas, Tensor | None], Tensor]] = MappingProxyType(
    {RGB_UNIT: unit_planes, BGR_BYTE: byte_planes}
)
"""By the `pixels` of a card: from a canvas to what the net reads."""
