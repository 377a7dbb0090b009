"""Outgoing: what a publisher adds to the records of its frames, so that their reader needs to ask nobody.

`ce_previous`  capture time of the frame of this camera that was sent before, or "none" for the first: a reader sees
               whether one is missing, and waits for that one alone
`ce_hfovdeg`, `ce_heightm`, `ce_pitchdeg`, `ce_yawdeg`   how the camera is mounted, as in cameras.toml

All are optional. A frame without them is put in order by its time alone, and its camera is one that the reader knows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from ingest.binding import frame_record
from ingest.frame import Frame, parse_rfc3339, rfc3339
from ingest.record import Record

PREVIOUS = "ce_previous"
NONE = "none"
MOUNTING = {  # header -> field of a camera
    "ce_hfovdeg": "hfov_deg",
    "ce_heightm": "height_m",
    "ce_pitchdeg": "pitch_deg",
    "ce_yawdeg": "yaw_deg",
}


class Outgoing:
    """One publisher's frames, of any number of cameras, as they are sent. Those of a camera go out in order of time."""

    def __init__(self, mountings: Mapping[str, Mapping[str, float]] | None = None) -> None:
        """`mountings`: by name of the camera, its fields by name; a camera without one says nothing of it."""
        self._mountings = mountings or {}
        self._sent: dict[tuple[str, str], datetime] = {}

    def record(self, frame: Frame) -> Record:
        """A frame on topic `frames`, with what is added to it."""
        key = (frame.vehicle, frame.camera)
        before = self._sent.get(key)
        self._sent[key] = frame.time
        mounting = self._mountings.get(frame.camera, {})
        added = [(PREVIOUS, NONE if before is None else rfc3339(before))]
        added += [(header, repr(float(mounting[field]))) for header, field in MOUNTING.items() if field in mounting]
        record = frame_record(frame)
        return replace(record, headers=record.headers + tuple((name, text.encode()) for name, text in added))


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What a record's publisher added."""

    first: bool = False  # it sent none of this camera before
    previous: datetime | None = None  # capture time of the one before; None: the first, or it does not say
    mounting: tuple[tuple[str, float], ...] = ()  # fields of the camera, by name


def parse_added(record: Record) -> Added:
    """Read it. What makes no sense counts as not said: the frame itself may be good."""
    told = (record.header(PREVIOUS) or b"").decode(errors="replace")
    previous = None
    if told and told != NONE:
        try:
            previous = parse_rfc3339(told)
        except (ValueError, OverflowError):
            previous = None
    mounting = []
    for header, field in MOUNTING.items():
        try:
            value = float((record.header(header) or b"nan").decode(errors="replace"))
        except ValueError:
            continue
        if math.isfinite(value):
            mounting.append((field, value))
    return Added(first=told == NONE, previous=previous, mounting=tuple(mounting))
