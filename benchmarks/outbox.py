"""Does every recipient handle every case event exactly once, however often the processes are killed?

Things beside streets are seen, one after the other; each opens a case, which is told to the office that owns the
place, and near a border to two. The dispatcher's loop decides and stores (SQLite), `jiexun deliver` sends what is
stored to one webhook a district; each is a process of its own and gets SIGKILL at random moments, as often as asked,
and starts again. What must arrive is computed beforehand by an engine that nobody disturbs. Receivers verify
signatures and handle each `webhook-id` once, as the Standard Webhooks spec asks of them; how often one came again is
counted. Read beside it are topic `alerts`, a console's place in the event log, and a DingTalk robot of one community,
whose server enforces the documented limit: a robot's message that was under way when its sender was killed counts as
unknown, not as missing.

The bus is one of files (`benchmarks/filebus.py`): transport and group are measured by `bench faults` on a real broker.
"""

from __future__ import annotations

import argparse
import json as jsonlib
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.filebus import FileBus
from benchmarks.machine import RESULTS, where
from benchmarks.outbox_crew import DELIVER, DISPATCH, Feed, Processes, store_url
from benchmarks.outbox_world import DISTRICTS, Told, World, world
from benchmarks.receivers import DingTalkRobot, Machine, Server
from dispatcher.area import parse_areas
from dispatcher.channels.channel import Channel, Kind, Progress
from dispatcher.store.store import Store
from ingest.frame import rfc3339
from ingest.topics import ALERTS

EVENTS, KILLS = 10_000, 50
A_KILL_S = 2.5  # mean time from the moment when things move again to the next kill
MOVES_S = 20.0  # so long is waited for that moment
PATIENCE_S = 600.0  # after the last kill, until everything is decided and sent
QUIET_S = 3.0  # so long nothing more must come before it is over
OUT = RESULTS / "outbox.json"


# Who is told


class Console(threading.Thread):
    """A page that listens: reads the event log from where it was, again and again, and keeps what is told."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url = url
        self.handled: Counter[Told] = Counter()
        self.stopping = threading.Event()

    def run(self) -> None:
        after = 0
        with Store.open(self._url) as store:
            while not self.stopping.is_set():
                found = store.events_after(after)
                for event in found:
                    after = event.seq
                    self.handled.update((event.case, event.event, recipient) for recipient in event.recipients)
                if not found:
                    self.stopping.wait(0.3)


def handled_by(machines: dict[str, Machine]) -> Counter[Told]:
    """What the webhooks' receivers did."""
    return Counter(_told(document["data"]) for machine in machines.values() for document in list(machine.data))


def on_topic(folder: Path) -> Counter[Told]:
    return Counter(_told(jsonlib.loads(record.value)["data"]) for record in FileBus(folder).scan(ALERTS.name))


def _told(data: dict[str, Any]) -> Told:
    return data["case"], data["event"], data["recipient"]


def compared(expected: frozenset[Told], handled: Counter[Told]) -> dict[str, int]:
    """How what was handled differs from what should be."""
    return {
        "missing": len(expected - handled.keys()),
        "repeated": sum(n - 1 for n in handled.values() if n > 1),
        "unexpected": len(handled.keys() - expected),
    }


# The run


def channels(machines: dict[str, str], robot: tuple[str, str], secret: str) -> Iterator[Channel]:
    """One webhook a district, and a robot."""
    now = rfc3339(datetime.now(UTC))
    for district, url in machines.items():
        yield Channel(
            id=district,
            name=district,
            kind=Kind.WEBHOOK,
            url=url,
            secret=secret,
            recipients=(district,),
            created_at=now,
        )
    area, url = robot
    robot_url = f"{url}/robot/send?access_token=benchmark"
    yield Channel(
        id="robot", name="robot", kind=Kind.DINGTALK, url=robot_url, secret="SEC1", recipients=(area,), created_at=now
    )


def run(folder: Path, made: World, kills: int, seed: int, a_kill_s: float) -> dict[str, Any]:
    """Let it flow and kill; returns what became of it."""
    secret = "whsec_" + "b3V0Ym94" * 6
    machines = {district: Machine(secret) for district in DISTRICTS}
    area = parse_areas(made.areas, "")[0]
    robot_area, robot = next(iter(sorted(found.code for found in area))), DingTalkRobot("SEC1")
    (folder / "areas.geojson").write_text(made.areas, encoding="utf-8")
    with ExitStack() as stack:
        servers = {name: stack.enter_context(Server(machine)) for name, machine in machines.items()}
        robot_server = stack.enter_context(Server(robot))
        store = stack.enter_context(Store.open(store_url(folder)))
        told = {name: server.url for name, server in servers.items()}
        for channel in channels(told, (robot_area, robot_server.url), secret):
            store.channels.add(channel)
        console = Console(store_url(folder))
        console.start()
        stack.callback(console.join)
        stack.callback(console.stopping.set)
        feed = Feed(folder, made.sightings, kills, a_kill_s)
        stack.callback(feed.stopping.set)
        processes = stack.enter_context(Processes(folder))
        feed.start()
        here = Here(store, machines, console)
        killed = _kill(processes, feed, here, random.Random(f"kills-{seed}"), kills, a_kill_s)
        feed.join()
        _settle(processes, made, here)
        processes.stop()
        return _figures(folder, made, store, machines, robot, console, killed, processes.restarts)


