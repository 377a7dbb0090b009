"""Commands of the transport: `topics`, `publish`, `deadletter`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from dispatcher.document import one_line
from ingest.cluster import Cluster
from ingest.deadletter import DeadLetter
from ingest.frame import parse_rfc3339, rfc3339
from ingest.record import Bus, Retry
from ingest.simulate import Convoy
from ingest.topics import TOPICS
from jiexun import deadletters
from jiexun.options import EveryM, Json, Kafka, explained
from jiexun.publish import Published, Publisher, until_now
from jiexun.report import SHOWN_REJECTED, console, warn
from jiexun.run import open_cameras, open_source
from jiexun.watching import traced

topics_app = typer.Typer(no_args_is_help=True, help="The topics in Kafka: make them, check them.")
deadletter_app = typer.Typer(no_args_is_help=True, help="Records that could not be used: look at them, try them again.")


@contextmanager
def _bus(cluster: Cluster) -> Iterator[Bus]:
    from ingest.bus import KafkaBus  # the client takes a quarter of a second to load

    with closing(KafkaBus(cluster)) as bus:
        yield bus


@topics_app.command("create")
def create(
    kafka: Kafka = None,
    partitions: Annotated[int | None, typer.Option(min=1, help="Of each topic, instead of the table's.")] = None,
) -> None:
    """Make the topics that are missing, and give those that are there the right settings.

    Partitions of a topic that is there stay as they are. Replicas are the brokers' default.

    Examples:

        jiexun topics create --kafka 127.0.0.1:19092
    """
    with explained() as settings:
        from ingest.clusterwide import make_topics

        cluster = settings.cluster(kafka)
        wanted = [t if partitions is None or t.partitions == 1 else replace(t, partitions=partitions) for t in TOPICS]
        make_topics(cluster, wanted)
        _print_topics(cluster)


@topics_app.command("check")
def check(kafka: Kafka = None, json: Json = False) -> None:
    """Say whether the topics are there and as they should be: status 1 when not.

    Examples:

        jiexun topics check --kafka 127.0.0.1:19092 --json
    """
    with explained() as settings:
        faults = _print_topics(settings.cluster(kafka), json=json)
        if faults:
            raise typer.Exit(1)


def _print_topics(cluster: Cluster, *, json: bool = False) -> int:
    """The table, or the document. Returns how many topics are not as they should be."""
    from jiexun.topics import report

    found = report(cluster)
    if json:
        print(one_line({"prefix": cluster.prefix, "topics": [asdict(entry) for entry in found]}))
    table = Table(header_style="bold")
    for heading in ("topic", "partitions", "copies", "kept", "largest", "key", ""):
        table.add_column(heading, overflow="fold")
    for entry in found:
        table.add_row(
            cluster.prefix + entry.name,
            str(entry.partitions or "—"),
            str(entry.replicas or "—"),
            entry.kept,
            f"{entry.max_message_bytes / 2**20:.2g} MiB",
            entry.key,
            "\n".join(f"[red]{fault}[/]" for fault in entry.faults) or "[green]as it should be[/]",
        )
    console.print(table)
    for note in dict.fromkeys(note for entry in found for note in entry.notes):
        names = [entry.name for entry in found if note in entry.notes]
        warn(f"{'every topic' if len(names) == len(found) else ', '.join(names)}: {note}")
    return sum(bool(entry.faults) for entry in found)


def publish(
    source: Annotated[Path, typer.Argument(help="A drive folder, or a video file.")],
    kafka: Kafka = None,
    track: Annotated[Path | None, typer.Option(help="GPX or NMEA track of a video.")] = None,
    start: Annotated[str | None, typer.Option(help="When a video began, e.g. 2026-11-20T08:15:00Z.")] = None,
    camera: Annotated[str, typer.Option(help="Which camera took a video.")] = "front",
    every_m: EveryM = None,
    vehicles: Annotated[int, typer.Option(min=1, help="So many vehicles drive it, one after the other.")] = 1,
    headway: Annotated[float, typer.Option(min=0.0, help="Seconds between one vehicle and the next.")] = 60.0,
    speed: Annotated[float, typer.Option(min=0.0, help="Times real time; 0: as fast as it goes.")] = 0.0,
    now: Annotated[bool, typer.Option("--now", help="Move the drive's times so that it is driven now.")] = False,
    json: Json = False,
) -> None:
    """Send the frames of a drive to topic `frames`, as its vehicle would, or as many vehicles would.

    Rows are checked, and frames chosen by metres of travel, before anything is sent, as `jiexun replay` does. Ends when
    every frame is durable; a broker that is away is waited for. Sent again, frames change nothing.

    Examples:

        jiexun publish datasets/sample --kafka 127.0.0.1:19092

        jiexun publish bus.mp4 --track bus.gpx --camera right

        jiexun publish datasets/sample --vehicles 20 --speed 4 --now
    """
    with explained() as settings:
        settings = settings if every_m is None else replace(settings, every_m=every_m)
        began = None if start is None else parse_rfc3339(start)
        opened, refused = open_source(source, track, began, camera, settings)
        shift = until_now(opened, speed=speed, now=datetime.now(UTC)) if now else timedelta(0)
        convoy = Convoy(vehicles=vehicles, headway=timedelta(seconds=headway), shift=shift)
        with (
            traced("publish", os.environ) as watch,
            _bus(settings.cluster(kafka)) as bus,
            _shown(len(opened) * vehicles) as on_frame,
        ):
            publisher = Publisher(
                bus, speed=speed, mounted=open_cameras(source).of, on_frame=on_frame, on_wait=_Waiting(), watch=watch
            )
            done = publisher.publish(convoy.frames(opened), opened)
        done.rejected[:0] = refused
        _print_published(done)
        if json:
            print(one_line(done.document()))


@contextmanager
def _shown(total: int) -> Iterator[Callable[[object], None]]:
    """A progress bar on standard error; call it for each frame."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("frames", total=total)
        yield lambda _: progress.advance(bar)


