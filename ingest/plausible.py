"""What a position, time or motion must be to be believed. Each check raises ValueError with the reason."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from ingest.frame import Fix, rfc3339
from ingest.geo import MAX_ACCURACY_M, MAX_SPEED_MPS, distance_m

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)  # receivers without a date say 1980 or 1999
MAX_AHEAD = timedelta(seconds=60)  # clocks differ
JUMP_SLACK_M = 10.0  # noise between two fixes, over what their accuracies say
SIGMAS = 3.0
MAX_RIVALS = 100  # chains looked at for each fix; more only in a file of noise


def check_time(time: datetime, now: datetime) -> None:
    """Not before 2000, not in the future."""
    if time < EARLIEST:
        raise ValueError(f"time {rfc3339(time)} is before the year 2000")
    if time > now + MAX_AHEAD:
        raise ValueError(f"time {rfc3339(time)} is in the future: it is {rfc3339(now)} now")


def check_position(lat: float, lon: float) -> None:
    """A number, on the Earth, and not the (0, 0) of a receiver that has no fix."""
    for name, value, limit in (("latitude", lat, 90.0), ("longitude", lon, 180.0)):
        if not math.isfinite(value):
            raise ValueError(f"{name} is not a number: {value}")
        if abs(value) > limit:
            raise ValueError(f"{name} {value:.10g} is outside ±{limit:g}")
    if lat == 0 and lon == 0:
        raise ValueError("position (0, 0) is what a receiver says without a fix")


def check_motion(speed_mps: float | None, heading_deg: float | None, accuracy_m: float | None) -> None:
    """Known parts within what a street vehicle and its receiver can do."""
    if speed_mps is not None and not 0 <= speed_mps <= MAX_SPEED_MPS:
        raise ValueError(f"speed {speed_mps:.10g} m/s is outside 0 to {MAX_SPEED_MPS:g}")
    if heading_deg is not None and not 0 <= heading_deg <= 360:
        raise ValueError(f"heading {heading_deg:.10g} is outside 0 to 360 degrees")
    if accuracy_m is not None and not 0 < accuracy_m <= MAX_ACCURACY_M:
        raise ValueError(f"accuracy {accuracy_m:.10g} m is not above 0 and up to {MAX_ACCURACY_M:g}")


def check_fix(fix: Fix, *, now: datetime) -> None:
    """All of the above."""
    check_time(fix.time, now)
    check_position(fix.lat, fix.lon)
    check_motion(fix.speed_mps, fix.heading_deg, fix.accuracy_m)


def reachable(a: Fix, b: Fix) -> bool:
    """Whether a street vehicle can have been at both, as far as their accuracies tell."""
    noise_m = JUMP_SLACK_M + SIGMAS * math.hypot(a.accuracy_m or 0.0, b.accuracy_m or 0.0)
    elapsed_s = abs((b.time - a.time).total_seconds())
    return distance_m(a.lat, a.lon, b.lat, b.lon) <= MAX_SPEED_MPS * elapsed_s + noise_m


def longest_chain(fixes: Sequence[Fix], follows: Callable[[Fix, Fix], bool]) -> list[int]:
    """Indices of the longest run of fixes, gaps allowed, of which each follows the one before.

    What is left out is what does not fit with the most of the rest, so that an outlier is blamed and not its
    neighbours. Of two as long the earlier wins. Linear where most fixes fit; the empty sequence gives none.
    """
    lengths: list[int] = []  # of the longest chain that ends at each
    before: list[int | None] = []
    longest: list[tuple[int, int]] = []  # (length, -index), the best last
    for i, fix in enumerate(fixes):
        previous = next((j for j in _candidates(i, lengths, longest) if follows(fixes[j], fix)), None)
        before.append(previous)
        lengths.append(1 if previous is None else lengths[previous] + 1)
        insort(longest, (lengths[i], -i))
        del longest[:-MAX_RIVALS]
    chain: list[int] = []
    at = -longest[-1][1] if longest else None
    while at is not None:
        chain.append(at)
        at = before[at]
    return chain[::-1]


def _candidates(i: int, lengths: list[int], longest: list[tuple[int, int]]) -> Iterator[int]:
    """Ends of chains that the fix `i` may follow, longest first: the longest of all, and the most recent."""
    if not longest:
        return
    yield -longest[-1][1]  # nearly always the one
    recent = {(lengths[j], -j) for j in range(max(0, i - MAX_RIVALS), i)}
    yield from (-j for _, j in sorted(recent.union(longest), reverse=True))
