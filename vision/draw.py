"""Draw: boxes on a picture, for people."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.detections import Detections

COLOURS = ((0, 114, 255), (80, 175, 0), (40, 40, 220), (200, 90, 20), (160, 40, 160), (0, 170, 190))  # BGR

Image = NDArray[np.uint8]  # (H, W, 3), BGR


def draw(image: Image, found: Detections, names: Sequence[str]) -> Image:
    """A copy with a box, a name and the score for each detection. `names` by class number; OpenCV draws ASCII only."""
    out = image.copy()
    scale = max(image.shape[:2]) / 1280
    thick = max(1, round(2 * scale))
    for i in np.argsort(found.score, kind="stable"):  # the surest on top
        x1, y1, x2, y2 = (round(float(v)) for v in found.xyxy[i])
        label = int(found.label[i])
        colour = COLOURS[label % len(COLOURS)]
        cv2.rectangle(out, (x1, y1), (x2, y2), colour, thick)
        _caption(out, (x1, y1), f"{_ascii(names[label])} {found.score[i]:.2f}", colour, max(0.4, 0.6 * scale))
    return out


def _caption(out: Image, corner: tuple[int, int], text: str, colour: tuple[int, int, int], size: float) -> None:
    """White text on the class's colour, above the box, or inside it at the picture's upper edge."""
    thick = max(1, round(2 * size))
    (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, thick)
    left = max(0, min(corner[0], out.shape[1] - width))
    bottom = corner[1] if corner[1] >= height + 2 * below else corner[1] + height + 2 * below
    cv2.rectangle(out, (left, bottom - height - 2 * below), (left + width, bottom), colour, -1)
    cv2.putText(out, text, (left, bottom - below), cv2.FONT_HERSHEY_SIMPLEX, size, (255, 255, 255), thick, cv2.LINE_AA)


def _ascii(name: str) -> str:
    return name.encode("ascii", "replace").decode()
