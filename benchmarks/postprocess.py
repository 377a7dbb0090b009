"""What does it cost to make boxes of a net's raw output, and how does suppression grow with the number of candidates?

`python -m benchmarks.postprocess [--save] [--json]`. Raw outputs are made up: as many anchors as an input of 384 × 640
or 640 × 640 has, a few of them above the floor. Suppression runs on boxes of 3 classes, scattered and in clusters of
about 15 around a thing. Beside it run the plain way, a loop that settles one box after the other, and where it is
installed torchvision's compiled `batched_nms`. The ways take turns; times are of one call, warm, in one thread.
"""

from __future__ import annotations

import argparse
import json as jsonlib
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine
from vision.detections import Detections
from vision.heads import HEADS
from vision.letterbox import Letterbox
from vision.postprocess import IOU, MAX_DETECTIONS, iou_matrix, one_picture, suppressed

OUT = Path(__file__).parent / "results" / "postprocess.json"
COUNTS = (0, 10, 100, 1000, 8400)
FOUND = (0, 1, 3, 10)
FLOOR = 0.25
OUTPUTS = {  # head, input, classes, raw shape
    "streetscape-v1": ("xywh-scores", (384, 640), 3, (7, 5040)),
    "YOLOv8 COCO": ("xywh-scores", (640, 640), 80, (84, 8400)),
    "YOLOv5 COCO": ("xywh-objectness", (640, 640), 80, (25200, 85)),
    "YOLOX COCO": ("grid-objectness", (640, 640), 80, (8400, 85)),
    "YOLO26 end to end": ("xyxy-score-class", (640, 640), 80, (300, 6)),
}
Work = Callable[[], object]


