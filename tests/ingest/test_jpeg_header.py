"""A JPEG's header: its size, and why a file is refused before any decoder sees it."""

from __future__ import annotations

import struct
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from ingest import jpeg as header
from ingest.jpeg import read_header

PICTURE = np.random.default_rng(3).integers(0, 255, (48, 64, 3), np.uint8)


def encoded(*options: int, suffix: str = ".jpg", picture: np.ndarray = PICTURE) -> bytes:
    return cv2.imencode(suffix, picture, list(options))[1].tobytes()


def resized(data: bytes, width: int, height: int) -> bytes:
    """Claim another size: the picture data stays as it is."""
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


@pytest.mark.parametrize(
    ("options", "picture"),
    [
        ((), PICTURE),
        ((cv2.IMWRITE_JPEG_PROGRESSIVE, 1), PICTURE),
        ((cv2.IMWRITE_JPEG_RST_INTERVAL, 2), PICTURE),
        ((cv2.IMWRITE_JPEG_OPTIMIZE, 1), PICTURE),
        ((), PICTURE[:, :, 0]),
    ],
    ids=["baseline", "progressive", "restart markers", "optimised", "grey"],
)
def test_the_size_is_read_from_every_usual_kind_of_jpeg(options: tuple[int, ...], picture: np.ndarray) -> None:
    assert read_header(encoded(*options, picture=picture)) == (64, 48)


def test_bytes_after_the_picture_do_no_harm(jpeg: bytes) -> None:
    assert read_header(jpeg + b"trailer of some camera" * 100) == (64, 48)


def test_a_thumbnail_in_the_header_is_not_taken_for_the_picture(jpeg: bytes) -> None:
    thumbnail = encoded(picture=PICTURE[:16, :16])
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    whole = jpeg[:2] + segment + jpeg[2:]
    assert read_header(whole) == (64, 48)
    with pytest.raises(ValueError, match="truncated"):  # the thumbnail's end marker is not the picture's
        read_header(whole[:-2])


def test_a_bomb_of_40000_by_40000_pixels_is_refused_by_its_header(jpeg: bytes) -> None:
    with pytest.raises(ValueError, match="40000×40000 pixels"):
        read_header(resized(jpeg, 40_000, 40_000))


@pytest.mark.parametrize(
    ("size", "fits"),
    [((16_384, 3_000), True), ((16_385, 10), False), ((8_000, 6_250), True), ((8_000, 6_251), False)],
)
def test_sides_and_pixels_have_limits(jpeg: bytes, size: tuple[int, int], fits: bool) -> None:
    if fits:
        assert read_header(resized(jpeg, *size)) == size
    else:
        with pytest.raises(ValueError, match="more than"):
            read_header(resized(jpeg, *size))


def damaged(change: Callable[[bytes], bytes]) -> bytes:
    return change(encoded())


def patched(data: bytes, marker: bytes, at: int, new: bytes) -> bytes:
    start = data.index(marker) + at
    return data[:start] + new + data[start + len(new) :]


