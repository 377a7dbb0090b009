"""Mounting: how a frame's camera is mounted, as its publisher says in headers beside the frame.

`ce_hfovdeg`, `ce_heightm`, `ce_pitchdeg`, `ce_yawdeg` are the fields of cameras.toml. They are optional: without them
the camera is one that the reader knows by its name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from ingest.record import Record

MOUNTING = {  # header -> field of a camera
    "ce_hfovdeg": "hfov_deg",
    "ce_heightm": "height_m",
    "ce_pitchdeg": "pitch_deg",
    "ce_yawdeg": "yaw_deg",
}


def mounting_headers(told: Mapping[str, float]) -> tuple[tuple[str, bytes], ...]:
    """Headers that say the fields of a camera, by name."""
    return tuple((header, repr(float(told[field])).encode()) for header, field in MOUNTING.items() if field in told)


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
