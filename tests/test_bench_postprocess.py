"""The benchmark of post-processing runs, and its ways do the same work."""

from __future__ import annotations

import json

import pytest

from benchmarks import postprocess


def test_the_benchmark_prints_one_document_with_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    postprocess.main(json=True, seconds=0.001)
    (line,) = capsys.readouterr().out.splitlines()
    document = json.loads(line)
    assert len(document["pictures"]) == len(postprocess.OUTPUTS) * len(postprocess.FOUND)
    assert {row["count"] for row in document["suppression"]} == set(postprocess.COUNTS)
    assert all(row["ours_ms"] > 0 and row["loop_ms"] > 0 for row in document["suppression"])


@pytest.mark.parametrize("clusters", [False, True])
def test_the_plain_way_keeps_the_same_boxes(clusters: bool) -> None:
    ways = postprocess.ways(postprocess.made(1000, clusters=clusters))
    ours, loop = ways["ours"](), ways["loop"]()
    assert ours.xyxy.tolist() == loop.xyxy.tolist()
    assert 0 < len(ours) < 1000
