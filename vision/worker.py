"""Worker: frames in, sightings and passes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from ingest.frame import Frame
from ingest.rejected import Rejected
from models.taxonomy import Taxonomy
from vision.camera import Camera
from vision.sighting import Evidence, Pass, Sighting
from vision.stretch import Context, Found, Stretch, stale

Detect = Callable[[Sequence[Frame]], list["list[Found] | ValueError"]]
"""Frames to what each shows, calibrated; a ValueError in the place of a frame that does not decode."""

Output = tuple[datetime, Sighting | Pass]
"""What is sent, and the capture time of the frame that caused it."""


class Worker:
    """All cameras of any number of vehicles. Frames of one camera must come in order of time."""

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
        self._open: dict[tuple[str, str], Stretch] = {}
        self.frames = 0
        self.too_far = 0

    def work(self, frames: Sequence[Frame]) -> list[Output | Rejected]:
        """One batch. A frame that cannot be used is a value in the result."""
        known = [frame for frame in frames if frame.camera in self._contexts]
        found = dict(zip((f.id for f in known), self._detect(known), strict=True))
        out: list[Output | Rejected] = []
        for frame in frames:
            things = found.get(frame.id)
            if things is None:
                names = ", ".join(sorted(self._contexts))
                reason = f"camera {frame.camera!r} is not described: cameras.toml or the defaults know {names}"
                out.append(Rejected(reason, file=frame.file))
            elif isinstance(things, ValueError):
                out.append(Rejected(str(things), file=frame.file))
            else:
                out += self._see(frame, things)
        return out

    def flush(self) -> list[Output]:
        """End every open pass."""
        out = []
        for key in sorted(self._open):
            out += self._closed(key)
        return out

    def _see(self, frame: Frame, things: list[Found]) -> list[Output]:
        self.frames += 1
        key = (frame.vehicle, frame.camera)
        out: list[Output] = []
        for other in sorted(k for k, s in self._open.items() if k != key and stale(s, frame.time)):
            out += self._closed(other)
        stretch = self._open.get(key)
        if stretch is not None and stretch.ends_before(frame):
            out += self._closed(key)
            stretch = None
        if stretch is None:
            stretch = self._open[key] = Stretch(self._contexts[frame.camera], frame)
        return out + [(frame.time, sighting) for sighting in stretch.see(frame, things)]

    def _closed(self, key: tuple[str, str]) -> list[Output]:
        stretch = self._open.pop(key)
        out = [(stretch.last.time, item) for item in stretch.close()]
        self.too_far += stretch.too_far
        return out
