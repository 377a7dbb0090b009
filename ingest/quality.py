"""Quality: dark, covered and blurred pictures are dropped before they are decoded, and told as camera health.

Three steps. The header and the number of bytes decide for most pictures, at no cost: a picture that spends as many bits
as street pictures of its JPEG quality do has something to show. One that spends so few that it may well be empty is
looked at first, decoded to an eighth of its size, grey. What is left would cost almost as much to decode twice as to
look at with the net: there the picture that was made for the net is looked at, before the net is (`look_at_pixels`).
A verdict follows from a picture's bytes alone, so that replays and restarts give the same. `jiexun bench gate` measures
what is dropped, rightly and wrongly; the thresholds come from pictures of the training split and are checked on others.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ingest.jpeg import segments

DQT = 0xDB
FINE_STEP = 2.2  # at finer quantisation (JPEG quality 94 and more) noise alone fills the bytes: they prove nothing
BITS_AT_Q1 = 2.5  # bits a pixel where the AC steps are 1; three of four street pictures spend more than
BITS_POWER = 0.46  # BITS_AT_Q1 / step ** BITS_POWER
SPARSE = 0.5  # of these bits: with fewer a look at an eighth comes first
SHORT_PX = 120  # a look keeps the shorter side at least so long
LONG_PX = 128  # and is then shrunk to this: statistics do not depend on the camera's resolution
TILE_PX = 8
DARK_BELOW = 24.0  # grey value that 2 % of the picture exceed; a street with one lit truck has 140, its empty end 65
LIT = 0.98
DETAIL_STEP = 6.0  # grey values from one pixel to the next ...
STRONG = 4  # a tile with so many such steps, of 64, shows an edge
COVERED_BELOW = 0.20  # part of the tiles that show one; empty roads under a plain sky have 0.36
BLURRED_BELOW = 0.285  # sharpness; at such blur the model finds a third of what it finds in the sharp picture
KEPT = 1.02  # near BLURRED_BELOW what is shrunk from pixels is so much sharper than what is decoded to an eighth

Grey = NDArray[np.uint8]  # (H, W)
Steps = NDArray[np.float32]  # (H, W), grey values
_REDUCED = (
    (8, cv2.IMREAD_REDUCED_GRAYSCALE_8),
    (4, cv2.IMREAD_REDUCED_GRAYSCALE_4),
    (2, cv2.IMREAD_REDUCED_GRAYSCALE_2),
)


class Fault(StrEnum):
    """Why a whole picture shows nothing."""

    DARK = "dark"
    COVERED = "covered"  # a lens behind cloth, mud or a hand: no edges anywhere
    BLURRED = "blurred"  # out of focus, or moved


@dataclass(frozen=True, slots=True)
class Look:
    """What an eighth-scale look measures."""

    light: float  # grey value (0-255) that 2 % of the picture exceed
    detail: float  # part of the tiles that show an edge, 0-1
    sharpness: float  # steps from one pixel to the next over steps across four, in the worse direction: 0.25 is a ramp

    @property
    def fault(self) -> Fault | None:
        if self.light < DARK_BELOW:
            return Fault.DARK
        if self.detail < COVERED_BELOW:
            return Fault.COVERED
        return Fault.BLURRED if self.sharpness < BLURRED_BELOW else None


def first_look(jpeg: bytes, size_wh: tuple[int, int]) -> tuple[Fault | None, bool]:
    """What can be said before a picture is decoded: (fault, whether that is settled).

    Where it is not, `look_at_pixels` of the decoded picture says. A picture that does not decode has no fault: that is
    for others to say.
    """
    share, fine = _spent(jpeg, size_wh)
    if share >= SPARSE:
        return None, share >= 1 and not fine
    look = look_at(jpeg, size_wh)
    return (None if look is None else look.fault), True


def suspicious(jpeg: bytes, size_wh: tuple[int, int]) -> bool:
    """True when a picture spends fewer bits than most street pictures of its JPEG quality, or when bits prove nothing.

    Reads the header only.
    """
    share, fine = _spent(jpeg, size_wh)
    return share < 1 or fine


def _spent(jpeg: bytes, size_wh: tuple[int, int]) -> tuple[float, bool]:
    """(bits beside those that street pictures of its quality spend, whether it is quantised so finely that noise does).

    (1, False) for what is no picture: who decodes it says so.
    """
    step, start = FINE_STEP, 0
    try:
        for marker, begin, end in segments(jpeg):
            start = end
            if marker == DQT:
                step = _luma_step(jpeg[begin:end]) or step
    except ValueError:
        return 1.0, False
    bits = 8 * (len(jpeg) - start) / (size_wh[0] * size_wh[1])
    return bits / (BITS_AT_Q1 / step**BITS_POWER), step < FINE_STEP


def look_at(jpeg: bytes, size_wh: tuple[int, int]) -> Look | None:
    """Measure a picture at an eighth of its size, or at more where that would be too little; None without a picture."""
    flag = next((flag for factor, flag in _REDUCED if min(size_wh) >= SHORT_PX * factor), cv2.IMREAD_GRAYSCALE)
    try:
        read = cv2.imdecode(np.frombuffer(jpeg, np.uint8), flag)
    except cv2.error:
        return None
    if read is None or min(read.shape) < 2 * TILE_PX:
        return None
    return measured(_shrunk(np.asarray(read, np.uint8)))


def look_at_pixels(image: NDArray[np.uint8]) -> Look:
    """Measure a picture (H, W, 3), BGR, that was shrunk for a net; at least two tiles high and wide."""
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
    while max(grey.shape) >= 2 * LONG_PX:  # pairs of pixels are quick to halve
        half = grey.shape[1] // 2, grey.shape[0] // 2
        grey = np.asarray(cv2.resize(grey, half, interpolation=cv2.INTER_AREA), np.uint8)
    look = measured(_shrunk(grey))
    return replace(look, sharpness=look.sharpness / KEPT)


def _shrunk(image: Grey) -> Grey:
    scale = min(1.0, LONG_PX / max(image.shape[:2]))
    width, height = (max(2 * TILE_PX, round(side * scale)) for side in (image.shape[1], image.shape[0]))
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def measured(grey: Grey) -> Look:
    """The statistics of a small grey picture, at least two tiles high and wide."""
    values = grey.astype(np.float32)
    across, down = np.abs(values[:, 1:] - values[:, :-1]), np.abs(values[1:] - values[:-1])
    return Look(
        light=_exceeded(grey),
        detail=_detail(np.maximum(across[:-1], down[:, :-1])),
        sharpness=min(
            _ratio(across, np.abs(values[:, 4:] - values[:, :-4])),
            _ratio(down, np.abs(values[4:] - values[:-4])),
        ),
    )


def _exceeded(grey: Grey) -> float:
    """The grey value that 2 % of the pixels exceed."""
    below = np.bincount(grey.ravel(), minlength=256).cumsum()
    return float(below.searchsorted(LIT * grey.size))


def _ratio(near: Steps, far: Steps) -> float:
    """Steps to the next pixel over steps four away: 0.25 where all is soft or edges are far apart, more in texture."""
    return float(near.mean() / (far.mean() + 0.3))  # a third of a grey value: a plain picture has only noise


def _detail(steps: Steps) -> float:
    rows, columns = steps.shape[0] // TILE_PX, steps.shape[1] // TILE_PX
    strong = (steps[: rows * TILE_PX, : columns * TILE_PX] > DETAIL_STEP).view(np.uint8)
    in_rows = strong.reshape(rows, TILE_PX, -1).sum(axis=1, dtype=np.uint8)
    in_tiles = in_rows.reshape(rows, columns, TILE_PX).sum(axis=2, dtype=np.uint8)
    return float((in_tiles >= STRONG).mean())


def _luma_step(tables: bytes) -> float | None:
    """Mean step of the 15 lowest AC frequencies in quantisation table 0; None when it is elsewhere. T.81, B.2.4.1."""
    at = 0
    while at < len(tables):
        wide, name = tables[at] >> 4, tables[at] & 15
        kind, size = (">u2", 128) if wide else ("u1", 64)
        if name == 0 and len(tables) > at + size:
            return max(1.0, float(np.frombuffer(tables, kind, 16, at + 1)[1:].mean()))
        at += 1 + size
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraHealth:
    """How many pictures of a camera came, and how many of them showed nothing, by fault."""

    vehicle: str
    camera: str
    frames: int
    dropped: dict[Fault, int]

    def document(self) -> dict[str, Any]:
        """The entry in `camera_health` of the JSON document."""
        dropped = {str(fault): self.dropped.get(fault, 0) for fault in Fault}
        return {"vehicle": self.vehicle, "camera": self.camera, "frames": self.frames, "dropped": dropped}


class Health:
    """Keeps count, by camera, of pictures and of those that showed nothing."""

    def __init__(self) -> None:
        self._frames: Counter[tuple[str, str]] = Counter()
        self._dropped: dict[tuple[str, str], Counter[Fault]] = {}

    def note(self, vehicle: str, camera: str, fault: Fault | None) -> None:
        """Count a picture and what was wrong with it."""
        self._frames[vehicle, camera] += 1
        if fault is not None:
            self._dropped.setdefault((vehicle, camera), Counter())[fault] += 1

    def health(self) -> list[CameraHealth]:
        """Every camera that sent a picture."""
        return [
            CameraHealth(vehicle=key[0], camera=key[1], frames=frames, dropped=dict(self._dropped.get(key, {})))
            for key, frames in sorted(self._frames.items())
        ]