BAD: list[tuple[str, bytes, str]] = [
    ("zero bytes", b"", "zero bytes"),
    ("PNG", encoded(suffix=".png"), "a PNG file named .jpg"),
    ("WebP", encoded(suffix=".webp"), "a WebP file named .jpg"),
    ("BMP", encoded(suffix=".bmp"), "a BMP file named .jpg"),
    ("GIF", b"GIF89a" + b"\x00" * 20, "a GIF file named .jpg"),
    ("HEIC", b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00", "a HEIC or AVIF file named .jpg"),
    ("video", b"\x00\x00\x00\x18ftypisom\x00\x00\x00\x00", "a video file named .jpg"),
    ("text", b"<html>404</html>", "not a JPEG"),
    ("only zeros", b"\x00" * 1000, "not a JPEG"),
    ("start marker alone", b"\xff\xd8", "cut short"),
    ("cut in the header", encoded()[:100], "cut short"),
    ("no marker where one must be", encoded()[:2] + b"garbage" + encoded()[2:], "damaged at byte 2"),
    ("end at once", b"\xff\xd8\xff\xd9", "no picture data"),
    ("cut in the picture", encoded()[: len(encoded()) * 2 // 3], "truncated"),
    ("last byte missing", encoded()[:-1], "truncated"),
    ("tail never written", encoded()[:-200] + b"\x00" * 200, "truncated"),
    ("progressive, later scans missing", encoded(cv2.IMWRITE_JPEG_PROGRESSIVE, 1)[:-300], "truncated"),
    ("another picture follows a cut one", encoded()[:-300] + encoded(), "truncated"),
    ("zero width", damaged(lambda d: resized(d, 0, 48)), "0×48"),
    ("zero height", damaged(lambda d: resized(d, 64, 0)), "64×0"),
    ("12 bits", damaged(lambda d: patched(d, b"\xff\xc0", 4, b"\x0c")), "12 bits"),
    ("lossless", damaged(lambda d: patched(d, b"\xff\xc0", 1, b"\xc3")), "SOF3"),
    ("arithmetic", damaged(lambda d: patched(d, b"\xff\xc0", 1, b"\xc9")), "SOF9"),
    ("size segment of a wrong length", damaged(lambda d: patched(d, b"\xff\xc0", 9, b"\x02")), "wrong length"),
    ("no size at all", damaged(lambda d: patched(d, b"\xff\xc0", 1, b"\xfe")), "no size"),
]


@pytest.mark.parametrize(("data", "reason"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_what_is_wrong_with_a_file_is_said(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_header(data)


def test_a_cmyk_picture_is_refused(jpeg: bytes) -> None:
    at = jpeg.index(b"\xff\xc0")
    sof = b"\xff\xc0" + struct.pack(">HBHHB", 20, 8, 48, 64, 4) + b"\x01\x11\x00" * 4
    with pytest.raises(ValueError, match="CMYK"):
        read_header(jpeg[:at] + sof + jpeg[at + 19 :])


def test_a_second_size_cannot_smuggle_a_bomb_past_the_first(jpeg: bytes) -> None:
    at = jpeg.index(b"\xff\xc0")
    sof = jpeg[at : at + 19]
    with pytest.raises(ValueError, match="twice"):
        read_header(jpeg[: at + 19] + resized(sof, 40_000, 40_000) + jpeg[at + 19 :])


def test_a_file_over_the_byte_limit_is_refused(jpeg: bytes) -> None:
    with pytest.raises(ValueError, match="more than the 33554432 allowed"):
        read_header(jpeg.ljust(header.MAX_BYTES + 1, b"\x00"))


def test_no_cut_or_flipped_byte_raises_anything_but_value_error(jpeg: bytes) -> None:
    refused = 0
    for end in range(0, len(jpeg), 7):
        with pytest.raises(ValueError):
            read_header(jpeg[:end])
    for at in range(min(700, len(jpeg))):
        try:
            read_header(jpeg[:at] + bytes([jpeg[at] ^ 0xFF]) + jpeg[at + 1 :])
        except ValueError:
            refused += 1
    assert refused > 20


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_is_that_of_the_upright_picture_as_decoders_turn_it(order: str, orientation: int) -> None:
    tiff = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, 1)
    tiff += struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0) + struct.pack(order + "I", 0)
    block = b"Exif\0\0" + tiff
    plain = encoded()
    data = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + plain[2:]
    height, width = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape[:2]
    assert read_header(data) == (width, height)


@pytest.mark.parametrize("cut", range(4, 30, 3))
def test_a_garbled_exif_block_does_not_matter(cut: int) -> None:
    block = (b"Exif\0\0II*\0" + struct.pack("<IHHHIHH", 8, 1, 0x0112, 3, 1, 6, 0))[:cut]
    plain = encoded()
    data = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + plain[2:]
    assert read_header(data) in ((64, 48), (48, 64))
