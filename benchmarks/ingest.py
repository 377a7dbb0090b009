"""How many sightings a second does a dispatcher decide and store in PostgreSQL, and what does a full store cost?

Stored    Two stores, one with many cases and one with few (`stocked.py`), on a PostgreSQL of their own.
Taken     The same sightings by each, through the shipped loop (`dispatcher/stream.py`) with its engine and its batches:
          read from a bus in memory, decided, appended, told from the outbox. Things stand in every community;
          each is seen four times, by other vehicles.
Known     The engine starts from a snapshot of things beside these, as many as there are cases, but no more than
          100,000: the others are in the database alone, as those of which nothing was heard for long.
Time      Of the whole loop, by the wall: the loop on one core, the database on the other.
Figures   `sightings_per_s` with many cases; `cost_ratio_1m_to_10k`: seconds there by seconds in the small store;
          `longest_turn_s`: how long the loop stood still for others at most, when it kept a snapshot.

    jiexun bench ingest --json
"""

from __future__ import annotations

import json as jsonlib
import random
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from benchmarks.machine import RESULTS, where
from benchmarks.stocked import COMMUNITIES, SIDE, SOUTH, START, WEST, areas_text, postgresql, stock
from dispatcher.area import parse_areas
from dispatcher.dispatch import REMEMBERED
from dispatcher.engine import Engine
from dispatcher.snapshot import Changed, about, mark
from dispatcher.store.store import Store
from dispatcher.stream import GROUP, READS, DispatchLoop
from ingest.binding import event_record
from ingest.envelope import Envelope
from ingest.frame import derived_id
from ingest.memory import MemoryBroker, MemoryBus
from ingest.reader import Reader
from ingest.topics import SIGHTINGS
from ingest.watch import Unwatched
from jiexun.collector import seldom
from models.taxonomy import Taxonomy
from vision.place import place_of
from vision.sighting import Evidence, Sighting, enveloped

CASES, BESIDE, SIGHTINGS_TAKEN = 1_000_000, 10_000, 60_000  # so that a snapshot is among it
KNOWN = 100_000  # things of which the engine knows when it starts, at most
LOOKS = 4  # at each thing
ROUND = 100  # things
PATIENCE_S = 300.0  # for all of them
BESIDE_THESE = 10_000_000  # numbers of things from here on are known and not seen
WARM = 400  # sightings before the clock starts
MATTERS = {"garbage": "06010", "overflow_bin": "06042"}
OUT = RESULTS / "ingest.json"


def main(
    *,
    cases: int = CASES,
    beside: int = BESIDE,
    sightings: int = SIGHTINGS_TAKEN,
    known: int = KNOWN,
    save: bool = False,
    json: bool = False,
) -> dict[str, Any]:
    """Measure; a table goes to standard error, one line of JSON to standard output. `json` leaves out the table."""
    small, large = (measured(stored, sightings, min(stored, known)) for stored in (beside, cases))
    result = {
        "benchmark": "ingest",
        "sightings": sightings,
        "sightings_per_s": large["sightings_per_s"],
        "cost_ratio_1m_to_10k": round(large["seconds"] / small["seconds"], 3),
        "stores": [small, large],
    } | where()
    if save:
        OUT.write_text(jsonlib.dumps(result, indent=1) + "\n", encoding="utf-8")
    if not json:
        print(table(result), file=sys.stderr)
    print(jsonlib.dumps(result, allow_nan=False))
    return result


def measured(stored: int, sightings: int, known: int) -> dict[str, Any]:
    """One store: what it took."""
    with postgresql() as url:
        began = time.monotonic()
        stock(url, stored)
        stocked_s = time.monotonic() - began
        with Store.open(url) as store:
            remember(store, known)
            before = store.last_event()
            warm_s, seconds, loop_s, longest_s = _taken(store, sightings)
            events = store.last_event() - before
    return {
        "stored": stored,
        "known": known,
        "sightings_per_s": round(sightings / seconds, 1),
        "seconds": round(seconds, 3),
        "loop_cpu_s": round(loop_s, 3),
        "longest_turn_s": round(longest_s, 3),
        "events": events,
        "warm_s": round(warm_s, 3),
        "stocked_s": round(stocked_s, 1),
    }


