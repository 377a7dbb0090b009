"""Can one dispatcher serve a city: what 5,000 vehicles see and pass, at one frame in ten seconds each?

Vision is left out: `benchmarks.traffic` makes the sightings and passes, and sends them as fast as such vehicles would,
through a real Kafka to one `jiexun dispatch` on a store on disk. Measured: how long from a sighting's arrival on its
topic to the arrival of the alert that it caused on its topic, by the broker's own clock; how far the dispatcher lies
behind; its processor share; and its memory over time, which may grow with what the city holds, not with how long it
runs.
"""

from __future__ import annotations

import argparse
import json as jsonlib
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.broker import Broker
from benchmarks.crew import DISPATCHER, Crew, send_all
from benchmarks.machine import cpu_s, rss_bytes, where
from benchmarks.street import collection
from benchmarks.traffic import EVERY_S, ORIGIN, STREETS_M, City, Due, moved
from ingest.binding import event_record, parse_event
from ingest.bus import KafkaBus
from ingest.cluster import Cluster
from ingest.record import Record
from ingest.topics import ALERTS, CASES, PASSES, SIGHTINGS
from vision.place import place_of
from vision.sighting import Sighting, enveloped

VEHICLES = 5000
SECONDS = 150.0
SEED = 1
SQUARES = 10  # by as many communities
STEP_S = 0.2  # what is due is sent so often
SAMPLE_S = 1.0  # and memory looked at
CAUGHT_UP_S = 120.0
OPENING = ("opened", "rebounded")


def main(*, json: bool = False, vehicles: int = VEHICLES, seconds: float = SECONDS, seed: int = SEED) -> dict[str, Any]:
    """Measure; a table goes to standard error, one line of JSON to standard output. `json` leaves out the table.

    Raises RuntimeError where no Kafka can be had.
    """
    city = City(seed, vehicles=vehicles)
    made = datetime.now(UTC)
    due = city.due(made, seconds)
    with Broker() as broker, tempfile.TemporaryDirectory(prefix="jiexun-city-") as folder:
        border = Path(folder) / "areas.geojson"
        border.write_text(communities(city), encoding="utf-8")
        with Crew(broker.servers, "city-", Path(folder), border, workers=()) as crew:
            crew.settle(send(crew.cluster, due[:1], made, 0.0), patience_s=60.0)  # it is up
            watch = Watched(crew, broker)
            with watch:
                ids = send(crew.cluster, due[1:], made, seconds)
                behind = len(ids - crew.dispatched())
                caught_up = crew.settle(ids, patience_s=CAUGHT_UP_S)
            crew.rest()
            crew.stop(DISPATCHER)
            stored = crew.database.stat().st_size
            delays = list(alert_delays(crew.cluster))
    result = (
        summary(city, due, seconds, delays, watch)
        | {
            "behind_at_end": behind,
            "caught_up": caught_up,
            "store_bytes": stored,
            "store_bytes_per_sighting": round(stored / max(1, sum(isinstance(one.item, Sighting) for one in due))),
        }
        | where()
    )
    if not json:
        print(table(result), file=sys.stderr)
    print(jsonlib.dumps(result, allow_nan=False))
    return result


def communities(city: City) -> str:
    """A hundred communities, in squares."""
    wide, high = (len(city.streets) * STREETS_M + 100.0) / SQUARES, (city.side_m + 100.0) / SQUARES
    squares = {}
    for row in range(SQUARES):
        for column in range(SQUARES):
            west, south = column * wide - 50.0, row * high - 50.0
            ring = [(west, south), (west + wide, south), (west + wide, south + high), (west, south + high)]
            squares[f"4403040{row:02d}{column:03d}"] = (f"{row}-{column}社区", ring)
    return collection(squares, ORIGIN)


def send(cluster: Cluster, due: Sequence[Due], made: datetime, seconds: float) -> set[str]:
    """Send each when it is due; without `seconds` at once. Returns the ids."""
    shift = datetime.now(UTC) - made
    start = time.monotonic()
    with closing(KafkaBus(cluster)) as bus:
        at = 0
        while at < len(due):
            now_s = time.monotonic() - start if seconds else float("inf")
            ready = at
            while ready < len(due) and due[ready].at_s <= now_s:
                ready += 1
            send_all(bus, [record(one, shift) for one in due[at:ready]])
            at = ready
            if seconds:
                time.sleep(STEP_S)
    return {one.item.id for one in due}


def record(due: Due, shift: Any) -> Record:
    """As the worker sends it."""
    item = moved(due.item, shift)
    topic = SIGHTINGS if isinstance(item, Sighting) else PASSES
    return event_record(topic.name, place_of(item), enveloped(item, made_at=datetime.now(UTC)))


