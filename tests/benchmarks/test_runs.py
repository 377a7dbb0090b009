"""Every benchmark of the streams runs here, small: it starts its servers, ends them, and prints one line of JSON."""

from __future__ import annotations

import json
import os
import shutil
from typing import Any

import pytest

from benchmarks import city, faults, stream

Printed = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True, scope="module")
def java() -> None:
    """A real Kafka needs Java. Without one these tests skip, loudly; in CI that is a failure."""
    if shutil.which("java") is None:
        text = "NO REAL KAFKA, NOT TESTED: there is no Java"
        if os.environ.get("CI"):
            pytest.fail(text)
        pytest.skip(text)


def only_line(printed: Printed) -> dict[str, Any]:
    (line,) = printed.readouterr().out.splitlines()
    document: dict[str, Any] = json.loads(line)
    return document


def test_a_fault_leaves_the_cases_as_they_are(capsys: Printed) -> None:
    result = faults.main(only=["duplicates"], json=True, vehicles=2, rounds=2)
    assert only_line(capsys) == result
    assert [(run["fault"], run["identical"]) for run in result["runs"]] == [("none", True), ("duplicates", True)]
    assert result["runs"][1]["cases"] == result["runs"][0]["cases"] > 0
    assert result["frames"] == 80


def test_an_unknown_fault_is_refused_before_anything_is_started() -> None:
    with pytest.raises(ValueError, match="no fault is called earthquake: worker-kill9"):
        faults.main(only=["earthquake"])


def test_the_stream_benchmark_measures_both_paths_and_the_transport(
    capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "BATCH", 8)  # a quarter: a turn is three batches at least
    monkeypatch.setattr(stream, "LEAST_TURN", 24)
    result = stream.main(json=True, repeats=1, turn=24, transported=40)
    assert only_line(capsys) == result
    assert result["ratio_to_hotpath"] == pytest.approx(result["fps"]["stream"] / result["fps"]["hotpath"], abs=1e-3)
    assert result["transport"]["frames"] == 40
    assert 440_000 < result["frame_bytes"] < 500_000


def test_the_city_benchmark_times_the_alerts_of_one_dispatcher(capsys: Printed) -> None:
    result = city.main(json=True, vehicles=400, seconds=4.0)
    assert only_line(capsys) == result
    assert result["caught_up"]
    assert result["alerts_timed"] > 0
    assert result["sightings"] > 0
    assert result["rss_mib"]["peak"] >= result["rss_mib"]["begin"] > 0
