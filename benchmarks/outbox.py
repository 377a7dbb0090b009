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
import math
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Self

from benchmarks.filebus import FileBus
from benchmarks.machine import RESULTS, where
from benchmarks.receivers import DingTalkRobot, Machine, Server
from benchmarks.street import collection
from dispatcher.area import parse_areas
from dispatcher.channels.channel import Channel, Kind, Progress
from dispatcher.engine import Engine
from dispatcher.store.store import Store
from dispatcher.stream import READS, DispatchLoop
from ingest.binding import event_record
from ingest.frame import rfc3339
from ingest.geo import latlon_from_offset
from ingest.reader import Reader
from ingest.topics import ALERTS, SIGHTINGS
from ingest.watch import Unwatched
from models.taxonomy import Taxonomy
from vision.place import place_of
from vision.sighting import Evidence, Sighting, enveloped

EVENTS, KILLS = 10_000, 50
A_KILL_S = 2.5  # mean time from the moment when things move again to the next kill
MOVES_S = 10.0  # so long is waited for that moment
APART_M, SQUARE_M = 60.0, 600.0  # between things, and along a side of a community
ORIGIN = (22.50, 113.90)
DISTRICTS = ("440303", "440304", "440305", "440306")
PATIENCE_S = 90.0  # without anything arriving, and it is taken for lost
QUIET_S = 1.5  # so long nothing more must come before it is over
DISPATCH, DELIVER = "dispatcher", "deliver"
OUT = RESULTS / "outbox.json"
Told = tuple[str, str, str]  # case, event, recipient


@dataclass(frozen=True, slots=True)
class World:
    """What is seen, in which areas, and what must be told of it."""

    areas: str  # GeoJSON
    sightings: list[Sighting]
    told: frozenset[Told]


def world(events: int, seed: int) -> World:
    """So many things, each seen once, in an order that the seed decides."""
    text = collection({code: (name, ring) for code, name, ring in _communities(events)}, ORIGIN)
    areas, _ = parse_areas(text, "the benchmark's areas")
    rng = random.Random(f"outbox-{seed}")
    seen = [_sighting(n, spot, rng) for n, spot in enumerate(_spots(events))]
    rng.shuffle(seen)
    start = datetime(2026, 11, 20, 1, tzinfo=UTC)
    seen = [_at(sighting, start + timedelta(seconds=n)) for n, sighting in enumerate(seen)]
    engine = Engine(areas, Taxonomy.read())
    told: set[Told] = set()
    for sighting in seen:
        for event in engine.read(sighting, made_at=sighting.seen_at):
            told |= {(event.case.id, event.event, recipient) for recipient in event.recipients}
    return World(text, seen, frozenset(told))


def _side(events: int) -> int:
    """Communities along a side of the square that holds so many things."""
    side = 2
    while (side * SQUARE_M / APART_M) ** 2 < events:
        side += 1
    return side


def _communities(events: int) -> Iterator[tuple[str, str, list[tuple[float, float]]]]:
    side = _side(events)
    for n in range(side * side):
        row, column = divmod(n, side)
        west, south = column * SQUARE_M, row * SQUARE_M
        east, north = west + SQUARE_M, south + SQUARE_M
        code = f"{DISTRICTS[n % len(DISTRICTS)]}{1 + n // len(DISTRICTS):03d}001"
        yield code, f"{row + 1}-{column + 1}社区", [(west, south), (east, south), (east, north), (west, north)]