@dataclass(frozen=True, slots=True)
class Here:
    """Where one sees how far it has come."""

    store: Store
    machines: dict[str, Machine]
    console: Console

    def arrived(self) -> int:
        """Events in the log, and what was delivered: grows while both processes work."""
        return len(self.console.handled) + sum(len(machine.data) for machine in self.machines.values())

    def waiting(self) -> bool:
        """True while something stored is still to be sent."""
        states = (Progress.PENDING, Progress.SENDING)
        return any(count.state in states for count in self.store.deliveries.counts()) or bool(self.store.outbox(1))


def _kill(
    processes: Processes, feed: Feed, here: Here, rng: random.Random, kills: int, a_kill_s: float
) -> Counter[str]:
    killed: Counter[str] = Counter()
    for n in range(kills):
        feed.next(n)
        before, give_up = here.arrived(), time.monotonic() + MOVES_S
        while here.arrived() == before and time.monotonic() < give_up:
            time.sleep(0.05)
        time.sleep(rng.uniform(0.0, 2.0 * a_kill_s))
        name = rng.choice((DISPATCH, DELIVER))
        processes.look_after()
        processes.kill(name)
        killed[name] += 1
        print(f"\r{n + 1} of {kills} kills, {here.arrived()} arrivals", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return killed


def _settle(processes: Processes, made: World, here: Here) -> None:
    """Wait until everything that was seen is decided and nothing waits to be sent; and then whether more comes."""
    ids = [sighting.id for sighting in made.sightings]
    give_up = time.monotonic() + PATIENCE_S
    quiet_since, arrived = time.monotonic(), -1
    while time.monotonic() < give_up and time.monotonic() - quiet_since < QUIET_S:
        processes.look_after()
        now = here.arrived()
        if now != arrived or here.waiting() or len(here.store.known(ids)) < len(ids):
            quiet_since, arrived = time.monotonic(), now
            print(f"\r{now} arrivals of {2 * len(made.told)}", end="", file=sys.stderr, flush=True)
        time.sleep(0.5)
    print(file=sys.stderr)


def _figures(
    folder: Path,
    made: World,
    store: Store,
    machines: dict[str, Machine],
    robot: DingTalkRobot,
    console: Console,
    killed: Counter[str],
    restarts: int,
) -> dict[str, Any]:
    ways = {
        "webhooks": compared(made.told, handled_by(machines)),
        "topic": compared(made.told, on_topic(folder)),
        "console": compared(made.told, console.handled),
    }
    total = {name: sum(way[name] for way in ways.values()) for name in ("missing", "repeated", "unexpected")}
    states = {str(c.state): c.n for c in store.deliveries.counts() if c.channel == "robot"}
    return {
        "kills": killed.total(),
        "events": len({(case, event) for case, event, _ in made.told}),
        "alerts": len(made.told),
        **total,
        "redelivered": sum(machine.redelivered for machine in machines.values()),
        "killed": dict(killed),
        "restarts": restarts,
        "ways": ways,
        "robot": {"messages": len(robot.messages), "refused": dict(robot.refused), "alerts": states},
    }


def main(
    *,
    seed: int = 1,
    events: int = EVENTS,
    kills: int = KILLS,
    a_kill_s: float = A_KILL_S,
    json: bool = False,
    save: bool = False,
) -> dict[str, Any]:
    """Measure; a table goes to standard error, one line of JSON to standard output. `json` leaves out the table."""
    began = time.monotonic()
    made = world(events, seed)
    with tempfile.TemporaryDirectory(prefix="jiexun-outbox-") as folder:
        found = run(Path(folder), made, kills, seed, a_kill_s)
    result = {"benchmark": "outbox", "seed": seed, **found, "seconds": round(time.monotonic() - began, 1)} | where()
    if save:
        OUT.write_text(jsonlib.dumps(result, indent=1) + "\n", encoding="utf-8")
    if not json:
        print(table(result), file=sys.stderr)
    print(jsonlib.dumps(result, allow_nan=False))
    return result


def table(result: dict[str, Any]) -> str:
    """For people."""
    lines = [
        f"{result['events']} case events, {result['alerts']} alerts, {result['kills']} kills "
        f"({', '.join(f'{n} of {name}' for name, n in result['killed'].items())}), {result['seconds']:.0f} s",
        f"{'':12}{'missing':>10}{'repeated':>10}{'unexpected':>12}",
    ]
    for name, way in result["ways"].items():
        lines.append(f"{name:12}{way['missing']:>10}{way['repeated']:>10}{way['unexpected']:>12}")
    lines.append(f"webhooks delivered again, and handled once: {result['redelivered']}")
    robot = result["robot"]
    lines.append(f"robot: {robot['messages']} messages for {robot['alerts']}, refused {robot['refused'] or 'none'}")
    return "\n".join([*lines, f"{result['machine']} · commit {result['commit']} · {result['date']}"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--save", action="store_true")
    given = parser.parse_args()
    main(seed=given.seed, events=given.events, kills=given.kills, json=given.json, save=given.save)
