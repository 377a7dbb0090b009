"""Commands of `cases`: sightings and passes of others, replayed without pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dispatcher.area import Areas
from dispatcher.dispatch import CaseEngine, Dispatcher
from dispatcher.document import document, one_line
from dispatcher.engines import Which, remembering
from dispatcher.joint.dispatch import Dispatcher as JointDispatcher
from dispatcher.joint.engine import Engine as JointEngine
from dispatcher.replay import replay_lines
from dispatcher.store.store import Store
from ingest.rejected import Rejected
from jiexun.collector import seldom
from jiexun.options import AreasFile, Json, StoreUrl, explained
from jiexun.report import console, print_cases
from jiexun.run import open_areas, print_warnings
from models.taxonomy import Taxonomy

cases_app = typer.Typer(no_args_is_help=True, help="Cases without pictures: replay sightings and passes.")


@cases_app.command("replay")
def cases_replay(
    file: Annotated[Path, typer.Argument(help="Sightings and passes, one CloudEvent a line (.jsonl).")],
    areas: AreasFile = None,
    json: Json = False,
    store: StoreUrl = None,
    engine: Annotated[
        Which | None,
        typer.Option(
            "--engine", help="What decides: joint; with --store that which decides there, in a new one shipped."
        ),
    ] = None,
) -> None:
    """Replay sightings and passes through the case engine, as the dispatcher would decide online.

    Examples:

        jiexun cases replay events.jsonl --areas communities.geojson --json

        jiexun cases replay events.jsonl --areas communities.geojson --engine shipped --json
    """
    with explained():
        opened_areas, warnings = open_areas(areas)
        decided: CaseEngine | JointEngine
        if engine is Which.SHIPPED or store is not None:
            decided, rejected = _stored(file, opened_areas, store or "sqlite://", engine)
        else:
            decided, rejected = _joint(file, opened_areas)
        print_warnings(warnings)
        found, objects, repeats = decided.cases(), decided.objects(), decided.repeats
        console.print(f"{len(found)} cases, {len(objects)} objects, {repeats} repeats, {len(rejected)} rejected")
        if json:
            print(one_line(document(decided, rejected, warnings=warnings)))
        else:
            print_cases(found, opened_areas, Taxonomy.read(), None)


def _stored(file: Path, areas: Areas, store: str, which: Which | None) -> tuple[CaseEngine, list[Rejected]]:
    with Store.open(store) as opened:
        engine = remembering(opened, areas, Taxonomy.read(), which)
        dispatcher = Dispatcher(engine, opened)
        dispatcher.recover(opened.inputs())
        rejected = replay_lines(file, dispatcher)
        for entry in rejected:
            opened.reject(entry)
    return engine, rejected


def _joint(file: Path, areas: Areas) -> tuple[JointEngine, list[Rejected]]:
    engine = JointEngine(areas, Taxonomy.read())
    with seldom():
        return engine, replay_lines(file, JointDispatcher(engine))
