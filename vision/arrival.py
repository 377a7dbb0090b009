"""Arrival: a frame as it was read, with where it came from; and whose it is, also when it cannot be used."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ingest.binding import Before
from ingest.frame import Frame, parse_rfc3339
from ingest.record import Record
from vision.camera import Camera
from vision.fleet import Key


@dataclass(frozen=True, slots=True)
class Arrival:
    """A frame that was read and is to be worked on."""

    key: Key
    frame: Frame
    camera: Camera
    before: Before
    record: Record  # without its value, which the frame has
    at_s: float  # when it came, by its partition's clock
    share: object  # a partition that is lost and gained again is another one


def named(record: Record) -> tuple[Key | None, datetime | None]:
    """Which camera a record says it is of, and its capture time; None where it does not say."""
    texts = {
        name: (record.header(f"ce_{name}") or b"").decode(errors="replace") for name in ("vehicle", "camera", "time")
    }
    try:
        time = parse_rfc3339(texts["time"])
    except (ValueError, OverflowError):
        time = None
    if not texts["vehicle"] or not texts["camera"]:
        return None, time
    return Key(record.partition, texts["vehicle"], texts["camera"]), time
