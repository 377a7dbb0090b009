"""The command as people and programs use it."""

from __future__ import annotations

import csv
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest

from dispatcher.store.store import Store

SAMPLE = Path(__file__).parent.parent / "datasets" / "sample"
JIEXUN = Path(sys.executable).with_name("jiexun")
Run = Callable[..., tuple[int, Any, str]]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_demo_prints_one_json_document_on_one_line_and_ends(tmp_path: Path) -> None:
    done = subprocess.run([JIEXUN, "demo", "--no-serve", "--json"], cwd=tmp_path, capture_output=True, check=True)
    assert done.stdout.count(b"\n") == 1
    document = json.loads(done.stdout)
    assert {"cases", "objects", "rejected"} <= set(document)
    assert any(case["alerts"] for case in document["cases"])
    table = done.stderr.decode()
    assert "06042" in table
    assert "垃圾站（箱）满溢" in table


def test_replayed_sightings_and_passes_decide_as_the_drive_did(run: Run, sample_run: Any, tmp_path: Path) -> None:
    drive = sample_run.document
    with sqlite3.connect(sample_run.folder / "city.db") as database:
        lines = [row[0] for row in database.execute("select line from inputs order by seq")]
    database.close()
    (tmp_path / "events.jsonl").write_text("\n".join(lines) + "\n", encoding="utf8")
    lines_and_areas = (tmp_path / "events.jsonl", "--areas", SAMPLE / "areas.geojson")
    status, replayed, _ = run("cases", "replay", *lines_and_areas, "--engine", "shipped", "--json")
    assert status == 0
    assert replayed["cases"] == drive["cases"]
    assert replayed["objects"] == drive["objects"]
    assert replayed["rejected"] == []


def test_bad_lines_are_listed_by_number_and_the_rest_counts(run: Run, sample_run: Any, tmp_path: Path) -> None:
    with sqlite3.connect(sample_run.folder / "city.db") as database:
        good = json.loads(
            database.execute("select line from inputs where line like '%overflow%' limit 1").fetchone()[0]
        )
    database.close()
    unknown = good | {"data": good["data"] | {"matter": "06031", "id": "x"}}
    future = good | {"type": "cn.jiexun.sighting.v2"}
    nan = json.dumps(good | {"data": good["data"] | {"id": "y", "covariance_m2": [float("nan"), 0, 1]}})
    lines = [json.dumps(good), "not json", json.dumps(unknown), json.dumps(future), nan, "", json.dumps(good)]
    (tmp_path / "events.jsonl").write_text("\n".join(lines), encoding="utf8")
    status, document, _ = run("cases", "replay", tmp_path / "events.jsonl", "--json")
    assert status == 0
    assert [entry["line"] for entry in document["rejected"]] == [2, 3, 4, 5]
    assert len(document["cases"]) == 1


def test_a_port_in_use_is_said_before_anything_is_replayed(run: Run) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        status, _, errors = run("demo", "--port", str(listener.getsockname()[1]))
    assert status == 1
    assert "is in use: choose another with --port" in " ".join(errors.split())
    assert "cases" not in errors


def test_the_demo_serves_the_first_part_and_tells_the_rest_live(tmp_path: Path) -> None:
    port = free_port()
    process = subprocess.Popen(
        [JIEXUN, "demo", "--port", str(port)], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        first = _cases(port, at_least=1)
        later = _cases(port, at_least=len(first) + 1)
        assert {case["id"] for case in first} < {case["id"] for case in later}
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) in (0, 130)


def _cases(port: int, *, at_least: int) -> list[dict[str, Any]]:
    for _ in range(240):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/cases", timeout=5) as answer:
                cases: list[dict[str, Any]] = json.load(answer)["cases"]
        except OSError:
            cases = []
        if len(cases) >= at_least:
            return cases
        time.sleep(0.25)
    raise AssertionError(f"{len(cases)} cases, waited for {at_least}")


def test_serve_shows_a_store_and_refuses_other_addresses_than_loopback(run: Run, tmp_path: Path) -> None:
    status, _, errors = run("serve", "--store", f"sqlite:///{tmp_path}/none.db")
    assert status == 1
    assert "no store" in " ".join(errors.split())
    Store.open(f"sqlite:///{tmp_path}/empty.db").close()
    status, _, errors = run("serve", "--store", f"sqlite:///{tmp_path}/empty.db", "--host", "0.0.0.0")
    assert status == 1
    assert "loopback" in errors


