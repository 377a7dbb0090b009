"""Measure a released model: `python -m vision.calibrate --data DIR --model streetscape-v1`.

Writes models/<name>/measured.toml: thresholds (best F1 on val), what a score is worth (logistic on its logit, fitted on
val), recall, and the tables of val and test; all through the engine that `auto` takes. On a CPU that reads the INT8
file where there is one: then what the float file reaches stands beside it, and what is lost. Run again whenever a
model file changes; sha256 and size go into card.toml. DIR holds data.yaml and, for the table of street frames,
provenance.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from models.card import MODELS, Card, Measured, read_card, restamp
from vision.dataset import read_dataset
from vision.detections import Detections
from vision.engines import AUTO
from vision.evaluate import Looked, document, look, summon
from vision.metrics import SCORES, Truth, matched, metrics, smooth

FIT_FLOOR = 0.05  # scores below it are noise that nobody reads: they would bend the fit
FEW = 20  # detections right, or wrong, that a class needs for a fit of its own; below, it shares the fit of all classes
BINS = 10  # of equal width, for the calibration error
FLOAT = "onnxruntime"  # the engine that the default is compared with
FAILURES = 12  # pictures that the card names

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scored:
    """Detections of one class over a split: raw score and whether it hit at IoU 0.5."""

    score: Floats
    hit: Floats


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with data.yaml, or the file")
    parser.add_argument("--model", default="streetscape-v1", help="name of the model's folder in models/")
    args = parser.parse_args(argv)
    folder = MODELS / args.model
    if restamp(folder):
        print(f"{folder / 'card.toml'}: sha256 and size of the new file written", file=sys.stderr)
    card = read_card(folder, unmeasured=True)
    names = dict(enumerate(card.classes))
    val, test = (looked_at(args.data, split, folder) for split in ("val", "test"))
    known = {kind: measure(val, label, kind) for label, kind in enumerate(card.classes)}
    tables = {"val": document(val, names), "test": document(test, names)}
    for split in ("val", "test") if "int8" in card.weights else ():
        tables[f"{split}_fp32"] = document(looked_at(args.data, split, folder, FLOAT), names)
    street = street_frames(args.data)
    if street:
        some = [one for one in test if one.file in street]
        tables["test_street_frames"] = document(some, names)
    path = folder / "measured.toml"
    path.write_text(toml(card, known, tables, errors(test, known), failures(test, known)), encoding="utf8")
    print(path.read_text(encoding="utf8"))


def looked_at(data: Path, split: str, folder: Path, engine: str = AUTO) -> list[Looked]:
    """Every usable picture of a split, seen by the model alone, with the model's own class numbers."""
    card = read_card(folder, unmeasured=True)
    dataset = read_dataset(data, split)
    theirs = {name: label for label, name in dataset.names.items()}
    own = np.full(max(dataset.names) + 1, -1, np.int64)
    for label, kind in enumerate(card.classes):
        own[theirs[kind]] = label
    looked = []
    for one in look(summon(dataset, [card], engine), dataset):
        if isinstance(one, Looked):
            found = Detections(one.found.xyxy, one.found.score, own[one.found.label])
            mine = own[one.truth.label] >= 0
            looked.append(Looked(one.file, found, Truth(one.truth.xyxy[mine], own[one.truth.label[mine]])))
        else:
            print(f"left out: {one.file}: {one.reason}", file=sys.stderr)
    return looked


def measure(looked: Sequence[Looked], label: int, kind: str) -> Measured:
    """Threshold, calibration and recall of one class. Raises ValueError when the split shows it too rarely."""
    result = metrics([one.found for one in looked], [one.truth for one in looked])
    row = np.flatnonzero(result.label == label)
    if not len(row):
        raise ValueError(f"no picture of the split shows {kind}: nothing can be measured")
    threshold = float(SCORES[smooth(result.f1[row[0]]).argmax()])
    own = scored(looked, label)
    enough = min(own.hit[own.score >= FIT_FLOOR].sum(), (1 - own.hit[own.score >= FIT_FLOOR]).sum()) >= FEW
    slope, offset = fitted(own if enough else scored(looked, None))
    recall = float(own.hit[own.score > threshold].sum() / result.boxes[row[0]])
    return Measured(round(threshold, 4), round(slope, 4), round(offset, 4), round(recall, 4))


def scored(looked: Sequence[Looked], label: int | None) -> Scored:
    """The detections of a class, or of all."""
    score, hit = [np.zeros(0)], [np.zeros(0)]
    for one in looked:
        own = np.ones(len(one.found), bool) if label is None else one.found.label == label
        score.append(one.found.score[own].astype(np.float64))
        hit.append(matched(one.found, one.truth)[own, 0].astype(np.float64))
    return Scored(np.concatenate(score), np.concatenate(hit))


def fitted(seen: Scored) -> tuple[float, float]:
    """Slope and offset of p = sigmoid(slope * logit(score) + offset) with the highest likelihood above FIT_FLOOR."""
    used = seen.score >= FIT_FLOOR
    x, hit = logit(np.clip(seen.score[used], 1e-6, 1 - 1e-6)), seen.hit[used]

    def loss(w: Floats) -> float:
        z = w[0] * x + w[1]
        return float(np.sum(np.logaddexp(0.0, z) - hit * z))

    def slope(w: Floats) -> Floats:
        rest = expit(w[0] * x + w[1]) - hit
        return np.array([np.sum(rest * x), np.sum(rest)])

    found = minimize(loss, np.array([1.0, 0.0]), jac=slope, method="BFGS")
    return float(found.x[0]), float(found.x[1])


