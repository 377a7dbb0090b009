"""How many frames a second does the shipped path manage, from JPEG bytes to detections, and what does the net alone?

Pictures: the sample drive's, cut to 16:9, scaled to 1920 × 1080 and encoded as JPEG of quality 90, so that decoding
costs what it costs in a vehicle. Path: `vision.lanes.fastest`, as the vision worker uses it. Bare: sessions fed tensors
that lie ready, the better of two arrangements: one session on all cores with a batch of 8, and one session a core with
one picture each. All are measured in turns on the same machine in the same run, after a warm-up; the ratio is what
decoding, letterboxing and post-processing leave of the net's own speed.
"""

from __future__ import annotations

import argparse
import json as jsonlib
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort

from benchmarks.machine import commit
from jiexun.doctor import processor
from models.card import find_card
from vision.detector import Detector, cores
from vision.lanes import Lanes, fastest

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "datasets" / "sample"
SIZE_WH = (1920, 1080)
PICTURES = 16
BATCH = 8
REPEATS = 20
QUALITY = 90  # of the JPEGs


def main(*, json: bool = False, sample: Path = SAMPLE, repeats: int = REPEATS) -> dict[str, Any]:
    """Measure; the table goes to standard error, one line of JSON to standard output. `json` leaves out the table.

    Raises FileNotFoundError without the sample drive, ModelUnusable without the model.
    """
    load = round(os.getloadavg()[0], 2)  # of the minute before: much above 0, and others were at work too
    jpegs = pictures(sample)
    card = find_card("streetscape-v1")
    path, lanes, detector = fastest(card), Lanes(card), Detector(card)
    detector.warm_up()
    batches = [jpegs[i : i + BATCH] for i in range(0, len(jpegs), BATCH)]
    ready = np.random.default_rng(0).random((BATCH, 3, *card.shape_hw), np.float32)
    took: dict[str, list[float]] = {"path": [], "bare_batch": [], "bare_lanes": [], "decode": []}  # seconds a frame
    for _ in range(repeats):
        for batch in batches:
            took["path"].append(seconds(partial(path.detect_jpegs, batch)) / BATCH)
            took["bare_batch"].append(seconds(partial(detector.infer, ready)) / BATCH)
            took["bare_lanes"].append(seconds(partial(lanes.infer, [ready[:1]] * BATCH)) / BATCH)
            took["decode"].append(seconds(partial(detector.read, batch)) / BATCH)
    result = summary(took) | {"pictures": len(jpegs), "size_wh": list(SIZE_WH), "repeats": repeats}
    result |= {"load_before": load} | machine(detector)
    if not json:
        print(table(result), file=sys.stderr)
    print(jsonlib.dumps(result, allow_nan=False))
    return result


def pictures(sample: Path, *, quality: int = QUALITY) -> list[bytes]:
    """JPEGs of 1920 × 1080 made from the sample drive, spread over it."""
    files = sorted(sample.glob("*.jpg"))
    if len(files) < PICTURES:
        raise FileNotFoundError(f"{sample} holds {len(files)} pictures, {PICTURES} are needed: run it in a clone")
    made = []
    for i in range(PICTURES):
        image = cv2.imread(str(files[i * len(files) // PICTURES]))
        if image is None:
            raise FileNotFoundError(f"{files[i]} does not decode: restore the sample drive")
        rows = min(image.shape[0], image.shape[1] * SIZE_WH[1] // SIZE_WH[0])
        top = (image.shape[0] - rows) // 2
        scaled = cv2.resize(image[top : top + rows], SIZE_WH, interpolation=cv2.INTER_CUBIC)
        made.append(cv2.imencode(".jpg", scaled, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes())
    return made


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def summary(took: dict[str, list[float]]) -> dict[str, Any]:
    """Frames a second at the median, milliseconds a frame, and the ratio."""
    rows = {}
    for name, times in took.items():
        p50, p95 = np.percentile(times, [50, 95])
        rows[name] = {"fps": round(1 / p50, 2), "p50_ms": round(1e3 * p50, 3), "p95_ms": round(1e3 * p95, 3)}
    bare_fps = max(rows["bare_batch"]["fps"], rows["bare_lanes"]["fps"])
    return {
        "benchmark": "hotpath",
        "fps": rows["path"]["fps"],
        "bare_fps": bare_fps,
        "ratio": round(rows["path"]["fps"] / bare_fps, 4),
        "batch": BATCH,
        "per_frame": rows,
    }


def machine(detector: Detector) -> dict[str, Any]:
    """What the figures belong to."""
    return {
        "model": detector.card.version,
        "provider": detector.provider,
        "onnxruntime": ort.__version__,
        "machine": processor(),
        "cores": cores(),
        "python": platform.python_version(),
        "commit": commit(),
    }


def table(result: dict[str, Any]) -> str:
    """The figures for people."""
    names = {
        "path": "JPEG bytes to detections",
        "bare_batch": "one session alone",
        "bare_lanes": "a session a core alone",
        "decode": "decoding alone",
    }
    lines = [f"{'':26}{'frames/s':>10}{'p50 ms':>10}{'p95 ms':>10}   (milliseconds a frame, batches of {BATCH})"]
    for name, row in result["per_frame"].items():
        lines.append(f"{names[name]:26}{row['fps']:>10.1f}{row['p50_ms']:>10.2f}{row['p95_ms']:>10.2f}")
    lines.append(f"ratio {result['ratio']:.3f} · {result['provider']} · {result['machine']}, {result['cores']} cores")
    lines.append(f"load before {result['load_before']} · {result['pictures']} pictures of {SIZE_WH[0]} × {SIZE_WH[1]}")
    lines.append(f"commit {result['commit']}")
    return "\n".join(lines)


def command(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="no table")
    parser.add_argument("--sample", type=Path, default=SAMPLE, help="folder with at least 16 pictures")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    args = parser.parse_args(argv)
    try:
        main(json=args.json, sample=args.sample, repeats=args.repeats)
    except FileNotFoundError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    command()
