"""Street-kilometres per core-hour: the arithmetic, on ways of which everything is known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from benchmarks.street_km import Cost, Way, gate_cost_s, sample_way, street_km, way_of
from ingest.frame import Fix
from ingest.geo import latlon_from_offset

SAMPLE = Path(__file__).parent.parent / "datasets" / "sample"
START = datetime(2026, 11, 20, 8, tzinfo=UTC)


def fix(second: float, east_m: float) -> Fix:
    lat, lon = latlon_from_offset(22.54, 114.05, east_m, 0.0)
    return Fix(time=START + timedelta(seconds=second), lat=lat, lon=lon)


def test_a_straight_kilometre_at_10_m_a_second() -> None:
    way = way_of([fix(0, 0), fix(100, 1000)], camera_fps=25.0, every_m=4.0)
    assert way.km == pytest.approx(1.0, rel=1e-3)
    assert way.frames == 2501
    assert way.kept == pytest.approx(251, abs=1)  # every tenth


def test_a_standing_bus_takes_pictures_and_keeps_a_heartbeat() -> None:
    way = way_of([fix(0, 0), fix(300, 0)], camera_fps=10.0, every_m=4.0)
    assert (way.km, way.frames, way.kept) == (0.0, 3001, 11)  # one in 30 s


def test_one_fix_is_no_way() -> None:
    with pytest.raises(ValueError, match="two"):
        way_of([fix(0, 0)])


def test_cost_is_divided_as_the_formula_says() -> None:
    # 72 frames a second on 2 cores: a core-hour looks at 129,600; 0.8 of 100 frames and 100 times 2.8 ms cost as much
    # as 90.08 frames
    found = street_km(Way(km=2.0, frames=1296, kept=100), Cost(fps=72.0, cores=2, gate_s=0.0028))
    assert found["every_frame"] == 200.0
    assert found["sampled"] == pytest.approx(2592.0)
    assert found["sampled_and_gated"] == pytest.approx(2 * 129_600 / 110.08, abs=0.01)
    assert found["sampled_and_gated_some_useless"] == pytest.approx(2 * 129_600 / 90.08, abs=0.01)


def test_the_sample_is_a_kilometre_of_which_sampling_keeps_a_small_part() -> None:
    way = sample_way(SAMPLE)
    assert 0.9 < way.km < 1.1  # PROVENANCE.md: 1,009 m
    assert 5500 < way.frames < 6000  # 235 s at 25 a second
    assert 225 <= way.kept <= 251


def test_the_gate_costs_something() -> None:
    jpegs = [path.read_bytes() for path in sorted(SAMPLE.glob("*.jpg"))[:3]]
    assert np.isfinite(gate_cost_s(jpegs, (640, 480)))
    assert gate_cost_s(jpegs, (640, 480)) > 0
