"""The command `jiexun`. Commands say what they do and what they need; the work is elsewhere."""

from __future__ import annotations

import dataclasses
import sys
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from dispatcher.api.app import create_app, tick
from dispatcher.api.serve import Serving, serve
from dispatcher.area import Areas
from dispatcher.dispatch import Dispatcher
from dispatcher.document import document, one_line
from dispatcher.engine import Engine
from dispatcher.joint.dispatch import Dispatcher as JointDispatcher
from dispatcher.joint.engine import Engine as JointEngine
from dispatcher.replay import replay_lines
from dispatcher.store.database import explained_failures
from dispatcher.store.store import Store
from dispatcher.work.ticker import Ticker
from ingest.frame import parse_rfc3339
from ingest.rejected import Rejected
from jiexun.access import answering, count_access
from jiexun.accounts import console_app, keys_app, users_app
from jiexun.areas import areas_app
from jiexun.bench import bench_app
from jiexun.calibrate import calibrate
from jiexun.channels import channels_app
from jiexun.deliver import deliver
from jiexun.demo import SAMPLE, Live, split
from jiexun.desk import audit_app, work_app
from jiexun.doctor import doctor_report, print_doctor
from jiexun.erase import erase
from jiexun.inspect import detect_pictures, evaluate_data
from jiexun.options import (
    AreasFile,
    EngineName,
    EveryM,
    EvidenceUrl,
    FamilyName,
    Json,
    MetricsPort,
    ModelName,
    NamesFile,
    StoreUrl,
    explained,
)
from jiexun.pipeline import Embedded, new_folder
from jiexun.purge import purge
from jiexun.report import console, print_cases
from jiexun.retention import expire
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
    stored_in,
)
from jiexun.settings import Settings
from jiexun.streams import areas_of, default_store, dispatch, worker
from jiexun.transport import deadletter_app, publish, topics_app
from jiexun.upkeep import backup, print_settings, rebuild, restore
from jiexun.watching import watching
from models.taxonomy import Taxonomy
from vision.foreign import open_card
from vision.pictures import EvidenceStore

app = typer.Typer(
    name="jiexun",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="街巡 Jiexun: street disorder seen by the cameras that already drive a city, told to the office that owns it.",
)
cases_app = typer.Typer(no_args_is_help=True, help="Cases without pictures: replay sightings and passes.")
app.add_typer(cases_app, name="cases")
app.add_typer(areas_app, name="areas")
app.add_typer(bench_app, name="bench")
app.add_typer(topics_app, name="topics")
channels_app.command("purge")(purge)
app.add_typer(channels_app, name="channels")
app.add_typer(deadletter_app, name="deadletter")
app.add_typer(users_app, name="users")
app.add_typer(keys_app, name="keys")
app.command("settings")(print_settings)
app.command()(backup)
app.command()(restore)
app.command()(rebuild)
app.command()(expire)
app.command()(erase)
app.add_typer(work_app, name="work")
app.add_typer(audit_app, name="audit")
app.command()(calibrate)
app.command()(publish)
app.command()(worker)
app.command()(dispatch)
app.command()(deliver)


@app.command()
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


@app.command()
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


class CaseEngine(StrEnum):
    """What decides cases."""

    JOINT = "joint"  # places all of a vehicle's sightings together; keeps no store
    SHIPPED = "shipped"  # that of the stream, of `replay` and of `demo`


