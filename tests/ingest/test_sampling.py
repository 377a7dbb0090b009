"""Sampling: by metres, with a heartbeat while the vehicle stands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ingest.frame import Fix
from ingest.sampling import keep_mask

START = datetime(2026, 11, 20, 8, tzinfo=UTC)
M_PER_DEG_LAT = 110_754.0  # of the WGS-84 meridian at 22.54° N


def fixes(*moments: tuple[float, float]) -> list[Fix]:
    """(seconds, metres to the north)."""
    return [Fix(time=START + timedelta(seconds=s), lat=22.54 + m / M_PER_DEG_LAT, lon=114.05) for s, m in moments]


@pytest.mark.parametrize(
    ("moments", "every_m", "kept"),
    [
        ([], 4.0, []),
        ([(0, 0)], 4.0, [0]),
        ([(0, 0), (1, 1.5), (2, 3), (3, 4.5), (4, 6), (5, 9)], 4.0, [0, 3, 5]),
        ([(0, 0), (1, 4.001), (2, 8.002), (3, 12.003)], 4.0, [0, 1, 2, 3]),
        ([(s, 0) for s in range(0, 70, 10)], 4.0, [0, 3, 6]),  # standing: every 30 s
        ([(0, 0), (1, 3), (2, 0), (3, 3), (4, 0)], 4.0, [0]),  # jitter goes nowhere
        ([(0, 0), (1, 0), (2, 0)], 0.0, [0, 1, 2]),
        ([(0, 0), (29.9, 0), (30, 0), (31, 0)], 4.0, [0, 2]),
        ([(0, 0), (20, 5), (45, 5), (50, 5)], 4.0, [0, 1, 3]),  # the heartbeat counts from the last kept one
    ],
)
def test_a_frame_is_kept_for_metres_or_for_the_heartbeat(
    moments: list[tuple[float, float]], every_m: float, kept: list[int]
) -> None:
    mask = keep_mask(fixes(*moments), every_m)
    assert [i for i, keep in enumerate(mask) if keep] == kept
    assert len(mask) == len(moments)


@pytest.mark.parametrize("every_m", [-1.0, float("nan"), float("inf")])
def test_a_distance_that_is_none_is_refused(every_m: float) -> None:
    with pytest.raises(ValueError, match="every_m"):
        keep_mask(fixes((0, 0)), every_m)
