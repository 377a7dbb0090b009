"""The sample drive: complete, licensed, without people's data, and consistent as a drive."""

from __future__ import annotations

import csv
import itertools
import json
import math
import re
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
import pytest
import shapely

from ingest.frame import parse_rfc3339
from ingest.geo import distance_m, latlon_from_offset
from vision.camera import ground_from_road, read_cameras, road_from_picture

SAMPLE = Path(__file__).resolve().parent.parent / "datasets" / "sample"
COLUMNS = ["file", "time", "lat", "lon", "speed_mps", "heading_deg", "accuracy_m", "vehicle", "camera"]


def rows(name: str) -> list[dict[str, str]]:
    with (SAMPLE / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def frames() -> dict[str, dict[str, str]]:
    return {row["file"]: row for row in rows("frames.csv")}


def placed(box: dict[str, str], frame: dict[str, str]) -> tuple[float, float]:
    """(lat, lon) of the foot of a labelled box, with the camera and position the drive gives."""
    camera = read_cameras(SAMPLE / "cameras.toml")[frame["camera"]]
    foot = np.array([[(float(box["x1"]) + float(box["x2"])) / 2, float(box["y2"])]])
    road = road_from_picture(foot, (640, 480), camera)
    east, north = ground_from_road(road, float(frame["heading_deg"]) + camera.yaw_deg)[0].tolist()
    return latlon_from_offset(float(frame["lat"]), float(frame["lon"]), east, north)


def test_seventy_pictures_are_listed_once_each_and_exist(frames: dict[str, dict[str, str]]) -> None:
    assert (
        sorted(frames) == sorted(path.name for path in SAMPLE.glob("*.jpg")) == [f"{n:04d}.jpg" for n in range(1, 71)]
    )
    assert len(rows("frames.csv")) == 70


def test_the_whole_sample_is_at_most_15_megabytes() -> None:
    assert sum(path.stat().st_size for path in SAMPLE.rglob("*") if path.is_file()) <= 15_000_000


def test_pictures_are_4_to_3_jpegs_without_metadata() -> None:
    for path in SAMPLE.glob("*.jpg"):
        data = path.read_bytes()
        assert data[:4] == b"\xff\xd8\xff\xe0", path.name  # JFIF, then tables: no application segment but APP0
        assert segments(data).isdisjoint({0xE1, 0xE2, 0xED, 0xFE}), path.name  # EXIF and XMP, ICC, IPTC, comment
        image = cv2.imread(str(path))
        assert image is not None
        assert image.shape == (480, 640, 3), path.name


def segments(jpeg: bytes) -> set[int]:
    """Markers of a JPEG up to the start of the scan."""
    found, at = set(), 2
    while jpeg[at + 1] != 0xDA:
        found.add(jpeg[at + 1])
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    return found


def test_every_file_has_a_row_in_the_provenance_and_every_row_a_file() -> None:
    text = (SAMPLE / "PROVENANCE.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| (\S+) \| .+ \| .+ \| .+ \|$", text.split("## Files")[1], re.MULTILINE)
    files = [str(path.relative_to(SAMPLE)) for path in SAMPLE.rglob("*") if path.is_file()]
    assert sorted(name for name in table if name not in ("file", "---")) == sorted(files)
    assert "The pairing of pictures and positions is composed." in text
    assert "not in Shenzhen" in text


def test_rows_have_the_columns_of_the_wire_format_and_plausible_values(frames: dict[str, dict[str, str]]) -> None:
    assert list(next(iter(frames.values()))) == COLUMNS
    for row in frames.values():
        assert re.fullmatch(r"2026-11-20T08:1[5-9]:\d\d\.\d{3}Z", row["time"])
        assert 22.534 < float(row["lat"]) < 22.545
        assert 114.059 < float(row["lon"]) < 114.062
        assert 1.0 < float(row["speed_mps"]) < 6.0
        assert 0.0 <= float(row["heading_deg"]) < 360.0
        assert (row["accuracy_m"], row["vehicle"], row["camera"]) == ("2.5", "bus-0417", "right")


def test_the_bus_drives_on_and_three_of_four_frames_are_four_metres_on(frames: dict[str, dict[str, str]]) -> None:
    times = [parse_rfc3339(row["time"]) for row in frames.values()]
    assert all((b - a).total_seconds() >= 0.1 for a, b in itertools.pairwise(times))
    spots = [(float(row["lat"]), float(row["lon"])) for row in frames.values()]
    assert all(b[0] > a[0] for a, b in itertools.pairwise(spots))  # northwards
    kept = [spots[0]]
    for spot in spots[1:]:
        if distance_m(*spot, *kept[-1]) >= 4.0:
            kept.append(spot)
    assert len(kept) > 70 * 3 / 4


def test_speed_and_positions_tell_the_same_drive(frames: dict[str, dict[str, str]]) -> None:
    for a, b in itertools.pairwise(frames.values()):
        seconds = (parse_rfc3339(b["time"]) - parse_rfc3339(a["time"])).total_seconds()
        metres = distance_m(float(a["lat"]), float(a["lon"]), float(b["lat"]), float(b["lon"]))
        mean = (float(a["speed_mps"]) + float(b["speed_mps"])) / 2
        assert metres == pytest.approx(mean * seconds, rel=0.15, abs=0.5)


def test_the_frames_of_a_series_agree_where_their_anchor_stands(frames: dict[str, dict[str, str]]) -> None:
    spots = defaultdict(list)
    for box in rows("labels.csv"):
        if box["thing"] == "0":
            spots[box["site"]].append(placed(box, frames[box["file"]]))
    assert sum(len(points) for points in spots.values()) == 70
    for site, points in spots.items():
        assert max(distance_m(*a, *b) for a in points for b in points) < 1.0, site


def test_sites_are_where_their_boxes_fall_and_twenty_metres_apart(frames: dict[str, dict[str, str]]) -> None:
    boxes = {(box["file"], box["site"], box["thing"]): box for box in rows("labels.csv")}
    sites = rows("sites.csv")
    for site in sites:
        points = [placed(boxes[f, site["site"], site["thing"]], frames[f]) for f in site["files"].split()]
        lat, lon = (sum(values) / len(points) for values in zip(*points, strict=True))
        assert distance_m(lat, lon, float(site["lat"]), float(site["lon"])) < 0.1, site
    anchors = [(float(s["lat"]), float(s["lon"])) for s in sites if s["thing"] == "0"]
    assert min(distance_m(*a, *b) for a, b in itertools.combinations(anchors, 2)) >= 20.0


def test_labelled_things_are_mostly_3_to_25_metres_away() -> None:
    camera = read_cameras(SAMPLE / "cameras.toml")["right"]
    boxes = rows("labels.csv")
    feet = np.array([[(float(b["x1"]) + float(b["x2"])) / 2, float(b["y2"])] for b in boxes])
    away = np.hypot(*road_from_picture(feet, (640, 480), camera).T)
    assert len(boxes) == 196  # lines in the source's label files of these pictures
    assert ((away >= 3) & (away <= 25)).mean() > 0.95


def test_each_series_is_one_stretch_of_the_drive(frames: dict[str, dict[str, str]]) -> None:
    site_of = {box["file"]: box["site"] for box in rows("labels.csv")}
    order = [site for site, _ in itertools.groupby(site_of[file] for file in frames)]
    assert order == sorted(set(order))
    assert len(order) == 23


def test_redacted_places_hold_only_coarse_cells() -> None:
    picture_of = dict(
        re.findall(r"^\| (\d{4}\.jpg) \| picture (\d{6})", (SAMPLE / "PROVENANCE.md").read_text(), re.MULTILINE)
    )
    file_of = {picture: file for file, picture in picture_of.items()}
    boxes = rows("redactions.csv")
    assert len(boxes) > 100
    for box in boxes:
        image = cv2.imread(str(SAMPLE / file_of[box["source"]]))
        assert image is not None
        x1, y1, x2, y2 = (int(box[name]) for name in ("x1", "y1", "x2", "y2"))
        cell = max(6.0, min(x2 - x1, y2 - y1) / 2)
        across, down = max(1, int((x2 - x1) / cell)), max(1, int((y2 - y1) / cell))
        part = image[y1:y2, x1:x2].astype(np.float64)
        coarse = cv2.resize(
            cv2.resize(part, (across, down), interpolation=cv2.INTER_AREA),
            (x2 - x1, y2 - y1),
            interpolation=cv2.INTER_NEAREST,
        )
        assert math.sqrt(float(np.mean((part - coarse) ** 2))) < 12.0, box  # grey levels; the rest is JPEG at the edges


def test_the_drive_crosses_five_communities(frames: dict[str, dict[str, str]]) -> None:
    features = json.loads((SAMPLE / "areas.geojson").read_text(encoding="utf-8"))["features"]
    communities = [
        shapely.from_geojson(json.dumps(feature["geometry"]))
        for feature in features
        if feature["properties"]["layer"] == "community"
    ]
    points = [shapely.Point(float(row["lon"]), float(row["lat"])) for row in frames.values()]
    crossed = [area for area in communities if any(area.contains(point) for point in points)]
    assert len(crossed) >= 5
