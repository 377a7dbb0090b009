"""Commands of `bench`: what they measure is in `benchmarks/`, which is imported only when asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jiexun.options import Json, SaveResult, explained

bench_app = typer.Typer(
    no_args_is_help=True, help="Measure, on this machine. Every number in the README comes from here."
)


@bench_app.command("hotpath")
def bench_hotpath(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds in which every way has its turns.")] = 12,
    save: SaveResult = False,
    json: Json = False,
) -> None:
    """Pictures a second from JPEG bytes to detections, beside ultralytics, the bare engine and the machine's limit.

    Examples:

        jiexun bench hotpath --json
    """
    with explained():
        from benchmarks.hotpath import main as hotpath

        hotpath(json=json, rounds=rounds, save=save)


@bench_app.command("latency")
def bench_latency(
    seconds: Annotated[float, typer.Option(min=0.1, help="Of each load.")] = 8.0,
    save: SaveResult = False,
    json: Json = False,
) -> None:
    """Milliseconds from bytes to detections against offered load, up to saturation and past it.

    Examples:

        jiexun bench latency --json
    """
    with explained():
        from benchmarks.latency import main as latency

        latency(json=json, seconds=seconds, save=save)


@bench_app.command("memory")
def bench_memory(
    frames: Annotated[int, typer.Option(min=1, help="Pictures to look at.")] = 100_000,
    save: SaveResult = False,
    json: Json = False,
) -> None:
    """Whether the hot path's memory stays flat.

    Examples:

        jiexun bench memory --frames 10000 --json
    """
    with explained():
        from benchmarks.memory import main as memory

        memory(json=json, frames=frames, save=save)


@bench_app.command("gate")
def bench_gate(
    pictures: Annotated[list[Path] | None, typer.Option(help="A further folder of good pictures.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Pictures of each folder that are degraded.")] = 70,
    save: Annotated[bool, typer.Option("--save", help="Write benchmarks/results/gate.json.")] = False,
    json: Json = False,
) -> None:
    """What the quality gate drops of good and of degraded pictures, and what it costs.

    Examples:

        jiexun bench gate

        jiexun bench gate --pictures streetscape/images/test --pictures vehicle_frames/images --json
    """
    with explained():
        from benchmarks.gate import main as gate

        gate(json=json, folders=pictures or (), count=count, save=save)


@bench_app.command("stream")
def bench_stream(
    json: Json = False,
    repeats: Annotated[int, typer.Option(min=1, help="Turns of each path.")] = 6,
    turn: Annotated[int, typer.Option(min=1, help="Frames of a turn, at least 96.")] = 640,
    transported: Annotated[int, typer.Option(min=1, help="Frames read for the transport alone.")] = 4000,
) -> None:
    """What is left of the hot path's speed when frames come through Kafka; and the transport alone.

    Starts a Kafka of its own and stops it.

    Examples:

        jiexun bench stream --json
    """
    with explained():
        from benchmarks.stream import main as stream

        stream(json=json, repeats=repeats, turn=turn, transported=transported)


@bench_app.command("faults")
def bench_faults(
    seed: Annotated[int, typer.Option(help="Decides pictures, order and the moments of the kills.")] = 20261124,
    only: Annotated[list[str] | None, typer.Option("--only", help="A fault by name; may be repeated.")] = None,
    json: Json = False,
    vehicles: Annotated[int, typer.Option(min=2, help="Of a run, 100 frames each.")] = 20,
    keep: Annotated[Path | None, typer.Option(help="Keep the drive, stores and logs in this new folder.")] = None,
) -> None:
    """Kill, freeze, restart and mislead the stream, and compare its cases and alerts with an undisturbed run, by ids.

    Starts brokers, workers and a dispatcher of its own. `disk-full` mounts a small file system, as only root may.

    Examples:

        jiexun bench faults --json

        jiexun bench faults --only worker-kill9 --vehicles 4
    """
    with explained():
        from benchmarks.faults import main as faults

        faults(seed=seed, only=only or [], json=json, vehicles=vehicles, keep=keep)


@bench_app.command("city")
def bench_city(
    json: Json = False,
    vehicles: Annotated[int, typer.Option(min=1, help="Each takes a frame in ten seconds.")] = 5000,
    seconds: Annotated[float, typer.Option(min=1.0, help="How long they drive.")] = 150.0,
    seed: Annotated[int, typer.Option(help="Decides the city and its traffic.")] = 1,
) -> None:
    """One dispatcher and what a city's vehicles see: delay from sighting to alert, memory over time.

    Starts a Kafka and a dispatcher of its own.

    Examples:

        jiexun bench city --json
    """
    with explained():
        from benchmarks.city import main as city

        city(json=json, vehicles=vehicles, seconds=seconds, seed=seed)


@bench_app.command("rebalance")
def bench_rebalance(
    json: Json = False, repeats: Annotated[int, typer.Option(min=1, help="Joins, and leaves.")] = 3
) -> None:
    """How long nobody reads a partition when a worker joins the group, or leaves it.

    Starts a Kafka of its own and stops it.

    Examples:

        jiexun bench rebalance --json
    """
    with explained():
        from benchmarks.rebalance import main as rebalance

        rebalance(json=json, repeats=repeats)


@bench_app.command("fleet")
def bench_fleet(
    json: Json = False,
    seeds: Annotated[str, typer.Option(help="Worlds, one a seed, with commas between.")] = "1,2,3",
    days: Annotated[float, typer.Option(min=0.25, help="How long each world lasts.")] = 3.0,
    keep: Annotated[Path | None, typer.Option(help="Folder to leave the worlds and their truth in.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Chart to write (SVG).")] = None,
) -> None:
    """Cases of a simulated fleet against the hidden truth: both case engines, an oracle, and what others do.

    Examples:

        jiexun bench fleet --seeds 1,2,3 --json
    """
    with explained():
        from benchmarks.fleet import main as fleet
        from benchmarks.fleet import seeds_of
        from benchmarks.fleet_messages import Size

        fleet(seeds=seeds_of(seeds), size=Size(days=days), json=json, keep=keep, plot=plot)


@bench_app.command("cases")
def bench_cases(
    json: Json = False,
    levels: Annotated[str, typer.Option(help="Numbers of stored cases.")] = "10000,100000,1000000",
    plot: Annotated[Path | None, typer.Option(help="Chart to write (SVG).")] = None,
) -> None:
    """Sightings a second of the joint case engine on one core, and how that grows with its cases.

    Examples:

        jiexun bench cases --levels 10000,100000 --json
    """
    with explained():
        from benchmarks.cases import levels_of
        from benchmarks.cases import main as cases

        cases(levels=levels_of(levels), json=json, plot=plot)


@bench_app.command("outbox")
def bench_outbox(
    seed: Annotated[int, typer.Option(help="Decides the order of events and the moments of the kills.")] = 1,
    events: Annotated[int, typer.Option(min=1, help="Case events that flow.")] = 10_000,
    kills: Annotated[int, typer.Option(min=0, help="How often the dispatcher or the sender gets SIGKILL.")] = 50,
    save: SaveResult = False,
    json: Json = False,
) -> None:
    """Whether every recipient handles every case event exactly once while dispatcher and sender are killed.

    Starts both, receivers and a robot's server of its own on loopback.

    Examples:

        jiexun bench outbox --seed 7 --json
    """
    with explained():
        from benchmarks.outbox import main as outbox

        outbox(seed=seed, events=events, kills=kills, save=save, json=json)


@bench_app.command("routing")
def bench_routing(
    seed: Annotated[int, typer.Option(help="Decides the borders and the points.")] = 1,
    save: SaveResult = False,
    json: Json = False,
) -> None:
    """Points a second that find their community among 10,000 with crooked borders, on one core; is it the right one?

    Examples:

        jiexun bench routing --json
    """
    with explained():
        from benchmarks.routing import main as routing

        routing(seed=seed, save=save, json=json)


@bench_app.command("api")
def bench_api(
    cases: Annotated[int, typer.Option(min=100, help="Stored.")] = 1_000_000,
    rate: Annotated[float, typer.Option(min=1.0, help="Requests a second.")] = 50.0,
    seconds: Annotated[float, typer.Option(min=1.0, help="How long they are asked.")] = 60.0,
    save: SaveResult = False,
    json: Json = False,
) -> None:
    """How long a page of cases takes, filtered by area, from the shipped server over a full store.

    Starts a PostgreSQL and a server of its own.

    Examples:

        jiexun bench api --json

        jiexun bench api --cases 10000 --seconds 10
    """
    with explained():
        from benchmarks.api import main as api

        api(cases=cases, rate=rate, seconds=seconds, save=save, json=json)


@bench_app.command("sse")
def bench_sse(
    consoles: Annotated[int, typer.Option(min=1, help="Open streams.")] = 1_000,
    rate: Annotated[float, typer.Option(min=1.0, help="Events a second.")] = 50.0,
    seconds: Annotated[float, typer.Option(min=1.0, help="How long events happen.")] = 60.0,
    wide: Annotated[float, typer.Option(min=0.0, max=1.0, help="Part of the consoles that see every area.")] = 1.0,
    save: SaveResult = False,
    json: Json = False,
) -> None:
    """How long after it is stored an event reaches open consoles, and whether each gets each once.

    Starts a PostgreSQL and a server of its own.

    Examples:

        jiexun bench sse --json

        jiexun bench sse --consoles 100 --seconds 10 --wide 0.1
    """
    with explained():
        from benchmarks.sse import main as sse

        sse(consoles=consoles, rate=rate, seconds=seconds, wide=wide, save=save, json=json)


@bench_app.command("ingest")
def bench_ingest(
    cases: Annotated[int, typer.Option(min=100, help="Stored, of the larger store.")] = 1_000_000,
    beside: Annotated[int, typer.Option(min=100, help="Stored, of the smaller store.")] = 10_000,
    sightings: Annotated[int, typer.Option(min=10, help="Taken by each store.")] = 60_000,
    known: Annotated[int, typer.Option(min=1, help="Things that the engine knows when it starts, at most.")] = 100_000,
    save: SaveResult = False,
    json: Json = False,
) -> None:
    """Sightings a second that a dispatcher decides and stores in PostgreSQL, and what a million stored cases cost it.

    Starts a PostgreSQL of its own for each store.

    Examples:

        jiexun bench ingest --json

        jiexun bench ingest --cases 20000 --beside 1000 --sightings 2000
    """
    with explained():
        from benchmarks.ingest import main as ingest

        ingest(cases=cases, beside=beside, sightings=sightings, known=known, save=save, json=json)


@bench_app.command("privacy")
def bench_privacy(
    data: Annotated[Path, typer.Option(help="Folder with streetscape/ and vehicle_frames/.")] = Path("../shared/data"),
    save: Annotated[bool, typer.Option("--save", help="Write benchmarks/results/privacy.json.")] = False,
    json: Json = False,
) -> None:
    """How many faces, heads and plates of hand-labelled pictures evidence covers, beside GB/T 44464-2024, 5.6.2.

    Examples:

        jiexun bench privacy --data ../shared/data --json
    """
    with explained():
        from benchmarks.privacy import main as privacy

        privacy(data=data, json=json, save=save)
