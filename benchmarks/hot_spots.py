"""What does a sighting cost where a vehicle comes by every ten minutes, for weeks? By how often a place was seen.

The joint engine weighs all looks at a place again with each one. Three places, each with nothing else about it: a bin
in order that every pass sees; an open case that every pass sees; a case that is closed, where every pass sees nothing.
Milliseconds of one core a pass, over quarters of the passes.

    python -m benchmarks.hot_spots --passes 2000 --json
"""

from __future__ import annotations

import argparse
import json as jsonlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import h3
import numpy as np

from benchmarks.fleet_messages import MODEL
from benchmarks.fleet_world import ORIGIN, START
from benchmarks.machine import commit
from dispatcher.area import read_areas
from dispatcher.joint.engine import Engine
from ingest.geo import latlon_from_offset
from jiexun.doctor import processor
from models.taxonomy import Taxonomy
from vision.sighting import Pass, Sighting

SAMPLE_AREAS = Path(__file__).resolve().parents[1] / "datasets" / "sample" / "areas.geojson"
EVERY = timedelta(minutes=10)
PASSES = 2000
QUARTERS = 4
GNSS_M2 = 9.0


def main(*, passes: int = PASSES, json: bool = False) -> dict[str, Any]:
    """Measure; the table goes to standard error, one line of JSON to standard output. `json` leaves out the table."""
    found = {name: measure(items, passes) for name, items in PLACES.items()}
    if not json:
        for name, row in found.items():
            print(f"{name:<12}" + "".join(f"{ms:>9.2f}" for ms in row) + "   ms a pass, by quarter", file=sys.stderr)
    result = {
        "benchmark": "hot_spots",
        "passes": passes,
        "ms": found,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": processor(),
        "commit": commit(),
    }
    print(jsonlib.dumps(result, allow_nan=False))
    return result


def measure(items: Callable[[int], Iterator[Sighting | Pass]], passes: int) -> list[float]:
    """Milliseconds a pass, by quarter."""
    areas, _ = read_areas(SAMPLE_AREAS)
    engine = Engine(areas, Taxonomy.read())
    lines = list(items(passes))
    out = []
    for quarter in np.array_split(np.arange(len(lines)), QUARTERS):
        began = time.process_time()
        for n in quarter.tolist():
            item = lines[n]
            at = item.seen_at if isinstance(item, Sighting) else item.ended_at
            engine.read(item, made_at=at)
        out.append(round(1e3 * (time.process_time() - began) / len(quarter), 3))
    return out


def seen(kind: str) -> Callable[[int], Iterator[Sighting | Pass]]:
    """A place that every pass sees something at."""

    def items(passes: int) -> Iterator[Sighting | Pass]:
        dice = np.random.default_rng(1)
        for n in range(passes):
            yield _sighting(n, kind, *dice.normal(0.0, 2.0, 2).tolist())

    return items


def gone(passes: int) -> Iterator[Sighting | Pass]:
    """A place that the first pass saw something at, and none after it."""
    yield _sighting(0, "overflow_bin", 0.0, 0.0)
    cells = dict.fromkeys(h3.grid_disk(h3.latlng_to_cell(*ORIGIN, 13), 4), 0.8)
    for n in range(1, passes):
        at = START + n * EVERY
        recall = {"overflow_bin": 0.9}
        yield Pass(
            id=f"pass-{n}",
            vehicle=f"bus-{n}",
            camera="front",
            started_at=at - timedelta(minutes=1),
            ended_at=at,
            model=MODEL,
            h3_resolution=13,
            looked=cells,
            recall=recall,
        )


PLACES = {"bin": seen("garbage_bin"), "open case": seen("overflow_bin"), "closed case": gone}


def _sighting(n: int, kind: str, east: float, north: float) -> Sighting:
    lat, lon = latlon_from_offset(*ORIGIN, east, north)
    return Sighting(
        id=f"sighting-{n}",
        pass_id=f"pass-{n}",
        vehicle=f"bus-{n}",
        camera="front",
        kind=kind,
        matter=Taxonomy.read().matter_of_kind(kind),
        confidence=0.95,
        seen_at=START + n * EVERY,
        lat=lat,
        lon=lon,
        covariance_m2=(GNSS_M2 + 1.0, 0.0, GNSS_M2 + 1.0),
        shared_covariance_m2=(GNSS_M2, 0.0, GNSS_M2),
        frames=3,
        model=MODEL,
    )


def command(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passes", type=int, default=PASSES, help="passes by each place")
    parser.add_argument("--json", action="store_true", help="no table")
    args = parser.parse_args(argv)
    main(passes=args.passes, json=args.json)


if __name__ == "__main__":
    command()
