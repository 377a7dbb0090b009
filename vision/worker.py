"""Worker: frames in, sightings and passes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from ingest.frame import Frame
from ingest.quality import Fault
from ingest.rejected import Rejected
from models.taxonomy import Taxonomy
from vision.camera import Camera, camera_of
from vision.reel import Output, Reel
from vision.sighting import Pictured
from vision.stretch import Context, Found, Judged

Shown = list[Found] | ValueError | Fault
"""What a frame shows, calibrated; or why it does not decode; or what is wrong with it, so that it shows nothing."""
Detect = Callable[[Sequence[Frame]], list[Shown]]


@dataclass(frozen=True, slots=True)
class Dropped:
    """A frame that shows nothing: it is no look at the street, so that no case closes by it."""

    frame: Frame
    fault: Fault


class Worker:
    """All cameras of any number of vehicles. Frames of one camera should come in order of time."""

    def __init__(
        self,
        detect: Detect,
        cameras: Mapping[str, Camera],
        taxonomy: Taxonomy,
        picture: Callable[[Frame, tuple[float, float, float, float]], Pictured],
        *,
        model: str,
        recall: Mapping[str, float],
        judged: Judged | None = None,
    ) -> None:
        self._detect = detect
        self._cameras = cameras
        self._context = partial(Context, taxonomy=taxonomy, model=model, recall=recall, picture=picture)
        if judged is not None:
            self._context = partial(self._context, judged=judged)
        self._reels: dict[tuple[str, str], Reel] = {}
        self.frames = 0
        self.too_far = 0

    def work(self, frames: Sequence[Frame]) -> list[Output | Rejected | Dropped]:
        """One batch of a drive, in order of time over all vehicles. A frame that cannot be used is a value."""
        mounted = [self._mounted(frame) for frame in frames]
        known = [frame for frame, camera in zip(frames, mounted, strict=True) if isinstance(camera, Camera)]
        found = dict(zip((frame.id for frame in known), self.look(known), strict=True))
        out: list[Output | Rejected | Dropped] = []
        for frame, camera in zip(frames, mounted, strict=True):
            if isinstance(camera, ValueError):
                out.append(Rejected(str(camera), file=frame.file))
                continue
            things = found[frame.id]
            if isinstance(things, ValueError):
                out.append(Rejected(str(things), file=frame.file))
            elif isinstance(things, Fault):
                out.append(Dropped(frame, things))
            else:
                out += self._see(frame, things, camera)
        return out

    def _mounted(self, frame: Frame) -> Camera | ValueError:
        try:
            return camera_of(frame.vehicle, frame.camera, {}, self._cameras)
        except ValueError as error:
            return error

    def flush(self) -> list[Output]:
        """End every open pass."""
        out: list[Output] = []
        for key in sorted(self._reels):
            out += self._finished(self._reels[key].finish(), key)
        return out

    def look(self, frames: Sequence[Frame]) -> list[Shown]:
        """What each frame shows, or why it cannot be used. Changes nothing here: another thread may call it."""
        return self._detect(frames)

    def reel(self, camera: Camera) -> Reel:
        """A reel for a camera."""
        return Reel(self._context(camera=camera))

    def _see(self, frame: Frame, things: list[Found], camera: Camera) -> list[Output]:
        self.frames += 1
        key = (frame.vehicle, frame.camera)
        out: list[Output] = []
        for other in sorted(k for k in self._reels if k != key):
            out += self._finished(self._reels[other].finish(frame.time), other)
        reel = self._reels.setdefault(key, self.reel(camera))
        return out + reel.see(frame, things)

    def _finished(self, out: list[Output], key: tuple[str, str]) -> list[Output]:
        """`out`, and no more thought of a camera without an open pass."""
        if self._reels[key].idle:
            self.too_far += self._reels.pop(key).too_far
        return out
