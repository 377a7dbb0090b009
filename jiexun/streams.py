"""Commands of the distributed mode: `worker` and `dispatch`, each until it is stopped."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from dispatcher.area import Areas, areas_text, parse_areas
from dispatcher.document import document, one_line
from dispatcher.store.database import explained_failures
from dispatcher.store.lease import Lease
from dispatcher.store.store import Store
from dispatcher.stream import GROUP as DISPATCHER
from dispatcher.stream import READS, DispatchLoop
from dispatcher.work.clerk import Clerk
from ingest.cluster import Cluster
from ingest.reader import Reader
from ingest.record import BrokerAway, Bus
from ingest.topics import FRAMES
from ingest.watch import Watch
from jiexun.collector import seldom
from jiexun.options import AreasFile, EvidenceUrl, Json, Kafka, ModelName, explained
from jiexun.report import console, warn
from jiexun.run import open_evidence, print_warnings
from jiexun.settings import Settings
from jiexun.watching import watching
from models.taxonomy import Taxonomy

UntilIdle = Annotated[
    float | None, typer.Option("--until-idle", min=0.5, help="End when nothing came for so many seconds.")
]
StoreUrl = Annotated[
    str | None, typer.Option("--store", help="sqlite:///PATH.db or postgresql://…; default: JIEXUN_STORE.")
]
MetricsPort = Annotated[
    int | None, typer.Option("--metrics-port", help="Serve /metrics, /healthz and /readyz there (0: none).")
]
STAND_BY_S = 1.0  # how often a dispatcher that waits for its turn asks for it
AWAY_S = 60.0  # how long a broker is waited for before a process gives up to start
FULL_S = (1.0, 30.0)  # first and longest wait before a picture that could not be stored is tried again


def worker(
    kafka: Kafka = None,
    until_idle: UntilIdle = None,
    evidence: EvidenceUrl = None,
    model: ModelName = None,
    cameras: Annotated[
        Path | None, typer.Option(help="cameras.toml for frames that do not say how their camera is mounted.")
    ] = None,
    hold: Annotated[
        float, typer.Option(min=0.0, help="Seconds to hold frames of senders that do not say which came before.")
    ] = 0.0,
    metrics_port: MetricsPort = None,
) -> None:
    """Work: frames from Kafka become sightings and passes, on their topics. Start as many as there is work for.

    SIGTERM ends it when its batch is done; another worker goes on where it was.

    Examples:

        jiexun worker --kafka 127.0.0.1:19092

        jiexun worker --until-idle 10 --evidence s3://jiexun/evidence
    """
    with explained() as settings:
        from jiexun.workshop import open_worker  # the detector takes a second to load

        settings = settings if model is None else replace(settings, model=model)
        cluster = settings.cluster(kafka)
        pictures = open_evidence(evidence or settings.evidence or str(settings.data / "evidence"), settings)
        with watching(settings, "worker", port=metrics_port) as process:
            bus = _bus(cluster, (FRAMES.name,), "worker")
            reader = Reader(bus, process.watch)
            patient = Patience(reader, process.watch)
            loop = open_worker(
                settings,
                reader,
                cameras,
                process.counted(pictures),
                patient,
                process.watch,
                scan=bus.scan,
                hold=timedelta(seconds=hold),
            )
            console.print(f"worker: reads {cluster.prefix}frames at {cluster.servers}, pictures go to {pictures}")
            with stopping(reader.stop):
                loop.run(until_idle)
            console.print("worker: done" if not reader.stopping else "worker: stopped; another goes on from here")


class Patience:
    """What to do when a picture cannot be stored: say so, read nothing, stay in the group, and try again later."""

    def __init__(self, reader: Reader, watch: Watch) -> None:
        self._reader = reader
        self._watch = watch
        self._wait_s = 0.0

    def __call__(self, error: OSError) -> None:
        """Wait, longer each time. Raises Stopped when the process is to end."""
        self._wait_s = min(max(2 * self._wait_s, FULL_S[0]), FULL_S[1])
        reason = f"evidence cannot be stored: {error.strerror or error}"
        warn(f"{reason}; nothing is read until it can; next try in {self._wait_s:g} s")
        self._reader.stand_by(self._wait_s, reason)

    def over(self) -> None:
        """It was stored."""
        if self._wait_s:
            self._wait_s = 0.0
            self._watch.blocked(None)
            console.print("evidence is stored again; going on")


def dispatch(
    kafka: Kafka = None,
    store: StoreUrl = None,
    areas: AreasFile = None,
    until_idle: UntilIdle = None,
    json: Json = False,
    metrics_port: MetricsPort = None,
) -> None:
    """Dispatch: sightings and passes from Kafka become cases in the store, and alerts on their topic.

    Areas are kept in the store: name the file once, and again when it changes. One dispatcher decides on a store; a
    second one waits, and takes over when the first is gone. `--json` prints the cases when it ends.

    Examples:

        jiexun dispatch --kafka 127.0.0.1:19092 --store sqlite:///city.db --areas communities.geojson

        jiexun dispatch --store postgresql://jiexun@db/jiexun --until-idle 10
    """
    with (
        explained() as settings,
        explained_failures(),
        Store.open(store or settings.store or default_store(settings)) as opened,
        watching(settings, "dispatcher", port=metrics_port) as process,
    ):
        cluster = settings.cluster(kafka)
        lease = _lease(opened, process.watch)
        if lease is None:
            return
        known, warnings = _areas(opened, areas)
        print_warnings(warnings)
        loop = _decide(cluster, opened, lease, known, process.watch, until_idle)
        lease.release()
        if json:
            print(one_line(document(loop.engine, (), warnings=warnings)))


def _decide(
    cluster: Cluster, store: Store, lease: Lease, areas: Areas, watch: Watch, until_idle: float | None
) -> DispatchLoop:
    """Run the loop to its end."""
    bus = _bus(cluster, READS, DISPATCHER)
    reader = Reader(bus, watch)
    loop = DispatchLoop(
        reader,
        store,
        lease,
        areas,
        Taxonomy.read(),
        watch,
        scan=bus.scan,
        now=partial(datetime.now, UTC),
        tick=Clerk(store, areas, Taxonomy.read()).tick,
    )
    with stopping(reader.stop):
        loop.recover()
        console.print(f"dispatcher: reads {cluster.servers}; {len(loop.engine.cases())} cases are known")
        with seldom():
            loop.run(until_idle)
    console.print("dispatcher: stopped" if reader.stopping else "dispatcher: done")
    return loop


def default_store(settings: Settings) -> str:
    """Where cases go when nobody says: beside the other data of this machine."""
    settings.data.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{settings.data / 'jiexun.db'}"


@contextmanager
def stopping(stop: Callable[[], None]) -> Iterator[None]:
    """SIGTERM and Ctrl+C ask the block to end by `stop`; a second Ctrl+C ends it at once."""

    def asked(number: int, _frame: object) -> None:
        stop()
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, asked) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _lease(store: Store, watch: Watch) -> Lease | None:
    """The right to decide on the store, waited for; None when the process is to end first."""
    ending: list[None] = []
    with stopping(partial(ending.append, None)):
        lease = store.lease()
        if lease is None:
            console.print("another dispatcher decides on this store; standing by")
        while lease is None and not ending:
            watch.turned()
            watch.blocked("another dispatcher decides on this store")
            time.sleep(STAND_BY_S)
            lease = store.lease()
    return lease


def _areas(store: Store, named: Path | None) -> tuple[Areas, list[str]]:
    """The areas of the file that was named, which the store then keeps; else those that it kept."""
    found = areas_of(store, named)
    if named is not None and (text := areas_text(named)) != store.areas():
        store.keep_areas(text, {"file": named.name, "datum": "wgs84"})
    if (used := store.areas()) is not None:
        store.area_versions.use(used, datetime.now(UTC))
    return found


def areas_of(store: Store, named: Path | None) -> tuple[Areas, list[str]]:
    """The areas of the file that was named, else those that the store keeps, and what is to be said about them."""
    if named is not None:
        return parse_areas(areas_text(named), str(named))
    kept = store.areas()
    if kept is None:
        return Areas.none(), ["no areas: every case is unowned (name a file with --areas; the store keeps it)"]
    return parse_areas(kept, "in the store")


def _bus(cluster: Cluster, read: tuple[str, ...], group: str) -> Bus:
    """A member of a group; a broker that is away is waited for. Raises BrokerAway when it stays away."""
    from ingest.bus import KafkaBus  # the client takes a quarter of a second to load

    give_up = time.monotonic() + AWAY_S
    while True:
        try:
            return KafkaBus(cluster, read=read, group=group)
        except BrokerAway as refusal:
            if time.monotonic() >= give_up:
                raise
            warn(f"waiting: {refusal}")
            time.sleep(refusal.retry_after_s)
