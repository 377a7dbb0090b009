"""Does the hot path's memory stay flat?

100,000 pictures go through the shipped path: three of four are 640 × 360, one is 1280 × 720, one of a hundred is cut
short. The process's resident memory is read every 250 pictures. After the first tenth, in which memory pools fill, a
line is fitted: its slope is what the path would lose. Ctrl+C ends it early; what was seen until then is told.
"""

from __future__ import annotations

import argparse
import json as jsonlib
import sys
import time
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine, rss_mb
from benchmarks.plot import Line, Words, lines
from benchmarks.street_pictures import SAMPLE, pictures
from models.card import find_card
from vision.detector import Detector

FRAMES = 100_000
EVERY = 250
SETTLED = 0.1  # of the frames
RESULTS = Path(__file__).parent / "results"


def main(*, json: bool = False, frames: int = FRAMES, save: bool = False) -> dict[str, Any]:
    """Measure; a sentence goes to standard error, one line of JSON to standard output with `json`."""
    card = find_card("streetscape-v1")
    detector = Detector(card)
    mixed = mixture()
    start = time.perf_counter()
    seen, rss = [], []
    stream = cycle(mixed)
    try:
        for done in range(0, frames, EVERY):
            detector.detect_jpegs([*islice(stream, min(EVERY, frames - done))])
            seen.append(min(done + EVERY, frames))
            rss.append(rss_mb())
    except KeyboardInterrupt:
        if not seen:
            raise
        print(f"ended after {seen[-1]} pictures of {frames}", file=sys.stderr)
    took, frames = time.perf_counter() - start, seen[-1]
    detector.close()
    result = {
        "benchmark": "memory",
        "frames": frames,
        **slope(seen, rss),
        "fps": round(frames / took, 1),
        "seen": seen[:: max(len(seen) // 200, 1)],
        "rss_mb": [round(value, 1) for value in rss[:: max(len(rss) // 200, 1)]],
        **machine(card),
    }
    print(
        f"{frames} pictures: {result['rss_first_mb']} MB after the first tenth, {result['rss_last_mb']} MB at the end, "
        f"{result['kb_per_1000_frames']} KB more per 1,000 pictures",
        file=sys.stderr,
    )
    if save:
        (RESULTS / "memory.json").write_text(jsonlib.dumps(result, ensure_ascii=False) + "\n", "utf8")
        note = f"{result['engine']}, {result['processor']}, {result['cores']} cores, {result['date']}"
        words = Words(title="Resident memory of the hot path", x="pictures", y="MB", note=note)
        lines(RESULTS / "memory.png", [Line(name="RSS", x=seen, y=rss, marks=False)], words)
    if json:
        print(jsonlib.dumps(result, allow_nan=False, ensure_ascii=False))
    return result


def mixture() -> list[bytes]:
    """100 pictures: 74 small, 25 larger, 1 cut short."""
    small, large = pictures(SAMPLE, (640, 360)), pictures(SAMPLE, (1280, 720))
    mixed = [(large if i % 4 == 0 else small)[i % len(small)] for i in range(99)]
    return [*mixed, small[0][: len(small[0]) // 2]]


def slope(seen: Sequence[int], rss: Sequence[float]) -> dict[str, float]:
    """A line through what was measured after the pools had filled."""
    settled = [i for i, count in enumerate(seen) if count >= SETTLED * seen[-1]]
    x, y = np.array(seen)[settled], np.array(rss)[settled]
    per_frame = float(np.polyfit(x, y, 1)[0]) if len(settled) > 1 else 0.0
    return {
        "rss_first_mb": round(float(y[0]), 1),
        "rss_last_mb": round(float(y[-1]), 1),
        "rss_most_mb": round(float(max(rss)), 1),
        "kb_per_1000_frames": round(per_frame * 1024 * 1000, 2),
    }


def command(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one line of JSON on standard output")
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--save", action="store_true", help="keep figures and plot in benchmarks/results")
    args = parser.parse_args(argv)
    main(json=args.json, frames=args.frames, save=args.save)


if __name__ == "__main__":
    command()
