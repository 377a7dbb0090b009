"""Command `worker`: frames become sightings and passes, until it is stopped."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from ingest.reader import Reader
from ingest.topics import FRAMES
from ingest.watch import Watch
from jiexun.options import EvidenceUrl, Kafka, ModelName, explained
from jiexun.report import console, warn
from jiexun.run import open_evidence
from jiexun.streams import MetricsPort, UntilIdle, member, stopping
from jiexun.watching import watching
from jiexun.workshop import open_worker

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
        settings = settings if model is None else replace(settings, model=model)
        cluster = settings.cluster(kafka)
        pictures = open_evidence(evidence or settings.evidence or str(settings.data / "evidence"), settings)
        with watching(settings, "worker", port=metrics_port) as process:
            bus = member(cluster, (FRAMES.name,), "worker")
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
