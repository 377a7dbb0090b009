"""How long does a picture take from bytes to boxes, when so many a second are offered, and what happens past the limit?

Open loop: pictures of 1080p arrive at random (Poisson), as from thousands of slow streams that know nothing of each
other, at fractions of what the machine was just measured to do, below it and above. Time counts from arrival to the
answer; a picture that finds the queue full is refused at once (`Busy`) and counted. Two arrangements: the shipped
default, and one lane with batches of 1, 2, 4 and 8 and a maximum wait of 50 ms, which is what a GPU gets.
"""

from __future__ import annotations

import argparse
import json as jsonlib
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, wait
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine, rss_mb
from benchmarks.plot import Line, Words, lines
from benchmarks.street_pictures import SAMPLE, SIZES_WH, pictures
from models.card import Card, find_card
from vision.batch import BUCKETS
from vision.detector import Busy, Detector, Outcome
from vision.engine import Engine, Layout, Raw, Session, cores
from vision.engines import AUTO, open_engine

LOADS = (0.25, 0.5, 0.75, 0.9, 1.0, 1.25, 1.5)
SECONDS = 8.0  # a load
RESULTS = Path(__file__).parent / "results"


def main(
    *, json: bool = False, seconds: float = SECONDS, loads: Sequence[float] = LOADS, save: bool = False
) -> dict[str, Any]:
    """Measure; the table goes to standard error, one line of JSON to standard output with `json`."""
    load = round(os.getloadavg()[0], 2)  # of the minute before: much above 0, and others were at work too
    card = find_card("streetscape-v1")
    jpegs = pictures(SAMPLE, SIZES_WH["1080p"])
    rng = np.random.default_rng(0)
    arrangements = {
        "default": Layout(),
        "batches": Layout(lanes=1, threads=cores(), buckets=BUCKETS),
    }
    result = {
        "benchmark": "latency",
        "arrangements": {
            name: arrangement(card, layout, jpegs, loads, seconds, rng) for name, layout in arrangements.items()
        },
        "seconds": seconds,
        "load_before": load,
        **machine(card),
    }
    print(table(result), file=sys.stderr)
    if save:
        (RESULTS / "latency.json").write_text(jsonlib.dumps(result, indent=1, ensure_ascii=False) + "\n", "utf8")
        draw(result)
    if json:
        print(jsonlib.dumps(result, allow_nan=False, ensure_ascii=False))
    return result


def arrangement(
    card: Card, layout: Layout, jpegs: Sequence[bytes], loads: Sequence[float], seconds: float, rng: np.random.Generator
) -> dict[str, Any]:
    """Saturation of one arrangement, and what each load does to it."""
    engine = Counted(open_engine(card, AUTO, layout))
    detector = Detector(card, engine=engine)
    detector.detect_jpegs(jpegs)  # warm
    start = time.perf_counter()
    count = max(int(seconds * 20), len(jpegs))
    detector.detect_jpegs([*islice(cycle(jpegs), count)])
    saturation = count / (time.perf_counter() - start)
    rows = []
    for load in loads:
        engine.reset()
        row = offered(detector, jpegs, load * saturation, seconds, rng)
        rows.append({"load": load, **row, "batch": round(engine.mean_batch(), 2), "fill": round(engine.fill(), 3)})
    detector.close()
    return {"saturation_fps": round(saturation, 1), "buckets": list(engine.buckets), "loads": rows}


def offered(
    detector: Detector, jpegs: Sequence[bytes], rate: float, seconds: float, rng: np.random.Generator
) -> dict[str, Any]:
    """Offer `rate` pictures a second for so long; milliseconds from arrival to answer, and what was refused."""
    arrivals = np.cumsum(rng.exponential(1 / rate, max(int(rate * seconds), 1)))
    took: list[float] = []
    accepted: list[Future[Outcome]] = []
    refused = 0
    before, start = rss_mb(), time.perf_counter()
    for due, jpeg in zip(arrivals, cycle(jpegs), strict=False):
        came = start + due
        time.sleep(max(came - time.perf_counter(), 0))
        try:
            future = detector.submit(jpeg, timeout_s=0.0)
        except Busy:
            refused += 1
        else:
            future.add_done_callback(lambda _, came=came: took.append(time.perf_counter() - came))  # type: ignore[misc]  # the default binds it
            accepted.append(future)
    wait(accepted)
    done_s = time.perf_counter() - start
    p50, p95, p99 = np.percentile(1e3 * np.array(took), [50, 95, 99])
    return {
        "offered_fps": round(rate, 1),
        "done_fps": round(len(accepted) / done_s, 1),
        "refused": round(refused / len(arrivals), 4),
        "p50_ms": round(float(p50), 1),
        "p95_ms": round(float(p95), 1),
        "p99_ms": round(float(p99), 1),
        "rss_growth_mb": round(rss_mb() - before, 1),
    }


