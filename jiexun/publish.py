"""Publish: frames of a drive or a video go onto topic `frames`, paced as they were taken or as fast as they can."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from ingest.binding import Before, frame_record
from ingest.frame import Frame
from ingest.mounting import mounting_headers
from ingest.record import Bus, Retry, TooLarge
from ingest.rejected import Rejected
from ingest.source import Source
from ingest.watch import Unwatched, Watch
from vision.camera import Camera


@dataclass(slots=True)
class Published:
    """What became of everything that was to be sent. Frames are counted when they are durable."""

    frames: int = 0
    bytes: int = 0
    vehicles: set[str] = field(default_factory=set)
    rejected: list[Rejected] = field(default_factory=list)
    repeats: int = 0
    left_out: int = 0  # by sampling
    unlisted: int = 0
    seconds: float = 0.0

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "frames": self.frames,
            "bytes": self.bytes,
            "vehicles": len(self.vehicles),
            "rejected": [item.document() for item in self.rejected],
            "repeats": self.repeats,
            "left_out": self.left_out,
            "unlisted": self.unlisted,
            "seconds": round(self.seconds, 3),
        }


class Publisher:
    """Sends frames. Waits out a broker that is away, however long: nothing is skipped."""

    def __init__(
        self,
        bus: Bus,
        *,
        speed: float = 0.0,
        mounted: Callable[[str, str], Camera | None] = lambda vehicle, camera: None,
        on_frame: Callable[[Frame | Rejected], None] = lambda _: None,
        on_wait: Callable[[Retry], None] = lambda _: None,
        watch: Watch | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`speed` is how many times faster than it was driven; 0: as fast as it goes.

        `mounted` gives a camera by vehicle and name; the frames then say how it is mounted.
        """
        self._bus = bus
        self._speed = speed
        self._mounted = mounted
        self._on_frame = on_frame
        self._on_wait = on_wait
        self._watch = watch or Unwatched()
        self._clock = clock
        self._sleep = sleep
        self._before: dict[tuple[str, str], datetime] = {}

    def publish(self, frames: Iterable[Frame | Rejected], source: Source) -> Published:
        """Send everything and wait until it is durable."""
        done = Published(
            rejected=list(source.rejected),
            repeats=source.repeats,
            left_out=source.left_out,
            unlisted=source.unlisted,
        )
        began = self._clock()
        first: datetime | None = None
        for item in frames:
            if isinstance(item, Frame):
                first = first or item.time
                self._wait_for(began, item.time - first)
                self._send(item, done)
            else:
                done.rejected.append(item)
            self._on_frame(item)
        self._insist(self._bus.flush)
        done.seconds = self._clock() - began
        return done

    def _send(self, frame: Frame, done: Published) -> None:
        camera = (frame.vehicle, frame.camera)
        before = self._before.get(camera)
        record = frame_record(frame, Before(time=before, none=before is None))
        mounted = self._mounted(frame.vehicle, frame.camera)
        mounting = mounting_headers({} if mounted is None else asdict(mounted))
        record = self._watch.sending(replace(record, headers=record.headers + mounting), None)
        try:
            self._insist(lambda: self._bus.send(record))
        except TooLarge as refusal:
            done.rejected.append(Rejected(str(refusal), file=frame.file))
            return
        self._before[camera] = frame.time
        done.frames += 1
        done.bytes += len(frame.jpeg)
        done.vehicles.add(frame.vehicle)

    def _wait_for(self, began: float, driven: timedelta) -> None:
        if self._speed > 0:
            early_s = began + driven.total_seconds() / self._speed - self._clock()
            if early_s > 0:
                self._sleep(early_s)

    def _insist(self, call: Callable[[], None]) -> None:
        while True:
            try:
                return call()
            except Retry as refusal:
                self._on_wait(refusal)
                self._sleep(refusal.retry_after_s)


def until_now(source: Source, *, speed: float, now: datetime) -> timedelta:
    """What to add to a drive's times so that it is driven now: no frame is sent before it was taken.

    At `speed` 1 each is sent the moment it is taken; faster, the last one is.
    """
    if not source.rows:
        return timedelta(0)
    begin, end = source.rows[0].time, source.rows[-1].time
    lasts = end - begin
    takes = lasts / speed if speed > 0 else timedelta(0)
    start = now + min(takes - lasts, timedelta(0))
    shift = start - begin
    return shift - timedelta(microseconds=shift.microseconds % 1000)  # frames are known by the millisecond
