"""Does the quality gate drop the pictures that show nothing, and none that show something? What does it cost?

Good pictures: the sample drive's, and those of every folder named. Some of them are also degraded in the ways of
`benchmarks.degrade` and encoded again, with a JPEG quality of 40 to 95. Reported are the part that is dropped and, as
the measure of what a degraded picture is still worth, how much of what the model finds in the good picture it finds
again.
Times are medians over 1080p pictures, of each step.
"""

from __future__ import annotations

import json as jsonlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.degrade import DEGRADATIONS, Degradation, Image, encoded
from benchmarks.machine import machine
from benchmarks.street_pictures import SAMPLE, SIZES_WH, pictures
from ingest.jpeg import read_header
from ingest.quality import Fault, first_look, look_at, look_at_pixels, suspicious
from models.card import find_card
from vision.detections import Detections
from vision.detector import Detector

QUALITIES = (40, 60, 75, 85, 95)
DEGRADED = 70  # pictures that are degraded, of each folder
SEED = 5
FOUND_IOU = 0.5
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class GoodOne:
    """A picture as it is, and what the model finds in it."""

    image: Image
    xyxy: list[list[float]]


def main(*, json: bool = False, folders: Sequence[Path] = (), count: int = DEGRADED, save: bool = False) -> None:
    """Measure; the table goes to standard error, with `json` one line to standard output.

    Raises FileNotFoundError for a folder without pictures.
    """
    sources = {"/".join(folder.resolve().parts[-2:]): _files(folder) for folder in (SAMPLE, *folders)}
    card = find_card("streetscape-v1")
    detector = Detector(card)
    rng = np.random.default_rng(SEED)
    good_ones = [_read(file, detector) for file in _spread(sources, count)]
    document = {
        "benchmark": "gate",
        "good": [{"folder": name} | good(files, detector) for name, files in sources.items()],
        "degraded": [degraded(one, good_ones, detector, rng) for one in DEGRADATIONS],
        "cost": cost(),
        "seed": SEED,
        "qualities": list(QUALITIES),
    } | machine(card)
    detector.close()
    print(table(document), file=sys.stderr)
    if save:
        (RESULTS / "gate.json").write_text(jsonlib.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf8")
    if json:
        print(jsonlib.dumps(document, allow_nan=False, ensure_ascii=False))


def good(files: Sequence[Path], detector: Detector) -> dict[str, Any]:
    """What the gate does to pictures as they are: all of these show something, or were not looked through."""
    faults: Counter[str] = Counter()
    dropped, looked = [], 0
    for file in files:
        jpeg = file.read_bytes()
        size_wh = read_header(jpeg)
        looked += suspicious(jpeg, size_wh)
        fault = detector.submit_gated(jpeg).result()
        if isinstance(fault, Fault):
            faults[fault] += 1
            dropped.append(file.name)
    return {
        "pictures": len(files),
        "looked_at": round(looked / len(files), 4),
        "dropped": round(len(dropped) / len(files), 4),
        "faults": dict(faults),
        "files": dropped,
    }


def degraded(
    one: Degradation, pictures: Sequence[GoodOne], detector: Detector, rng: np.random.Generator
) -> dict[str, Any]:
    """How many of these pictures are dropped when that happens to them, and what could be found in them."""
    faults: Counter[str] = Counter()
    before, after = 0, 0
    for picture in pictures:
        jpeg = encoded(one.change(picture.image, rng), int(rng.choice(QUALITIES)))
        fault = detector.submit_gated(jpeg).result()
        if isinstance(fault, Fault):
            faults[fault] += 1
        (again,) = detector.detect_jpegs([jpeg])
        before += len(picture.xyxy)
        if isinstance(again, Detections):
            after += sum(any(_iou(a, b) >= FOUND_IOU for b in again.xyxy.tolist()) for a in picture.xyxy)
    return {
        "name": one.name,
        "useless": one.useless,
        "pictures": len(pictures),
        "dropped": round(faults.total() / len(pictures), 4),
        "faults": dict(faults),
        "found_again": round(after / before, 4) if before else None,
    }


def _read(file: Path, detector: Detector) -> GoodOne:
    image = cv2.imread(str(file))
    if image is None:
        raise FileNotFoundError(f"{file} does not decode")
    sharp = np.asarray(image, np.uint8)
    (there,) = detector.detect([sharp])
    return GoodOne(sharp, there.xyxy.tolist())


def _iou(a: list[float], b: list[float]) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def cost() -> dict[str, float]:
    """Milliseconds a 1080p picture, median."""
    size_wh = SIZES_WH["1080p"]
    jpegs = pictures(SAMPLE, size_wh)
    small = np.zeros((360, 640, 3), np.uint8)
    return {
        "header_ms": _median_ms(lambda jpeg: suspicious(jpeg, size_wh), jpegs),
        "first_look_ms": _median_ms(lambda jpeg: first_look(jpeg, size_wh), jpegs),
        "look_at_an_eighth_ms": _median_ms(lambda jpeg: look_at(jpeg, size_wh), jpegs),
        "look_at_pixels_ms": _median_ms(lambda _: look_at_pixels(small), jpegs),
    }


def _median_ms(work: Callable[[bytes], object], jpegs: Sequence[bytes]) -> float:
    took = []
    for jpeg in [*jpegs[:4], *jpegs, *jpegs]:  # the first four warm up
        start = time.perf_counter()
        work(jpeg)
        took.append(time.perf_counter() - start)
    return round(1e3 * float(np.median(took[4:])), 4)


def table(document: dict[str, Any]) -> str:
    """The figures for people."""
    lines = [f"{'good pictures':28}{'number':>8}{'looked at':>11}{'dropped':>9}"]
    lines += [
        f"{row['folder']:28}{row['pictures']:>8}{row['looked_at']:>11.1%}{row['dropped']:>9.2%}"
        for row in document["good"]
    ]
    lines.append(f"\n{'degraded pictures':28}{'number':>8}{'found':>11}{'dropped':>9}   as")
    for row in document["degraded"]:
        found = "-" if row["found_again"] is None else f"{row['found_again']:.0%}"
        why = ", ".join(f"{fault} {count}" for fault, count in sorted(row["faults"].items()))
        lines.append(f"{row['name']:28}{row['pictures']:>8}{found:>11}{row['dropped']:>9.0%}   {why}")
    cost = document["cost"]
    lines.append(
        f"\nheader {cost['header_ms']:.3f} ms, before decoding {cost['first_look_ms']:.3f} ms, a look at an eighth "
        f"{cost['look_at_an_eighth_ms']:.2f} ms, at pixels {cost['look_at_pixels_ms']:.2f} ms "
        f"a 1080p picture · {document['processor']}"
    )
    return "\n".join(lines)


def _files(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.glob("**/*") if path.suffix.lower() in (".jpg", ".jpeg"))
    if not files:
        raise FileNotFoundError(f"{folder} holds no pictures")
    return files


def _spread(sources: dict[str, list[Path]], count: int) -> Iterator[Path]:
    """At most `count` pictures of each folder, spread over it."""
    for files in sources.values():
        step = max(1, -(-len(files) // count))
        yield from files[::step]
