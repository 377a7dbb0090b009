"""Street: where the ground lies in a picture whose camera is not known, and how large things on it are.

The pictures carry no camera data, so height and horizon are assumed, drawn anew for each picture: a lens 1.2 to 2.4 m
above a flat road that looks level or slightly down, 60 to 75 degrees wide. A thing whose foot is `y` pixels down the
picture is then as large as `(y - horizon) / lens` pixels a metre, whatever the focal length; the focal length only says
from how far up it is seen. Pure.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

LENS_M = (1.2, 2.4)
HORIZON = (0.36, 0.52)  # of the height, from the top
HFOV_DEG = (60.0, 75.0)


@dataclass(frozen=True, slots=True)
class Street:
    """The assumed camera of one picture."""

    width_px: int
    height_px: int
    horizon_px: float  # row
    lens_m: float  # above the ground
    hfov_deg: float

    @classmethod
    def drawn(cls, size_wh: tuple[int, int], rng: random.Random) -> Street:
        """A camera as the pictures may have had."""
        horizon = rng.uniform(*HORIZON) * size_wh[1]
        return cls(size_wh[0], size_wh[1], horizon, rng.uniform(*LENS_M), rng.uniform(*HFOV_DEG))

    @property
    def focal_px(self) -> float:
        return self.width_px / 2 / math.tan(math.radians(self.hfov_deg / 2))

    def px_per_m(self, foot_px: float) -> float:
        """Size of an upright metre that stands on the ground at row `foot_px`. Raises ValueError at the horizon."""
        if foot_px <= self.horizon_px:
            raise ValueError("the ground ends at the horizon")
        return (foot_px - self.horizon_px) / self.lens_m

    def foot_px(self, reach_m: float) -> float:
        """Row of the ground so many metres ahead."""
        return self.horizon_px + self.focal_px * self.lens_m / reach_m

    def look_down(self, foot_px: float) -> float:
        """Angle below the horizon at which the ground at row `foot_px` is seen, radians."""
        return math.atan((foot_px - self.horizon_px) / self.focal_px)


Box = tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels


def clipped(box: Box, size_wh: tuple[int, int]) -> tuple[Box, float]:
    """The part of a box inside the picture, and which share of it that is."""
    x1, y1 = max(box[0], 0.0), max(box[1], 0.0)
    x2, y2 = max(min(box[2], float(size_wh[0])), x1), max(min(box[3], float(size_wh[1])), y1)
    whole = (box[2] - box[0]) * (box[3] - box[1])
    return (x1, y1, x2, y2), (x2 - x1) * (y2 - y1) / whole if whole > 0 else 0.0


def hidden_share(box: Box, by: Box) -> float:
    """Share of `box` that lies behind `by`."""
    width = min(box[2], by[2]) - max(box[0], by[0])
    height = min(box[3], by[3]) - max(box[1], by[1])
    whole = (box[2] - box[0]) * (box[3] - box[1])
    return max(width, 0.0) * max(height, 0.0) / whole if whole > 0 else 0.0


def yolo_line(box: Box, size_wh: tuple[int, int], label: int = 0) -> str:
    """A row of a label file: class, centre and size as fractions."""
    w, h = size_wh
    x, y = (box[0] + box[2]) / 2 / w, (box[1] + box[3]) / 2 / h
    return f"{label} {x:.6f} {y:.6f} {(box[2] - box[0]) / w:.6f} {(box[3] - box[1]) / h:.6f}"
