"""Source: anything that frames come from, one by one and in order of time. Row: a frame without its bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from ingest.frame import Fix, Frame, frame_id
from ingest.jpeg import MAX_BYTES
from ingest.rejected import Rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One accepted picture: all but its bytes."""

    vehicle: str
    camera: str
    fix: Fix  # the vehicle when the picture was taken
    size_wh: tuple[int, int]  # pixels, from the header
    file: str  # relative to the drive; for a video "video.mp4#t=12.345"
    row: int | None = None  # line of frames.csv, counted from 1 with the header

    @property
    def id(self) -> str:
        return frame_id(self.vehicle, self.camera, self.fix.time)

    @property
    def time(self) -> datetime:
        return self.fix.time

    def frame(self, jpeg: bytes, size_wh: tuple[int, int]) -> Frame:
        """The frame, with its bytes."""
        return Frame(
            id=self.id,
            vehicle=self.vehicle,
            camera=self.camera,
            time=self.fix.time,
            fix=self.fix,
            jpeg=jpeg,
            size_wh=size_wh,
            file=self.file,
        )


class Source(Protocol):
    """A drive or a video: what was kept of it, what was refused, and the frames."""

    @property
    def rows(self) -> tuple[Row, ...]:
        """What was kept, in order of time over all vehicles."""

    @property
    def rejected(self) -> tuple[Rejected, ...]:
        """What was refused when the source was opened; `frames` may refuse more."""

    @property
    def repeats(self) -> int:
        """Valid rows whose id an earlier one had."""

    @property
    def left_out(self) -> int:
        """Valid rows that sampling found to say nothing new."""

    @property
    def unlisted(self) -> int:
        """Pictures in the folder that no row names."""

    def __len__(self) -> int:
        """How many items `frames` will give."""

    def frames(self) -> Iterator[Frame | Rejected]:
        """Each row's frame, read when asked for; Rejected where that fails by now."""


def read_picture(folder: Path, file: str) -> bytes:
    """The bytes of a picture of the drive, never more than MAX_BYTES. Raises ValueError saying why it has none."""
    path = folder / inside(file)
    try:
        if not path.is_file():
            raise ValueError("the picture is missing")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ValueError(f"the file has {size} bytes, more than the {MAX_BYTES} allowed")
        return path.read_bytes()
    except FileNotFoundError:
        raise ValueError("the picture is missing") from None
    except OSError as error:
        raise ValueError(f"the picture cannot be read: {error.strerror}") from None


def inside(file: str) -> str:
    """The file's path in its shortest form. Raises ValueError when it names something outside the drive."""
    if not file or "\x00" in file:
        raise ValueError("the file name is empty" if not file else "the file name holds a zero byte")
    path = os.path.normpath(file)
    if os.path.isabs(path) or path.split(os.sep)[0] in ("..", "."):
        raise ValueError("the file's path leaves the drive's folder")
    return path