class _Waiting:
    """Says once that the broker is waited for."""

    def __init__(self) -> None:
        self._said = 0.0

    def __call__(self, refusal: Retry) -> None:
        if time.monotonic() - self._said > 30:
            warn(f"waiting: {refusal}")
            self._said = time.monotonic()


def _print_published(done: Published) -> None:
    rate = done.frames / done.seconds if done.seconds > 0 else 0.0
    console.print(
        f"{done.frames} frames of {len(done.vehicles)} vehicles sent ({done.bytes / 1e6:.1f} MB, {rate:.0f} a second), "
        f"{done.left_out} left out by sampling, {done.repeats} repeats, {len(done.rejected)} rejected"
    )
    for item in done.rejected[:SHOWN_REJECTED]:
        console.print(f"  rejected: {item.file or ''} {item.reason}", markup=False)


@deadletter_app.command("list")
def deadletter_list(
    topic: Annotated[str | None, typer.Argument(help="frames, sightings or passes; default: all three.")] = None,
    kafka: Kafka = None,
    json: Json = False,
) -> None:
    """List what was rejected, oldest first in each topic, and why.

    Examples:

        jiexun deadletter list frames --kafka 127.0.0.1:19092
    """
    with explained() as settings, _bus(settings.cluster(kafka)) as bus:
        found = [_told(letter) for letter in deadletters.read(bus, topic)]
        if json:
            print(one_line({"deadletters": found}))
            return
        table = Table(header_style="bold")
        for heading in ("id", "rejected at", "key", "bytes", "tries", "reason"):
            table.add_column(heading, overflow="fold")
        for told in found:
            table.add_row(*(str(told[name]) for name in ("id", "at", "key", "bytes", "tries", "reason")))
        console.print(table)


@deadletter_app.command("show")
def deadletter_show(
    id: Annotated[str, typer.Argument(help="As `list` prints it: frames.rejected/0@17.")],
    kafka: Kafka = None,
    save: Annotated[Path | None, typer.Option(help="Write the value there: the picture, or the JSON.")] = None,
    json: Json = False,
) -> None:
    """Show one rejected record: where it came from, its headers, its value.

    Examples:

        jiexun deadletter show frames.rejected/0@17 --save picture.jpg
    """
    with explained() as settings, _bus(settings.cluster(kafka)) as bus:
        letter = deadletters.one(bus, id)
        if save is not None:
            save.write_bytes(letter.record.value)
        if json:
            print(one_line(_told(letter) | {"headers": deadletters.readable_headers(letter)}))
            return
        for name, value in (_told(letter) | {"headers": ""}).items():
            console.print(f"{name:<10} {value}", markup=False)
        for name, text in deadletters.readable_headers(letter):
            console.print(f"  {name}: {text}", markup=False)
        if not letter.record.value.startswith(b"\xff\xd8"):
            console.print(letter.record.value[:2000].decode(errors="replace"), markup=False)


@deadletter_app.command("replay")
def deadletter_replay(
    ids: Annotated[list[str] | None, typer.Argument(help="As `list` prints them.")] = None,
    kafka: Kafka = None,
    topic: Annotated[str | None, typer.Option(help="All that were rejected from this topic.")] = None,
    reason: Annotated[str, typer.Option(help="Of these, only those whose reason holds this text.")] = "",
    json: Json = False,
) -> None:
    """Send rejected records to their topic again, after what was wrong has been mended.

    What is still wrong with them gets them rejected anew. Repeats change nothing.

    Examples:

        jiexun deadletter replay frames.rejected/0@17

        jiexun deadletter replay --topic frames --reason "camera 'rear' is not described"
    """
    with explained() as settings, _bus(settings.cluster(kafka)) as bus:
        if bool(ids) == bool(topic):
            raise ValueError("name records by id, or a --topic")
        letters = map(partial(deadletters.one, bus), ids) if ids else deadletters.read(bus, topic)
        sent = deadletters.replay(bus, (letter for letter in letters if reason in letter.reason))
        console.print(f"{len(sent)} sent again")
        if json:
            print(one_line({"replayed": sent}))


def _told(letter: DeadLetter) -> dict[str, object]:
    return {
        "id": letter.id,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "at": None if letter.at is None else rfc3339(letter.at),
        "key": (letter.record.key or b"").decode(errors="replace"),
        "bytes": len(letter.record.value),
        "tries": letter.tries,
        "reason": letter.reason,
    }
