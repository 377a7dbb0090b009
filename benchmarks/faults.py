"""Does the stream survive what happens to it, with no case lost, none changed, and nothing told twice?

A run is 2,000 frames of 20 vehicles (`benchmarks.street`) through a real Kafka with 4 partitions, two workers and a
dispatcher. It is made once without faults, and once for each fault below, on topics and a store of its own; the end is
compared by ids. Rounds are days apart in the run's own time, so each is published when the one before is dispatched:
within a round no two vehicles see the same place, and nothing hangs on a hair of arrival order. The seed decides the
pictures, the order, and the moments of the kills.
"""

from __future__ import annotations

import argparse
import json as jsonlib
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.broker import Broker
from benchmarks.crew import DISPATCHER, Crew, send_all
from benchmarks.injuries import FAULTS, Fault, Moments, Scene, small_disk
from benchmarks.machine import where
from benchmarks.outcome import Outcome, differences, outcome
from benchmarks.plan import Plan, make_plan
from benchmarks.street import ROUNDS
from ingest.bus import KafkaBus

SEED = 20261124
VEHICLES = 20
PARTITIONS = 4
WORKERS = ("worker-1", "worker-2")


@dataclass(frozen=True, slots=True)
class Done:
    """One run through Kafka."""

    outcome: Outcome
    times: int  # how often the fault struck
    seconds: float
    restarts: int  # processes that ended by themselves
    notes: tuple[str, ...]


def main(
    *,
    seed: int = SEED,
    only: Sequence[str] = (),
    json: bool = False,
    vehicles: int = VEHICLES,
    rounds: int = len(ROUNDS),
    keep: Path | None = None,
) -> dict[str, Any]:
    """Run every fault, or those named; tell each on standard error, and all as one line of JSON on standard output.

    Raises ValueError for a fault that is not known, FileNotFoundError or RuntimeError where no Kafka can be had.
    """
    unknown = set(only) - {fault.name for fault in FAULTS}
    if unknown:
        raise ValueError(f"no fault is called {', '.join(sorted(unknown))}: {', '.join(f.name for f in FAULTS)}")
    wanted = [fault for fault in FAULTS if not only or fault.name in only]
    with ExitStack() as stack:
        folder = keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jiexun-faults-")))
        plan = make_plan(folder / "drive", seed, vehicles=vehicles, rounds=rounds)
        _say(json, f"{len(plan.frames)} frames, seed {seed}")
        brokers: dict[int, Broker] = {}
        runs: list[dict[str, Any]] = []
        calm: Outcome | None = None
        for fault in [Fault("none"), *wanted]:
            if fault.nodes not in brokers:
                brokers[fault.nodes] = stack.enter_context(Broker(nodes=fault.nodes))
            try:
                done = run(plan, fault, brokers[fault.nodes], folder / fault.name, seed)
            except (RuntimeError, OSError) as error:
                if calm is None:
                    raise  # there is nothing to compare with
                runs.append({"fault": fault.name, "identical": False, "differences": [str(error)]})
            else:
                calm = calm or done.outcome
                runs.append(told(fault, done, plan.embedded if fault.name == "none" else calm))
            _say(json, jsonlib.dumps(runs[-1]))
    result = {"benchmark": "faults", "seed": seed, "frames": len(plan.frames), "vehicles": vehicles}
    result |= {"partitions": PARTITIONS, "workers": len(WORKERS), "on_border": calm.on_border if calm else 0}
    result |= {"runs": runs} | where()
    print(jsonlib.dumps(result, allow_nan=False))
    return result


def run(plan: Plan, fault: Fault, broker: Broker, folder: Path, seed: int) -> Done:
    """One run: publish round by round while the fault strikes, let it settle, end everything, and read what came."""
    rng = random.Random(f"{fault.name}-{seed}")
    prefix = f"{fault.name}-{seed}-"
    areas = plan.folder / "areas.geojson"
    parcels = fault.order(plan, rng)
    began = time.monotonic()
    crew = Crew(
        broker.servers, prefix, folder, areas, workers=WORKERS, partitions=PARTITIONS, max_poll_s=fault.max_poll_s
    )
    with ExitStack() as stack:
        if fault.small_disk:
            stack.enter_context(small_disk(crew.evidence, plan.pictures_bytes // 3))
        stack.enter_context(crew)
        bus = stack.enter_context(closing(KafkaBus(crew.cluster)))
        beside = stack.enter_context(ThreadPoolExecutor(1))
        moments = stack.enter_context(Moments(crew, plan.expected))
        scene = Scene(crew=crew, broker=broker, moments=moments, rng=rng, workers=WORKERS, plan=plan)
        striking = beside.submit(fault.strike, scene)
        notes = []
        for parcel in parcels:
            send_all(bus, parcel.records)
            if not crew.settle(parcel.expected, patience_s=fault.patience_s):
                notes.append(f"{len(parcel.expected - crew.dispatched())} sightings or passes never came")
        moments.over = True
        times = striking.result()
        crew.rest()
        for name in (*WORKERS, DISPATCHER):
            crew.stop(name)
        took = time.monotonic() - began
        notes += fault.check(scene)
        found = outcome(crew.store, areas, crew.cluster)
    return Done(found, times, took, crew.restarts, tuple(notes))


def told(fault: Fault, done: Done, calm: Outcome) -> dict[str, Any]:
    """The entry of a run in the document."""
    apart = [*done.notes, *differences(done.outcome, calm, by_id=fault.by_id)]
    entry: dict[str, Any] = {
        "fault": fault.name,
        "times": done.times,
        "identical": not apart,
        "cases": len(done.outcome.states),
        "alerts": done.outcome.told.total(),
        "seconds": round(done.seconds, 1),
        "restarts": done.restarts,
    }
    return entry | ({"differences": apart} if apart else {})


def _say(quiet: bool, text: str) -> None:
    if not quiet:
        print(text, file=sys.stderr, flush=True)


def command(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="a fault; may be repeated")
    parser.add_argument("--json", action="store_true", help="nothing on standard error")
    parser.add_argument("--vehicles", type=int, default=VEHICLES, help="fewer make a shorter run (100 frames each)")
    parser.add_argument("--keep", type=Path, help="a folder for the drive, stores and logs, instead of a passing one")
    args = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the processes and the broker are ended, too
    try:
        main(seed=args.seed, only=args.only, json=args.json, vehicles=args.vehicles, keep=args.keep)
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    command()
