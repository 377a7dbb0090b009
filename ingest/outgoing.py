"""Outgoing: one publisher's frames as records. Each says which was sent before it, and how its camera is mounted.

`ce_hfovdeg`, `ce_heightm`, `ce_pitchdeg`, `ce_yawdeg` are the camera as in cameras.toml. They are optional: without
them the camera is one that the reader knows by its name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from ingest.binding import Before, frame_record
from ingest.frame import Frame
from ingest.record import Record

MOUNTING = {  # header -> field of a camera
    "ce_hfovdeg": "hfov_deg",
    "ce_heightm": "height_m",
    "ce_pitchdeg": "pitch_deg",
    "ce_yawdeg": "yaw_deg",
}


class Outgoing:
    """One publisher's frames, of any number of cameras. Those of a camera come in order of time."""

    def __init__(self, mountings: Mapping[str, Mapping[str, float]] | None = None) -> None:
        """`mountings`: by name of the camera, its fields by name; of a camera without one nothing is said."""
        self._mountings = mountings or {}
        self._sent: dict[tuple[str, str], datetime] = {}

    def record(self, frame: Frame) -> Record:
        """A frame on topic `frames`."""
        before = self._sent.get((frame.vehicle, frame.camera))
        self._sent[frame.vehicle, frame.camera] = frame.time
        record = frame_record(frame, Before(time=before, none=before is None))
        mounting = self._mountings.get(frame.camera, {})
        added = [
            (header, repr(float(mounting[field])).encode()) for header, field in MOUNTING.items() if field in mounting
        ]
        return replace(record, headers=(*record.headers, *added))


def parse_mounting(record: Record) -> dict[str, float]:
    """The fields of a frame's camera that its record says, by name. What is no number counts as not said."""
    told: dict[str, float] = {}
    for header, field in MOUNTING.items():
        try:
            value = float((record.header(header) or b"nan").decode(errors="replace"))
        except ValueError:
            continue
        if math.isfinite(value):
            told[field] = value
    return told
