"""Straight: which pictures of a drive were taken one soon after the other while the vehicle drove straight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ingest.geo import distance_m, turn_deg
from ingest.source import Row

MIN_SPEED_MPS = 3.0
APART_M = (0.8, 6.0)  # of the pictures of a pair: nearer nothing has moved, farther little is in both
BEST_M = 2.5
APART_S = 2.0
TURN_DEG = 3.0  # over a pair, by the track: receivers err by a degree and more, the pictures say it better
WINDOW_S = 2.0  # positions within it tell a speed that the drive does not
STRETCH_M = 15.0  # nodding and swaying last over some metres: what lies nearer counts as one


class Idle(StrEnum):
    """Why a picture has no partner."""

    SLOW = "standing, or slower than 3 m/s"
    FAR = "no other picture within 6 m and 2 s after it"
    TURNING = "turning"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pictures of one camera, and how far the vehicle went between them."""

    before: Row
    after: Row
    distance_m: float
    stretch: int  # pairs of one stretch share what the vehicle did there


def straight_pairs(rows: Sequence[Row]) -> tuple[list[Pair], Counter[str]]:
    """Pairs of one camera's rows, in order of time, that do not overlap; and of the other rows, why not."""
    pairs: list[Pair] = []
    idle: Counter[str] = Counter()
    speeds = [_speed(rows, i) for i in range(len(rows))]
    driven, i = 0.0, 0
    while i < len(rows):
        found = _partner(rows, speeds, i)
        if isinstance(found, Idle):
            idle[found] += 1
            driven = (driven // STRETCH_M + 1) * STRETCH_M
            i += 1
            continue
        j, apart = found
        pairs.append(Pair(rows[i], rows[j], apart, int(driven // STRETCH_M)))
        driven += apart
        i = j
    return pairs, idle


def _partner(rows: Sequence[Row], speeds: Sequence[float], i: int) -> tuple[int, float] | Idle:
    """The row to look at beside row `i`, and how far on it is."""
    if speeds[i] < MIN_SPEED_MPS:
        return Idle.SLOW
    best: tuple[float, int, float] | None = None
    for j in range(i + 1, len(rows)):
        apart_s = (rows[j].time - rows[i].time).total_seconds()
        apart_m = (speeds[i] + speeds[j]) / 2 * apart_s
        if apart_s > APART_S or apart_m > APART_M[1]:
            break
        if apart_m >= APART_M[0] and speeds[j] >= MIN_SPEED_MPS:
            best = min(best or (float("inf"), j, apart_m), (abs(apart_m - BEST_M), j, apart_m))
    if best is None:
        return Idle.FAR
    _, j, apart_m = best
    ahead = [row.fix.heading_deg for row in (rows[i], rows[j])]
    if ahead[0] is not None and ahead[1] is not None and abs(turn_deg(ahead[0], ahead[1])) > TURN_DEG:
        return Idle.TURNING
    return j, apart_m


def _speed(rows: Sequence[Row], i: int) -> float:
    """As the row says, else by the positions around it; 0 where neither tells."""
    told = rows[i].fix.speed_mps
    if told is not None:
        return told
    near = [
        row.fix for row in rows[max(0, i - 60) : i + 61] if abs((row.time - rows[i].time).total_seconds()) <= WINDOW_S
    ]
    first, last = near[0], near[-1]
    apart_s = (last.time - first.time).total_seconds()
    return distance_m(first.lat, first.lon, last.lat, last.lon) / apart_s if apart_s >= 0.5 * WINDOW_S else 0.0
