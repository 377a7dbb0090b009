#!/usr/bin/env python3
"""Build datasets/sample: 70 street photographs laid along a real GPS track. Deterministic.

    python scripts/sample_drive.py DATA          DATA holds streetscape/ and tracks/comma2k19/

Made by hand and read here: series.toml (which pictures show the same place) and redactions.csv (faces, plates and
written personal data). Written: the pictures, frames.csv, cameras.toml, labels.csv, sites.csv and PROVENANCE.md.
areas.geojson is drawn by scripts/sample_areas.py.
"""

from __future__ import annotations

import csv
import json
import math
import shutil
import sys
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
from sample_layout import CAMERA, SAMPLED_M, SIZE_WH, Series, aside_deg, laid, road_of, spaced, spread_m

from ingest.frame import rfc3339
from ingest.geo import Floats, latlon_from_offset, offset_from_latlon, turn_deg
from vision.camera import ground_from_road

SAMPLE = Path(__file__).resolve().parent.parent / "datasets" / "sample"
QUALITY = 88
CELL_PX = 6  # coarsest detail left of a face or plate; larger ones get cells of half their short side
START_LATLON = (22.5350, 114.0600)
START_TIME = datetime(2026, 11, 20, 8, 15, tzinfo=UTC)
SLOWER = 4  # the track was driven at up to 20 m/s; a bus does 2–5
VEHICLE, CAMERA_NAME = "bus-0417", "right"
ACCURACY_M = 2.5
PICTURE = (
    '| {name} | picture {picture}, split `{split}` (`{path}`), Roboflow Universe "公开数据集111"; aspect restored, '
    "redacted, re-encoded | CC BY 4.0, as the uploader states | project-shb1t |\n"
)
KINDS = ("garbage", "garbage_bin", "overflow_bin")


class Track:
    """The real track, moved to START_LATLON: arc length s in metres -> position, time, speed."""

    def __init__(self, folder: Path) -> None:
        fixes = np.load(folder / "processed_log__GNSS__live_gnss_ublox__value")
        self.enu = np.array([offset_from_latlon(lat, lon, *fixes[0, :2]) for lat, lon in fixes[:, :2]])
        self.s = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(self.enu, axis=0).T))])
        self.seconds = (fixes[:, 3] - fixes[0, 3]) / 1000 * SLOWER
        self.speed = fixes[:, 2] / SLOWER

    def at(self, s: Floats | float) -> Floats:
        return np.stack([np.interp(s, self.s, self.enu[:, 0]), np.interp(s, self.s, self.enu[:, 1])], axis=-1)

    def course_deg(self, s: float) -> float:
        east, north = self.at(s + 5.0) - self.at(s - 5.0)
        return math.degrees(math.atan2(east, north)) % 360.0

    def beside(self, s: float, right_m: float) -> Floats:
        return np.asarray(self.at(s) + ground_from_road(np.array([[0.0, right_m]]), self.course_deg(s))[0])

    def reaching(self, point: Floats, range_m: float, s: float, side: int) -> float:
        """The s on one side (-1 before, 1 behind) of the given s from which `point` is `range_m` away."""
        steps = s + side * np.arange(0.0, range_m + 2.0, 0.005)
        away = np.hypot(*(self.at(steps) - point).T)
        return float(steps[np.argmin(np.abs(away - range_m))])

    def time(self, s: float) -> datetime:
        return START_TIME + timedelta(milliseconds=round(float(np.interp(s, self.s, self.seconds)) * 1000))

    def speed_mps(self, s: float) -> float:
        return float(np.interp(s, self.s, self.speed))


def read_labels(folder: Path, records: list[dict[str, str]]) -> dict[str, list[tuple[str, Floats]]]:
    """picture -> (kind, xyxy in pixels of the stored picture) of each box, in the order of the source's file."""
    out = {}
    for record in records:
        text = (folder / record["file"].replace("images", "labels")).with_suffix(".txt").read_text()
        rows = [line.split() for line in text.splitlines()]
        centres = np.array([[float(v) for v in row[1:]] for row in rows]) * np.tile(SIZE_WH, 2)
        boxes = np.hstack([centres[:, :2] - centres[:, 2:] / 2, centres[:, :2] + centres[:, 2:] / 2])
        out[record["file"][-10:-4]] = [(KINDS[int(row[0])], box) for row, box in zip(rows, boxes, strict=True)]
    return out