@cases_app.command("replay")
def cases_replay(
    file: Annotated[Path, typer.Argument(help="Sightings and passes, one CloudEvent a line (.jsonl).")],
    areas: AreasFile = None,
    json: Json = False,
    store: StoreUrl = None,
    engine: Annotated[
        CaseEngine | None,
        typer.Option("--engine", help="What decides: joint, or with --store shipped, which alone keeps one."),
    ] = None,
) -> None:
    """Replay sightings and passes through the case engine, as the dispatcher would decide online.

    Examples:

        jiexun cases replay events.jsonl --areas communities.geojson --json

        jiexun cases replay events.jsonl --areas communities.geojson --engine shipped --json
    """
    with explained():
        opened_areas, warnings = open_areas(areas)
        if engine is CaseEngine.JOINT and store is not None:
            raise ValueError("the joint engine keeps no store: leave out --store, or decide with --engine shipped")
        decided: Engine | JointEngine
        if engine is CaseEngine.SHIPPED or store is not None:
            decided, rejected = _shipped(file, opened_areas, store or "sqlite://")
        else:
            decided, rejected = _joint(file, opened_areas)
        print_warnings(warnings)
        found, objects, repeats = decided.cases(), decided.objects(), decided.repeats
        console.print(f"{len(found)} cases, {len(objects)} objects, {repeats} repeats, {len(rejected)} rejected")
        if json:
            print(one_line(document(decided, rejected, warnings=warnings)))
        else:
            print_cases(found, opened_areas, Taxonomy.read(), None)


def _shipped(file: Path, areas: Areas, store: str) -> tuple[Engine, list[Rejected]]:
    engine = Engine(areas, Taxonomy.read())
    with Store.open(store) as opened:
        dispatcher = Dispatcher(engine, opened)
        dispatcher.recover(opened.inputs())
        rejected = replay_lines(file, dispatcher)
        for entry in rejected:
            opened.reject(entry)
    return engine, rejected


def _joint(file: Path, areas: Areas) -> tuple[JointEngine, list[Rejected]]:
    engine = JointEngine(areas, Taxonomy.read())
    return engine, replay_lines(file, JointDispatcher(engine))


@app.command()
def detect(
    images: Annotated[list[Path], typer.Argument(help="Pictures.")],
    json: Json = False,
    draw: Annotated[Path | None, typer.Option("--draw", help="Folder to write the pictures to, boxes drawn.")] = None,
    model: ModelName = None,
    family: FamilyName = None,
    names: NamesFile = None,
    engine: EngineName = None,
) -> None:
    """Find street disorder in pictures.

    Examples:

        jiexun detect datasets/sample/0021.jpg

        jiexun detect street/*.jpg --draw seen --json

        jiexun detect street/*.jpg --model yolox_s.onnx --names coco.names
    """
    with explained() as settings:
        named = (model,) if model else settings.models
        cards = [open_card(one, family=family, names=names) for one in named]
        detect_pictures(images, draw, cards, engine or settings.engine, json=json)


@app.command()
def evaluate(
    data: Annotated[Path, typer.Option("--data", help="A data.yaml of ultralytics, or its folder.")],
    split: Annotated[str, typer.Option(help="Which pictures: train, val or test.")] = "test",
    model: ModelName = None,
    family: FamilyName = None,
    names: NamesFile = None,
    engine: EngineName = None,
    json: Json = False,
) -> None:
    """Measure the shipped models, or another, on labelled pictures, through the hot path that ships.

    Examples:

        jiexun evaluate --data streetscape/data.yaml --split test

        jiexun evaluate --data streetscape --model streetscape-v1 --json

        jiexun evaluate --data streetscape --model runs/v2/best.onnx
    """
    with explained() as settings:
        card = None if model is None else open_card(model, family=family, names=names)
        evaluate_data(data, split, card, engine or settings.engine, json=json)


@app.command("serve")
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
            with Ticker(partial(tick, app), partial(datetime.now, UTC)):
                served.run()


@app.command()
def doctor(json: Json = False) -> None:
    """Say what is installed, which execution providers work, what is missing and how to get it.

    Examples:

        jiexun doctor
    """
    with explained() as settings:
        report = doctor_report(settings)
        print(one_line(report)) if json else print_doctor(report)
        if not report["ok"]:
            raise typer.Exit(1)


def main() -> None:
    """Entry point."""
    try:
        app()
    except BrokenPipeError:  # `jiexun … | head`
        sys.stderr.close()
        sys.exit(1)


if __name__ == "__main__":
    main()
