"""Command `jiexun calibrate`: how the cameras of a drive are turned, from its own pictures."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from dispatcher.document import one_line
from ingest.drive import Drive
from ingest.frame import parse_rfc3339
from ingest.source import Row, Source
from ingest.video import Video
from jiexun.options import Json, explained
from jiexun.report import console
from jiexun.run import open_cameras, open_source
from jiexun.settings import Settings
from vision.camera import Camera, camera_of
from vision.cameras_file import write_fields
from vision.mounting_angles import Angle
from vision.self_calibration import Calibration, calibrated, chosen, rows_of

FAR_OFF_DEG = 20.0  # a camera so far from how it is declared is likely another one, or declared by mistake


def calibrate(
    source: Annotated[Path, typer.Argument(help="A drive folder, or a video file.")],
    vehicle: Annotated[str | None, typer.Option(help="Only cameras of this vehicle.")] = None,
    camera: Annotated[str | None, typer.Option(help="Only this camera; of a video, which one took it.")] = None,
    track: Annotated[Path | None, typer.Option(help="GPX or NMEA track of a video.")] = None,
    start: Annotated[str | None, typer.Option(help="When a video began, e.g. 2026-11-20T08:15:00Z.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Put what was found into the drive's cameras.toml.")] = False,
    json: Json = False,
) -> None:
    """Find pitch and yaw of a drive's cameras from its own pictures, where they were taken close together.

    While a vehicle drives straight, everything in the picture streams out of the point that it drives to: that point
    is where the camera must be told to look from. Says why, and changes nothing, where the pictures do not tell.

    Examples:

        jiexun calibrate my-drive

        jiexun calibrate my-drive --vehicle bus-0417 --camera front --write

        jiexun calibrate bus.mp4 --track bus.gpx --camera front --json
    """
    with explained() as settings:
        began = None if start is None else parse_rfc3339(start)
        opened = _opened(source, track, began, camera, settings)
        found = _found(opened, open_cameras(source), vehicle, camera)
        _print(found)
        written = _written(source, found, opened.rows) if write else None
        if json:
            print(one_line(_document(source, found, written)), flush=True)
        if write and written is None:
            raise ValueError("nothing was written: no camera could be calibrated")


def _opened(source: Path, track: Path | None, began: datetime | None, camera: str | None, settings: Settings) -> Source:
    """All frames: what is too near for finding things tells best how the camera moved."""
    every = dataclasses.replace(settings, every_m=0.0)
    return open_source(source, track, began, camera or "front", every)[0]


def _found(source: Source, cameras: Mapping[str, Camera], vehicle: str | None, camera: str | None) -> list[Calibration]:
    """Each camera of each vehicle, those that are asked for."""
    found = []
    asked = (row for row in source.rows if vehicle in (None, row.vehicle) and camera in (None, row.camera))
    for _, group in itertools.groupby(sorted(asked, key=_whose), key=_whose):
        rows = list(group)
        pairs, idle = chosen(rows)
        needed = rows_of(pairs)
        with console.status(f"looking at {len(needed)} pictures of {rows[0].vehicle}, {rows[0].camera}"):
            frames = _only(source, needed).frames()
            found.append(calibrated(rows, pairs, idle, frames, camera_of(*_whose(rows[0]), {}, cameras)))
    if not found:
        known = sorted({" ".join(_whose(row)) for row in source.rows})
        raise ValueError(f"no picture is of that camera; the drive has {', '.join(known) or 'none that can be used'}")
    return found


def _whose(row: Row) -> tuple[str, str]:
    return row.vehicle, row.camera


def _only(source: Source, rows: tuple[Row, ...]) -> Source:
    assert isinstance(source, Drive | Video)
    return dataclasses.replace(source, rows=rows)


def _written(source: Path, found: Sequence[Calibration], rows: Sequence[Row]) -> str | None:
    """Put the angles into cameras.toml; its path, or None without any. Raises ValueError where it is unclear."""
    path = (source if source.is_dir() else source.parent) / "cameras.toml"
    good = [one for one in found if one.found]
    for one in good:
        others = sorted({row.vehicle for row in rows if row.camera == one.camera})
        if len(others) > 1:
            raise ValueError(
                f"nothing was written: cameras.toml says {one.camera} of {' and '.join(others)} alike; "
                "give each vehicle's drive a folder of its own"
            )
    for one in good:
        write_fields(path, one.camera, one.found, one.declared)
        console.print(f"{one.camera}: written to {path}")
    return str(path) if good else None


def _document(source: Path, found: Sequence[Calibration], written: str | None) -> dict[str, Any]:
    return {"source": str(source), "cameras": [_entry(one) for one in found], "written": written}


def _entry(one: Calibration) -> dict[str, Any]:
    angles = {name: getattr(one, name) for name in ("pitch", "yaw", "roll")}
    return {
        "vehicle": one.vehicle,
        "camera": one.camera,
        **{f"{name}_deg": None if angle is None else round(angle.deg, 3) for name, angle in angles.items()},
        **{f"{name}_sigma_deg": None if angle is None else round(angle.sigma_deg, 3) for name, angle in angles.items()},
        "refused": one.refused,
        "notes": list(_notes(one)),
        "declared": {name: getattr(one.declared, name) for name in ("pitch_deg", "yaw_deg", "roll_deg", "hfov_deg")},
        "pictures": one.pictures,
        "pairs": one.pairs,
        "pairs_told": one.told,
        "pairs_used": one.used,
        "stretches": one.stretches,
        "left_out": one.left_out,
    }


def _notes(one: Calibration) -> Iterator[str]:
    """What a person should know of the result."""
    if one.refused is not None or one.yaw is None:
        return
    if one.pitch is None:
        yield "the camera looks across the road too much: its motion does not tell the pitch, measure it by the horizon"
    turned = abs((one.yaw.deg - one.declared.yaw_deg + 180) % 360 - 180)
    tipped = 0.0 if one.pitch is None else abs(one.pitch.deg - one.declared.pitch_deg)
    if max(turned, tipped) > FAR_OFF_DEG:
        yield f"the camera is {max(turned, tipped):.0f}° from how it is declared: is it the one that is meant?"


def _print(found: Sequence[Calibration]) -> None:
    table = Table(title="摄像头标定 camera calibration", title_justify="left", header_style="bold")
    for heading in ("车辆\nvehicle", "摄像头\ncamera"):
        table.add_column(heading, overflow="fold")
    for heading in (
        "俯仰 °\npitch",
        "偏航 °\nyaw",
        "横滚 °\nroll",
        "图像对\npairs used/told/looked at",
        "路段\nstretches",
    ):
        table.add_column(heading, justify="right")
    for one in found:
        angles = [
            _told(angle, was)
            for angle, was in (
                (one.pitch, one.declared.pitch_deg),
                (one.yaw, one.declared.yaw_deg),
                (one.roll, one.declared.roll_deg),
            )
        ]
        table.add_row(one.vehicle, one.camera, *angles, f"{one.used}/{one.told}/{one.pairs}", str(one.stretches))
    console.print(table)
    for one in found:
        if one.refused is not None:
            console.print(f"[yellow]{one.vehicle}, {one.camera}: not calibrated:[/] {one.refused}", soft_wrap=True)
        for note in _notes(one):
            console.print(f"[yellow]{one.vehicle}, {one.camera}:[/] {note}", soft_wrap=True)


def _told(angle: Angle | None, was: float) -> str:
    return "—" if angle is None else f"{angle.deg:.2f} ± {angle.sigma_deg:.2f} (was {was:g})"
