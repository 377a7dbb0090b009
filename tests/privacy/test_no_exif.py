"""Stored evidence carries nothing of what a camera writes into pictures: end to end, on a drive full of EXIF."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable, Iterator
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from ingest.exif import read_exif

SAMPLE = Path(__file__).parents[2] / "datasets" / "sample"
SECRETS = (b"SERIAL-4711", b"LI MING", b"WATERMARK-0417", b"2026:11:20 08:15:02", b"after the end")
HARMLESS = {0xE0, 0xDB, 0xC0, 0xC2, 0xC4, 0xDA, 0xDD}  # JFIF, tables, frame, scan, restarts


def segment(marker: int, body: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body


def tiff() -> bytes:
    """EXIF with a serial number, an owner, a time, and a GPS position."""
    texts = {0x0131: b"SERIAL-4711\x00", 0x013B: b"LI MING\x00", 0x0132: b"2026:11:20 08:15:02\x00"}
    gps_at = 8 + 2 + 12 * (len(texts) + 1) + 4
    data_at = gps_at + 2 + 4 * 12 + 4
    gps = struct.pack(">H", 4) + struct.pack(">HHI4s", 1, 2, 2, b"N\x00") + struct.pack(">HHII", 2, 5, 3, data_at)
    gps += struct.pack(">HHI4s", 3, 2, 2, b"E\x00") + struct.pack(">HHII", 4, 5, 3, data_at + 24) + bytes(4)
    data = struct.pack(">12I", 22, 1, 32, 1, 2436, 100, 114, 1, 3, 1, 1152, 100)
    entries = b""
    for tag, text in sorted(texts.items()):
        entries += struct.pack(">HHII", tag, 2, len(text), data_at + len(data))
        data += text
    entries += struct.pack(">HHII", 0x8825, 4, 1, gps_at)
    return b"MM\x00*" + struct.pack(">I", 8) + struct.pack(">H", len(texts) + 1) + entries + bytes(4) + gps + data


def laden(jpeg: bytes) -> bytes:
    """The same picture with everything that cameras and editors add to one."""
    xmp = b"http://ns.adobe.com/xap/1.0/\x00<x:xmpmeta>LI MING</x:xmpmeta>"
    extra = segment(0xE1, b"Exif\x00\x00" + tiff()) + segment(0xE1, xmp) + segment(0xED, b"Photoshop 3.0\x00LI MING")
    return jpeg[:2] + extra + segment(0xFE, b"WATERMARK-0417") + jpeg[2:] + b"after the end"


def markers(jpeg: bytes) -> Iterator[int]:
    """The segments up to the picture's own data, read without the project's reader."""
    at = 2
    while jpeg[at] == 0xFF:
        marker = jpeg[at + 1]
        yield marker
        if marker == 0xDA:
            return
        at += 2 + struct.unpack(">H", jpeg[at + 2 : at + 4])[0]
    raise AssertionError("no scan")


def test_the_laden_picture_is_one_that_a_reader_of_exif_understands() -> None:
    found = read_exif(laden((SAMPLE / "0001.jpg").read_bytes()), UTC)
    assert (found.lat, found.lon) == pytest.approx((22.5401, 114.0532), abs=1e-6)
    assert {0xE1, 0xED, 0xFE} <= set(markers(laden((SAMPLE / "0001.jpg").read_bytes())))


def test_evidence_of_frames_full_of_exif_carries_none(run: Callable[..., Any], tmp_path: Path) -> None:
    drive = tmp_path / "drive"
    shutil.copytree(SAMPLE, drive)
    for path in drive.glob("*.jpg"):
        path.write_bytes(laden(path.read_bytes()))
    assert all(secret in (drive / "0001.jpg").read_bytes() for secret in SECRETS)
    code, document, _ = run("replay", drive, "--json", "--evidence", tmp_path / "proof")
    assert (code, document["rejected"]) == (0, [])
    pictures = sorted((tmp_path / "proof").glob("*.jpg"))
    assert len(pictures) == document["summary"]["evidence_stored"] > 5
    for path in pictures:
        data = path.read_bytes()
        assert set(markers(data)) <= HARMLESS
        assert not any(secret in data for secret in (*SECRETS, b"Exif", b"xmp"))
        assert data.endswith(b"\xff\xd9")


@pytest.mark.parametrize("name", ["0001.jpg", "0021.jpg"])
def test_the_check_would_notice_exif(name: str) -> None:
    assert not set(markers(laden((SAMPLE / name).read_bytes()))) <= HARMLESS
