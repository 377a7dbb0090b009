"""How long does a dispatcher take to start on a store that has so many inputs: reading them all, or from a snapshot?

A simulated fleet's sightings and passes are decided on, by either engine, in an SQLite store in memory, by batches of
one transaction as the dispatcher's loop does; then a fresh engine reads what is stored; then a snapshot is kept, and
another engine starts from that. Seconds of one core.

    python -m benchmarks.start --seed 1 --days 1 --json
"""

from __future__ import annotations

import argparse
import json as jsonlib
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.fleet_messages import Size, build, write
from benchmarks.machine import commit
from dispatcher.area import Areas, read_areas
from dispatcher.dispatch import Dispatcher
from dispatcher.engines import Which, begun
from dispatcher.store.store import Store
from ingest.envelope import Envelope, parse_envelope
from jiexun.collector import seldom
from jiexun.doctor import processor
from models.taxonomy import Taxonomy

DAYS = 1.0
VEHICLES = 60
AT_ONCE = 500  # inputs in a transaction


def main(*, seed: int = 1, days: float = DAYS, vehicles: int = VEHICLES, json: bool = False) -> dict[str, Any]:
    """Measure; the table goes to standard error, one line of JSON to standard output. `json` leaves out the table."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), *build(seed, Size(days=days, vehicles=vehicles), processes=1))
        areas, _ = read_areas(Path(folder) / "areas.geojson")
        lines = [parse_envelope(line) for line in (Path(folder) / "world.jsonl").read_bytes().splitlines()]
    with seldom():
        found = {str(which): measure(areas, lines, which) for which in Which}
    if not json:
        for name, row in found.items():
            print(
                f"{name:<9}{row['inputs']:>8,} inputs, {row['cases']:,} cases: read in {row['read_s']:.2f} s, "
                f"{row['per_s']:,} a second; snapshot kept in {row['keep_s']:.2f} s, read in {row['recall_s']:.2f} s",
                file=sys.stderr,
            )
    result = {
        "benchmark": "start",
        "seed": seed,
        "days": days,
        "vehicles": vehicles,
        "engines": found,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": processor(),
        "commit": commit(),
    }
    print(jsonlib.dumps(result, allow_nan=False))
    return result


def measure(areas: Areas, lines: Sequence[Envelope], which: Which) -> dict[str, Any]:
    """What reading the inputs of a store again takes."""
    with Store.open("sqlite://") as store:
        engine, snapshot = begun(store, areas, Taxonomy.read(), which)
        first = Dispatcher(engine, store)
        for start in range(0, len(lines), AT_ONCE):
            with store.writing():
                for one in lines[start : start + AT_ONCE]:
                    first.read(one)
        inputs = sum(1 for _ in store.inputs())
        again, _ = begun(store, areas, Taxonomy.read())
        read_s = timed(lambda: Dispatcher(again, store).recover(store.inputs()))
        keep_s = timed(lambda: snapshot.amend(first.seq))
        other, kept = begun(store, areas, Taxonomy.read())
        recall_s = timed(kept.recall)
        if not again.cases() == engine.cases() == other.cases():
            raise RuntimeError(f"the {which} engine came to other cases by the same inputs")
    seconds = {"read_s": read_s, "keep_s": keep_s, "recall_s": recall_s}
    return {"inputs": inputs, "cases": len(engine.cases()), "per_s": round(inputs / read_s)} | seconds


def timed(work: Callable[[], object]) -> float:
    """Seconds of one core."""
    began = time.process_time()
    work()
    return round(time.process_time() - began, 3)


def command(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1, help="of the world")
    parser.add_argument("--days", type=float, default=DAYS, help="that the fleet drives")
    parser.add_argument("--vehicles", type=int, default=VEHICLES, help="of the fleet")
    parser.add_argument("--json", action="store_true", help="no table")
    args = parser.parse_args(argv)
    main(seed=args.seed, days=args.days, vehicles=args.vehicles, json=args.json)


if __name__ == "__main__":
    command()
