"""What a start costs: either engine reads all that is stored, and comes to the same cases, or the benchmark says so."""

from benchmarks.start import main
from dispatcher.engines import Which


def test_it_measures_either_engine_on_the_same_inputs() -> None:
    found = main(seed=3, days=0.1, json=True)
    assert set(found["engines"]) == set(Which)
    assert len({row["inputs"] for row in found["engines"].values()}) == 1
    assert all(row["inputs"] > 20 and row["per_s"] > 0 for row in found["engines"].values())
