"""Every benchmark of the hot path runs, and what it prints parses. Never how fast."""

from __future__ import annotations

import json

import pytest

from benchmarks.hotpath import figures
from benchmarks.hotpath import main as hotpath
from benchmarks.latency import main as latency
from benchmarks.memory import main as memory
from benchmarks.memory import slope


def printed(capsys: pytest.CaptureFixture[str]) -> dict:
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    return json.loads(out)


def test_the_hot_path_is_measured_beside_the_limit(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.hotpath.WEAK", 100.0)  # one round on a busy machine proves nothing
    monkeypatch.setattr("benchmarks.ways.PICTURES", 4)
    monkeypatch.setattr("benchmarks.ways.TURNS", 2)
    hotpath(json=True, rounds=1)
    document = printed(capsys)
    assert document["ratio_to_limit"] > 0
    assert set(document["sizes"]) == {"1080p", "720p"}
    for size in document["sizes"].values():
        assert {"b", "c", "d"} <= set(size["ways"])
        assert sum(name.startswith("d:") for name in size["ways"]) >= 3
    assert -0.05 < document["map50_loss"] <= 0.01
    measured_here = document["ratio_to_default"] is not None
    assert measured_here or any("ultralytics is not installed" in note for note in document["notes"])


def test_ratios_are_medians_of_rounds_and_the_best_limit_counts() -> None:
    fps = {"c": [90.0, 50.0, 100.0], "d: weak": [50.0, 30.0, 60.0], "d: strong": [100.0, 50.0, 101.0]}
    found = figures(fps | {"a1": [30.0, 10.0, 50.0]})
    assert found["ways"]["d"]["arrangement"] == "d: strong"
    assert found["ratio_to_limit"] == pytest.approx(100 / 101, abs=1e-4)  # of 0.9, 1.0 and 0.99
    assert found["ratio_to_default"] == 3.0  # of 3, 5 and 2
    assert found["ratio_to_same_shape"] is None


def test_latency_is_measured_below_and_past_saturation(capsys: pytest.CaptureFixture[str]) -> None:
    latency(json=True, seconds=0.4, loads=(0.5, 1.5))
    document = printed(capsys)
    assert set(document["arrangements"]) == {"default", "batches"}
    for one in document["arrangements"].values():
        for row in one["loads"]:
            assert 0 < row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"]
            assert 0 <= row["refused"] <= 1
            assert 0 < row["fill"] <= 1
    assert all(row["batch"] == 1 for row in document["arrangements"]["default"]["loads"])


def test_memory_is_measured(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.memory.EVERY", 50)  # a hundred are each kind of the mixture once
    memory(json=True, frames=100)
    document = printed(capsys)
    assert len(document["seen"]) == len(document["rss_mb"]) == 2
    assert document["rss_last_mb"] > 50


def test_a_leak_of_a_kilobyte_a_picture_would_be_seen() -> None:
    seen = list(range(250, 10_001, 250))
    leaking = [200 + count / 1024 for count in seen]
    assert slope(seen, leaking)["kb_per_1000_frames"] == pytest.approx(1000)
    assert slope(seen, [200.0] * len(seen))["kb_per_1000_frames"] == pytest.approx(0, abs=1e-6)
