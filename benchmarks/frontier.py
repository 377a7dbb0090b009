"""What does accuracy cost? `python -m benchmarks.frontier --data streetscape`

The shipped weights at several input shapes, as INT8 and as float, and the variant `accurate`: mAP50, mAP50-95 and AP50
by class on val and on test, apart on their street frames (pictures from about a vehicle's side camera: `street_frame`
in provenance.json), next to pictures a second of the hot path, JPEGs of 1080p to detections. All variants take turns
over the same pictures, so that a machine that others use too disturbs them alike.

Variants are chosen on val. Of the street frames of val and test together, the mean AP50 of bins and overflowing bins
comes with the 2.5th and 97.5th percentile over draws of the *sites* (`group` in provenance.json): pictures of one site
are no independent evidence. With `--only WORDS --save` the rows of the other variants stay as they were kept.
"""

from __future__ import annotations

import argparse
import json as jsonlib
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.hotpath import measured, summary
from benchmarks.machine import RESULTS, machine
from benchmarks.plot import Words, scatter
from benchmarks.street_pictures import SAMPLE, SIZES_WH, pictures
from benchmarks.ways import Way, shipped
from models.card import Card, find_card
from vision.calibrate import street_frames
from vision.dataset import read_dataset
from vision.detector import Detector
from vision.engine import EngineUnavailable
from vision.engines import open_engine
from vision.evaluate import Looked, document, look, summon
from vision.metrics import average_precision, matched

DEFAULT, ACCURATE = "streetscape-v1", "accurate"
SHAPES = ((288, 512), (384, 640), (512, 896), (640, 1120))
ENGINES = ("openvino-int8", "openvino")
ROUNDS, PICTURES = 8, 24
JUDGED = ("garbage_bin", "overflow_bin")  # on street frames: they show too little garbage
DRAWS = 1000

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Variant:
    """A model at a shape on an engine."""

    card: Card
    engine: str

    @property
    def name(self) -> str:
        height, width = self.card.shape_hw
        return f"{self.card.name} {height}x{width} {'int8' if self.engine.endswith('int8') else 'fp32'}"


def variants() -> list[Variant]:
    """The default's weights at all shapes and precisions, and the accurate variant as it ships."""
    card = find_card(DEFAULT)
    plain = [Variant(replace(card, shape_hw=shape), engine) for shape in SHAPES for engine in ENGINES]
    accurate = find_card(ACCURATE)
    return [*plain, Variant(accurate, "openvino-int8" if "int8" in accurate.weights else "openvino")]


def main(
    data: Path, *, rounds: int = ROUNDS, save: bool = False, json: bool = False, only: Iterable[str] = ()
) -> dict[str, Any]:
    """Measure; the table goes to standard error, one line of JSON to standard output with `json`."""
    load = round(os.getloadavg()[0], 2)
    wanted = tuple(only)
    tried = [one for one in variants() if not wanted or any(word in one.name for word in wanted)]
    rows = []
    for one in tried:
        try:
            rows.append({"name": one.name, "shape_hw": list(one.card.shape_hw), **accuracy(data, one)})
        except EngineUnavailable as error:
            print(f"{one.name} left out: {error}", file=sys.stderr)
            continue
        print(f"{one.name}: val {rows[-1]['val']['map50']:.4f}", file=sys.stderr, flush=True)
    fps = speed([one for one in tried if one.name in {row["name"] for row in rows}], rounds)
    base = fps.get(next((one.name for one in tried if one.card.shape_hw == find_card(DEFAULT).shape_hw), ""), [])
    for row in rows:
        row |= summary(fps[row["name"]])
        row["time_of_default"] = round(float(np.median(np.array(base) / fps[row["name"]])), 3) if base else None
    result = {
        "benchmark": "frontier",
        "rows": rows,
        "rounds": rounds,
        "load_before": load,
        **machine(),
    }
    kept = RESULTS / "frontier.json"
    if save and wanted and kept.is_file():
        result = merged(jsonlib.loads(kept.read_text(encoding="utf8")), rows)
    print(table(result), file=sys.stderr)
    if save:
        text = jsonlib.dumps(result, indent=1, ensure_ascii=False) + "\n"
        kept.write_text(text, encoding="utf8")
        draw(result)
    if json:
        print(jsonlib.dumps(result, allow_nan=False, ensure_ascii=False))
    return result


