"""What a JPEG says of itself in its markers: read before any decoder sees the file."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

MAX_BYTES = 32 * 1024 * 1024
MAX_PIXELS = 50_000_000
MAX_SIDE_PX = 16_384

SOI, EOI, SOS, APP1 = 0xD8, 0xD9, 0xDA, 0xE1
SIDEWAYS = {5, 6, 7, 8}  # EXIF orientations that exchange width and height
_ALONE = {0x01, *range(0xD0, 0xD8)}  # markers without a length
_DECODED_SOF = {0xC0, 0xC1, 0xC2}  # baseline, extended, progressive: Huffman-coded
_SOF = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN_END = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # in coded data FF is followed by 00, a restart or fill
_OTHERS = (
    (b"\x89PNG", "a PNG"),
    (b"GIF8", "a GIF"),
    (b"BM", "a BMP"),
    (b"II*\x00", "a TIFF"),
    (b"MM\x00*", "a TIFF"),
)
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif"}


def read_header(data: bytes, *, whole: bool = True) -> tuple[int, int]:
    """(width, height) in pixels of the upright picture: an EXIF orientation that turns it is obeyed, as decoders do.

    As `read_facts`, which says more.
    """
    return read_facts(data, whole=whole).size_wh


@dataclass(frozen=True, slots=True)
class Facts:
    """What a JPEG's header says."""

    stored_wh: tuple[int, int]  # pixels, as they are coded
    orientation: int  # EXIF, 1-8; 1 is upright

    @property
    def size_wh(self) -> tuple[int, int]:
        """Of the upright picture."""
        return self.stored_wh[::-1] if self.orientation in SIDEWAYS else self.stored_wh


def read_facts(data: bytes, *, whole: bool = True) -> Facts:
    """Size and orientation of a picture.

    `data` is the whole file: a picture cut short is refused, since decoders silently fill the rest with grey. That
    takes a walk through all of it; without `whole` only the header is read.
    Raises ValueError that says what is wrong. ITU-T T.81, annex B.
    """
    if not data:
        raise ValueError("the file is empty (zero bytes)")
    if len(data) > MAX_BYTES:
        raise ValueError(f"the file has {len(data)} bytes, more than the {MAX_BYTES} allowed")
    if not data.startswith(b"\xff\xd8"):
        raise ValueError(_not_jpeg(data))
    size_wh: tuple[int, int] | None = None
    orientation = 1
    for marker, start, end in segments(data):
        if marker in _SOF:
            if size_wh is not None:
                raise ValueError("the JPEG header gives its size twice")
            size_wh = _size(marker, data[start:end])
        elif marker == SOS:
            if size_wh is None:
                raise ValueError("the JPEG header has no size before its picture data")
            if whole:
                _check_ends(data, end)
            return Facts(size_wh, orientation)
        elif marker == APP1 and orientation == 1:
            orientation = _orientation(data[start:end])
    raise ValueError("the JPEG header is cut short: the file ends before the picture data")


def segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, start, end) of every header segment up to the first scan; `data[start:end]` is its content.

    Stops where the file does. Raises ValueError where no marker stands.
    """
    at = 2
    while at + 1 < len(data):
        if data[at] != 0xFF:
            raise ValueError(f"the JPEG header is damaged at byte {at}")
        marker = data[at + 1]
        if marker == 0xFF:  # fill
            at += 1
        elif marker in _ALONE:
            at += 2
        elif marker == EOI:
            raise ValueError("the JPEG holds no picture data")
        else:
            end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
            if end < at + 4 or end > len(data):
                return
            yield marker, at + 4, end
            if marker == SOS:
                return
            at = end


def _orientation(app1: bytes) -> int:
    """The EXIF orientation (1-8) of an APP1 segment; 1, upright, when it has none or is garbled. EXIF 3.0, 4.6.5."""
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(app1[6:10])
    if not app1.startswith(b"Exif\x00\x00") or order is None:
        return 1
    tiff = app1[6:]
    try:
        (at,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, at)
        for entry in range(at + 2, at + 2 + 12 * count, 12):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, entry)
            if (tag, kind) == (0x0112, 3):
                return int(value)
    except struct.error:  # the directory points outside: decoders ignore it too
        pass
    return 1


def _size(marker: int, frame: bytes) -> tuple[int, int]:
    if marker not in _DECODED_SOF:
        raise ValueError(f"the JPEG is coded in a way that is not read here (SOF{marker - 0xC0})")
    if len(frame) < 6 or len(frame) != 6 + 3 * frame[5]:
        raise ValueError("the JPEG header is damaged: its size segment has the wrong length")
    bits, height, width, components = (
        frame[0],
        int.from_bytes(frame[1:3], "big"),
        int.from_bytes(frame[3:5], "big"),
        frame[5],
    )
    if bits != 8:
        raise ValueError(f"the JPEG has {bits} bits per sample, only 8 are read here")
    if components not in (1, 3):
        kind = " (CMYK)" if components == 4 else ""
        raise ValueError(f"the JPEG has {components} colour components{kind}, only 1 or 3 are read here")
    if width == 0 or height == 0:
        raise ValueError(f"the JPEG header says {width}×{height} pixels")
    if max(width, height) > MAX_SIDE_PX or width * height > MAX_PIXELS:
        raise ValueError(
            f"the JPEG header says {width}×{height} pixels, more than {MAX_SIDE_PX} a side or {MAX_PIXELS} in all"
        )
    return width, height


def _check_ends(data: bytes, at: int) -> None:
    """Follow the scans to the end marker; bytes after it are nobody's business."""
    while found := _SCAN_END.search(data, at):
        marker, start = data[found.start() + 1], found.end()
        if marker == EOI:
            return
        length = int.from_bytes(data[start : start + 2], "big")
        at = start + length
        if length < 2 or marker == SOI:
            break
    raise ValueError("the JPEG is truncated: its end marker is missing")


def _not_jpeg(data: bytes) -> str:
    for magic, name in _OTHERS:
        if data.startswith(magic):
            return f"{name} file named .jpg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "a WebP file named .jpg"
    if data[4:8] == b"ftyp":
        return "a HEIC or AVIF file named .jpg" if data[8:12] in _HEIF_BRANDS else "a video file named .jpg"
    return f"not a JPEG: the file starts with {data[:4].hex(' ')}"
