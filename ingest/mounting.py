"""Mounting: how a frame's camera is mounted, as its publisher says in headers beside the frame.

`ce_hfovdeg`, `ce_heightm`, `ce_pitchdeg`, `ce_yawdeg` and so on are the fields of cameras.toml. They are optional:
without them the camera is one that the reader knows by its name.
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
    "ce_rolldeg": "roll_deg",
    "ce_k1": "k1",
    "ce_k2": "k2",
    "ce_pitchsigmadeg": "pitch_sigma_deg",
    "ce_yawsigmadeg": "yaw_sigma_deg",
    "ce_aheadm": "ahead_m",
    "ce_rightm": "right_m",
}
NEVER_UNSAID = ("hfov_deg", "height_m", "pitch_deg", "yaw_deg")  # of these a reader has other defaults than zero


def mounting_headers(told: Mapping[str, float]) -> tuple[tuple[str, bytes], ...]:
    """Headers that say the fields of a camera, by name; what a reader takes as zero anyway is left unsaid."""
    said = {field: value for field, value in told.items() if value != 0 or field in NEVER_UNSAID}
    return tuple((header, repr(float(said[field])).encode()) for header, field in MOUNTING.items() if field in said)


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
