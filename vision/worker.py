"""Worker: frames in, sightings and passes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ingest.frame import Frame
from ingest.rejected import Rejected
from models.taxonomy import Taxonomy
from vision.camera import Camera
from vision.reel import Output, Reel
from vision.sighting import Evidence
from vision.stretch import Context, Found

Detect = Callable[[Sequence[Frame]], list["list[Found] | ValueError"]]
"""Frames to what each shows, calibrated; a ValueError in the place of a frame that does not decode."""


class Worker:
    """All cameras of any number of vehicles. Frames of one camera should come in order of time."""

    def __init__(
        self,
        detect: Detect,
        cameras: Mapping[str, Camera],
        taxonomy: Taxonomy,
        picture: Callable[[Frame, tuple[float, float, float, float]], Evidence],
        *,
        model: str,
        recall: Mapping[str, float],
    ) -> None:
        self._detect = detect
        self._contexts = {
            name: Context(camera=camera, taxonomy=taxonomy, model=model, recall=recall, picture=picture)
            for name, camera in cameras.items()
        }
        self._reels: dict[tuple[str, str], Reel] = {}
        self.frames = 0
        self.too_far = 0

    def work(self, frames: Sequence[Frame]) -> list[Output | Rejected]:
        """One batch of a drive, in order of time over all vehicles. A frame that cannot be used is a value."""
        out: list[Output | Rejected] = []
        for frame, things in zip(frames, self.look(frames), strict=True):
            if isinstance(things, ValueError):
                out.append(Rejected(str(things), file=frame.file))
            else:
                out += self._see(frame, things)
        return out

    def flush(self) -> list[Output]:
        """End every open pass."""
        out: list[Output] = []
        for key in sorted(self._reels):
            out += self._finished(self._reels[key].finish(), key)
        return out

    def look(self, frames: Sequence[Frame]) -> list[list[Found] | ValueError]:
        """What each frame shows, or why it cannot be used. Touches nothing of the worker: any thread may call it."""
        found = iter(self._detect([frame for frame in frames if frame.camera in self._contexts]))
        names = ", ".join(sorted(self._contexts))
        return [
            next(found)
            if frame.camera in self._contexts
            else ValueError(f"camera {frame.camera!r} is not described: cameras.toml or the defaults know {names}")
            for frame in frames
        ]

    def reel(self, camera: str) -> Reel:
        """A reel for a camera of that name, which `look` knew."""
        return Reel(self._contexts[camera])

    def _see(self, frame: Frame, things: list[Found]) -> list[Output]:
        self.frames += 1
        key = (frame.vehicle, frame.camera)
        out: list[Output] = []
        for other in sorted(k for k in self._reels if k != key):
            out += self._finished(self._reels[other].finish(frame.time), other)
        reel = self._reels.setdefault(key, self.reel(frame.camera))
        return out + reel.see(frame, things)

    def _finished(self, out: list[Output], key: tuple[str, str]) -> list[Output]:
        """`out`, and no more thought of a camera without an open pass."""
        if self._reels[key].idle:
            self.too_far += self._reels.pop(key).too_far
        return out
