"""Order: the frames of one camera as they were taken, whatever order they come in, each once.

A publisher says with each frame which one it sent before. So a camera whose frames come in order waits for nothing, and
one whose frames overtook each other on the way waits for exactly those that are missing, for a limited time. Frames of
a publisher that does not say so can be held for a fixed time instead.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ingest.binding import Before
from ingest.frame import Frame
from vision.camera import Camera
from vision.reel import Span
from vision.stretch import SILENCE, Found

LATE = timedelta(seconds=75)  # capture time that a missing frame may be behind the camera's newest
LATE_S = 60.0  # and the time that others wait for it
REMEMBERED = 2048  # frames of a camera whose repeats are known as such
MOST_WAITING = 256  # frames of a camera that are held at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """A frame, what it shows, and where it came from."""

    frame: Frame
    things: list[Found]
    offset: int
    before: Before  # which one its sender sent before it
    camera: Camera
    at_s: float = 0.0  # when it came, by the clock of its partition


@dataclass(slots=True)
class Order:
    """The frames of one camera that wait for an earlier one."""

    hold: timedelta = timedelta(0)  # how long frames are held whose sender says nothing
    over: list[Span] = field(default_factory=list)  # passes that were finished before this process began
    newest: datetime | None = None
    _waiting: list[Looked] = field(default_factory=list)  # in order of time
    _seen: dict[datetime, None] = field(default_factory=dict)
    _unusable: dict[datetime, None] = field(default_factory=dict)

    def repeats(self, time: datetime) -> bool:
        """True for the capture time of a frame that was seen already, here or in a pass that is over."""
        return time in self._seen or any(time in span for span in self.over)

    def put(self, looked: Looked) -> bool:
        """Take a frame. False for one that was seen, or waits, already."""
        time = looked.frame.time
        if self.repeats(time) or any(other.frame.time == time for other in self._waiting):
            return False
        if not looked.things:
            looked = replace(looked, frame=replace(looked.frame, jpeg=b""))  # nobody will ask to see it
        insort(self._waiting, looked, key=lambda other: other.frame.time)
        self.newest = time if self.newest is None else max(self.newest, time)
        return True

    def skip(self, time: datetime) -> None:
        """A frame of that capture time came and cannot be used: nobody waits for it."""
        _remember(self._unusable, time)

    def take(self, now_s: float, *, everything: bool = False) -> list[Looked]:
        """The frames whose turn it is, in order."""
        out: list[Looked] = []
        while (index := self._next(now_s, everything)) is not None:
            looked = self._waiting.pop(index)
            _remember(self._seen, looked.frame.time)
            out.append(looked)
        return out

    @property
    def waiting(self) -> Iterable[Looked]:
        return self._waiting

    @property
    def needed_from(self) -> int | None:
        """The offset of the oldest frame that waits."""
        return min((looked.offset for looked in self._waiting), default=None)

    def _next(self, now_s: float, everything: bool) -> int | None:
        if not self._waiting:
            return None
        if (
            everything
            or len(self._waiting) > MOST_WAITING
            or any(self._waited(other, now_s) for other in self._waiting)
        ):
            return 0
        return next((i for i, looked in enumerate(self._waiting) if self._follows(looked)), None)

    def _follows(self, looked: Looked) -> bool:
        """True when nothing is missing before a frame."""
        before = looked.before.time
        if before is None:
            return looked.before.none or not self.hold
        apart = looked.frame.time - before > SILENCE  # another pass: it does not matter whether the other came
        return apart or before in self._unusable or self.repeats(before)

    def _waited(self, looked: Looked, now_s: float) -> bool:
        """True when what is missing before a frame is given up."""
        said = looked.before.none or looked.before.time is not None
        late, late_s = (LATE, LATE_S) if said else (self.hold, self.hold.total_seconds())
        newest = self.newest or looked.frame.time
        return newest - looked.frame.time >= late or now_s - looked.at_s >= late_s


def _remember(times: dict[datetime, None], time: datetime) -> None:
    times[time] = None
    while len(times) > REMEMBERED:
        del times[next(iter(times))]
