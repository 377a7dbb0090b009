"""Command `serve`: the duty officer's page over a store."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import typer

from dispatcher.api.app import tick
from dispatcher.api.serve import serve
from dispatcher.store.database import explained_failures
from dispatcher.store.store import Store
from dispatcher.work.ticker import Ticker
from jiexun.access import answering, count_access
from jiexun.accounts import console_app
from jiexun.collector import seldom
from jiexun.options import AreasFile, EvidenceUrl, MetricsPort, explained
from jiexun.report import console
from jiexun.run import open_evidence, print_warnings, stored_in
from jiexun.streams import areas_of, default_store
from jiexun.watching import watching


def serve_command(
    store: Annotated[
        str | None,
        typer.Option("--store", help="The store to show: sqlite:///PATH.db or postgresql://…; default: JIEXUN_STORE."),
    ] = None,
    areas: AreasFile = None,
    evidence: EvidenceUrl = None,
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen on; only loopback until there are accounts (`jiexun users`)."),
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port (default 8000).")] = None,
    metrics_port: MetricsPort = None,
) -> None:
    """Serve the duty officer's page and its API over a store, while other processes write it or not.

    Without `--areas` they are those that `jiexun dispatch` keeps in the store.

    Examples:

        jiexun serve --store sqlite:///jiexun-data/replay-20261120T081500-17/jiexun.db --areas communities.geojson

        jiexun serve --host 0.0.0.0
    """
    with explained() as settings:
        address = host or settings.host
        url = store or settings.store or default_store(settings)
        folder = stored_in(url, settings)
        with (
            explained_failures(),
            Store.open(url) as opened,
            watching(settings, "serve", port=metrics_port, loop=False, check=answering(opened)) as process,
        ):
            opened_areas, warnings = areas_of(opened, areas)
            print_warnings(warnings)
            pictures = open_evidence(evidence or settings.evidence or str(folder / "evidence"), settings)
            app = console_app(opened, opened_areas, pictures, address, settings)
            count_access(app, opened, process.metrics.registry)
            served = serve(app, address, port or settings.port)
            console.print(f"[bold]the page: {served.url}[/]   (Ctrl+C ends it)")
            with Ticker(partial(tick, app), partial(datetime.now, UTC)), seldom():
                served.run()
