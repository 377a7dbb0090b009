"""JPEG bytes become pixels, no more of them than the model's input needs."""

from __future__ import annotations

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from ingest.jpeg import Facts, read_facts
from vision.letterbox import Letterbox

REDUCED = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}
UPRIGHT = 1  # EXIF orientation

Image = NDArray[np.uint8]  # (H, W, 3), BGR
Placed = tuple[Image, Letterbox]  # a decoded picture, perhaps smaller than its source, and its place in the input


class PictureUnreadable(ValueError):
    """The bytes are not a whole picture of sane size. The message says what they are instead."""


class JpegDecoder:
    """Decodes into memory of its own, which the next picture overwrites. One thread at a time.

    libjpeg-turbo by way of simplejpeg: the same pixels as OpenCV's reduced reads, in less time, and nothing of a
    picture's size is allocated. OpenCV decodes what it does not: pictures turned by EXIF, and damaged ones.
    """

    def __init__(self) -> None:
        self._room = np.empty(0, np.uint8)

    def __call__(self, data: bytes, shape_hw: tuple[int, int]) -> Placed:
        """Decode no larger than an input of `shape_hw` needs. Raises PictureUnreadable before decoding, if it can.

        The picture is upright: an EXIF orientation is obeyed, and source pixels are those of the upright picture.
        """
        return self.decode(data, facts_of(data), shape_hw)

    def decode(self, data: bytes, facts: Facts, shape_hw: tuple[int, int]) -> Placed:
        """The same, where the header was read already."""
        letterbox = Letterbox.fit(facts.size_wh, shape_hw)
        factor = shrunk_by(letterbox)
        if facts.orientation == UPRIGHT:
            width, height = (-(-side // factor) for side in facts.stored_wh)
            try:
                return self._decoded(data, width, height), letterbox
            except ValueError:  # libjpeg's complaint; OpenCV may still read it
                pass
        image = _opened(data, REDUCED.get(factor, cv2.IMREAD_COLOR))
        (height, width), (source_w, source_h) = image.shape[:2], facts.size_wh
        if (width - height) * (source_w - source_h) < 0:  # OpenCV thinks otherwise of the orientation
            letterbox = Letterbox.fit((source_h, source_w), shape_hw)
        return image, letterbox

    def _decoded(self, data: bytes, width: int, height: int) -> Image:
        size = 3 * width * height
        if len(self._room) < size:
            self._room = np.empty(size, np.uint8)
        room = self._room[:size].reshape(height, width, 3)
        image: Image = simplejpeg.decode_jpeg(
            data, "BGR", min_height=height, min_width=width, buffer=room, strict=False
        )
        return image


def facts_of(data: bytes) -> Facts:
    """What the header says. Raises PictureUnreadable for what is no whole picture of sane size."""
    try:
        return read_facts(data)
    except ValueError as error:
        raise PictureUnreadable(str(error)) from None


def decode_jpeg(data: bytes, shape_hw: tuple[int, int]) -> Placed:
    """As `JpegDecoder`, into memory that stays the caller's."""
    return JpegDecoder()(data, shape_hw)


def decode_picture(data: bytes, shape_hw: tuple[int, int]) -> Placed:
    """As `decode_jpeg`, for any format of picture that a data set may hold."""
    if not data or data.startswith(b"\xff\xd8"):
        return decode_jpeg(data, shape_hw)
    image = _opened(data, cv2.IMREAD_COLOR)
    return image, Letterbox.fit((image.shape[1], image.shape[0]), shape_hw)


def shrunk_by(letterbox: Letterbox) -> int:
    """How many times smaller a decoder may make the picture: 1, 2, 4 or 8."""
    (width, height), (inner_w, inner_h) = letterbox.source_wh, letterbox.inner_wh
    shrink = min(width / inner_w, height / inner_h)
    return next((factor for factor in REDUCED if shrink >= factor), 1)


def _opened(data: bytes, flags: int) -> Image:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise PictureUnreadable(f"the picture does not decode: {error.err}") from None
    if image is None:
        raise PictureUnreadable("the picture does not decode")
    return np.asarray(image, np.uint8)
