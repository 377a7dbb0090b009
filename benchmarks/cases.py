"""How many sightings a second does the joint engine decide on one core, and what do a million cases cost it?

The joint engine, `dispatcher/joint`.

Stored    Cases about the district of `fleet_world.py`, as densely as there (150 in a square kilometre), each opened by
          the engine itself from one sure sighting, over the month before. Nobody looks at them again, so that they rest
          on disk: memory is what is left.
Measured  The three days of a world of the fleet benchmark, sightings and passes, read by that engine with its default
          parameters. Each number of stored cases has a process of its own and reads the same lines. Rates are sightings
          by the seconds of one core that sightings and passes took together: in the engine alone, and with parsing.
Fetched   Some of the stored cases, each seen again by one vehicle, in any order: milliseconds for each to be fetched
          from the disk and decided on.
Growth    Seconds at the largest number of stored cases by those at the smallest, beside what a logarithm grows.

    jiexun bench cases --levels 10000,100000,1000000 --json
"""

from __future__ import annotations

import argparse
import json as jsonlib
import math
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.chart import lines as line_chart
from benchmarks.fleet_messages import MODEL, Size, build, write
from benchmarks.fleet_world import ORIGIN, START
from benchmarks.machine import commit
from dispatcher.area import read_areas
from dispatcher.dispatch import parsed
from dispatcher.joint.engine import Engine
from ingest.envelope import parse_envelope
from ingest.frame import derived_id
from ingest.geo import latlon_from_offset
from jiexun.collector import seldom
from jiexun.doctor import processor
from models.taxonomy import Taxonomy
from vision.sighting import Sighting

LEVELS = (10_000, 100_000, 1_000_000)
SPACING_M = 80.0
CLEAR_M = 1500.0  # about the district's middle nothing is stored
KINDS = ("garbage", "overflow_bin", "street_stall", "outside_shop")
ASKED = 1000.0  # sightings a second
MONTH = timedelta(days=30)
FETCHED = 2000  # stored cases that are seen again


def main(
    *,
    levels: Sequence[int] = LEVELS,
    size: Size | None = None,
    json: bool = False,
    plot: Path | None = None,
) -> dict[str, Any]:
    """Measure; the table goes to standard error, one line of JSON to standard output. `json` leaves out the table."""
    size = Size() if size is None else size
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        write(Path(scratch), *build(1, size))
        for level in levels:
            with ProcessPoolExecutor(1) as pool:  # what one level leaves in memory does not slow the next
                rows.append(pool.submit(measure, Path(scratch), level).result())
            print(_progress(rows[-1]), file=sys.stderr)
    result = {
        "benchmark": "cases",
        "levels": rows,
        "asked_per_s": ASKED,
        "growth": growth(rows),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": processor(),
        "python": platform.python_version(),
        "commit": commit(),
    }
    if not json:
        print(table(result), file=sys.stderr)
    if plot is not None:
        chart(plot, rows)
    print(jsonlib.dumps(result, allow_nan=False))
    return result


def measure(folder: Path, level: int) -> dict[str, Any]:
    """Fill an engine with so many cases, and time the world of a folder on it."""
    areas, _ = read_areas(folder / "areas.geojson")
    engine = Engine(areas, Taxonomy.read())
    began, opened = time.process_time(), 0
    for sighting in stored(level):
        opened += sum(event.event == "opened" for event in engine.read(sighting, made_at=sighting.seen_at))
    far = _sighting(0, latlon_from_offset(*ORIGIN, 3e5, 3e5), KINDS[0], START)
    engine.read(far, made_at=START)  # a day later the last of them rest, too
    grown_s = time.process_time() - began
    began = time.process_time()
    read = [parse_envelope(line) for line in (folder / "world.jsonl").read_bytes().splitlines()]
    items = [(envelope.time, parsed(envelope)) for envelope in read]
    parse_s = time.process_time() - began
    with seldom():  # as the programs do that run an engine
        began = time.process_time()
        for made_at, item in items:
            engine.read(item, made_at=made_at)
        engine_s = time.process_time() - began
    sightings = sum(isinstance(item, Sighting) for _, item in items)
    resting, resting_mb = engine.resting, engine.resting_bytes // 2**20
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    again = seen_again(level, items[-1][0])
    began = time.process_time()
    for sighting in again:
        engine.read(sighting, made_at=sighting.seen_at)
    fetch_s = time.process_time() - began
    return {
        "stored": level,
        "open": opened,
        "grown_s": round(grown_s, 1),
        "lines": len(items),
        "sightings": sightings,
        "engine_s": round(engine_s, 3),
        "parse_s": round(parse_s, 3),
        "engine_per_s": round(sightings / engine_s, 1),
        "per_s": round(sightings / (engine_s + parse_s), 1),
        "memory_mb": memory_mb,
        "resting": resting,
        "resting_mb": resting_mb,
        "fetch_ms": round(1e3 * fetch_s / len(again), 3),
    }