def redacted(image: np.ndarray, boxes: list[tuple[int, int, int, int]]) -> np.ndarray:
    """The picture with each box replaced by averages over coarse cells: at most two along the short side."""
    out = image.copy()
    for x1, y1, x2, y2 in boxes:
        part = out[y1:y2, x1:x2]
        cell = max(CELL_PX, min(x2 - x1, y2 - y1) / 2)
        small = cv2.resize(
            part,
            (max(1, int((x2 - x1) / cell)), max(1, int((y2 - y1) / cell))),
            interpolation=cv2.INTER_AREA,
        )
        out[y1:y2, x1:x2] = cv2.resize(small, (x2 - x1, y2 - y1), interpolation=cv2.INTER_NEAREST)
    return out


def write_pictures(folder: Path, files: dict[str, tuple[str, str]]) -> None:
    """Restore the aspect, redact, encode. `files`: picture -> (its file in the data, its name in the drive)."""
    boxes: dict[str, list[tuple[int, int, int, int]]] = {picture: [] for picture in files}
    with (SAMPLE / "redactions.csv").open(newline="") as rows:
        for row in csv.DictReader(rows):
            x1, y1, x2, y2 = (int(row[name]) for name in ("x1", "y1", "x2", "y2"))
            boxes[row["source"]].append((x1, y1, x2, y2))
    for old in SAMPLE.glob("*.jpg"):
        old.unlink()
    for picture, (source, name) in files.items():
        photo = cv2.imread(str(folder / source))
        if photo is None:
            raise ValueError(f"{folder / source} cannot be read")
        image = cv2.resize(photo, SIZE_WH, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(SAMPLE / name), redacted(image, boxes[picture]), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


def frame_rows(
    series: list[Series], track: Track, labels: dict[str, list[tuple[str, Floats]]]
) -> tuple[list[list[str]], dict[str, list[str]], float]:
    """Rows of frames.csv, rows of sites.csv per series, and the largest turn."""
    frames: list[list[str]] = []
    sites: dict[str, list[str]] = {}
    largest = 0.0
    names: dict[str, str] = {}
    for one, s in zip(series, spaced(series, float(track.s[-1])), strict=True):
        anchor = track.beside(s, one.lateral_m)
        ground: dict[str, Floats] = {}
        for picture, along, nudge in zip(one.pictures, one.along_m, one.nudge_m, strict=True):
            road = road_of([box for _, box in labels[picture]])
            aim = road[one.things[0][picture]]
            at = track.reaching(anchor, float(np.hypot(*aim)), s, -1 if along < 0 else 1) + nudge
            here = track.at(at)
            bearing = math.degrees(math.atan2(*(anchor - here))) - aside_deg(aim)
            ground[picture] = here + ground_from_road(road, bearing)
            heading = (bearing - CAMERA.yaw_deg) % 360.0
            largest = max(largest, abs(turn_deg(track.course_deg(at), heading)))
            lat, lon = latlon_from_offset(*START_LATLON, *here)
            names[picture] = f"{len(frames) + 1:04d}.jpg"
            frames.append(
                [
                    *(
                        names[picture],
                        rfc3339(track.time(at)),
                        f"{lat:.7f}",
                        f"{lon:.7f}",
                        f"{track.speed_mps(at):.2f}",
                    ),
                    *(f"{heading:.2f}", f"{ACCURACY_M}", VEHICLE, CAMERA_NAME),
                ]
            )
        sites |= {f"{one.id}/{i}": _site(thing, ground, labels, names) for i, thing in enumerate(one.things)}
    return frames, sites, largest


def _site(
    thing: dict[str, int],
    ground: dict[str, Floats],
    labels: dict[str, list[tuple[str, Floats]]],
    names: dict[str, str],
) -> list[str]:
    """kind, lat, lon, spread and files of one thing: the kind most of its boxes have, where their feet fall."""
    points = [ground[p][box] for p, box in thing.items()]
    kinds = [labels[p][box][0] for p, box in thing.items()]
    kind = max(KINDS, key=lambda k: (kinds.count(k), k))
    lat, lon = latlon_from_offset(*START_LATLON, *np.mean(points, axis=0))
    return [kind, f"{lat:.7f}", f"{lon:.7f}", f"{spread_m(points):.1f}", " ".join(sorted(names[p] for p in thing))]


def label_rows(
    series: list[Series], labels: dict[str, list[tuple[str, Floats]]], names: dict[str, str]
) -> list[list[str]]:
    """Every box of every picture, with the thing of its series it was matched to (0 is the anchor), if any."""
    rows = []
    for one in series:
        for picture in one.pictures:
            for box, (kind, xyxy) in enumerate(labels[picture]):
                thing = next((str(i) for i, t in enumerate(one.things) if t.get(picture) == box), "")
                rows.append([names[picture], one.id, thing, kind, *(f"{v:.1f}" for v in xyxy)])
    return rows


def write_provenance(records: list[dict[str, str]], names: dict[str, str], sites: int, largest_turn: float) -> None:
    """PROVENANCE.md: the page in scripts/sample_provenance.md, then one row a picture."""
    redactions = len((SAMPLE / "redactions.csv").read_text().splitlines()) - 1
    text = Path(__file__).with_name("sample_provenance.md").read_text(encoding="utf-8")
    text = text.format(redactions=redactions, slower=SLOWER, sites=sites, turn=f"{largest_turn:.0f}")
    for record in sorted(records, key=lambda r: names[r["file"][-10:-4]]):
        picture = record["file"][-10:-4]
        text += PICTURE.format(name=names[picture], picture=picture, split=record["split"], path=record["source_path"])
    (SAMPLE / "PROVENANCE.md").write_text(text, encoding="utf-8")


def write_csv(name: str, header: str, rows: list[list[str]]) -> None:
    with (SAMPLE / name).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header.split(","), *rows])


