"""What the commands have in common: their options, and how a failure that a person can mend is told."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ingest.record import NoTopic, Refused, Retry
from jiexun.report import console
from jiexun.settings import Settings, read_settings
from models.card import ModelUnusable
from vision.engine import EngineUnavailable
from vision.families import FAMILIES

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on one line, and nothing else, to stdout.")]
AreasFile = Annotated[Path | None, typer.Option("--areas", help="GeoJSON with the areas and their codes.")]
StoreUrl = Annotated[str | None, typer.Option("--store", help="sqlite:///PATH.db to go on from; default: a new one.")]
EvidenceUrl = Annotated[
    str | None, typer.Option("--evidence", help="Where pictures go: a folder, file:///folder or s3://bucket/prefix.")
]
ModelName = Annotated[
    str | None, typer.Option("--model", help="A shipped model, see `jiexun doctor`, or a YOLO detector: PATH.onnx.")
]
FamilyName = Annotated[
    str | None,
    typer.Option("--family", help=f"Of PATH.onnx, where it is not seen from the file: {', '.join(FAMILIES)}."),
]
NamesFile = Annotated[
    Path | None, typer.Option("--names", help="Class names of PATH.onnx, one a line, where the file has none.")
]
SaveResult = Annotated[bool, typer.Option("--save", help="Keep figures and plot in benchmarks/results.")]
EngineName = Annotated[
    str | None, typer.Option("--engine", help="What runs the model: auto, or a name that `jiexun doctor` lists.")
]
EveryM = Annotated[float | None, typer.Option("--every-m", min=0.0, help="Metres between two frames; 0 keeps all.")]
Kafka = Annotated[str | None, typer.Option("--kafka", help="Brokers, host:port,…; default: JIEXUN_KAFKA.")]
MetricsPort = Annotated[
    int | None,
    typer.Option("--metrics-port", min=0, max=65535, help="Port of /metrics, /healthz and /readyz; 0: none."),
]
KNOWN = (OSError, ValueError, ModelUnusable, EngineUnavailable, Retry, Refused, NoTopic)


@contextmanager
def explained() -> Iterator[Settings]:
    """Settings for a command; what a person can mend ends it with a sentence and status 1, not with a traceback."""
    try:
        yield read_settings(os.environ)
    except KNOWN as error:
        console.print(f"[red]error:[/] {_sentence(error)}", soft_wrap=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _sentence(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.strerror}: {error.filename}"
    text = error.args[0] if isinstance(error, LookupError) else str(error)  # a LookupError would quote it
    return str(text).replace("[", "\\[")
