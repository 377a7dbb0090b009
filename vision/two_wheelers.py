"""Measure two-wheelers: `python -m vision.two_wheelers --data vehicle_frames`.

How well the COCO model of `vision.parked` finds near bicycles and motorcycles, ridden or not, through the hot path that
ships, on labelled frames of traffic: AP50, the threshold with the best F1, and what a score is worth. The labels hold
the rider too, so a box is compared together with that of the person who sits on it. Fitted on every other block of ten
pictures in order of name (neighbours may be of one street), told of the rest. Writes
models/two-wheelers-v1/measured.toml. DIR holds images/, labels/ (YOLO format) and names.txt.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.card import read_card
from vision.calibrate import calibration_error, measure, scored
from vision.dataset import read_boxes
from vision.detections import Detections
from vision.detector import Detector
from vision.evaluate import FLOOR, Looked
from vision.jpeg import facts_of
from vision.metrics import Truth, metrics
from vision.parked import MODEL, PERSON, PERSON_SCORE, ridden, two_wheelers, worth

THEIRS = ("bicycle", "motorbike", "scooter")  # as names.txt calls them
BLOCK = 10  # pictures
NEAR = 0.12  # of the picture's height, rider included: some 15 m with an opening angle of 70 degrees
AT_ONCE = 16


def looked_at(data: Path) -> list[Looked]:
    """Every frame, with its two-wheelers as the one class."""
    names = dict(enumerate((data / "names.txt").read_text(encoding="utf8").split("\n")))
    wanted = [number for number, name in names.items() if name.strip() in THEIRS]
    detector = Detector(read_card(MODEL, unmeasured=True))
    files = sorted((data / "images").iterdir())
    looked = []
    for start in range(0, len(files), AT_ONCE):
        some = files[start : start + AT_ONCE]
        found = detector.detect_jpegs([path.read_bytes() for path in some], floor=FLOOR)
        for path, told in zip(some, found, strict=True):
            if isinstance(told, Detections):
                looked.append(near(Looked(path.name, with_riders(told), _truth(path, names, wanted)), path))
    detector.close()
    return looked


def with_riders(told: Detections) -> Detections:
    """The two-wheelers, each box grown around the surest person who sits on it."""
    own, people = two_wheelers(told), told[told.label == PERSON]
    people = people[people.score >= PERSON_SCORE]
    on = ridden(own.xyxy, people.xyxy)
    grown = own.xyxy.copy()
    for i in np.flatnonzero(on.any(axis=1)).tolist():
        rider = people.xyxy[np.flatnonzero(on[i])[0]]  # best first
        grown[i] = [*np.minimum(grown[i, :2], rider[:2]), *np.maximum(grown[i, 2:], rider[2:])]
    return Detections(grown, own.score, own.label)


def near(one: Looked, path: Path) -> Looked:
    """Without what is lower than NEAR of the picture: far things are not told."""
    least = NEAR * facts_of(path.read_bytes()).size_wh[1]
    found, truth = one.found, one.truth
    large = truth.xyxy[:, 3] - truth.xyxy[:, 1] >= least
    tall = found[found.xyxy[:, 3] - found.xyxy[:, 1] >= least]
    return Looked(one.file, tall, Truth(truth.xyxy[large], truth.label[large]))


def _truth(path: Path, names: dict[int, str], wanted: Sequence[int]) -> Truth:
    boxes, labels = read_boxes(path, names)
    own = np.isin(labels, wanted)
    size_wh = facts_of(path.read_bytes()).size_wh
    return Truth(boxes[own] * np.array(size_wh * 2, np.float32), np.zeros(int(own.sum()), np.int64))


def toml(sha256: str, fitted_on: Sequence[Looked], rest: Sequence[Looked]) -> str:
    """The text of measured.toml."""
    known = measure(fitted_on, 0, "two-wheelers")
    result = metrics([one.found for one in rest], [one.truth for one in rest])
    own = scored(rest, 0)
    used = own.score > known.threshold
    told = np.array([worth(known, score) for score in own.score[used].tolist()])
    return "\n".join(
        [
            "# Written by `python -m vision.two_wheelers`; do not edit.",
            "",
            "[sha256] # of the file measured",
            f'fp32 = "{sha256}"',
            "",
            f"[class.two_wheeler] # near bicycles and motorcycles, ridden or not: on {len(fitted_on)} frames",
            *(f"{name} = {getattr(known, name)}" for name in ("threshold", "slope", "offset", "recall")),
            "",
            "[metrics.rest] # on the other frames; recall, precision and ece at the threshold",
            f"images = {len(rest)}",
            f"boxes = {int(result.boxes[0])}",
            f"ap50 = {result.ap[0, 0]:.4f}",
            f"recall = {own.hit[used].sum() / result.boxes[0]:.4f}",
            f"precision = {own.hit[used].mean():.4f}",
            f"ece = {calibration_error(told, own.hit[used]):.4f}",
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    args = parser.parse_args()
    looked = looked_at(args.data)
    halves: tuple[list[Looked], list[Looked]] = ([], [])
    for i, one in enumerate(looked):
        halves[i // BLOCK % 2].append(one)
    sha256 = read_card(MODEL, unmeasured=True).weights["fp32"].sha256
    text = toml(sha256, *halves)
    (MODEL / "measured.toml").write_text(text, encoding="utf8")
    print(text)


if __name__ == "__main__":
    main()
