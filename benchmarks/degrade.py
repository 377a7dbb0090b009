"""What happens to pictures in a vehicle, done to good ones: darkness, blur, a covered lens, weather."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]  # (H, W, 3), BGR
Change = Callable[[Image, np.random.Generator], Image]
GAMMA = 2.2  # of what a camera writes
SENSOR_NOISE = (1.0, 2.0, 3.0)  # 1 sigma, grey values, as a camera's own filter leaves it


@dataclass(frozen=True, slots=True)
class Degradation:
    """One thing that happens to a picture. `useless` when hardly anything can be found in it any more."""

    name: str
    useless: bool
    change: Change


def blurred(sigma: float) -> Change:
    """Out of focus; `sigma` as a part of the width."""
    return lambda image, rng: _noisy(cv2.GaussianBlur(image, (0, 0), sigma * image.shape[1]), rng)


def moved(length: float) -> Change:
    """Smeared along a line within 10 degrees of level; `length` as a part of the width."""

    def change(image: Image, rng: np.random.Generator) -> Image:
        size = max(3, int(length * image.shape[1]) | 1)
        line = np.zeros((size, size), np.float32)
        line[size // 2] = 1
        turn = cv2.getRotationMatrix2D((size // 2, size // 2), rng.uniform(-10, 10), 1)
        kernel = cv2.warpAffine(line, turn, (size, size))
        return _noisy(cv2.filter2D(image, -1, kernel / kernel.sum()), rng)

    return change


def darkened(gain: float) -> Change:
    """`gain` times the light."""
    return lambda image, rng: _noisy(_lit(image, np.full((1, 1, 1), gain, np.float32)), rng)


def night_with_lamps(image: Image, rng: np.random.Generator) -> Image:
    """A hundredth of the light, and three lamps that light their surroundings."""
    height, width = image.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    light = np.full((height, width), 0.01, np.float32)
    for _ in range(3):
        away2 = (columns - rng.uniform(0.1, 0.9) * width) ** 2 + (rows - rng.uniform(0.2, 0.8) * height) ** 2
        light += 0.8 * np.exp(-away2 / (2 * (0.09 * width) ** 2))
    return _noisy(_lit(image, light[..., None]), rng)


def covered(share: float) -> Change:
    """Mud or cloth over `share` of the lens: dim, and without any edge."""

    def change(image: Image, rng: np.random.Generator) -> Image:
        height, width = image.shape[:2]
        hills = cv2.resize(rng.normal(0, 1, (5, 7)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
        shore = float(np.quantile(hills, 1 - share))
        over = np.clip((hills - shore) / 0.25 + 1, 0, 1) if share < 1 else np.ones_like(hills)
        small = cv2.resize(image, (width // 8, height // 8), interpolation=cv2.INTER_AREA)
        behind = cv2.resize(cv2.GaussianBlur(small, (0, 0), 0.06 * width / 8), (width, height)).astype(np.float32)
        mud = 0.4 * behind + np.array([60, 80, 95], np.float32) * rng.uniform(0.4, 1.2)
        mixed = image + 0.97 * over[..., None] * (mud - image)
        return _noisy(mixed, rng)

    return change


def plain(level: float) -> Change:
    """Nothing but one grey, a little uneven, and noise."""

    def change(image: Image, rng: np.random.Generator) -> Image:
        height, width = image.shape[:2]
        slope = np.linspace(-8, 8, width)[None, :] * rng.uniform(-1, 1) + np.linspace(-8, 8, height)[:, None]
        return _noisy(np.repeat((level + slope).astype(np.float32)[..., None], 3, axis=2), rng)

    return change


def rained_on(image: Image, rng: np.random.Generator) -> Image:
    """Forty drops on the lens: small blurred, brighter discs."""
    height, width = image.shape[:2]
    drops = np.zeros((height, width), np.float32)
    for _ in range(40):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        radius = int(rng.uniform(0.01, 0.035) * width)
        cv2.ellipse(drops, centre, (radius, int(radius * rng.uniform(0.8, 1.4))), 0, 0, 360, 1.0, -1)
    soft = cv2.GaussianBlur(drops, (0, 0), 0.004 * width)[..., None]
    behind = 0.9 * cv2.GaussianBlur(image, (0, 0), 0.02 * width) + 20
    return _noisy(image + soft * (behind - image), rng)


def fogged(share: float) -> Change:
    """`share` of what is seen is fog."""
    return lambda image, rng: _noisy(image * (1 - share) + 210 * share, rng)


DEGRADATIONS = (
    Degradation("as it is", False, lambda image, rng: image),
    Degradation("rain, 40 drops", False, rained_on),
    Degradation("fog, 70 %", False, fogged(0.7)),
    Degradation("night with lamps", False, night_with_lamps),
    Degradation("light x 0.1", False, darkened(0.1)),
    Degradation("light x 0.03", False, darkened(0.03)),
    Degradation("light x 0.004", True, darkened(0.004)),
    Degradation("light x 0.001", True, darkened(0.001)),
    Degradation("focus, 0.4 % of width", False, blurred(0.004)),
    Degradation("focus, 1.5 %", True, blurred(0.015)),
    Degradation("focus, 3 %", True, blurred(0.03)),
    Degradation("motion, 2 % of width", False, moved(0.02)),
    Degradation("motion, 8 %", True, moved(0.08)),
    Degradation("motion, 12 %", True, moved(0.12)),
    Degradation("covered, 50 %", False, covered(0.5)),
    Degradation("covered, 85 %", True, covered(0.85)),
    Degradation("covered, 95 %", True, covered(0.95)),
    Degradation("covered, all", True, covered(1.0)),
    Degradation("black", True, plain(2)),
    Degradation("grey", True, plain(110)),
)


def encoded(image: Image, quality: int) -> bytes:
    """As JPEG."""
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def _lit(image: Image, gain: NDArray[np.float32]) -> NDArray[np.float32]:
    """Light is scaled before the camera's gamma, not after."""
    scaled: NDArray[np.float32] = 255 * ((image / np.float32(255)) ** GAMMA * gain).clip(0, 1) ** np.float32(1 / GAMMA)
    return scaled


def _noisy(image: NDArray[Any], rng: np.random.Generator) -> Image:
    """The sensor's noise comes last; its grey part is twice the coloured."""
    sigma = float(rng.choice(SENSOR_NOISE))
    grey = rng.normal(0, sigma, (*image.shape[:2], 1)) + rng.normal(0, sigma / 2, image.shape)
    return np.clip(image + grey, 0, 255).astype(np.uint8)
