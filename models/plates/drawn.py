"""Drawn licence plates, put into street pictures: what the second head of the plate net learns from.

Nobody's plates: characters are drawn at random. Layouts as of China (GA 36), Bangladesh and India, Europe and the
United States; one line or two; turned, in perspective, darkened, dirty, blurred, with noise and JPEG damage.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]  # (H, W, 3), BGR
Rng = np.random.Generator
Box = tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels

CHARACTERS = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ"
HANZI = 0.7  # how often the first character is one of strokes


@dataclass(frozen=True, slots=True)
class Layout:
    """How plates of one kind look."""

    ground: tuple[int, int, int]  # BGR
    ink: tuple[int, int, int]  # BGR
    aspect: float  # width to height
    lines: int
    weight: float  # how often it is drawn


BLUE, YELLOW, GREEN, WHITE, BLACK = (170, 70, 20), (0, 185, 240), (150, 210, 120), (235, 235, 235), (20, 20, 20)
GREY, DARK_GREEN, LIGHT, AMBER, SKY = (225, 225, 225), (80, 120, 30), (225, 228, 220), (0, 190, 235), (200, 120, 40)
PALE, DARK = (245, 245, 245), (10, 10, 10)
LAYOUTS = (
    Layout(BLUE, PALE, 3.14, 1, 6),  # China: cars
    Layout(YELLOW, DARK, 3.14, 1, 1.5),  # lorries and buses, in front
    Layout(YELLOW, DARK, 2.0, 2, 1),  # and behind
    Layout(GREEN, DARK, 3.4, 1, 2),  # electric
    Layout(WHITE, DARK, 3.14, 1, 0.6),  # police
    Layout(BLACK, (240, 240, 240), 3.14, 1, 0.4),  # foreigners'
    Layout(BLUE, PALE, 1.57, 2, 0.8),  # motorcycles
    Layout(YELLOW, DARK, 1.57, 2, 0.8),
    Layout(GREY, (15, 15, 15), 2.3, 2, 3),  # Bangladesh
    Layout(GREY, (15, 15, 15), 1.4, 2, 1.2),
    Layout(DARK_GREEN, (240, 240, 240), 2.3, 2, 0.8),
    Layout(WHITE, (15, 15, 15), 4.6, 1, 1.2),  # Europe
    Layout(LIGHT, (90, 40, 20), 2.0, 1, 1),  # United States
    Layout(AMBER, (15, 15, 15), 4.6, 1, 0.4),  # India: for hire
    Layout(SKY, (240, 240, 240), 1.8, 2, 0.3),  # China: mopeds
)
WEIGHTS = np.array([layout.weight for layout in LAYOUTS]) / sum(layout.weight for layout in LAYOUTS)


def plate(rng: Rng, high: int = 64) -> Image:
    """One plate, seen straight on, `high` pixels high."""
    layout = LAYOUTS[rng.choice(len(LAYOUTS), p=WEIGHTS)]
    wide, edge = int(high * layout.aspect), int(high * 0.1)
    image = np.empty((high, wide, 3), np.uint8)
    image[:] = np.clip(np.array(layout.ground) + rng.normal(0, 18, 3), 0, 255)
    if layout.lines == 1:
        write(image, (edge * 1.5, high * 0.2, wide - 3 * edge, high * 0.6), int(rng.integers(6, 9)), layout.ink, rng)
    else:
        write(image, (wide * 0.2, high * 0.12, wide * 0.6, high * 0.27), int(rng.integers(2, 7)), layout.ink, rng)
        write(image, (edge * 1.5, high * 0.47, wide - 3 * edge, high * 0.41), int(rng.integers(4, 7)), layout.ink, rng)
    if rng.random() < 0.7:
        far = (wide - edge // 2 - 1, high - edge // 2 - 1)
        cv2.rectangle(image, (edge // 2, edge // 2), far, layout.ink, max(1, high // 30))
    return dirty(image, rng) if rng.random() < 0.25 else image


def write(image: Image, xywh: Box, count: int, ink: tuple[int, int, int], rng: Rng) -> None:
    """Characters in a row, in place; the first is often one of strokes, as a Chinese or Bengali one looks from afar."""
    left, top, wide, high = xywh
    step, thick = wide / count, max(1, int(high * 0.13))
    for number in range(count):
        at = left + number * step
        if number == 0 and rng.random() < HANZI:
            strokes(image, (at, top, step * 0.85, high), ink, rng)
            continue
        letter = CHARACTERS[rng.integers(len(CHARACTERS))]
        (across, tall), _ = cv2.getTextSize(letter, cv2.FONT_HERSHEY_SIMPLEX, 1, thick)
        size = min(high / tall, step * 0.9 / across)
        cv2.putText(image, letter, (int(at), int(top + high)), cv2.FONT_HERSHEY_SIMPLEX, size, ink, thick)


def strokes(image: Image, xywh: Box, ink: tuple[int, int, int], rng: Rng) -> None:
    """A few level and upright lines, in place."""
    left, top, wide, high = xywh
    for _ in range(rng.integers(4, 8)):
        start = (int(left + rng.uniform(0, wide)), int(top + rng.uniform(0, high)))
        level = rng.random() < 0.5
        end = (int(left + rng.uniform(0, wide)), start[1]) if level else (start[0], int(top + rng.uniform(0, high)))
        cv2.line(image, start, end, ink, max(1, int(high * 0.1)))


def dirty(image: Image, rng: Rng) -> Image:
    """Dirt or a shadow over a part."""
    size_wh = (image.shape[1], image.shape[0])
    shade = cv2.resize(rng.uniform(0.3, 1, (3, 5)).astype(np.float32), size_wh, interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(image * np.clip(shade, 0.2, 1)[..., None], 0, 255).astype(np.uint8), np.uint8)


def hung(image: Image, middle_xy: NDArray[np.float64], high: float, light: float, rng: Rng) -> tuple[Image, Box]:
    """A copy with a plate around a point, about `high` pixels high, and its box; `light` is the mean grey there."""
    flat = plate(rng, max(24, int(high * 2.5)))
    tall, wide = flat.shape[:2]
    scale = high / tall
    corners = (
        turned(np.array([[-wide, -tall], [wide, -tall], [wide, tall], [-wide, tall]]) * scale / 2, rng) + middle_xy
    )
    seen = np.clip((light / 150) ** 0.7 * rng.uniform(0.6, 1.5), 0.15, 1.15)
    flat = np.clip(flat * seen * np.clip(rng.normal(1, 0.06, 3), 0.8, 1.2), 0, 255).astype(np.uint8)
    flat = np.asarray(cv2.GaussianBlur(flat, (0, 0), max(0.3, 0.4 / scale)), np.uint8)
    square = np.array([[0, 0], [wide, 0], [wide, tall], [0, tall]], np.float32)
    picture_from_plate = cv2.getPerspectiveTransform(square, corners.astype(np.float32))
    size_wh = (image.shape[1], image.shape[0])
    put = cv2.warpPerspective(flat, picture_from_plate, size_wh, flags=cv2.INTER_LINEAR)
    there = cv2.warpPerspective(np.full((tall, wide), 255, np.uint8), picture_from_plate, size_wh)
    share = cv2.GaussianBlur(there.astype(np.float32) / 255, (0, 0), 0.5)[..., None]
    out = np.clip(image * (1 - share) + put * share, 0, 255).astype(np.uint8)
    (x1, y1), (x2, y2) = corners.min(axis=0), corners.max(axis=0)
    return out, (float(x1), float(y1), float(x2), float(y2))


def turned(corners: NDArray[np.float64], rng: Rng) -> NDArray[np.float64]:
    """(4, 2): a rectangle around the origin as it is seen from the side, tilted, one in five by up to 55 degrees."""
    yaw = rng.uniform(0.45, 1) if rng.random() < 0.4 else rng.uniform(0.8, 1)
    angle = np.deg2rad(rng.uniform(-55, 55) if rng.random() < 0.2 else rng.normal(0, 6))
    out = corners * np.array([yaw, 1])
    out[:, 1] += rng.normal(0, 0.12) * out[:, 0]
    out[[0, 3], 1] *= 1 + rng.normal(0, 0.06)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray(out @ turn.T)


def worn(image: Image, rng: Rng) -> Image:
    """As a street camera shows it: blurred, darker, with noise and JPEG damage."""
    out = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.25, 1.3)) if rng.random() < 0.6 else image
    if rng.random() < 0.15:
        smear = np.zeros((5, 5), np.float32)
        smear[2] = 0.2
        out = cv2.filter2D(out, -1, smear)
    dim = rng.uniform(0.3, 1.15) if rng.random() < 0.5 else 1.0
    noisy = np.clip(out.astype(np.float32) * dim + rng.normal(0, rng.uniform(0, 6), out.shape), 0, 255).astype(np.uint8)
    data = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 92))])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
