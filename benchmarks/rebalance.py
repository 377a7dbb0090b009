"""How long does nobody read a partition when a worker joins the group, or leaves it?

A real broker, topic frames in 4 partitions, 40 records a second to each, two members of one group in threads of their
own that poll, commit and poll again. The second joins, and later leaves, as SIGTERM makes a worker leave. The figure is
the longest that any record sent around that moment waited to be read for the first time: in partitions that their
member keeps, and in those that change hands. A member that is killed is noticed only after `JIEXUN_KAFKA_SESSION_S`.
"""

from __future__ import annotations

import argparse
import json as jsonlib
import os
import sys
import threading
import time
from contextlib import closing, suppress
from dataclasses import replace
from statistics import median
from typing import Any

from benchmarks.broker import Broker
from benchmarks.machine import where
from ingest.bus import HEARTBEAT_MS, KafkaBus
from ingest.cluster import Cluster
from ingest.clusterwide import make_topics
from ingest.record import Record, Retry
from ingest.topics import FRAMES

PARTITIONS = 4
KEYS = 32  # vehicles: enough that each partition has some
EVERY_S = 1 / (40 * PARTITIONS)
SETTLED_S = 4.0  # before and after each change
AROUND_S = 3.0  # a record sent so long before or after a change belongs to it
JOINING_S = 60.0
REPEATS = 3


class Member(threading.Thread):
    """Reads until it is told to stop, then leaves its group."""

    def __init__(self, cluster: Cluster, firsts: dict[bytes, tuple[float, int, str]], name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._cluster = cluster
        self._firsts = firsts  # value -> when it was first read, of which partition, by whom
        self.stopping = threading.Event()

    def run(self) -> None:
        with closing(KafkaBus(self._cluster, read=[FRAMES.name], group="g")) as bus:
            while not self.stopping.is_set():
                with suppress(Retry):
                    records = bus.poll(100, 0.1)
                    now = time.monotonic()
                    for record in records:
                        self._firsts.setdefault(record.value, (now, record.partition, self.name))
                    bus.commit({record.place: record.offset + 1 for record in records})


class Sender(threading.Thread):
    """Sends records that say when they were sent."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(daemon=True)
        self._cluster = cluster
        self.stopping = threading.Event()

    def run(self) -> None:
        with closing(KafkaBus(self._cluster)) as bus:
            due, n = time.monotonic(), 0
            while not self.stopping.is_set():
                value = b"%.6f %d" % (time.monotonic(), n)
                bus.send(Record(topic=FRAMES.name, key=b"bus-%d" % (n % KEYS), value=value))
                due, n = due + EVERY_S, n + 1
                time.sleep(max(0.0, due - time.monotonic()))
            bus.flush()


def measure(servers: str, n: int) -> dict[str, dict[str, float]]:
    """One join and one leave: seconds by kind of partition."""
    cluster = Cluster(servers=servers, prefix=f"turn-{n}.")
    make_topics(cluster, [replace(FRAMES, partitions=PARTITIONS)])
    firsts: dict[bytes, tuple[float, int, str]] = {}
    one, two, sender = Member(cluster, firsts, "one"), Member(cluster, firsts, "two"), Sender(cluster)
    one.start()
    sender.start()
    time.sleep(2 * SETTLED_S)
    two.start()
    give_up = time.monotonic() + JOINING_S
    while not any(name == "two" for _, _, name in list(firsts.values())):
        if time.monotonic() > give_up:
            raise RuntimeError(f"the second member read nothing within {JOINING_S:g} s: the machine is too busy")
        time.sleep(0.1)
    time.sleep(2 * SETTLED_S)
    left = time.monotonic()
    two.stopping.set()
    time.sleep(2 * SETTLED_S)
    for thread in (sender, one):
        thread.stopping.set()
        thread.join()
    joined = min(at for at, _, name in firsts.values() if name == "two")
    moved = {partition for _, partition, name in firsts.values() if name == "two"}
    waits = [(float(value.split()[0]), at, partition) for value, (at, partition, _) in firsts.items()]
    return {event: longest(waits, at, moved) for event, at in (("join", joined), ("leave", left))}


def longest(waits: list[tuple[float, float, int]], event: float, moved: set[int]) -> dict[str, float]:
    """The longest wait of a record sent around `event`, in partitions kept and in those moved; and before it."""
    around = [(at - sent, partition) for sent, at, partition in waits if -AROUND_S <= sent - event <= AROUND_S]
    calm = [at - sent for sent, at, _ in waits if -SETTLED_S <= sent - event < -AROUND_S / 2]
    return {
        "kept_s": max(wait for wait, partition in around if partition not in moved),
        "moved_s": max(wait for wait, partition in around if partition in moved),
        "before_s": max(calm),
    }


def main(*, json: bool = False, repeats: int = REPEATS) -> dict[str, Any]:
    """Measure; a table goes to standard error, one line of JSON to standard output. `json` leaves out the table.

    Raises RuntimeError where no Kafka can be had.
    """
    load = round(os.getloadavg()[0], 2)
    with Broker() as broker:
        turns = [measure(broker.servers, n) for n in range(repeats)]
    figures = {
        event: {name: round(median(turn[event][name] for turn in turns), 3) for name in turns[0][event]}
        for event in ("join", "leave")
    }
    result = {
        "benchmark": "rebalance",
        "assignor": "range",
        "heartbeat_ms": HEARTBEAT_MS,
        "partitions": PARTITIONS,
        "repeats": repeats,
        **figures,
        "worst_s": round(max(turn[e][n] for turn in turns for e in turn for n in ("kept_s", "moved_s")), 3),
        "load_before": load,
    } | where()
    if not json:
        print(table(result), file=sys.stderr)
    print(jsonlib.dumps(result, allow_nan=False))
    return result


def table(result: dict[str, Any]) -> str:
    """For people."""
    lines = [f"{'longest wait of a record, s':<28}{'before':>8}{'kept':>8}{'moved':>8}"]
    for event in ("join", "leave"):
        row = result[event]
        lines.append(
            f"a member {event}s{'':<{17 - len(event)}} {row['before_s']:8.3f}{row['kept_s']:8.3f}{row['moved_s']:8.3f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    given = parser.parse_args()
    main(json=given.json, repeats=given.repeats)
