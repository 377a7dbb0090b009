"""Command `demo`: the sample drive, and the page before which its last part is replayed live."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import typer

from dispatcher.api.app import create_app, tick
from dispatcher.api.serve import Serving, serve
from dispatcher.area import Areas
from dispatcher.document import one_line
from dispatcher.store.store import Store
from dispatcher.work.ticker import Ticker
from jiexun.live import SAMPLE, Live, split
from jiexun.options import EvidenceUrl, Json, StoreUrl, explained
from jiexun.pipeline import Embedded, new_folder
from jiexun.report import console
from jiexun.run import (
    begin,
    open_areas,
    open_cameras,
    open_evidence,
    open_source,
    print_result,
    print_warnings,
    result_document,
    run_all,
    store_url,
)
from vision.pictures import EvidenceStore


def demo(
    json: Json = False,
    no_serve: Annotated[bool, typer.Option("--no-serve", help="Replay everything and end, without the page.")] = False,
    port: Annotated[int | None, typer.Option(help="Port of the page (default 8000).")] = None,
    store: StoreUrl = None,
    evidence: EvidenceUrl = None,
) -> None:
    """Replay the sample drive and open the duty officer's page at http://127.0.0.1:8000.

    Real street photographs on a real GPS track go through ingest, vision and dispatcher; the last part of the
    drive is replayed live while you watch the page.

    Examples:

        jiexun demo

        jiexun demo --port 8080

        jiexun demo --no-serve --json
    """
    with explained() as settings:
        areas, warnings = open_areas(None, SAMPLE)
        source, _ = open_source(SAMPLE, None, None, "front", settings)
        folder = new_folder(settings, "demo")
        pictures = open_evidence(evidence or settings.evidence or str(folder / "evidence"), settings)
        with Store.open(store_url(store, folder)) as opened:
            served = None if no_serve else _serve(opened, areas, pictures, settings.host, port or settings.port)
            embedded = Embedded(settings, areas=areas, cameras=open_cameras(SAMPLE), store=opened, evidence=pictures)
            begin(embedded, source)
            frames = source.frames()
            if served is None:
                run_all(embedded, frames, len(source))
                embedded.finish()
            else:
                first = split(len(source))
                run_all(embedded, (next(frames) for _ in range(first)), first)
            print_warnings(warnings)
            print_result(embedded, areas, str(pictures))
            if json:
                print(one_line(result_document(embedded, warnings)), flush=True)
            if served is not None:
                _watch(*served, Live(embedded, frames, areas))


def _serve(store: Store, areas: Areas, evidence: EvidenceStore, host: str, port: int) -> tuple[Serving, Ticker]:
    app = create_app(store, areas, evidence=evidence)
    return serve(app, host, port), Ticker(partial(tick, app), partial(datetime.now, UTC))


def _watch(served: Serving, desk: Ticker, live: Live) -> None:
    """Serve until Ctrl+C, the rest of the drive running beside."""
    console.print(f"[bold]the page: {served.url}[/]   (Ctrl+C ends it; new cases arrive while the bus drives on)")
    live.start()
    try:
        with desk:
            served.run()
    finally:
        live.stop()