def test_detect_finds_draws_and_lists_what_it_cannot_read(run: Run, tmp_path: Path) -> None:
    with (SAMPLE / "labels.csv").open(encoding="utf8", newline="") as file:
        named = [row["file"] for row in csv.DictReader(file) if row["kind"] == "overflow_bin"]
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    status, document, _ = run(
        "detect",
        *(SAMPLE / name for name in sorted(set(named))),
        tmp_path / "broken.jpg",
        "--json",
        "--draw",
        tmp_path / "drawn",
    )
    assert status == 0
    assert [Path(entry["file"]).name for entry in document["rejected"]] == ["broken.jpg"]
    kinds = [thing["kind"] for picture in document["pictures"] for thing in picture["detections"]]
    assert "overflow_bin" in kinds
    for picture in document["pictures"]:
        drawn = cv2.imread(str(tmp_path / "drawn" / Path(picture["file"]).name))
        assert drawn.shape == cv2.imread(picture["file"]).shape


def test_evaluate_measures_on_labelled_pictures(run: Run, tmp_path: Path) -> None:
    names = ["overflow_bin", "street_lamp", "garbage", "garbage_bin"]  # another order, and a class no model knows
    with (SAMPLE / "labels.csv").open(encoding="utf8", newline="") as file:
        rows = list(csv.DictReader(file))
    for name in sorted({row["file"] for row in rows}):
        height, width = cv2.imread(str(SAMPLE / name)).shape[:2]
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "labels").mkdir(exist_ok=True)
        (tmp_path / "images" / name).write_bytes((SAMPLE / name).read_bytes())
        boxes = []
        for row in (r for r in rows if r["file"] == name):
            x1, y1, x2, y2 = (float(row[k]) for k in ("x1", "y1", "x2", "y2"))
            centre = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
            boxes.append(" ".join([str(names.index(row["kind"])), *(f"{v:.6f}" for v in centre)]))
        (tmp_path / "labels" / name.replace(".jpg", ".txt")).write_text("\n".join(boxes))
    (tmp_path / "data.yaml").write_text("test: images\nnames: [" + ", ".join(names) + "]\n")
    status, document, _ = run("evaluate", "--data", tmp_path / "data.yaml", "--json")
    assert status == 0
    assert document["images"] == 70
    assert document["map50"] > 0.7
    assert document["map50"] == pytest.approx(sum(document["ap50"].values()) / len(document["ap50"]))
    for name, row in document["classes"].items():
        assert row["boxes"] == sum(r["kind"] == name for r in rows)
        assert {"ap50", "precision", "recall", "images"} <= set(row)


def test_doctor_says_that_this_environment_is_ready(run: Run) -> None:
    status, document, _ = run("doctor", "--json")
    assert status == 0
    assert document["ok"]
    assert "CPUExecutionProvider" in document["providers"]
    assert all(check["ok"] for check in document["checks"] if check["required"])
    _, _, table = run("doctor")
    assert "ready" in table


def test_a_setting_that_makes_no_sense_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JIEXUN_PORT", "eighty")
    status, _, errors = run("doctor")
    assert status == 1
    assert "JIEXUN_PORT" in errors


def test_results_go_where_the_setting_says(made_drive: Any, sample_rows: list[dict[str, str]], tmp_path: Path) -> None:
    environment = os.environ | {"JIEXUN_DATA": str(tmp_path / "here")}
    drive = made_drive(sample_rows[20:24])
    subprocess.run([JIEXUN, "replay", drive], env=environment, cwd=tmp_path, capture_output=True, check=True)
    (folder,) = (tmp_path / "here").glob("replay-*")
    assert {path.name for path in (tmp_path / "here").iterdir()} == {folder.name, "privacy.key"}
    assert (folder / "jiexun.db").is_file()
    assert list((folder / "evidence").glob("*.jpg"))


def test_the_command_settles_the_threads_of_linear_algebra_before_numpy_is_there() -> None:
    told = "import os, sys, jiexun.start; sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", told], check=True)
