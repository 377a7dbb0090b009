"""Measure stalls on real pictures: `python -m vision.stalls OUT/real.json OUT/composed.json OUT/both.json`.

Reads what `models.stalls.learn` wrote of pictures whose fold the heads did not learn from, and prints, by arm: AP50,
and the recall where one picture in ten has a false alarm, each with the 2.5th and 97.5th percentile over 1,000 draws of
the *groups* (a group is a drive or a series: its pictures are no independent evidence). Few groups show stalls, so that
the intervals are wide: they are the honest part of the figures.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.stalls.blend import read_image
from vision.detections import Detections
from vision.metrics import Truth, average_precision, matched
from vision.postprocess import suppressed

IOU = 0.6  # of boxes that are one thing told twice
ALARMS = 0.1  # false ones a picture
DRAWS = 1000
TILE = (320, 240)  # pixels, of a sheet

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Seen:
    """One real picture: which of its detections are right, and how many things are in it."""

    group: str
    score: Floats  # (N,)
    hit: NDArray[np.bool_]  # (N,) at IoU 0.5
    boxes: int


@dataclass(frozen=True, slots=True)
class Figure:
    """A number and its interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def seen(row: dict[str, Any]) -> Seen:
    """One row of what was told."""
    found = detections(row)
    truth = np.array(row["truth"], np.float32).reshape(-1, 4)
    hits = matched(found, Truth(truth, np.zeros(len(truth), np.int64)))
    return Seen(row["group"], found.score.astype(np.float64), hits[:, 0], len(truth))


def detections(row: dict[str, Any]) -> Detections:
    """The boxes of a row, each thing once, best first."""
    score = np.array(row["score"], np.float32)
    xyxy = np.array(row["xyxy"], np.float32).reshape(-1, 4)
    return suppressed(Detections(xyxy, score, np.zeros(len(score), np.int64)), IOU)


def ap50(pictures: Sequence[Seen]) -> float:
    """Average precision at IoU 0.5 over all of them; 0 where nothing was told."""
    return both(pictures)[0]


def recall_at(pictures: Sequence[Seen], alarms: float = ALARMS) -> float:
    """Share of the things that are told where at most so many alarms a picture are false."""
    return both(pictures, alarms)[1]


def both(pictures: Sequence[Seen], alarms: float = ALARMS) -> tuple[float, float]:
    """AP50 and that recall."""
    score = np.concatenate([one.score for one in pictures])
    hit = np.concatenate([one.hit for one in pictures])[np.argsort(-score, kind="stable")]
    boxes = sum(one.boxes for one in pictures)
    if not boxes or not len(hit):
        return 0.0, 0.0
    right = hit.cumsum()
    told = np.arange(1, len(hit) + 1)
    few = told - right <= alarms * len(pictures)
    return average_precision(right / boxes, right / told), float(hit[few].sum() / boxes)


def threshold_at(pictures: Sequence[Seen], alarms: float = ALARMS) -> float:
    """The lowest score at which at most so many alarms a picture are false."""
    wrong = np.sort(np.concatenate([one.score[~one.hit] for one in pictures]))[::-1]
    spare = int(alarms * len(pictures))
    return float(wrong[spare]) if len(wrong) > spare else 0.0


def intervals(pictures: Sequence[Seen], draws: int = DRAWS, seed: int = 0) -> tuple[Figure, Figure]:
    """AP50 and recall, each with its interval over draws of groups. Draws without a stall say nothing and are left."""
    groups: dict[str, list[Seen]] = {}
    for one in pictures:
        groups.setdefault(one.group, []).append(one)
    names, rng = sorted(groups), np.random.default_rng(seed)
    rows = []
    for _ in range(draws):
        drawn = [one for k in rng.integers(0, len(names), len(names)) for one in groups[names[k]]]
        if sum(one.boxes for one in drawn):
            rows.append(both(drawn))
    low, high = np.percentile(np.array(rows), (2.5, 97.5), axis=0)
    values = both(pictures)
    return Figure(values[0], low[0], high[0]), Figure(values[1], low[1], high[1])


def table(name: str, pictures: Sequence[Seen]) -> list[str]:
    """A table of TOML for one arm."""
    ap, recall = intervals(pictures)
    shown = [one for one in pictures if one.boxes]
    return [
        f"[crossval.{name}]",
        f"ap50 = {ap.value:.4f}",
        f"ap50_interval = [{ap.low:.4f}, {ap.high:.4f}]",
        f"recall_at_0_1_false_alarms = {recall.value:.4f}",
        f"recall_interval = [{recall.low:.4f}, {recall.high:.4f}]",
        f"threshold = {threshold_at(pictures):.4f}",
        f"pictures = {len(pictures)}",
        f"pictures_with_stalls = {len(shown)}",
        f"boxes = {sum(one.boxes for one in pictures)}",
        f"groups = {len({one.group for one in pictures})}",
        f"groups_with_stalls = {len({one.group for one in shown})}",
    ]


def sheet(rows: Sequence[dict[str, Any]], data: Path, threshold: float) -> NDArray[np.uint8]:
    """Every picture with stalls, and the others with the surest alarms: truth white, what was told red."""
    alarms = sorted((r for r in rows if not r["truth"]), key=lambda r: -max(r["score"], default=0.0))
    shown = [*(r for r in rows if r["truth"]), *alarms[:18]]
    tiles = []
    for row in shown:
        image = read_image(str(data / "images" / f"{row['name']}.jpg"))
        for box in row["truth"]:
            cv2.rectangle(image, *_corners(box), (255, 255, 255), 3)
        found = detections(row)
        for box, score in zip(found.xyxy, found.score, strict=True):
            if score >= threshold:
                cv2.rectangle(image, *_corners(box), (0, 0, 255), 2)
                cv2.putText(image, f"{score:.2f}", _corners(box)[0], cv2.FONT_HERSHEY_SIMPLEX, 0.8, (0, 0, 255), 2)
        tiles.append(cv2.resize(image, TILE, interpolation=cv2.INTER_AREA))
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 6)
    return np.vstack([np.hstack(tiles[k : k + 6]) for k in range(0, len(tiles), 6)])


def _corners(box: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    return (int(box[0]), int(box[1])), (int(box[2]), int(box[3]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("told", type=Path, nargs="+", help="files that models.stalls.learn wrote, one an arm")
    parser.add_argument("--save", type=Path, help="write the tables there")
    parser.add_argument("--data", type=Path, help="the real pictures, for --sheets")
    parser.add_argument("--sheets", type=Path, help="folder for a picture of each arm; not to be published")
    args = parser.parse_args()
    lines = ["# Written by `python -m vision.stalls`; do not edit. By cross-validation, on real pictures alone.", ""]
    for path in args.told:
        rows = json.loads(path.read_text(encoding="utf8"))
        pictures = [seen(row) for row in rows]
        ap, recall = intervals(pictures)
        print(f"{path.stem}: AP50 {ap}, recall at {ALARMS} false alarms a picture {recall}")
        lines += [*table(path.stem, pictures), ""]
        if args.sheets and args.data:
            args.sheets.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(args.sheets / f"{path.stem}.jpg"), sheet(rows, args.data, threshold_at(pictures)))
    if args.save:
        args.save.write_text("\n".join(lines), encoding="utf8")


if __name__ == "__main__":
    main()