def main(*, json: bool = False, save: bool = False, seconds: float = 1.0) -> dict[str, Any]:
    """Measure; the table goes to standard error, one line of JSON to standard output. `seconds` a row."""
    load = round(os.getloadavg()[0], 2)  # much above 0, and others were at work too
    pictures = [row(seconds, {"ours": picture(name, n)}, output=name, found=n) for name in OUTPUTS for n in FOUND]
    boxes = [
        row(seconds, ways(made(count, clusters=clusters)), boxes="clusters" if clusters else "scattered", count=count)
        for count in COUNTS
        for clusters in (False, True)
    ]
    result = {"benchmark": "postprocess", "pictures": pictures, "suppression": boxes, "load_before": load, **machine()}
    if save:
        OUT.write_text(jsonlib.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf8")
    if not json:
        print(table(result), file=sys.stderr)
    print(jsonlib.dumps(result, allow_nan=False))
    return result


def row(seconds: float, works: dict[str, Work], **facts: Any) -> dict[str, Any]:
    """Milliseconds a call of each way, taken in turns for about so many seconds: median and 95th percentile."""
    took: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for name, work in works.items():
            start = time.perf_counter()
            work()
            took[name].append(1e3 * (time.perf_counter() - start))
    for name, times in took.items():
        p50, p95 = np.percentile(times, [50, 95])
        facts[f"{name}_ms"], facts[f"{name}_p95_ms"] = round(float(p50), 4), round(float(p95), 4)
    return facts


def picture(name: str, found: int) -> Work:
    """One picture's raw output in which so many boxes stand above the floor, all the way to source pixels."""
    head, shape_hw, classes, shape = OUTPUTS[name]
    raw = np.random.default_rng(0).random(shape, np.float32) * np.float32(0.01)
    things = made(max(found, 1))
    centre, size = (things.xyxy[:, :2] + things.xyxy[:, 2:]) / 2, things.xyxy[:, 2:] - things.xyxy[:, :2]
    for i in range(found):
        anchor = (i * 37) % 290
        box = [*centre[i], *size[i]]
        if head == "xywh-scores":
            raw[:5, anchor] = [*box, 0.9]
        elif head == "xyxy-score-class":
            raw[anchor] = [*things.xyxy[i], 0.9, 0]
        else:
            raw[anchor, :6] = [*(box if head == "xywh-objectness" else (0.5, 0.5, 1, 1)), 0.95, 0.95]
    letterbox, floor = Letterbox.fit((1920, 1080), shape_hw), np.full(classes, FLOOR, np.float32)
    if len(one_picture(raw, letterbox, floor, HEADS[head], shape_hw)) != found:
        raise AssertionError(f"{name}: not the {found} boxes that were put there")
    return lambda: one_picture(raw, letterbox, floor, HEADS[head], shape_hw)


def made(count: int, *, clusters: bool = False) -> Detections:
    """Made-up boxes on an input of 384 × 640."""
    random = np.random.default_rng(count)
    centre, size = random.random((count, 2)) * (640, 384), random.random((count, 2)) * 55 + 5
    label = random.integers(0, 3, count)
    if clusters and count:
        thing = random.integers(0, max(count // 15, 1), count)
        centre, size = (
            centre[thing] + random.normal(0, 4, (count, 2)),
            size[thing] * random.uniform(0.85, 1.15, (count, 2)),
        )
        label = label[thing]
    xyxy = np.hstack([centre - size / 2, centre + size / 2]).astype(np.float32)
    return Detections(xyxy, random.random(count, np.float32), label)


def ways(boxes: Detections) -> dict[str, Work]:
    """Suppression of the same boxes in every way there is here."""
    known: dict[str, Work] = {"ours": lambda: suppressed(boxes), "loop": lambda: one_by_one(boxes)}
    if find_spec("torchvision") is not None:
        ops, torch = import_module("torchvision.ops"), import_module("torch")
        torch.set_num_threads(1)
        parts = [torch.from_numpy(part) for part in (boxes.xyxy, boxes.score, boxes.label)]
        known["torchvision"] = lambda: ops.batched_nms(*parts, IOU)[:MAX_DETECTIONS]
    return known


def one_by_one(found: Detections) -> Detections:
    """The plain way: the best box left clears away its repeats, and so on."""
    found = found[np.argsort(-found.score, kind="stable")]
    alive = np.ones(len(found), bool)
    kept: list[int] = []
    for i in range(len(found)):
        if alive[i] and len(kept) < MAX_DETECTIONS:
            kept.append(i)
            repeats = iou_matrix(found.xyxy[i : i + 1], found.xyxy[i + 1 :])[0] > IOU
            alive[i + 1 :] &= ~(repeats & (found.label[i + 1 :] == found.label[i]))
    return found[np.array(kept, np.int64)]


def table(result: dict[str, Any]) -> str:
    """The figures for people."""
    lines = [f"{'raw output to boxes, ms a picture':40}{'boxes':>8}{'p50':>10}{'p95':>10}"]
    lines += [
        f"{o['output']:40}{o['found']:>8}{o['ours_ms']:>10.3f}{o['ours_p95_ms']:>10.3f}" for o in result["pictures"]
    ]
    lines.append(f"{'suppression, ms (p50)':30}{'boxes':>10}{'ours':>10}{'loop':>10}{'torchvision':>14}")
    for one in result["suppression"]:
        theirs = f"{one['torchvision_ms']:.3f}" if "torchvision_ms" in one else "–"
        lines.append(f"{one['boxes']:30}{one['count']:>10}{one['ours_ms']:>10.3f}{one['loop_ms']:>10.3f}{theirs:>14}")
    where = f"{result['processor']}, one thread, load before {result['load_before']}"
    return "\n".join([*lines, f"{where} · commit {result['commit']} · {result['date']}"])


def command() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="no table")
    parser.add_argument("--save", action="store_true", help=f"write {OUT.name}")
    parser.add_argument("--seconds", type=float, default=1.0, help="a row")
    args = parser.parse_args()
    main(json=args.json, save=args.save, seconds=args.seconds)


if __name__ == "__main__":
    command()
