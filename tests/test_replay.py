"""The main job, end to end, with the real model on real pictures; and what bad input does to it."""

from __future__ import annotations

import csv
import json
import math
import random
import re
import shutil
import sqlite3
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from keys import PRIVACY_KEY

from ingest.frame import parse_rfc3339, rfc3339
from ingest.geo import distance_m, latlon_from_offset

SAMPLE = Path(__file__).parent.parent / "datasets" / "sample"
Row = dict[str, str]
Run = Callable[..., tuple[int, Any, str]]
Made = Callable[..., Path]


@pytest.fixture(scope="module")
def sites() -> list[Row]:
    with (SAMPLE / "sites.csv").open(encoding="utf8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["kind"] in ("overflow_bin", "garbage")]


def told(document: Any) -> list[tuple[str, str, str]]:
    return [(c["id"], a["recipient"], a["event"]) for c in document["cases"] for a in c["alerts"]]


def test_the_sample_drive_gives_cases_where_the_disorders_are(sample_run: Any, sites: list[Row]) -> None:
    document = sample_run.document
    assert document["rejected"] == []
    opened = [case for case in document["cases"] if case["state"] == "open"]
    near = [min(distance_m(c["lat"], c["lon"], float(s["lat"]), float(s["lon"])) for s in sites) for c in opened]
    assert sum(d <= 8.0 for d in near) >= 0.7 * len(opened)  # most of what is told is really there
    found = {
        s["site"]
        for s in sites
        if any(distance_m(c["lat"], c["lon"], float(s["lat"]), float(s["lon"])) <= 8.0 for c in document["cases"])
    }
    assert len(found) >= 0.8 * len({s["site"] for s in sites})  # and most of what is there has a case
    assert len(told(document)) == len(set(told(document)))
    assert all(case["alerts"] for case in opened)
    assert all(o["kind"] == "garbage_bin" for o in document["objects"])
    assert "rejected" in sample_run.errors


def test_a_replay_gives_the_same_document_again(run: Run, sample_run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JIEXUN_PRIVACY_KEY", PRIVACY_KEY)
    _, second, _ = run("replay", SAMPLE, "--json")
    assert sample_run.document == second


def test_evidence_is_stored_blurred_and_named_by_its_hash(sample_run: Any) -> None:
    for case in sample_run.document["cases"]:
        path = sample_run.folder / "proof" / case["evidence"]["uri"]
        assert path.name == f"{case['evidence']['sha256']}.jpg"
        x1, y1, x2, y2 = case["evidence"]["box_xyxy"]
        height, width = cv2.imread(str(path)).shape[:2]
        assert 0 <= x1 < x2 <= width + 1
        assert 0 <= y1 < y2 <= height + 1


def test_three_vehicles_on_three_days_make_each_disorder_one_case_told_once(
    run: Run, made_drive: Made, sample_rows: list[Row], sample_run: Any
) -> None:
    alone = sample_run.document
    rng = random.Random(20)
    rows = []
    for day, vehicle in enumerate(("bus-0417", "taxi-1024", "bus-0009")):
        east, north = rng.gauss(0, 2), rng.gauss(0, 2)  # each pass has a position error of its own
        for row in sample_rows:
            time = parse_rfc3339(row["time"]) - timedelta(days=2 - day, minutes=day)
            lat, lon = latlon_from_offset(float(row["lat"]), float(row["lon"]), east, north)
            rows.append(row | {"time": rfc3339(time), "lat": str(lat), "lon": str(lon), "vehicle": vehicle})
    rng.shuffle(rows)
    status, document, _ = run("replay", made_drive(rows), "--json")
    assert status == 0
    assert document["summary"]["passes"] == 3
    opened = [c for c in document["cases"] if c["alerts"]]
    once = [c for c in alone["cases"] if c["alerts"]]
    assert abs(len(opened) - len(once)) <= 0.4 * len(once)  # a doubtful one may open on the second day
    assert all(
        [a["event"] for a in c["alerts"]].count("opened") == len({a["recipient"] for a in c["alerts"]}) for c in opened
    )
    for c in once:  # what one pass told is told once by three
        near = [o for o in opened if o["kind"] == c["kind"] and distance_m(o["lat"], o["lon"], c["lat"], c["lon"]) < 6]
        assert near, c
    seen_thrice = [c for c in opened if c["passes"] == 3]
    assert len(seen_thrice) >= 0.7 * len(opened)


def bad_picture(kind: str, good: bytes) -> bytes:
    if kind == "empty":
        return b""
    if kind == "truncated":
        return good[: len(good) // 2]
    if kind == "text":
        return b"this is no picture\n"
    if kind == "png":
        return cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    if kind == "webp":
        return cv2.imencode(".webp", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    at = good.index(b"\xff\xc0") + 5  # height and width in the frame header
    return good[:at] + struct.pack(">HH", 40_000, 40_000) + good[at + 4 :]


def test_every_bad_row_is_listed_with_its_reason_and_the_run_goes_on(
    run: Run, made_drive: Made, sample_rows: list[Row]
) -> None:
    rows = [dict(row) for row in sample_rows[:20]]
    good = (SAMPLE / rows[0]["file"]).read_bytes()
    later = parse_rfc3339(rows[0]["time"])

    def row(file: str, n: int, **changed: str) -> Row:
        time = rfc3339(later + timedelta(minutes=30, seconds=n))
        return rows[0] | {"file": file, "time": time, "vehicle": "bus-bad"} | changed

    pictures = ("empty", "truncated", "text", "png", "webp", "huge")
    bad = [row(f"{kind}.jpg", n) for n, kind in enumerate(pictures)]
    bad += [
        row("missing.jpg", 20),
        row("nan.jpg", 21, lat="nan"),
        row("north.jpg", 22, lat="95"),
        row("future.jpg", 23, time=rfc3339(datetime.now(UTC) + timedelta(days=2))),
        row("nowhere.jpg", 24, lat="", lon=""),
        row("when.jpg", 25, time="yesterday"),
        row("zero.jpg", 26, lat="0", lon="0"),
        row("../outside.jpg", 27),
    ]
    folder = made_drive([*rows, *bad, rows[3], rows[4]])
    for kind in pictures:
        (folder / f"{kind}.jpg").write_bytes(bad_picture(kind, good))
    for name in ("nan", "north", "future", "nowhere", "when", "zero"):
        (folder / f"{name}.jpg").write_bytes(good)
    status, document, errors = run("replay", folder, "--json")
    assert status == 0
    reasons = {entry["file"]: entry["reason"] for entry in document["rejected"]}
    assert set(reasons) == {row["file"] for row in bad}
    assert len(document["rejected"]) == len(bad)
    words = {
        "empty.jpg": "empty|zero",
        "truncated.jpg": "truncated|cut",
        "text.jpg": "JPEG",
        "png.jpg": "PNG",
        "webp.jpg": "WebP",
        "huge.jpg": "40,?000",
        "missing.jpg": "no|missing",
        "nan.jpg": "lat",
        "north.jpg": "lat",
        "future.jpg": "future",
        "nowhere.jpg": "lat|position",
        "when.jpg": "time",
        "zero.jpg": "0",
        "../outside.jpg": "outside|folder",
    }
    for file, pattern in words.items():
        assert re.search(pattern, reasons[file]), (file, reasons[file])
    assert document["summary"]["repeats"] == 2
    assert document["summary"]["frames"] > 10
    assert "rejected" in errors


def test_what_is_rejected_is_kept_in_the_store(
    run: Run, made_drive: Made, sample_rows: list[Row], tmp_path: Path
) -> None:
    folder = made_drive([*sample_rows[:2], sample_rows[2] | {"file": "gone.jpg"}])
    run("replay", folder, "--json", "--store", f"sqlite:///{tmp_path}/kept.db")
    with sqlite3.connect(tmp_path / "kept.db") as database:
        kept = [json.loads(row[0]) for row in database.execute("select document from rejected")]
    database.close()
    assert [entry["file"] for entry in kept] == ["gone.jpg"]


def test_a_store_that_is_named_goes_on_where_it_was_and_tells_nothing_twice(
    run: Run, sample_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JIEXUN_PRIVACY_KEY", PRIVACY_KEY)
    first = sample_run.document
    _, again, _ = run("replay", SAMPLE, "--json", "--store", sample_run.copied_store(tmp_path / "city.db"))
    assert again["cases"] == first["cases"]
    with sqlite3.connect(tmp_path / "city.db") as database:
        (alerts,) = database.execute("select count(*) from alerts").fetchone()
    database.close()
    assert alerts == len(told(first))


def test_a_position_outside_every_area_is_an_unowned_case_in_the_table(
    run: Run, made_drive: Made, sample_rows: list[Row]
) -> None:
    rows = [row | {"lat": str(float(row["lat"]) + 0.5)} for row in sample_rows]
    status, document, errors = run("replay", made_drive(rows), "--json")
    assert status == 0
    opened = [case for case in document["cases"] if case["state"] == "open"]
    assert opened
    assert all(case["owners"] == [] and case["alerts"] == [] for case in opened)
    assert "无属地" in errors


def test_without_any_areas_the_run_says_so(run: Run, made_drive: Made, sample_rows: list[Row]) -> None:
    status, document, errors = run("replay", made_drive(sample_rows[:4], areas=False), "--json")
    assert status == 0
    assert "--areas" in errors
    assert document["warnings"]


def test_a_broken_areas_file_is_repaired_with_warnings(
    run: Run, made_drive: Made, sample_rows: list[Row], tmp_path: Path
) -> None:
    def feature(code: str, ring: list[list[float]]) -> dict[str, Any]:
        return {
            "type": "Feature",
            "properties": {"code": code, "name": f"社区{code[-1]}", "layer": "community", "parent": "440304008000"},
            "geometry": {"type": "Polygon", "coordinates": [ring]},
        }

    w, e, s, n = 114.05, 114.07, 22.53, 22.55
    bow = [[w, s], [e, n], [e, s], [w, n], [w, s]]  # crosses itself
    box = [[w, s], [e, s], [e, n], [w, n], [w, s]]
    path = tmp_path / "areas.json"
    features = [feature("440304008001", bow), feature("440304008002", box), feature("440304008003", box)]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf8")
    status, document, _ = run("replay", made_drive(sample_rows), "--areas", path, "--json")
    assert status == 0
    text = " ".join(document["warnings"])
    assert re.search("self-intersect|crosses itself|repair", text)
    assert "overlap" in text
    assert any(case["alerts"] for case in document["cases"])
    assert all(sum(o["p"] for o in case["owners"]) <= 1.0001 for case in document["cases"])


@pytest.mark.parametrize("content", ["", "{", '{"type": "Topology"}', "[1, 2]"])
def test_an_areas_file_that_is_none_ends_the_run_with_a_sentence(
    run: Run, made_drive: Made, sample_rows: list[Row], tmp_path: Path, content: str
) -> None:
    path = tmp_path / "areas.geojson"
    path.write_text(content)
    status, document, errors = run("replay", made_drive(sample_rows[:2]), "--areas", path, "--json")
    assert (status, document) == (1, None)
    assert "areas.geojson" in errors.replace("\n", "")


def test_evidence_that_cannot_be_written_is_told_on_the_case_and_the_run_goes_on(run: Run, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be: nothing can be written, not even by root")
    status, document, errors = run("replay", SAMPLE, "--json", "--evidence", blocked)
    assert status == 0
    opened = [case for case in document["cases"] if case["state"] == "open"]
    assert opened
    assert all(case["evidence"]["uri"] is None and "not-stored" in case["evidence"]["missing"] for case in opened)
    assert document["summary"]["evidence_stored"] == 0
    assert sum(document["summary"]["evidence_failures"].values()) > 0
    assert "no evidence for" in errors


def test_without_the_privacy_model_no_evidence_is_stored_and_the_case_says_so(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vision.privacy import FaceFinder

    monkeypatch.setattr(FaceFinder.__init__, "__defaults__", (tmp_path / "nothing",))
    status, document, _ = run("replay", SAMPLE, "--json", "--evidence", tmp_path / "proof")
    assert status == 0
    assert document["cases"]
    assert all("privacy-unavailable" in case["evidence"]["missing"] for case in document["cases"])
    assert not (tmp_path / "proof").exists()


@pytest.mark.parametrize("damage", ["missing", "truncated", "altered"])
def test_a_missing_or_damaged_model_ends_the_run_with_what_to_do(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    models = tmp_path / "models"
    shutil.copytree(SAMPLE.parents[1] / "models" / "streetscape-v1", models / "streetscape-v1")
    weights = models / "streetscape-v1" / "model.int8.onnx"  # what a CPU runs
    data = weights.read_bytes()
    weights.unlink()
    if damage == "truncated":
        weights.write_bytes(data[: len(data) // 2])
    elif damage == "altered":
        weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    from models.card import find_card

    monkeypatch.setattr(find_card, "__kwdefaults__", {"root": models})
    status, document, errors = run("replay", SAMPLE, "--json")
    assert (status, document) == (1, None)
    assert "model.int8.onnx" in errors.replace("\n", "")
    assert "put the released file back" in " ".join(errors.split())


@pytest.mark.parametrize(
    ("source", "words"),
    [("nowhere", "there is no"), ("empty", "is empty"), ("notes.txt", "--track")],
)
def test_a_source_that_is_no_drive_is_refused_with_a_sentence(
    run: Run, tmp_path: Path, source: str, words: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("hello")
    status, document, errors = run("replay", tmp_path / source, "--json")
    assert (status, document) == (1, None)
    assert words in " ".join(errors.split())


def test_a_video_with_a_track_is_a_drive_too(run: Run, sample_rows: list[Row], tmp_path: Path) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "bus.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 1.0, (640, 480))
    for row in sample_rows[:30]:
        writer.write(cv2.imread(str(SAMPLE / row["file"])))
    writer.release()
    start = parse_rfc3339("2026-11-20T08:00:00Z")
    points = "".join(
        f'<trkpt lat="{22.5355 + n * 5 / 110_741:.7f}" lon="114.06004">'
        f"<time>{rfc3339(start + timedelta(seconds=n))}</time></trkpt>"
        for n in range(20)  # it ends before the film does
    )
    bad = '<trkpt lat="95" lon="114"><time>2026-11-20T08:00:03.500Z</time></trkpt>'
    (tmp_path / "bus.gpx").write_text(
        f'<gpx version="1.1" xmlns="http://www.topografix.com/GPX/1/1"><trk><trkseg>{points}{bad}</trkseg></trk></gpx>'
    )
    status, document, _ = run(
        "replay", tmp_path / "bus.mp4", "--track", tmp_path / "bus.gpx", "--camera", "right",
        "--areas", SAMPLE / "areas.geojson", "--json",
    )  # fmt: skip
    assert status == 0
    assert 18 <= document["summary"]["frames"] <= 21
    reasons = " ".join(entry["reason"] for entry in document["rejected"])
    assert "95" in reasons  # the bad point of the track
    assert re.search("track ends", reasons)  # and the film's last frames
    assert document["objects"] or document["cases"]


def test_wrong_usage_is_status_2(run: Run) -> None:
    assert run("replay")[0] == 2
    assert run("replay", SAMPLE, "--nonsense")[0] == 2


def test_a_camera_that_nothing_describes_is_rejected_frame_by_frame(
    run: Run, made_drive: Made, sample_rows: list[Row]
) -> None:
    rows = [row | {"camera": "roof" if i == 3 else row["camera"]} for i, row in enumerate(sample_rows[:8])]
    status, document, _ = run("replay", made_drive(rows), "--json")
    assert status == 0
    (entry,) = document["rejected"]
    assert entry["file"] == rows[3]["file"]
    assert "roof" in entry["reason"]


def test_numbers_of_the_document_are_finite(sample_run: Any) -> None:

    def check(value: Any) -> None:
        if isinstance(value, dict):
            for each in value.values():
                check(each)
        elif isinstance(value, list):
            for each in value:
                check(each)
        elif isinstance(value, float):
            assert math.isfinite(value)

    check(sample_run.document)


def test_pictures_that_show_nothing_are_dropped_and_no_case_closes_by_them(
    run: Run, made_drive: Made, sample_rows: list[Row], sample_run: Any
) -> None:
    alone = sample_run.document
    rows = list(sample_rows)
    for day in range(1, 4):  # the same way again with the lens under a cloth
        later = [parse_rfc3339(row["time"]) + timedelta(days=day) for row in sample_rows]
        rows += [row | {"time": rfc3339(at), "file": "black.jpg"} for row, at in zip(sample_rows, later, strict=True)]
    for row in rows:  # the last of them must not lie in the future
        row["time"] = rfc3339(parse_rfc3339(row["time"]) - timedelta(days=30))
    folder = made_drive(rows)
    cv2.imwrite(str(folder / "black.jpg"), np.zeros((480, 640, 3), np.uint8))
    status, document, told = run("replay", folder, "--json")
    assert status == 0
    kept = alone["summary"]["frames"]
    assert document["rejected"] == []
    assert document["summary"]["frames"] == kept
    assert document["summary"]["dropped"] == 3 * kept
    assert document["camera_health"] == [
        {
            "vehicle": "bus-0417",
            "camera": "right",
            "frames": 4 * kept,
            "dropped": {"dark": 3 * kept, "covered": 0, "blurred": 0},
        }
    ]
    assert document["summary"]["passes"] == alone["summary"]["passes"]
    before, after = (
        sorted((c["kind"], c["state"], c["probability"]) for c in run_["cases"]) for run_ in (alone, document)
    )
    assert after == before
    assert "bus-0417 right" in told