def remember(store: Store, known: int) -> None:
    """Keep a snapshot of an engine that has seen so many things once each."""
    areas, _ = parse_areas(areas_text(), "the benchmark's areas")
    engine = Engine(areas, Taxonomy.read(), remembered=REMEMBERED)
    for n in range(known):
        sighting = _sighting(-1 - n, BESIDE_THESE + n, 0, at_s=n / known)
        engine.read(sighting, made_at=sighting.seen_at)
    store.amend_snapshot(mark(store.areas()), about(engine), Changed(engine), store.last_input())


def _taken(store: Store, sightings: int) -> tuple[float, float, float, float]:
    """Seconds of the warm-up, of the rest, of this process's processor meanwhile, and of the longest turn in it."""
    broker = MemoryBroker()
    bus = MemoryBus(broker, read=READS, group=GROUP)
    areas, _ = parse_areas(areas_text(), "the benchmark's areas")
    lease = store.lease()
    assert lease is not None  # the store is ours alone
    now = partial(datetime.now, UTC)
    loop = DispatchLoop(
        Reader(bus, Unwatched()), store, lease, areas, Taxonomy.read(), Unwatched(), scan=bus.scan, now=now
    )
    loop.recover()
    producer = MemoryBus(broker)
    made = seen(WARM + sightings)
    spans: list[tuple[float, float, float]] = []
    for count in (WARM, sightings):
        for _ in range(count):
            producer.send(event_record(SIGHTINGS.name, *next(made)))
        producer.flush()
        with seldom():
            began, cpu = time.perf_counter(), time.process_time()
            longest_s = _until_stored(loop, store, WARM if not spans else WARM + sightings)
            spans.append((time.perf_counter() - began, time.process_time() - cpu, longest_s))
    lease.release()
    return spans[0][0], *spans[1]


def _until_stored(loop: DispatchLoop, store: Store, count: int) -> float:
    """Turn until so many inputs are stored: seconds of the longest turn. Raises TimeoutError when it takes too long."""
    give_up, longest_s = time.monotonic() + PATIENCE_S, 0.0
    while store.last_input() < count:
        began = time.perf_counter()
        loop.turn()
        longest_s = max(longest_s, time.perf_counter() - began)
        if time.monotonic() > give_up:
            raise TimeoutError(f"{store.last_input()} of {count} sightings were stored in {PATIENCE_S:.0f} s")
    return longest_s


def seen(count: int) -> Iterator[tuple[str, Envelope]]:
    """Sightings as records want them: their place and their envelope. All of a round are seen, then all again."""
    for n in range(count):
        turn, rest = divmod(n, LOOKS * ROUND)
        look, thing = divmod(rest, ROUND)
        sighting = _sighting(n, turn * ROUND + thing, look, at_s=n)
        yield place_of(sighting), enveloped(sighting, made_at=sighting.seen_at)


def _sighting(n: int, thing: int, look: int, *, at_s: float) -> Sighting:
    where, how = random.Random(thing), random.Random(f"look-{n}")
    row, column = divmod(where.randrange(len(COMMUNITIES)), 40)
    kind = where.choice(sorted(MATTERS))
    id = derived_id("bench ingest", str(n))
    return Sighting(
        id=id,
        pass_id=f"pass-{id}",
        vehicle=f"bus-{look * 1000 + thing % 1000}",
        camera="right",
        kind=kind,
        matter=MATTERS[kind],
        confidence=0.9,
        seen_at=START + timedelta(seconds=at_s),
        lat=SOUTH + (row + where.uniform(0.1, 0.9)) * SIDE + how.gauss(0.0, 1e-5),
        lon=WEST + (column + where.uniform(0.1, 0.9)) * SIDE + how.gauss(0.0, 1e-5),
        covariance_m2=(4.0, 0.0, 4.0),
        shared_covariance_m2=(3.0, 0.0, 3.0),
        frames=4,
        model="bench@sha256:0",
        evidence=Evidence(uri=None, sha256=None, box_xyxy=None, missing="not-stored: a benchmark"),
    )


def table(result: dict[str, Any]) -> str:
    """For people."""
    lines = [f"{'stored':>12}{'sightings/s':>14}{'s':>10}{'of it here':>12}{'events':>10}"]
    for row in result["stores"]:
        cells = (f"{row['stored']:,}", row["sightings_per_s"], row["seconds"], row["loop_cpu_s"], row["events"])
        lines.append("".join(f"{cell:>{width}}" for cell, width in zip(cells, (12, 14, 10, 12, 10), strict=True)))
    lines.append(f"the larger store costs {result['cost_ratio_1m_to_10k']} times; asked: 2,000 a second, 1.5 times")
    return "\n".join([*lines, f"{result['machine']} · commit {result['commit']} · {result['date']}"])
