"""How long does a dispatcher take to start on a store that has so many inputs, when it reads them all?

A simulated fleet's sightings and passes are decided on, by either engine, in an SQLite store in memory, by batches of
one transaction as the dispatcher's loop does; then a fresh engine reads what is stored. Seconds of one core, and inputs
a second. What a snapshot saves of that is not in it.

    python -m benchmarks.start --seed 1 --days 1 --json
"""

from __future__ import annotations

import argparse
import json as jsonlib
import sys
import tempfile
import time
from collections.abc import Sequence
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
AT_ONCE = 500  # inputs in a transaction


def main(*, seed: int = 1, days: float = DAYS, json: bool = False) -> dict[str, Any]:
    """Measure; the table goes to standard error, one line of JSON to standard output. `json` leaves out the table."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), *build(seed, Size(days=days), processes=1))
        areas, _ = read_areas(Path(folder) / "areas.geojson")
        lines = [parse_envelope(line) for line in (Path(folder) / "world.jsonl").read_bytes().splitlines()]
    with seldom():
        found = {str(which): measure(areas, lines, which) for which in Which}
    if not json:
        for name, row in found.items():
            print(
                f"{name:<10}{row['inputs']:>9,} inputs in {row['s']:>8.2f} s: {row['per_s']:>7,} a second",
                file=sys.stderr,
            )
    result = {
        "benchmark": "start",
        "seed": seed,
        "days": days,
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
        engine, _ = begun(store, areas, Taxonomy.read(), which)
        first = Dispatcher(engine, store)
        for start in range(0, len(lines), AT_ONCE):
            with store.writing():
                for one in lines[start : start + AT_ONCE]:
                    first.read(one)
        inputs = sum(1 for _ in store.inputs())
        again, _ = begun(store, areas, Taxonomy.read())
        began = time.process_time()
        Dispatcher(again, store).recover(store.inputs())
        took = time.process_time() - began
        if again.cases() != engine.cases():
            raise RuntimeError(f"the {which} engine came to other cases by the same inputs")
    return {"inputs": inputs, "s": round(took, 3), "per_s": round(inputs / took)}


def command(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1, help="of the world")
    parser.add_argument("--days", type=float, default=DAYS, help="that the fleet drives")
    parser.add_argument("--json", action="store_true", help="no table")
    args = parser.parse_args(argv)
    main(seed=args.seed, days=args.days, json=args.json)


if __name__ == "__main__":
    command()