def _spots(events: int) -> list[tuple[float, float]]:
    """Every tenth row and column lies a metre from a border, where two offices are told."""
    across = round(_side(events) * SQUARE_M / APART_M)
    return [(1.0 + APART_M * (n % across), 1.0 + APART_M * (n // across)) for n in range(events)]


def _sighting(n: int, spot: tuple[float, float], rng: random.Random) -> Sighting:
    lat, lon = latlon_from_offset(*ORIGIN, *(coordinate + rng.uniform(-0.5, 0.5) for coordinate in spot))
    return Sighting(
        id=f"outbox-{n}",
        pass_id=f"pass-{n}",
        vehicle=f"bus-{n % 100}",
        camera="right",
        kind="overflow_bin",
        matter="06042",
        confidence=0.95,
        seen_at=datetime(2026, 11, 20, tzinfo=UTC),
        lat=lat,
        lon=lon,
        covariance_m2=(2.0, 0.0, 2.0),
        shared_covariance_m2=(1.0, 0.0, 1.0),
        frames=5,
        model="outbox",
        evidence=Evidence(uri=None, sha256=None, box_xyxy=None, missing="not-recorded: a benchmark"),
    )


def _at(sighting: Sighting, seen_at: datetime) -> Sighting:
    return replace(sighting, seen_at=seen_at)


# The processes that are killed


def dispatch(folder: str) -> None:
    """The dispatcher's loop, as `jiexun dispatch` runs it, on the bus of files."""
    from jiexun.streams import stopping

    home = Path(folder)
    text = (home / "areas.geojson").read_text(encoding="utf-8")
    bus = FileBus(home, READS)
    reader = Reader(bus, Unwatched())
    with Store.open(_url(home)) as store:
        while (lease := store.lease()) is None:
            time.sleep(0.05)
        store.keep_areas(text)
        areas, _ = parse_areas(text, "the benchmark's areas")
        now = partial(datetime.now, UTC)
        loop = DispatchLoop(reader, store, lease, areas, Taxonomy.read(), Unwatched(), scan=bus.scan, now=now)
        with stopping(reader.stop):
            loop.recover()
            loop.run()
        lease.release()


def send(folder: str) -> None:
    """The shipped command."""
    from jiexun.deliver import deliver

    os.environ["JIEXUN_CHANNELS_ALLOW"] = "127.0.0.0/8"
    deliver(store=_url(Path(folder)), until_idle=None, metrics_port=0)


def _url(folder: Path) -> str:
    return f"sqlite:///{folder / 'outbox.db'}"


class Processes:
    """The dispatcher and the sender. Each start is a new process, forked from one that has only read the libraries."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["benchmarks.outbox", "jiexun.deliver", "jiexun.streams"])
        self._running: dict[str, Any] = {}
        self.restarts = 0  # of processes that ended by themselves

    def __enter__(self) -> Self:
        for name in (DISPATCH, DELIVER):
            self.start(name)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running.values():
            process.kill()
            process.join()

    def start(self, name: str) -> None:
        target = dispatch if name == DISPATCH else send
        process = self._context.Process(target=_quietly, args=(target, str(self._folder), name), daemon=True)
        with _no_main():
            process.start()
        self._running[name] = process

    def kill(self, name: str) -> None:
        """SIGKILL, and start it again."""
        process = self._running[name]
        process.kill()
        process.join()
        self.start(name)

    def look_after(self) -> None:
        """Start again what ended by itself. Raises RuntimeError for what keeps ending."""
        for name, process in list(self._running.items()):
            if process.exitcode is not None:
                self.restarts += 1
                if self.restarts > 5:
                    log = (self._folder / f"{name}.log").read_text(errors="replace")
                    raise RuntimeError(f"{name} keeps ending: {log[-1000:]}")
                self.start(name)

    def stop(self) -> None:
        """SIGTERM, in order. Raises RuntimeError when one does not end well."""
        for name, process in self._running.items():
            process.terminate()
            process.join(60.0)
            if process.exitcode != 0:
                raise RuntimeError(f"{name} ended with {process.exitcode} on SIGTERM")


@contextmanager
def _no_main() -> Iterator[None]:
    """A new process would import the main module again, `jiexun` with all its libraries, where nothing needs it."""
    main = sys.modules["__main__"]
    kept: dict[str, Any] = {name: main.__dict__.pop(name) for name in ("__file__", "__spec__") if name in main.__dict__}
    main.__spec__ = None
    try:
        yield
    finally:
        main.__dict__.update(kept)


def _quietly(target: Any, folder: str, name: str) -> None:
    """In the new process: what it says goes to its log."""
    handle = os.open(Path(folder) / f"{name}.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is the parent's
    target(folder)


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


class Feed(threading.Thread):
    """Sightings arrive: for every kill a share of them, evenly over its time."""

    def __init__(self, folder: Path, sightings: list[Sighting], kills: int, a_kill_s: float) -> None:
        super().__init__(daemon=True)
        self._bus = FileBus(folder)
        self._sightings = sightings
        self._shares = max(1, kills)
        self._a_kill_s = a_kill_s
        self._begun = (0, time.monotonic())  # share, and when it began
        self.stopping = threading.Event()

    def next(self, share: int) -> None:
        """Another share may arrive."""
        self._begun = (share, time.monotonic())

    def run(self) -> None:
        sent = 0
        while sent < len(self._sightings) and not self.stopping.is_set():
            share, began = self._begun
            part = min(1.0, (time.monotonic() - began) / self._a_kill_s) if self._a_kill_s else 1.0
            due = min(len(self._sightings), math.ceil(len(self._sightings) * (share + part) / self._shares))
            for sighting in self._sightings[sent:due]:
                envelope = enveloped(sighting, made_at=sighting.seen_at)
                self._bus.send(event_record(SIGHTINGS.name, place_of(sighting), envelope))
            self._bus.flush()
            sent = due
            self.stopping.wait(0.05)


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


def feed(folder: Path, sightings: list[Sighting], seconds: float, stop: threading.Event) -> None:
    """Sightings arrive evenly over so many seconds."""
    bus, start = FileBus(folder), time.monotonic()
    sent = 0
    while sent < len(sightings) and not stop.is_set():
        due = min(len(sightings), int(len(sightings) * (time.monotonic() - start) / seconds) + 1)
        for sighting in sightings[sent:due]:
            envelope = enveloped(sighting, made_at=sighting.seen_at)
            bus.send(event_record(SIGHTINGS.name, place_of(sighting), envelope))
        bus.flush()
        sent = due
        stop.wait(0.05)


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
        store = stack.enter_context(Store.open(_url(folder)))
        told = {name: server.url for name, server in servers.items()}
        for channel in channels(told, (robot_area, robot_server.url), secret):
            store.channels.add(channel)
        console = Console(_url(folder))
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
    """Wait until everything has arrived, or nothing more arrives for long; and then whether more comes."""
    arrived, since = here.arrived(), time.monotonic()
    while time.monotonic() - since < PATIENCE_S:
        processes.look_after()
        if here.arrived() >= 2 * len(made.told) and not here.waiting():
            break
        time.sleep(0.3)
        if here.arrived() != arrived:
            arrived, since = here.arrived(), time.monotonic()
    time.sleep(QUIET_S)


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
    from benchmarks.outbox import main as measure  # not as __main__: new processes look functions up by their module

    measure(seed=given.seed, events=given.events, kills=given.kills, json=given.json, save=given.save)