class Counted:
    """An engine that counts what it runs, otherwise as the one within."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.name, self.device, self.precision = engine.name, engine.device, engine.precision
        self.lanes, self.buckets = engine.lanes, engine.buckets
        self.runs: list[int] = []  # the bucket of each
        self.pictures = 0

    def session(self) -> CountedSession:
        return CountedSession(self._engine.session(), self)

    def reset(self) -> None:
        self.runs, self.pictures = [], 0

    def mean_batch(self) -> float:
        """Pictures in a run, padding included."""
        return float(np.mean(self.runs)) if self.runs else 0.0

    def fill(self) -> float:
        """Share of the runs' places that held a picture."""
        return self.pictures / sum(self.runs) if self.runs else 0.0


class CountedSession:
    """A session whose runs are counted."""

    def __init__(self, session: Session, owner: Counted) -> None:
        self._session, self._owner = session, owner
        self.canvas, self.jpegs = session.canvas, session.jpegs
        self.canvas[:] = 0

    def run(self, count: int) -> Raw:
        self._owner.runs.append(count)
        used = self.canvas[:count, ::31, ::31].any(axis=(1, 2, 3))  # a place that holds a picture is not all black
        self._owner.pictures += int(used.sum()) + (self.jpegs.ready if self.jpegs else 0)
        raw = self._session.run(count)
        self.canvas[:count] = 0
        return raw


def table(result: dict[str, Any]) -> str:
    """The figures for people."""
    rows = []
    for name, one in result["arrangements"].items():
        rows.append(f"{name}: saturated at {one['saturation_fps']} pictures/s, batches of {one['buckets']}")
        rows.append("  load   offered   done/s   refused     p50 ms   p95 ms   p99 ms   batch   fill   RSS MB")
        rows += [
            f"  {row['load']:<7.2f}{row['offered_fps']:>7.1f}{row['done_fps']:>9.1f}{row['refused']:>10.1%}"
            f"{row['p50_ms']:>11.1f}{row['p95_ms']:>9.1f}{row['p99_ms']:>9.1f}{row['batch']:>8.2f}{row['fill']:>7.0%}"
            f"{row['rss_growth_mb']:>+9.1f}"
            for row in one["loads"]
        ]
    rows.append(
        f"{result['engine']} · {result['processor']}, {result['cores']} cores · load before {result['load_before']}"
    )
    rows.append(f"{result['date']} · commit {result['commit']}")
    return "\n".join(rows)


def draw(result: dict[str, Any]) -> None:
    """p50 and p99 against load."""
    drawn = [
        Line(
            name=f"{name} {quantile}",
            x=[row["load"] for row in one["loads"]],
            y=[row[f"{quantile}_ms"] for row in one["loads"]],
        )
        for name, one in result["arrangements"].items()
        for quantile in ("p50", "p99")
    ]
    note = f"{result['engine']}, {result['processor']}, {result['cores']} cores, {result['date']}"
    words = Words(
        title="From bytes to boxes, 1080p", x="offered load / saturation", y="milliseconds, log scale", note=note
    )
    lines(RESULTS / "latency.png", drawn, words, log_y=True)


def command(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one line of JSON on standard output")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each load")
    parser.add_argument("--save", action="store_true", help="keep figures and plot in benchmarks/results")
    args = parser.parse_args(argv)
    main(json=args.json, seconds=args.seconds, save=args.save)


if __name__ == "__main__":
    command()
