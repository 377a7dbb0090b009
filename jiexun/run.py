"""Runs of the embedded mode: what `demo` and `replay` have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dispatcher.area import Areas, read_areas
from dispatcher.case import Case, CaseEvent
from dispatcher.document import document
from ingest.drive import open_drive
from ingest.frame import Frame
from ingest.rejected import Rejected
from ingest.smooth import read_smooth
from ingest.source import Source
from ingest.video import open_video
from jiexun.report import console, print_camera_health, print_cases, print_summary, warn
from jiexun.settings import Settings
from models.taxonomy import Taxonomy
from vision.camera import Cameras, read_cameras
from vision.pictures import EvidenceArchive, FolderEvidence, folder_of

if TYPE_CHECKING:
    from jiexun.pipeline import Embedded  # the whole of vision and dispatcher, which no command of the streams needs


def open_source(
    source: Path, track: Path | None, start: datetime | None, camera: str, settings: Settings
) -> tuple[Source, list[Rejected]]:
    """A drive folder, or a video with the track that places it, and the points of that track that were refused.

    Raises OSError or ValueError that helps.
    """
    if source.is_dir():
        if track is not None:
            raise ValueError(f"{source} is a folder: put the track into it; --track goes with a video")
        return open_drive(source, now=datetime.now(UTC), zone=settings.timezone, every_m=settings.every_m), []
    if not source.exists():
        raise FileNotFoundError(f"there is no {source}")
    if track is None:
        raise ValueError(f"{source.name} is a file: a video needs --track TRACK.gpx (or .nmea) to be placed")
    way, refused = read_smooth(track)
    return open_video(source, way, start=start, camera=camera, every_m=settings.every_m), refused


def open_cameras(source: Path) -> Cameras:
    """The cameras of a drive: cameras.toml in it, or the defaults."""
    path = (source if source.is_dir() else source.parent) / "cameras.toml"
    return read_cameras(path) if path.is_file() else Cameras()


def open_areas(named: Path | None, source: Path | None = None) -> tuple[Areas, list[str]]:
    """The areas file that was named, else the drive's own; without one everything is unowned."""
    own = source / "areas.geojson" if source is not None and source.is_dir() else None
    if named is None and own is not None and own.is_file():
        named = own
    if named is None:
        return Areas.none(), ["no areas: every case is unowned (name a file with --areas)"]
    return read_areas(named)


def open_evidence(url: str, settings: Settings) -> EvidenceArchive:
    """The evidence store that `url` names. Raises ValueError for a wrong url, EvidenceUnavailable without answer."""
    folder = folder_of(url)
    if folder is not None:
        return FolderEvidence(folder)
    from vision.s3 import S3Evidence, S3Login  # boto3 takes half a second to load

    login = S3Login(
        endpoint=settings.s3_endpoint,
        region=settings.s3_region,
        key=settings.s3_key,
        secret=settings.s3_secret,
        ca=settings.s3_ca,
    )
    return S3Evidence.open(url, login)


def store_url(text: str | None, folder: Path) -> str:
    return text or f"sqlite:///{folder / 'jiexun.db'}"


def stored_in(url: str, settings: Settings) -> Path:
    """The folder beside a store. Raises FileNotFoundError for an SQLite file that is not there."""
    if not url.startswith("sqlite:"):
        return settings.data
    path = Path(url.removeprefix("sqlite:///"))
    if not path.is_file():
        raise FileNotFoundError(f"there is no store {url}: `jiexun replay` and `jiexun dispatch` write one")
    return path.parent


def run_all(embedded: Embedded, frames: Iterable[Frame | Rejected], total: int) -> list[CaseEvent]:
    """Work through frames behind a progress bar on standard error. Returns the events."""
    events: list[CaseEvent] = []
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    ) as progress:
        bar = progress.add_task("frames", total=total)
        embedded.run(frames, on_frame=lambda _: progress.advance(bar), on_event=events.append)
    return events


def begin(embedded: Embedded, source: Source, refused: Iterable[Rejected] = ()) -> None:
    """Count what the source refused and left out before its first frame."""
    for rejected in (*refused, *source.rejected):
        embedded.reject(rejected)
    embedded.summary.repeats += source.repeats
    embedded.summary.left_out += source.left_out
    embedded.summary.unlisted += source.unlisted


def result_document(embedded: Embedded, warnings: Sequence[str]) -> dict[str, object]:
    """The JSON document of a run."""
    return document(
        embedded.engine,
        embedded.summary.rejected,
        summary=embedded.summary.document(),
        camera_health=[health.document() for health in embedded.camera_health()],
        warnings=list(warnings),
    )


def print_result(embedded: Embedded, areas: Areas, evidence: str | None) -> None:
    """The tables of a run, on standard error."""
    cases: list[Case] = list(embedded.engine.cases())
    print_cases(cases, areas, Taxonomy.read(), evidence)
    print_summary(embedded.summary, cases, len(embedded.engine.objects()), embedded.engine.repeats)
    print_camera_health(embedded.camera_health())


def print_warnings(warnings: Iterable[str]) -> None:
    for text in warnings:
        warn(text)
