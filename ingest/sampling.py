"""Which frames are worth sending: by metres, since a standing vehicle says nothing new."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ingest.frame import Fix
from ingest.geo import distance_m

HEARTBEAT_S = 30.0
ROUNDING_M = 1e-3  # "every 4 m" keeps a frame that arithmetic puts at 3.9999


def keep_mask(fixes: Sequence[Fix], every_m: float) -> list[bool]:
    """Which of one camera's fixes, in order of time, to keep.

    The first; then each that lies `every_m` from the last kept one (as the crow flies), or came HEARTBEAT_S after
    it. `every_m=0` keeps all. Raises ValueError for a negative distance.
    """
    if not (math.isfinite(every_m) and every_m >= 0):
        raise ValueError(f"every_m must be 0 or more metres, got {every_m}")
    mask: list[bool] = []
    last: Fix | None = None
    for fix in fixes:
        keep = last is None or every_m == 0 or _news(last, fix, every_m)
        mask.append(keep)
        if keep:
            last = fix
    return mask


def _news(last: Fix, fix: Fix, every_m: float) -> bool:
    if (fix.time - last.time).total_seconds() >= HEARTBEAT_S:
        return True
    return distance_m(last.lat, last.lon, fix.lat, fix.lon) >= every_m - ROUNDING_M
