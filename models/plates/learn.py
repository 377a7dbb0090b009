"""Learn the second head of the plate net, in NumPy.

`python -m models.plates.learn RECIPE.toml --data DIR --net models/privacy/plates/plates_yolov8n.onnx --out OUT`

The net stays as it is; a small head on top of four of its feature maps says of each cell of 4 pixels whether it is in
the middle of a plate, and how far the plate's sides are. It learns from drawn plates (`models.plates.drawn`) in street
pictures, and, in rounds, from what it took for plates in pictures without any. What the net itself takes for a plate
is left out, as is the lower part of vehicles in which it finds none: a plate may be there. DIR has streetscape/ and
vehicle_frames/; pictures of `benchmarks/privacy_labels` are left out. Writes OUT/head.npz and OUT/plates.onnx.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from models.plates.cells import gathered, joined, mined
from models.plates.head import Cells, Head, solved
from models.plates.net import Net, with_head

LABELS = Path(__file__).parents[2] / "benchmarks" / "privacy_labels" / "labels.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--net", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    recipe = tomllib.loads(asked.recipe.read_text(encoding="utf8"))
    asked.out.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    head = learned(recipe, Net(asked.net), *pictures(asked.data))
    arrays: dict[str, Any] = dict(head.arrays())
    np.savez(asked.out / "head.npz", **arrays)
    with_head(asked.net, head, asked.out / "plates.onnx", **recipe["doubt"])


def learned(recipe: dict[str, Any], net: Net, streets: list[Path], traffic: list[Path]) -> Head:
    """The head after all rounds."""
    rng = np.random.default_rng(recipe["seed"])
    cells = gathered(net, streets, traffic, recipe["drawn"], rng)
    head = solve(cells, recipe)
    for number, count in enumerate(recipe["rounds"], 1):
        found = mined(net, head, streets, traffic, count, rng)
        print(f"round {number}: {len(found.features)} cells of {count} pictures", flush=True)
        cells = joined([cells, found])
        head = solve(cells, recipe)
    return head


def solve(cells: Cells, recipe: dict[str, Any]) -> Head:
    """Learned twice: the second time without negatives in traffic that the first is sure of."""
    numbers = {name: recipe[name] for name in ("hidden", "epochs", "ridge", "seed")}
    first = solved(cells, **numbers)
    score = first.logits(cells.features.astype(np.float32))
    doubtful = ~cells.plate & cells.traffic & (score > recipe["sure"])
    return solved(cells[~doubtful], **numbers)


def pictures(data: Path) -> tuple[list[Path], list[Path]]:
    """Streets, traffic: none that the benchmark's labels name, by name or by bytes."""
    known = {row["sha256"] for row in json.loads(LABELS.read_text(encoding="utf8"))["pictures"]}
    folders = data / "streetscape" / "images" / "train", data / "vehicle_frames" / "images"
    streets, traffic = (list(unknown(folder, known)) for folder in folders)
    return streets, traffic


def unknown(folder: Path, known: set[str]) -> Iterator[Path]:
    """The pictures of a folder that are not known by their sha256."""
    for path in sorted(folder.iterdir()):
        if hashlib.sha256(path.read_bytes()).hexdigest() not in known:
            yield path


if __name__ == "__main__":
    main()
