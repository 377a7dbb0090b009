"""The benchmark of the quality gate runs, and what it prints parses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from benchmarks.degrade import DEGRADATIONS
from benchmarks.gate import main as gate
from benchmarks.street_pictures import SAMPLE


def test_the_gate_is_measured_on_good_and_on_degraded_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(SAMPLE / "0001.jpg", tmp_path / "one.jpg")
    gate(json=True, folders=[tmp_path], count=1)
    out = capsys.readouterr()
    assert out.out.count("\n") == 1
    document = json.loads(out.out)
    assert [(row["pictures"], row["dropped"]) for row in document["good"]] == [(70, 0.0), (1, 0.0)]
    rows = {row["name"]: row for row in document["degraded"]}
    assert rows.keys() == {one.name for one in DEGRADATIONS}
    assert (rows["as it is"]["dropped"], rows["black"]["dropped"]) == (0.0, 1.0)
    assert rows["black"]["found_again"] in (0.0, None)
    assert document["cost"]["header_ms"] < document["cost"]["look_at_an_eighth_ms"]  # by a factor of a hundred
    assert "good pictures" in out.err


def test_a_folder_without_pictures_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no pictures"):
        gate(folders=[tmp_path])