def calibrated(score: Floats, known: Measured) -> Floats:
    """As `Card.calibrated`, for arrays."""
    return np.asarray(expit(known.slope * logit(np.clip(score, 1e-6, 1 - 1e-6)) + known.offset), np.float64)


def calibration_error(p: Floats, hit: Floats) -> float:
    """Expected calibration error: mean distance of what was said from what came true, over bins of equal width."""
    place = np.minimum((p * BINS).astype(int), BINS - 1)
    said = np.bincount(place, p, BINS)
    true = np.bincount(place, hit, BINS)
    return float(np.abs(said - true).sum() / max(len(p), 1))


def errors(looked: Sequence[Looked], known: dict[str, Measured]) -> dict[str, float | int]:
    """Calibration error over all classes, of raw scores and of calibrated ones, for what is reported and for more."""
    out: dict[str, float | int] = {}
    for name, reported in (("reported", True), ("above_floor", False)):
        raw, p, hit = [], [], []
        for label, numbers in enumerate(known.values()):
            own = scored(looked, label)
            used = own.score > (numbers.threshold if reported else FIT_FLOOR)
            raw.append(own.score[used])
            p.append(calibrated(own.score[used], numbers))
            hit.append(own.hit[used])
        out[f"{name}_detections"] = sum(map(len, hit))
        out[f"{name}_ece_raw"] = calibration_error(np.concatenate(raw), np.concatenate(hit))
        out[f"{name}_ece"] = calibration_error(np.concatenate(p), np.concatenate(hit))
    return out


def failures(looked: Sequence[Looked], known: dict[str, Measured]) -> list[tuple[str, int, int]]:
    """The pictures that went worst at the thresholds: (file, things missed, reported wrongly), worst first."""
    threshold = np.array([numbers.threshold for numbers in known.values()])
    rows = []
    for one in looked:
        reported = one.found[one.found.score > threshold[one.found.label]]
        right = int(matched(reported, one.truth)[:, 0].sum())
        rows.append((one.file, len(one.truth.label) - right, len(reported) - right))
    rows.sort(key=lambda row: (-row[1] - row[2], row[0]))
    return [row for row in rows[:FAILURES] if row[1] + row[2]]


def street_frames(data: Path) -> set[str]:
    """The pictures that provenance.json marks as taken from about a vehicle's side camera."""
    path = (data if data.is_dir() else data.parent) / "provenance.json"
    if not path.is_file():
        return set()
    return {row["file"] for row in json.loads(path.read_text(encoding="utf8")) if row.get("street_frame")}


def toml(
    card: Card,
    known: dict[str, Measured],
    tables: dict[str, dict[str, Any]],
    errors: dict[str, float | int],
    failures: list[tuple[str, int, int]],
) -> str:
    """The text of measured.toml."""
    lines = [
        "# Written by `python -m vision.calibrate`; do not edit.",
        "",
        "[sha256] # of the files measured",
        *(f'{precision} = "{weights.sha256}"' for precision, weights in card.weights.items()),
    ]
    for kind, numbers in known.items():
        lines += ["", f"[class.{kind}] # on val"]
        lines += [f"{name} = {getattr(numbers, name)}" for name in ("threshold", "slope", "offset", "recall")]
    for split, table in tables.items():
        lines += ["", f"[metrics.{split}]"]
        lines += [f"{name} = {_number(table[name])}" for name in ("images", "boxes", "map50", "map50_95", "score")]
        for kind, row in table["classes"].items():
            inner = ", ".join(f"{name} = {_number(value)}" for name, value in row.items())
            lines.append(f"{kind} = {{ {inner} }}")
    exact = [split for split in ("val", "test") if f"{split}_fp32" in tables]
    if exact:
        lines += ["", "[metrics.lost_by_int8] # mAP50 and AP50 of the float file less those of the default"]
    for split in exact:
        lines.append(f"{split} = {{ {', '.join(_losses(tables[split], tables[f'{split}_fp32']))} }}")
    lines += ["", "[metrics.calibration] # on test, detections of all classes; ece: expected calibration error"]
    lines += [f"{name} = {_number(value)}" for name, value in errors.items()]
    lines += ["", "# The test pictures that went worst at the thresholds.", "failures = ["]
    lines += [f'  {{ file = "{file}", missed = {missed}, wrong = {wrong} }},' for file, missed, wrong in failures]
    return "\n".join([*lines, "]", ""])


def _losses(table: dict[str, Any], exact: dict[str, Any]) -> list[str]:
    rows = {"map50": (exact["map50"], table["map50"])}
    rows |= {kind: (row["ap50"], table["classes"][kind]["ap50"]) for kind, row in exact["classes"].items()}
    return [f"{name} = {before - after:.4f}" for name, (before, after) in rows.items()]


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4f}"


if __name__ == "__main__":
    main()
