"""JPEG bytes become pixels, no more of them than the model's input needs."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ingest.jpeg import read_header
from vision.letterbox import Letterbox

REDUCED = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}

Image = NDArray[np.uint8]  # (H, W, 3), BGR
Placed = tuple[Image, Letterbox]  # a decoded picture, perhaps smaller than its source, and its place in the input


class PictureUnreadable(ValueError):
    """The bytes are not a whole picture of sane size. The message says what they are instead."""


def decode_jpeg(data: bytes, shape_hw: tuple[int, int]) -> Placed:
    """Decode no larger than an input of `shape_hw` needs. Raises PictureUnreadable before decoding, if it can.

    The picture is upright: an EXIF orientation is obeyed, and source pixels are those of the upright picture.
    """
    try:
        width, height = read_header(data)
    except ValueError as error:
        raise PictureUnreadable(str(error)) from None
    inner_w, inner_h = Letterbox.fit((width, height), shape_hw).inner_wh
    shrink = min(width / inner_w, height / inner_h)
    factor = next((f for f in REDUCED if shrink >= f), 1)
    image = _decoded(data, REDUCED.get(factor, cv2.IMREAD_COLOR))
    if (image.shape[1] - image.shape[0]) * (width - height) < 0:  # turned by its EXIF orientation
        width, height = height, width
    return image, Letterbox.fit((width, height), shape_hw)


def decode_picture(data: bytes, shape_hw: tuple[int, int]) -> Placed:
    """As `decode_jpeg`, for any format of picture that a data set may hold."""
    if not data or data.startswith(b"\xff\xd8"):
        return decode_jpeg(data, shape_hw)
    image = _decoded(data, cv2.IMREAD_COLOR)
    return image, Letterbox.fit((image.shape[1], image.shape[0]), shape_hw)


def _decoded(data: bytes, flags: int) -> Image:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise PictureUnreadable(f"the picture does not decode: {error.err}") from None
    if image is None:
        raise PictureUnreadable("the picture does not decode")
    return np.asarray(image, np.uint8)