def stored(count: int) -> Iterator[Sighting]:
    """One sure sighting for each stored case, on a lattice about the district with some disorder in it."""
    dice = np.random.default_rng(1)
    side = math.ceil(math.sqrt(count + (2 * CLEAR_M / SPACING_M + 1) ** 2))
    given = 0
    for n in range(side * side):
        row, column = divmod(n, side)
        east, north = ((v - side / 2) * SPACING_M + float(dice.uniform(-25, 25)) for v in (column, row))
        if max(abs(east), abs(north)) < CLEAR_M:
            continue
        if given == count:
            return
        given += 1
        at = START - MONTH + MONTH * (0.95 * given / count)
        yield _sighting(given, latlon_from_offset(*ORIGIN, east, north), KINDS[n % len(KINDS)], at)


def seen_again(level: int, after: datetime) -> list[Sighting]:
    """Some of the stored cases, seen once more by one vehicle each, in any order."""
    dice = np.random.default_rng(2)
    count = min(FETCHED, level)
    wanted = set(dice.choice(level, count, replace=False).tolist())
    chosen = [sighting for n, sighting in enumerate(stored(level)) if n in wanted]
    out = []
    for n, at in enumerate(dice.permutation(len(chosen)).tolist()):
        one = chosen[at]
        times = {"seen_at": after + timedelta(seconds=n), "id": f"again-{one.id}", "pass_id": f"again-{one.pass_id}"}
        out.append(replace(one, vehicle=f"again-{n}", **times))
    return out


def _sighting(n: int, latlon: tuple[float, float], kind: str, at: datetime) -> Sighting:
    id = derived_id("stored", str(n))
    return Sighting(
        id=id,
        pass_id=f"pass-{id}",
        vehicle=f"stored-{n % 5000}",
        camera="front",
        kind=kind,
        matter=_matter(kind),
        confidence=0.98,
        seen_at=at,
        lat=round(latlon[0], 7),
        lon=round(latlon[1], 7),
        covariance_m2=(11.0, 0.0, 11.0),
        shared_covariance_m2=(10.0, 0.0, 10.0),
        frames=3,
        model=MODEL,
    )


@cache
def _matter(kind: str) -> str | None:
    return Taxonomy.read().matter_of_kind(kind)


def growth(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How the engine's seconds grow from the smallest to the largest level, beside a logarithm."""
    first, last = rows[0], rows[-1]
    grew = last["engine_s"] / first["engine_s"]
    logarithm = math.log(last["stored"]) / math.log(first["stored"]) if first["stored"] > 1 else 1.0
    return {"engine": round(grew, 3), "logarithm": round(logarithm, 3), "met": grew <= logarithm}


def table(result: dict[str, Any]) -> str:
    """The figures for people."""
    head = ("stored", "engine/s", "with parsing/s", "ms a sighting", "MB", "MB on disk", "ms a fetch")
    lines = ["".join(f"{name:>16}" for name in head) + "   (sightings a second, passes included)"]
    for row in result["levels"]:
        each_ms = 1e3 * row["engine_s"] / row["sightings"]
        rates = row["engine_per_s"], row["per_s"], f"{each_ms:.3f}"
        cells = (f"{row['stored']:,}", *rates, row["memory_mb"], row["resting_mb"], row["fetch_ms"])
        lines.append("".join(f"{cell:>16}" for cell in cells))
    grew = result["growth"]
    lines.append(f"grew {grew['engine']:.2f} times, a logarithm {grew['logarithm']:.2f}; asked: {ASKED:,.0f} a second")
    lines.append(f"{result['machine']}, one core · commit {result['commit']}")
    return "\n".join(lines)


def chart(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Milliseconds a sighting by the number of stored cases."""
    engine = [(float(row["stored"]), 1e3 * row["engine_s"] / row["sightings"]) for row in rows]
    both = [(x, y + 1e3 * row["parse_s"] / row["sightings"]) for row, (x, y) in zip(rows, engine, strict=True)]
    title = "Cost of a sighting, its share of the passes included, by stored cases"
    line_chart(path, title, "milliseconds", {"engine": engine, "engine and parsing": both})


def _progress(row: dict[str, Any]) -> str:
    grown = f"{row['open']:,} open, {row['grown_s']} s"
    return f"{row['stored']:,} stored ({grown}): {row['engine_per_s']:,} sightings a second"


def levels_of(text: str) -> list[int]:
    """Numbers of stored cases, smallest first. Raises ValueError that says what is wrong."""
    try:
        levels = sorted(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"levels are whole numbers with commas between, got {text!r}") from None
    if not levels or levels[0] < 2:
        raise ValueError(f"levels are 2 or more stored cases, got {text!r}")
    return levels


def command(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--levels", default=",".join(map(str, LEVELS)), help="numbers of stored cases")
    parser.add_argument("--json", action="store_true", help="no table")
    parser.add_argument("--plot", type=Path, help="SVG to write")
    args = parser.parse_args(argv)
    main(levels=levels_of(args.levels), json=args.json, plot=args.plot)


if __name__ == "__main__":
    command()
