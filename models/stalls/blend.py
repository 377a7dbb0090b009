"""Blend: put a cut-out into a picture so that its colours, sharpness and grain are the picture's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.stalls.street import Box, clipped

Image = NDArray[np.uint8]  # (H, W, 3) BGR, or (H, W, 4) with transparency
Floats = NDArray[np.float32]
SHADOW = 24  # pixels darker than this, half transparent, are shadow and keep their colour


@dataclass(frozen=True, slots=True)
class Look:
    """How much a cut-out is made like its surroundings, each 0 to 1, and how it is turned."""

    colour: float = 0.5
    mirrored: bool = False
    blur_px: float = 0.6  # Gaussian sigma


def pasted(picture: Image, cut: Image, corner_xy: tuple[float, float], scale: float, look: Look, seed: int) -> Image:
    """`picture` with `cut` (BGRA) scaled and laid over it, its upper left corner at `corner_xy`."""
    size = (max(round(cut.shape[1] * scale), 1), max(round(cut.shape[0] * scale), 1))
    small = cv2.resize(_premultiplied(cut), size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    if look.mirrored:
        small = small[:, ::-1]
    if look.blur_px > 0:
        small = cv2.GaussianBlur(small, (0, 0), look.blur_px)
    x, y = round(corner_xy[0]), round(corner_xy[1])
    (x1, y1, x2, y2), share = clipped((x, y, x + size[0], y + size[1]), (picture.shape[1], picture.shape[0]))
    if share == 0.0:
        return picture
    a, b, c, d = int(x1), int(y1), int(x2), int(y2)
    out = picture.copy()
    ground = out[b:d, a:c].astype(np.float32)
    part = np.asarray(small[b - y : d - y, a - x : c - x], np.float32)
    alpha = part[..., 3:]
    colour = _matched(part[..., :3], alpha, ground, look.colour)
    grain = np.random.default_rng(seed).normal(0.0, grain_of(picture), ground.shape).astype(np.float32)
    out[b:d, a:c] = np.clip(colour + grain * alpha + ground * (1.0 - alpha), 0, 255).astype(np.uint8)
    return out


def read_image(path: str) -> Image:
    """A picture, BGR. Raises ValueError when it cannot be read."""
    image = cv2.imread(path)
    if image is None:
        raise ValueError(f"{path} cannot be read as a picture")
    return np.asarray(image, np.uint8)


def grain_of(picture: Image) -> float:
    """Standard deviation of the noise, grey levels (Immerkaer 1996: second differences, median for the edges' sake)."""
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.float32)
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    return float(np.median(np.abs(cv2.filter2D(grey, -1, kernel))) / 0.6745 / 6.0)


def covered_again(picture: Image, before: Image, box: Box) -> Image:
    """`picture` with what was in `box` before anything was laid over it: something stands in front."""
    (x1, y1, x2, y2), _ = clipped(box, (picture.shape[1], picture.shape[0]))
    out = picture.copy()
    out[int(y1) : int(y2), int(x1) : int(x2)] = before[int(y1) : int(y2), int(x1) : int(x2)]
    return out


def compressed(picture: Image, quality: int) -> bytes:
    """The picture as a JPEG file."""
    ok, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not ok:
        raise ValueError("the picture cannot be written as JPEG")
    return data.tobytes()


def _premultiplied(cut: Image) -> Floats:
    """Colour times transparency, so that scaling and blurring do not pull in the colour of what is clear."""
    out = cut.astype(np.float32)
    out[..., 3] /= 255.0
    out[..., :3] *= out[..., 3:]
    return out


def _matched(colour: Floats, alpha: Floats, ground: Floats, share: float) -> Floats:
    """Premultiplied colours whose mean and spread are moved by `share` towards those of the surroundings."""
    solid = alpha[..., 0] > 0.9
    plain = np.where(alpha > 0, colour / np.maximum(alpha, 1e-3), 0.0)
    solid &= plain.max(axis=2) > SHADOW / 4
    if solid.sum() < 16:
        return colour
    own: Any = plain[solid]
    mean, spread = own.mean(axis=0), own.std() + 1e-3
    there, wide = ground.reshape(-1, 3).mean(axis=0), ground.std() + 1e-3
    gain = (1 - share) + share * np.clip(wide / spread, 0.5, 1.6)
    to = mean * (1 - share) + there * share
    moved = np.where(solid[..., None] | (alpha > 0.9), (plain - mean) * gain + to, plain)
    return np.asarray(np.clip(moved, 0, 255) * alpha, np.float32)
