"""The benchmark of real GNSS: the smoothed way beats both receivers on the minute that lies in the repository."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.gnss import OUT, main


def test_the_smoothed_way_is_nearer_to_the_truth_than_either_receiver(capsys: pytest.CaptureFixture[str]) -> None:
    main(json=True)
    out = capsys.readouterr()
    assert (out.out.count("\n"), out.err) == (1, "")
    receivers = json.loads(out.out)["receivers"]
    for receiver, share in (("u-blox", 0.5), ("phone", 0.85)):
        for where in ("at_fixes", "at_frames"):
            found = receivers[receiver][where]
            for figure in ("median_m", "p90_m"):
                assert found["smoothed, latency off"][figure] < share * found["raw"][figure]
    raw = {name: found["at_fixes"]["raw"] for name, found in receivers.items()}
    assert raw["u-blox"]["median_m"] == pytest.approx(1.44, abs=0.01)  # as others measured on the same minute
    assert (raw["phone"]["median_m"], raw["phone"]["p90_m"]) == pytest.approx((2.5, 6.8), abs=0.05)


def test_the_kept_result_is_of_this_minute() -> None:
    kept = json.loads(OUT.read_text(encoding="utf8"))
    assert {name: found["fixes"] for name, found in kept["receivers"].items()} == {"u-blox": 579, "phone": 30}


def test_a_folder_without_the_drive_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match="no segment of comma2k19"):
        main(tmp_path)
    monkeypatch.setenv("JIEXUN_TRACKS", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="no segment of comma2k19"):
        main()
