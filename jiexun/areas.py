"""Commands of the areas: check a file, bring a layer of it into the store, list and export what is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from dispatcher.area import Areas, Layer, areas_text, document_of, found_areas
from dispatcher.area_check import checked
from dispatcher.area_import import Datum, merged, prepared
from dispatcher.document import one_line
from dispatcher.finding import COSTLY, Finding
from dispatcher.store.database import explained_failures
from dispatcher.store.store import Store
from jiexun.options import Json, explained
from jiexun.report import console
from jiexun.settings import Settings
from jiexun.streams import default_store

areas_app = typer.Typer(no_args_is_help=True, help="The areas and their owners: check, import, list, export.")
AreasStore = Annotated[
    str | None, typer.Option("--store", help="sqlite:///PATH.db or postgresql://…; default: JIEXUN_STORE.")
]
File = Annotated[Path, typer.Argument(help="GeoJSON (RFC 7946), UTF-8.")]
LayerName = Annotated[
    Layer | None, typer.Option("--layer", help="Of features that name none; those of other layers are left out.")
]
DatumName = Annotated[Datum, typer.Option("--datum", help="What the coordinates are; GCJ-02 is converted.")]


@areas_app.command("check")
def areas_check(file: File, layer: LayerName = None, datum: DatumName = Datum.WGS84, json: Json = False) -> None:
    """Read an areas file and say what is wrong with it, without keeping it: gaps, overlaps, parents, codes.

    Examples:

        jiexun areas check communities.geojson

        jiexun areas check gaode.geojson --layer community --datum gcj02 --json
    """
    with explained():
        document, findings = prepared(areas_text(file), str(file), layer, datum)
        areas, more = found_areas(document, str(file))
        findings += more + checked(areas)
        _say(areas, findings)
        if json:
            report = {"areas": len(areas), "layers": _layers(areas), "findings": [f.document() for f in findings]}
            print(one_line(report))


@areas_app.command("import")
def areas_import(
    file: File,
    layer: LayerName = None,
    datum: DatumName = Datum.WGS84,
    store: AreasStore = None,
    drop_bad: Annotated[
        bool, typer.Option("--drop-bad", help="Import the others, where features have to be dropped.")
    ] = False,
    json: Json = False,
) -> None:
    """Keep the areas of a file in the store as a new version, in place of those of the same layers.

    Nothing is kept of a file of which features would have to be dropped, unless `--drop-bad` says so. A dispatcher and
    a page that run go on with the version they have: start them again.

    Examples:

        jiexun areas import streets.geojson --layer street --store sqlite:///city.db

        jiexun areas import gaode.geojson --layer community --datum gcj02 --store sqlite:///city.db
    """
    with explained() as settings, explained_failures(), Store.open(_url(store, settings)) as opened:
        document, findings = prepared(areas_text(file), str(file), layer, datum)
        own, costs = found_areas(document, str(file))
        costs = [finding for finding in costs if finding.fault in COSTLY]
        if not len(own) or (costs and not drop_bad):
            _say(own, costs)
            raise ValueError(f"nothing was imported: {len(costs)} findings cost an area (see --drop-bad)")
        kept = opened.areas()
        whole = merged(None if kept is None else document_of(kept, "in the store"), document)
        areas, more = found_areas(whole, "the store")
        whole = areas.features()  # what was dropped or repaired is so for good
        findings = [*findings, *costs, *(f for f in more if f not in costs), *checked(areas)]
        about = {"file": file.name, "datum": str(datum), "layers": _layers(areas), "findings": len(findings)}
        opened.keep_areas(one_line(whole), about, datetime.now(UTC))
        version = opened.area_versions.all()[-1].version
        _say(areas, findings)
        console.print(f"version {version}: {len(own)} areas of {escape(file.name)}")
        if json:
            report = {"version": version, "imported": len(own), "areas": len(areas), "layers": _layers(areas)}
            print(one_line(report | {"findings": [finding.document() for finding in findings]}))


@areas_app.command("list")
def areas_list(store: AreasStore = None, json: Json = False) -> None:
    """List the versions of the areas in the store, and which one the dispatcher routed by from when on.

    Examples:

        jiexun areas list --store sqlite:///city.db
    """
    with explained() as settings, explained_failures(), Store.open(_url(store, settings)) as opened:
        uses = opened.area_versions.uses()
        rows: list[dict[str, Any]] = [
            {
                "version": found.version,
                "at": found.at,
                "file": found.about.get("file"),
                "datum": found.about.get("datum"),
                "layers": found.about.get("layers", {}),
                "used": [{"after": use.after, "at": use.at} for use in uses if use.version == found.version],
            }
            for found in opened.area_versions.all()
        ]
        if json:
            print(one_line({"versions": rows, "routes_by": uses[-1].version if uses else None}))
            return
        table = Table("version", "kept at", "file", "datum", "areas", "routed by it since event")
        for row in rows:
            layers = ", ".join(f"{n} {name}" for name, n in row["layers"].items())
            since = ", ".join(f"{use['after'] + 1} ({use['at']})" for use in row["used"])
            table.add_row(
                str(row["version"]), row["at"], row["file"] or "", row["datum"] or "", layers, since or "never"
            )
        console.print(table if rows else "no areas are kept yet")


@areas_app.command("export")
def areas_export(
    file: Annotated[Path, typer.Argument(help="GeoJSON to write, in WGS-84. Never over another.")],
    version: Annotated[int | None, typer.Option(min=1, help="Default: the last one.")] = None,
    store: AreasStore = None,
) -> None:
    """Write a version of the areas into a file, also the one that a case was once routed by.

    Examples:

        jiexun areas export before.geojson --version 3 --store sqlite:///city.db
    """
    with explained() as settings, explained_failures(), Store.open(_url(store, settings)) as opened:
        text = opened.areas() if version is None else opened.area_versions.document(version)
        if text is None:
            raise ValueError("no areas are kept" if version is None else f"there is no version {version}")
        with file.open("x", encoding="utf-8") as target:
            target.write(text)
        console.print(f"written to {file}")


def _layers(areas: Areas) -> dict[str, int]:
    """How many areas of each layer, coarse to fine."""
    return {str(layer): n for layer, n in Counter(area.layer for area in areas).items()}


def _say(areas: Areas, findings: Sequence[Finding]) -> None:
    """The report, for people."""
    for finding in findings:
        console.print(f"[yellow]{finding.fault}:[/] {escape(finding.text)}", soft_wrap=True)
    layers = ", ".join(f"{n} {layer}" for layer, n in _layers(areas).items()) or "no area"
    console.print(f"{layers}; {len(findings)} finding{'' if len(findings) == 1 else 's'}")


def _url(named: str | None, settings: Settings) -> str:
    return named or settings.store or default_store(settings)
