"""Command `replay`: a drive on disk, from its pictures to cases, in one process."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from dispatcher.document import one_line
from dispatcher.store.store import Store
from ingest.frame import parse_rfc3339
from jiexun.options import AreasFile, EveryM, EvidenceUrl, Json, ModelName, StoreUrl, explained
from jiexun.pipeline import Embedded, new_folder
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
from jiexun.settings import Settings


def replay(
    source: Annotated[Path, typer.Argument(help="A drive folder, or a video file.")],
    areas: AreasFile = None,
    json: Json = False,
    track: Annotated[Path | None, typer.Option(help="GPX or NMEA track of a video.")] = None,
    start: Annotated[str | None, typer.Option(help="When a video began, e.g. 2026-11-20T08:15:00Z.")] = None,
    camera: Annotated[str, typer.Option(help="Which camera took a video.")] = "front",
    every_m: EveryM = None,
    store: StoreUrl = None,
    evidence: EvidenceUrl = None,
    model: ModelName = None,
) -> None:
    """Replay a drive: pictures with positions go in, cases come out.

    A drive is a folder of pictures with `frames.csv`, or with one GPX or NMEA file, or with positions in their
    EXIF; `cameras.toml` and `areas.geojson` in it are used. Bad rows and pictures are listed; the run goes on.

    Examples:

        jiexun replay datasets/sample

        jiexun replay my-drive --areas communities.geojson --json

        jiexun replay bus.mp4 --track bus.gpx --camera right
    """
    with explained() as settings:
        settings = _with(settings, every_m=every_m, model=model)
        began = None if start is None else parse_rfc3339(start)
        opened_source, refused = open_source(source, track, began, camera, settings)
        opened_areas, warnings = open_areas(areas, source)
        cameras = open_cameras(source)
        folder = new_folder(settings, "replay")
        pictures = open_evidence(evidence or settings.evidence or str(folder / "evidence"), settings)
        with Store.open(store_url(store, folder)) as opened:
            embedded = Embedded(settings, areas=opened_areas, cameras=cameras, store=opened, evidence=pictures)
            begin(embedded, opened_source, refused)
            run_all(embedded, opened_source.frames(), len(opened_source))
            embedded.finish()
            print_warnings(warnings)
            print_result(embedded, opened_areas, str(pictures))
            if json:
                print(one_line(result_document(embedded, warnings)))


def _with(settings: Settings, **given: Any) -> Settings:
    return dataclasses.replace(settings, **{name: value for name, value in given.items() if value is not None})