def merged(kept: dict[str, Any], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What was kept, with these rows but the default's anew. Their speed: the kept default's by their time to it now.

    The machine is not as busy as it was then. Without the default among the rows they keep what was measured.
    """
    name = next(one.name for one in variants() if one.card == find_card(DEFAULT))
    base = next(row["fps"] for row in kept["rows"] if row["name"] == name)
    own = {key: value for key, value in machine().items() if key in ("date", "commit")}
    new = {row["name"]: {**row, **own} for row in rows if row["name"] != name}
    for row in new.values():
        if row["time_of_default"]:
            scale = base / row["time_of_default"] / row["fps"]
            row |= {key: round(row[key] * scale, 2) for key in ("fps", "p10", "p90")}
    others = [new.pop(row["name"], row) for row in kept["rows"]]
    return kept | {"rows": [*others, *new.values()]}


def accuracy(data: Path, one: Variant) -> dict[str, Any]:
    """The figures of both splits, and of their street frames. Raises EngineUnavailable."""
    street, sites = street_frames(data), sites_of(data)
    out: dict[str, Any] = {}
    outside: list[Looked] = []
    for split in ("val", "test"):
        dataset = read_dataset(data, split)
        looked = [got for got in look(summon(dataset, [one.card], one.engine), dataset) if isinstance(got, Looked)]
        some = [got for got in looked if got.file in street]
        out[split], out[f"{split}_street"] = short(looked, dataset.names), short(some, dataset.names)
        outside += some
    labels = [label for label, name in dataset.names.items() if name in JUDGED]
    out["street"] = judged(outside, labels, [sites.get(got.file, got.file) for got in outside])
    return out


def short(looked: Sequence[Looked], names: Mapping[int, str]) -> dict[str, Any]:
    """What is told of a set of pictures."""
    told = document(looked, names)
    return {
        "images": told["images"],
        "boxes": {name: row["boxes"] for name, row in told["classes"].items()},
        **{key: None if told[key] is None else round(told[key], 4) for key in ("map50", "map50_95")},
        "ap50": {name: round(value, 4) for name, value in told["ap50"].items()},
    }


def judged(looked: Sequence[Looked], labels: Sequence[int], sites: Sequence[str]) -> dict[str, Any]:
    """Mean AP50 of these classes over pictures, with its interval over sites."""
    rows = [[_hits(one, label) for label in labels] for one in looked]
    by_site: dict[str, list[int]] = {}
    for i, site in enumerate(sites):
        by_site.setdefault(site, []).append(i)
    groups = list(by_site.values())
    random = np.random.default_rng(0)
    draws = []
    for _ in range(DRAWS if len(groups) > 1 else 0):
        chosen = [i for k in random.integers(len(groups), size=len(groups)) for i in groups[k]]
        draws.append(mean_ap50([rows[i] for i in chosen]))
    low, high = np.percentile(draws, [2.5, 97.5]) if draws else (np.nan, np.nan)
    return {
        "images": len(looked),
        "sites": len(groups),
        "classes": list(JUDGED),
        "ap50": round(mean_ap50(rows), 4) if rows else None,
        "interval": [round(float(low), 4), round(float(high), 4)] if draws else None,
    }


Hits = tuple[NDArray[np.float64], NDArray[np.bool_], int]  # scores, whether each is right, how many things there are


def mean_ap50(rows: Sequence[Sequence[Hits]]) -> float:
    """Over the classes that these pictures show, of each its AP50."""
    values = []
    for k in range(len(rows[0])):
        boxes = sum(row[k][2] for row in rows)
        if boxes:
            score = np.concatenate([row[k][0] for row in rows])
            hit = np.concatenate([row[k][1] for row in rows])[np.argsort(-score, kind="stable")]
            right = hit.cumsum()
            told = np.arange(1, len(hit) + 1)
            values.append(average_precision(right / boxes, right / told) if len(hit) else 0.0)
    return float(np.mean(values)) if values else 0.0


def _hits(one: Looked, label: int) -> Hits:
    own = one.found.label == label
    hit = matched(one.found, one.truth)[own, 0]
    return one.found.score[own].astype(np.float64), hit, int((one.truth.label == label).sum())


def sites_of(data: Path) -> dict[str, str]:
    """The site of every picture that provenance.json knows."""
    path = (data if data.is_dir() else data.parent) / "provenance.json"
    if not path.is_file():
        return {}
    return {row["file"]: str(row["group"]) for row in jsonlib.loads(path.read_text(encoding="utf8"))}


def speed(tried: Sequence[Variant], rounds: int) -> dict[str, list[float]]:
    """Pictures a second of every variant in every round, in turns."""
    jpegs = pictures(SAMPLE, SIZES_WH["1080p"])
    detectors = {one.name: Detector(one.card, engine=open_engine(one.card, one.engine)) for one in tried}
    try:
        return measured([Way(name, PICTURES, partial(shipped, d, jpegs)) for name, d in detectors.items()], rounds)
    finally:
        for detector in detectors.values():
            detector.close()


def table(result: Mapping[str, Any]) -> str:
    """The figures for people: test beside val, then what it costs."""
    lines = [
        f"{'variant':42} val mAP50 / 50-95   test mAP50 / 50-95  street val  test   bins (interval)      pictures/s"
    ]
    for row in result["rows"]:
        val, test, street = row["val"], row["test"], row["street"]
        interval = "" if street["interval"] is None else f"({street['interval'][0]:.3f}–{street['interval'][1]:.3f})"
        lines.append(
            f"{row['name']:42} {val['map50']:.3f} / {val['map50_95']:.3f}       {test['map50']:.3f} / "
            f"{test['map50_95']:.3f}       {_or(row['val_street']['map50'])}  {_or(row['test_street']['map50'])}  "
            f"{_or(street['ap50'])} {interval}  {row['fps']:6.1f} ({row['p10']:.1f}–{row['p90']:.1f})"
        )
        lines.append(f"{'':42}   test by class: " + ", ".join(f"{k} {v:.3f}" for k, v in test["ap50"].items()))
    lines.append(f"{result['processor']}, {result['cores']} cores · load before {result['load_before']}")
    lines.append(f"{result['date']} · commit {result['commit']}")
    return "\n".join(lines)


def _or(value: float | None) -> str:
    return "  –  " if value is None else f"{value:.3f}"


def draw(result: Mapping[str, Any]) -> None:
    """mAP50 on test against pictures a second."""
    groups: dict[str, list[tuple[float, float, str]]] = {}
    for row in result["rows"]:
        name, shape, precision = row["name"].split()
        groups.setdefault(f"{name} {precision}", []).append((row["fps"], row["test"]["map50"], shape))
    note = f"{result['processor']}, {result['cores']} cores, {result['date']}"
    words = Words(title="What accuracy costs", x="pictures a second, 1080p", y="mAP50 on test", note=note)
    scatter(RESULTS / "frontier.png", groups, words)


def command(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with data.yaml and provenance.json")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", nargs="*", default=(), help="parts of the names of the variants to measure")
    parser.add_argument("--json", action="store_true", help="one line of JSON on standard output")
    parser.add_argument("--save", action="store_true", help="keep figures and plot in benchmarks/results/")
    args = parser.parse_args(argv)
    main(args.data, rounds=args.rounds, save=args.save, json=args.json, only=args.only)


if __name__ == "__main__":
    command()
