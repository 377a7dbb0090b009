"""Video: one camera's film and the vehicle's track become frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path

import cv2

from ingest.frame import Fix, Frame
from ingest.jpeg import MAX_PIXELS, MAX_SIDE_PX
from ingest.rejected import Rejected
from ingest.sampling import keep_mask
from ingest.source import Row
from ingest.table import DEFAULT_CAMERA, DEFAULT_VEHICLE
from ingest.track import Places

JPEG_QUALITY = 95


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """A film along a track: which of its frames are kept, and why others are not. A Source."""

    path: Path
    start: datetime  # of the film's first moment
    rows: tuple[Row, ...]  # kept, in order of time
    rejected: tuple[Rejected, ...]  # one for each stretch that the track does not place, named by its first frame
    left_out: int
    repeats: int = 0
    unlisted: int = 0

    def __len__(self) -> int:
        return len(self.rows)

    def frames(self) -> Iterator[Frame | Rejected]:
        """Decode and give each row's frame as a JPEG; Rejected for those that cannot be decoded."""
        waiting = list(reversed(self.rows))
        capture = cv2.VideoCapture(str(self.path), cv2.CAP_FFMPEG)
        try:
            half = _half_frame(capture)
            while waiting and capture.grab():
                shown = timedelta(milliseconds=capture.get(cv2.CAP_PROP_POS_MSEC))
                while waiting and self.start + shown - waiting[-1].time > half:
                    yield _undecodable(waiting.pop())
                if waiting and self.start + shown >= waiting[-1].time - half:
                    yield _decoded(capture, waiting.pop())
        finally:
            capture.release()
        yield from map(_undecodable, reversed(waiting))


def open_video(
    path: Path,
    track: Places,
    *,
    start: datetime | None = None,
    vehicle: str = DEFAULT_VEHICLE,
    camera: str = DEFAULT_CAMERA,
    every_m: float = 4.0,
) -> Video:
    """Choose the frames of a film by metres along `track`, without decoding any yet.

    `start` is when the film began; unknown, it is the track's first fix. Raises FileNotFoundError without the file,
    ValueError when it is no video that can be read.
    """
    start = track.start if start is None else start
    start = start.replace(microsecond=start.microsecond // 1000 * 1000)
    times_ms, size_wh = _times(path)
    placed, unplaced = _placed(times_ms, track, start)
    mask = keep_mask([fix for _, fix in placed], every_m)
    rows = [
        Row(vehicle=vehicle, camera=camera, fix=fix, size_wh=size_wh, file=_moment(path, ms))
        for (ms, fix), keep in zip(placed, mask, strict=True)
        if keep
    ]
    return Video(
        path=path,
        start=start,
        rows=tuple(rows),
        rejected=tuple(_stretches(path, times_ms, unplaced)),
        left_out=len(placed) - len(rows),
    )


def _placed(times_ms: list[int], track: Places, start: datetime) -> tuple[list[tuple[int, Fix]], list[tuple[int, str]]]:
    """Frames with their fix, and those without, with the reason."""
    placed: list[tuple[int, Fix]] = []
    unplaced: list[tuple[int, str]] = []
    for ms in times_ms:
        try:
            placed.append((ms, track.at(start + timedelta(milliseconds=ms))))
        except ValueError as error:
            unplaced.append((ms, str(error)))
    return placed, unplaced


def _times(path: Path) -> tuple[list[int], tuple[int, int]]:
    """When each frame is shown, in milliseconds, ascending; and the size. Reads packets, decodes nothing."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no video {path}")
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, -1])
    try:
        if not capture.isOpened():
            raise ValueError(f"{path.name} cannot be read as a video: it is corrupt or of an unknown format")
        width, height = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        if not (0 < width <= MAX_SIDE_PX and 0 < height <= MAX_SIDE_PX and width * height <= MAX_PIXELS):
            raise ValueError(f"{path.name} is {width}×{height} pixels, which is not read here")
        times: set[int] = set()
        while capture.grab():
            times.add(round(capture.get(cv2.CAP_PROP_POS_MSEC)))
    finally:
        capture.release()
    if not times:
        raise ValueError(f"{path.name} holds no frames: it is corrupt or was cut short")
    return sorted(times), (width, height)


def _half_frame(capture: cv2.VideoCapture) -> timedelta:
    """How far two tellings of one frame's time may differ."""
    fps = capture.get(cv2.CAP_PROP_FPS)
    return timedelta(seconds=0.5 / fps if 1 <= fps <= 240 else 0.02)


def _decoded(capture: cv2.VideoCapture, row: Row) -> Frame | Rejected:
    good, image = capture.retrieve()
    if not good or image is None:
        return _undecodable(row)
    written, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not written:
        return Rejected("the frame cannot be written as JPEG", file=row.file)
    height, width = image.shape[:2]
    return row.frame(jpeg.tobytes(), (width, height))


def _undecodable(row: Row) -> Rejected:
    return Rejected("the frame cannot be decoded: the video is damaged here", file=row.file)


def _moment(path: Path, ms: int) -> str:
    return f"{path.name}#t={ms / 1000:.3f}"


def _stretches(path: Path, times_ms: list[int], unplaced: list[tuple[int, str]]) -> Iterator[Rejected]:
    """One refusal for frames in a row: a film has thousands."""
    index = {ms: i for i, ms in enumerate(times_ms)}
    for _, numbered in groupby(enumerate(unplaced), key=lambda pair: index[pair[1][0]] - pair[0]):
        stretch = [item for _, item in numbered]
        (first, reason), count = stretch[0], len(stretch)
        frames = "1 frame" if count == 1 else f"{count} frames up to {stretch[-1][0] / 1000:.3f} s"
        yield Rejected(f"{frames}: {reason}", file=_moment(path, first))