def alert_delays(cluster: Cluster) -> list[float]:
    """Seconds from the sighting that opened a case to each alert that tells of it, by the broker's clock."""
    with closing(KafkaBus(cluster)) as bus:
        came = {parse_event(one).id: one.timestamp for one in bus.scan(SIGHTINGS.name)}
        cause = {}
        for one in bus.scan(CASES.name):
            data = parse_event(one).data
            if data["event"] in OPENING:
                cause[data["id"]] = data["sightings"][-1]
        delays = []
        for one in bus.scan(ALERTS.name):
            data = parse_event(one).data
            seen = came.get(cause.get(data["case"], "")) if data["event"] in OPENING else None
            if seen is not None and one.timestamp is not None:
                delays.append((one.timestamp - seen).total_seconds())
    return delays


@dataclass
class Watched:
    """The dispatcher's memory and processor time while it runs."""

    crew: Crew
    broker: Broker
    rss: list[tuple[float, int]] = field(default_factory=list)  # seconds, bytes
    cpu_share: float = 0.0  # of one core
    broker_cpu_share: float = 0.0
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Watched:
        self._pid = self.crew.pid(DISPATCHER)
        self._began = time.monotonic(), cpu_s(self._pid), self.broker.cpu_s()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        began, own, brokers = self._began
        took = time.monotonic() - began
        self.cpu_share = (cpu_s(self._pid) - own) / took
        self.broker_cpu_share = (self.broker.cpu_s() - brokers) / took

    def _look(self) -> None:
        while not self._over.wait(SAMPLE_S):
            self.rss.append((time.monotonic() - self._began[0], rss_bytes(self._pid)))


def summary(city: City, due: list[Due], seconds: float, delays: list[float], watch: Watched) -> dict[str, Any]:
    """The figures."""
    sightings = sum(isinstance(one.item, Sighting) for one in due)
    p50, p95, p99 = (round(float(v), 3) for v in np.percentile(delays or [0.0], [50, 95, 99]))
    times = np.array([at for at, _ in watch.rss])
    held = np.array([size for _, size in watch.rss]) / 2**20
    late = times >= times[-1] / 2
    growth = float(np.polyfit(times[late], held[late], 1)[0]) if late.sum() > 2 else 0.0
    return {
        "benchmark": "city",
        "vehicles": city.vehicles,
        "frame_every_s": EVERY_S,
        "seconds": seconds,
        "street_km": round(len(city.streets) * city.side_m / 1000),
        "things": city.things,
        "sightings": sightings,
        "passes": len(due) - sightings,
        "sightings_per_s": round(sightings / seconds, 2),
        "passes_per_s": round((len(due) - sightings) / seconds, 2),
        "disorder_share": round(sum(_is_disorder(one) for one in due) / max(1, sightings), 4),
        "pass_bytes": _mean_bytes([one for one in due if not isinstance(one.item, Sighting)]),
        "sighting_bytes": _mean_bytes([one for one in due if isinstance(one.item, Sighting)]),
        "alerts_timed": len(delays),
        "sighting_to_alert_s": {"p50": p50, "p95": p95, "p99": p99, "max": round(max(delays, default=0.0), 3)},
        "rss_mib": {"begin": round(held[0], 1), "end": round(held[-1], 1), "peak": round(held.max(), 1)},
        "rss_mib_per_hour_second_half": round(3600 * growth, 1),
        "rss_kib_per_sighting": round(1024 * (held[-1] - held[0]) / max(1, sightings), 2),
        "rss_series_mib": [[round(float(at)), round(float(mib), 1)] for at, mib in zip(times, held, strict=True)][::10],
        "dispatcher_core_share": round(watch.cpu_share, 4),
        "broker_core_share": round(watch.broker_cpu_share, 4),
    }


def _is_disorder(due: Due) -> bool:
    return isinstance(due.item, Sighting) and due.item.matter is not None


def _mean_bytes(due: list[Due]) -> int:
    some = due[:200]
    made = datetime.now(UTC)
    return round(sum(len(enveloped(one.item, made_at=made).dumps()) for one in some) / max(1, len(some)))


def table(result: dict[str, Any]) -> str:
    """The figures for people."""
    alert, rss = result["sighting_to_alert_s"], result["rss_mib"]
    return "\n".join(
        [
            f"{result['vehicles']:,} vehicles, a frame every {result['frame_every_s']:g} s, {result['street_km']} km",
            f"{result['sightings_per_s']} sightings and {result['passes_per_s']} passes a second for "
            f"{result['seconds']:g} s; {result['behind_at_end']} behind at the end",
            f"sighting to alert: p50 {alert['p50']} s, p95 {alert['p95']} s, p99 {alert['p99']} s "
            f"({result['alerts_timed']} alerts)",
            f"dispatcher: {result['dispatcher_core_share']:.1%} of a core, memory {rss['begin']} → {rss['end']} MiB",
            f"broker: {result['broker_core_share']:.1%} of a core",
            f"{result['machine']}, {result['cores']} cores · {result['date']} · commit {result['commit']}",
        ]
    )


def command(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="no table")
    parser.add_argument("--vehicles", type=int, default=VEHICLES)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--seed", type=int, default=SEED)
    args = parser.parse_args(argv)
    try:
        main(json=args.json, vehicles=args.vehicles, seconds=args.seconds, seed=args.seed)
    except (OSError, RuntimeError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    command()
