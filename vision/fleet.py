"""Fleet: the cameras whose frames one worker reads: each one's order, open passes, and what of them is over."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from vision.camera import Camera
from vision.order import Looked, Order
from vision.progress import Progress, still_needed
from vision.reel import Output, Reel, Span

ABANDONED_S = 300.0  # a camera that sent nothing for so long: its pass is over
FORGOTTEN_S = 7200.0  # and after this its repeats are no longer known as such
FRESH = 0.3  # what a new frame weighs in the estimate of a camera's pace
SLOWEST = 10.0  # frames that come so much slower than they were taken say nothing of the next


class Key(NamedTuple):
    """A camera, in the partition of topic frames that its frames come in."""

    partition: int
    vehicle: str
    camera: str


@dataclass(slots=True)
class _Camera:
    reel: Reel
    order: Order
    spans: list[Span] = field(default_factory=list)
    at_s: float = 0.0  # when its newest frame came, by the clock of its partition
    last: datetime | None = None  # capture time of that frame
    pace: float = 1.0  # seconds between frames as they come, for each second as they were taken
    asked: bool = False  # `unseen` was asked since its newest frame

    def paced(self, looked: Looked) -> None:
        """Note when a frame came, and how fast frames come beside how fast they were taken (1: as they are)."""
        time = looked.frame.time
        if self.last is not None and time > self.last:
            ratio = min((looked.at_s - self.at_s) / (time - self.last).total_seconds(), SLOWEST)
            self.pace += FRESH * (ratio - self.pace)
        self.at_s, self.asked = looked.at_s, False
        self.last = time if self.last is None else max(self.last, time)


class Fleet:
    """Cameras by key. `now_s` is the clock of the camera's partition: it stands still while nobody listens."""

    def __init__(self, reel: Callable[[Camera], Reel], *, hold: timedelta = timedelta(0)) -> None:
        self._reel = reel
        self._hold = hold
        self._cameras: dict[Key, _Camera] = {}
        self._known: dict[Key, tuple[Span, ...]] = {}
        self._changed: set[Key] = set()

    def learn(self, progress: Progress) -> None:
        """What another worker, or this one before, has finished."""
        self._known[Key(progress.partition, progress.vehicle, progress.camera)] = progress.over

    def repeats(self, key: Key, time: datetime) -> bool:
        """True for a frame that need not be looked at again."""
        camera = self._cameras.get(key)
        if camera is None:
            return any(time in span for span in self._known.get(key, ()))
        return camera.order.repeats(time)

    def put(self, key: Key, looked: Looked, now_s: float) -> list[Output]:
        """Take a frame that was looked at. Returns what leaves because of it; nothing for a repeat."""
        camera = self._known_camera(key, looked.camera)
        if not camera.order.put(looked):
            return []
        camera.paced(looked)
        return self._released(key, camera, now_s)

    def skip(self, key: Key, mounted: Camera, time: datetime, now_s: float) -> list[Output]:
        """A frame cannot be used. Returns what leaves because nobody waits for it any more."""
        camera = self._known_camera(key, mounted)
        camera.order.skip(time)
        return self._released(key, camera, now_s)

    def tick(self, now_s: Callable[[int], float], busy: Container[Key]) -> list[Output]:
        """What leaves because its camera sent nothing for long; `now_s` gives the clock of a partition.

        Cameras that are `busy` did send something, which is not here yet.
        """
        out: list[Output] = []
        for key, camera in list(self._cameras.items()):
            if key in busy:
                continue
            now = now_s(key.partition)
            out += self._released(key, camera, now)
            quiet = now - camera.at_s
            if not camera.asked and quiet > camera.reel.patience_s * max(1.0, camera.pace):
                out += camera.reel.unseen()
                camera.asked = True
            if quiet > ABANDONED_S and not camera.reel.idle:
                out += self._finished(key, camera)
            if quiet > FORGOTTEN_S and camera.reel.idle:
                del self._cameras[key]
        return out

    def finish(self) -> list[Output]:
        """End everything: no more frames will come."""
        out: list[Output] = []
        for key in sorted(self._cameras):
            camera = self._cameras[key]
            out += self._released(key, camera, camera.at_s, everything=True)
            out += self._finished(key, camera)
        return out

    def drop(self, partition: int) -> None:
        """Somebody else reads it now, and builds its passes again."""
        for key in [key for key in self._cameras if key.partition == partition]:
            del self._cameras[key]
        for known in [key for key in self._known if key.partition == partition]:
            del self._known[known]
        self._changed = {key for key in self._changed if key.partition != partition}

    def needed_from(self) -> dict[int, int]:
        """By partition, the offset of the oldest frame that a restart must read again."""
        oldest: dict[int, int] = {}
        for key, camera in self._cameras.items():
            for offset in (camera.reel.needed_from, camera.order.needed_from):
                if offset is not None:
                    oldest[key.partition] = min(offset, oldest.get(key.partition, offset))
        return oldest

    def progress(self, committed: Callable[[int], int]) -> Iterator[Progress]:
        """Of each camera that finished a pass since the last call. Send it once what it finished is durable."""
        changed, self._changed = sorted(self._changed), set()
        for key in changed:
            camera = self._cameras.get(key)
            if camera is None:
                continue
            camera.spans = list(still_needed(camera.spans, committed(key.partition)))
            yield Progress(vehicle=key.vehicle, camera=key.camera, partition=key.partition, over=tuple(camera.spans))

    @property
    def open(self) -> int:
        """How many cameras have an open pass."""
        return sum(not camera.reel.idle for camera in self._cameras.values())

    def _known_camera(self, key: Key, mounted: Camera) -> _Camera:
        if key not in self._cameras:
            known = list(self._known.get(key, ()))
            order = Order(hold=self._hold, over=known)
            self._cameras[key] = _Camera(self._reel(mounted), order, list(known))
        camera = self._cameras[key]
        if camera.reel.context.camera != mounted:
            camera.reel.context = replace(camera.reel.context, camera=mounted)
        return camera

    def _released(self, key: Key, camera: _Camera, now_s: float, *, everything: bool = False) -> list[Output]:
        out: list[Output] = []
        for looked in camera.order.take(now_s, everything=everything):
            out += camera.reel.see(looked.frame, looked.things, looked.offset)
        self._noted(key, camera)
        return out

    def _finished(self, key: Key, camera: _Camera) -> list[Output]:
        out = camera.reel.finish()
        self._noted(key, camera)
        return out

    def _noted(self, key: Key, camera: _Camera) -> None:
        over = camera.reel.take_over()
        if over:
            camera.spans += over
            self._changed.add(key)
