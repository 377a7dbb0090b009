"""JPEG bytes become pixels, after their header was read: what lies about itself never reaches the decoder."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.letterbox import Letterbox

MAX_PIXELS = 100_000_000  # 10 times a 4K picture; a header that claims more is a mistake or an attack
MAX_BYTES = 64_000_000
REDUCED = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}
SIGNATURES = {b"\x89PNG": "a PNG", b"RIFF": "a WebP", b"GIF8": "a GIF", b"BM": "a BMP", b"II*\0": "a TIFF"}

Image = NDArray[np.uint8]  # (H, W, 3), BGR
Placed = tuple[Image, Letterbox]  # a decoded picture, perhaps smaller than its source, and its place in the input


class PictureUnreadable(ValueError):
    """The bytes are not a whole JPEG picture of sane size. The message says what they are instead."""


def jpeg_size_wh(data: bytes) -> tuple[int, int]:
    """Width and height in pixels, from the header alone. Raises PictureUnreadable, also when the end is missing."""
    if not data:
        raise PictureUnreadable("the file is empty")
    if len(data) > MAX_BYTES:
        raise PictureUnreadable(f"{len(data):,} bytes, more than {MAX_BYTES:,}")
    if not data.startswith(b"\xff\xd8"):
        what = next((name for mark, name in SIGNATURES.items() if data.startswith(mark)), "something else")
        raise PictureUnreadable(f"not a JPEG: it begins like {what}")
    size_wh, scan = _frame_and_scan(data)
    width, height = size_wh
    if width * height == 0:
        raise PictureUnreadable(f"the header says {width} x {height} pixels")
    if width * height > MAX_PIXELS:
        raise PictureUnreadable(f"the header says {width:,} x {height:,} pixels, more than {MAX_PIXELS:,}")
    if data.find(b"\xff\xd9", scan) < 0:
        raise PictureUnreadable("truncated: the JPEG has no end")
    return size_wh


def decode_jpeg(data: bytes, shape_hw: tuple[int, int]) -> Placed:
    """Decode (BGR) no larger than an input of `shape_hw` needs, with the picture's place in it.

    The picture is upright: an EXIF orientation is obeyed, and source pixels are those of the upright picture.
    Raises PictureUnreadable.
    """
    width, height = jpeg_size_wh(data)
    inner_w, inner_h = Letterbox.fit((width, height), shape_hw).inner_wh
    shrink = min(width / inner_w, height / inner_h)
    factor = next((f for f in REDUCED if shrink >= f), 1)
    image = _decoded(data, REDUCED.get(factor, cv2.IMREAD_COLOR))
    if (image.shape[1] - image.shape[0]) * (width - height) < 0:  # turned by its EXIF orientation
        width, height = height, width
    return image, Letterbox.fit((width, height), shape_hw)


def decode_picture(data: bytes, shape_hw: tuple[int, int]) -> Placed:
    """As `decode_jpeg`, for any format of picture that a data set may hold."""
    if data.startswith(b"\xff\xd8"):
        return decode_jpeg(data, shape_hw)
    if not data:
        raise PictureUnreadable("the file is empty")
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


def _frame_and_scan(data: bytes) -> tuple[tuple[int, int], int]:
    """((width, height), offset of the first scan), from the marker segments."""
    at, size_wh = 2, None
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            raise PictureUnreadable("not a JPEG: its header is garbled")
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # markers without a segment
            at += 2
            continue
        if marker == 0xDA and size_wh is not None:
            return size_wh, at
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # start of frame
            size_wh = int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    raise PictureUnreadable("truncated: the JPEG has no picture in it")