def main(data: Path) -> None:
    records = [
        record
        for record in json.loads((data / "streetscape" / "provenance.json").read_text())
        if record["street_frame"] and record["split"] in ("val", "test")
    ]
    labels = read_labels(data / "streetscape", records)
    document = tomllib.loads((SAMPLE / "series.toml").read_text(encoding="utf-8"))
    series = [laid(s["id"], [s["anchor"], *s.get("also", [])], labels) for s in document["series"]]
    if sorted(p for s in series for p in s.pictures) != sorted(labels):
        raise ValueError("series.toml does not name every picture once")
    frames, sites, largest = frame_rows(series, Track(data / "tracks" / "comma2k19"), labels)
    names = {p: frames[i][0] for i, p in enumerate(p for s in series for p in s.pictures)}
    write_pictures(data / "streetscape", {r["file"][-10:-4]: (r["file"], names[r["file"][-10:-4]]) for r in records})
    write_csv("frames.csv", "file,time,lat,lon,speed_mps,heading_deg,accuracy_m,vehicle,camera", frames)
    write_csv("labels.csv", "file,site,thing,kind,x1,y1,x2,y2", label_rows(series, labels, names))
    write_csv("sites.csv", "site,thing,kind,lat,lon,spread_m,files", [[*k.split("/"), *v] for k, v in sites.items()])
    fields = "\n".join(f"{n} = {getattr(CAMERA, n)}" for n in ("hfov_deg", "height_m", "pitch_deg", "yaw_deg"))
    (SAMPLE / "cameras.toml").write_text(f"[{CAMERA_NAME}]\n{fields}\n", encoding="utf-8")
    shutil.copyfile(data / "tracks" / "comma2k19" / "LICENSE", SAMPLE / "LICENSES" / "comma2k19-MIT.txt")
    write_provenance(records, names, len(series), largest)
    _report(series, frames, sites, largest)


def _report(series: list[Series], frames: list[list[str]], sites: dict[str, list[str]], largest: float) -> None:
    spots = [(float(row[2]), float(row[3])) for row in frames]
    last, dropped = spots[0], 0
    for spot in spots[1:]:
        near = math.hypot(*offset_from_latlon(*spot, *last)) < SAMPLED_M
        dropped, last = dropped + near, last if near else spot
    print(f"{len(frames)} frames in {len(series)} series, {dropped} of them closer than {SAMPLED_M} m", file=sys.stderr)
    print(f"largest turn {largest:.0f} deg, {frames[0][1]} to {frames[-1][1]}", file=sys.stderr)
    for one in series:
        print(one.id, f"L {one.lateral_m:.1f}", [round(s, 1) for s in one.along_m], file=sys.stderr)
    for name, row in sites.items():
        print(name, row[0], "spread", row[3], file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
