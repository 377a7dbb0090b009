"""Command `dispatch`: sightings and passes become cases, until it is stopped."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from dispatcher.area import Areas, areas_text
from dispatcher.document import document, one_line
from dispatcher.engines import Which
from dispatcher.store.database import explained_failures
from dispatcher.store.lease import Lease
from dispatcher.store.store import Store
from dispatcher.stream import GROUP, READS, DispatchLoop
from dispatcher.work.clerk import Clerk
from ingest.cluster import Cluster
from ingest.reader import Reader
from ingest.watch import Watch
from jiexun.collector import seldom
from jiexun.options import AreasFile, Json, Kafka, explained
from jiexun.report import console
from jiexun.run import print_warnings
from jiexun.streams import STAND_BY_S, MetricsPort, UntilIdle, areas_of, default_store, member, stopping
from jiexun.watching import watching
from models.taxonomy import Taxonomy

StoreUrl = Annotated[
    str | None, typer.Option("--store", help="sqlite:///PATH.db or postgresql://…; default: JIEXUN_STORE.")
]


def dispatch(
    kafka: Kafka = None,
    store: StoreUrl = None,
    areas: AreasFile = None,
    until_idle: UntilIdle = None,
    json: Json = False,
    metrics_port: MetricsPort = None,
    engine: Annotated[
        Which | None,
        typer.Option("--engine", help="Case engine of a new store; an old one keeps its own. [default: shipped]"),
    ] = None,
) -> None:
    """Dispatch: sightings and passes from Kafka become cases in the store, and alerts on their topic.

    Areas are kept in the store: name the file once, and again when it changes. One dispatcher decides on a store; a
    second one waits, and takes over when the first is gone. `--json` prints the cases when it ends.

    `--engine joint` decides a new store by the joint engine: fewer cases told twice, and positions that are nearer. It
    decides fewer inputs a second than the other one, and `jiexun erase` is refused on its stores.

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
        loop = _decide(cluster, opened, lease, known, process.watch, until_idle, engine)
        lease.release()
        if json:
            print(one_line(document(loop.engine, (), warnings=warnings)))


def _decide(
    cluster: Cluster,
    store: Store,
    lease: Lease,
    areas: Areas,
    watch: Watch,
    until_idle: float | None,
    which: Which | None,
) -> DispatchLoop:
    """Run the loop to its end."""
    bus = member(cluster, READS, GROUP)
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
        which=which,
    )
    with stopping(reader.stop):
        loop.recover()
        console.print(f"dispatcher: reads {cluster.servers}; {len(loop.engine.cases())} cases are known")
        with seldom():
            loop.run(until_idle)
    console.print("dispatcher: stopped" if reader.stopping else "dispatcher: done")
    return loop


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
