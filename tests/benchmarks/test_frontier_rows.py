"""What accuracy costs: a row that is measured anew stands among those that were kept."""

from __future__ import annotations

import json

import pytest

from benchmarks.frontier import merged
from benchmarks.machine import RESULTS


def test_a_row_measured_anew_has_the_speed_it_would_have_had_on_the_machine_of_the_others() -> None:
    kept = json.loads((RESULTS / "frontier.json").read_text(encoding="utf8"))
    default = next(row for row in kept["rows"] if row["name"] == "streetscape-v1 384x640 int8")
    slow = {"fps": 1.0, "p10": 0.5, "p90": 2.0}
    rows = [
        {"name": default["name"], "time_of_default": 1.0, **slow},
        {"name": "streetscape-v1-accurate 512x896 fp32", "time_of_default": 4.0, **slow},
        {"name": "new", "time_of_default": None, **slow},
    ]
    told = merged(kept, rows)
    assert [row["name"] for row in told["rows"]] == [*(row["name"] for row in kept["rows"]), "new"]
    by_name = {row["name"]: row for row in told["rows"]}
    assert by_name[default["name"]] == default, "the others stay as they were kept"
    anew = by_name["streetscape-v1-accurate 512x896 fp32"]
    assert anew["fps"] == pytest.approx(default["fps"] / 4, abs=0.01)
    assert anew["p10"] == pytest.approx(default["fps"] / 8, abs=0.01)
    assert by_name["new"]["fps"] == 1.0
