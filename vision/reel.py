"""Reel: the frames of one camera and the passes they make. No camera's passes depend on another camera."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ingest.frame import Frame
from vision.sighting import Pass, Sighting
from vision.stretch import Context, Found, Stretch, stale

MOST_OPEN = 16  # passes of one camera at once, when its frames come in no order at all

Output = tuple[datetime, Sighting | Pass]
"""What is sent, and the capture time of the frame that caused it."""


@dataclass(frozen=True, slots=True)
class Span:
    """A pass that is over: its frames' capture times, and the offset up to which they came."""

    begun: datetime
    ended: datetime
    offset: int

    def __contains__(self, time: datetime) -> bool:
        return self.begun <= time <= self.ended


@dataclass(slots=True)
class _Open:
    """An open pass and the offsets of its frames."""

    stretch: Stretch
    first: int
    last: int


class Reel:
    """The open passes of one camera: one, and a further one for frames that come much too late."""

    def __init__(self, context: Context) -> None:
        self.context = context  # of the passes to come
        self._open: list[_Open] = []
        self._over: list[Span] = []
        self.too_far = 0

    def see(self, frame: Frame, things: list[Found], offset: int = 0) -> list[Output]:
        """Take a frame. It goes on with the pass whose last frame comes just before it, or begins one.

        Frames should come in order of time. Of one that does not, no earlier frame is undone: it has a pass of its own.
        """
        out: list[Output] = []
        before = [open for open in self._open if open.stretch.last.time < frame.time]
        mine = max(before, key=lambda open: open.stretch.last.time, default=None)
        if mine is not None and mine.stretch.ends_before(frame):
            out += self._close(mine)
            mine = None
        if mine is None:
            mine = _Open(Stretch(self.context, frame), offset, offset)
            self._open.append(mine)
            if len(self._open) > MOST_OPEN:
                out += self._close(min(self._open, key=lambda open: open.last))
        mine.first, mine.last = min(mine.first, offset), max(mine.last, offset)
        return out + [(frame.time, sighting) for sighting in mine.stretch.see(frame, things)]

    def unseen(self) -> list[Output]:
        """What leaves because no frame came for as long as the camera's last one lets expect. See Stretch.overdue."""
        out: list[Output] = []
        for open in self._open:
            last = open.stretch.last.time
            overdue = open.stretch.overdue(datetime.max.replace(tzinfo=last.tzinfo))
            out += [(last, sighting) for sighting in overdue]
        return out

    def finish(self, now: datetime | None = None) -> list[Output]:
        """End the passes that had no frame for long at `now`, a capture time; without it, all."""
        out: list[Output] = []
        for open in [open for open in self._open if now is None or stale(open.stretch, now)]:
            out += self._close(open)
        return out

    @property
    def idle(self) -> bool:
        return not self._open

    @property
    def patience_s(self) -> float:
        """How long after its last frame `unseen` may be asked, seconds."""
        return max((open.stretch.patience.total_seconds() for open in self._open), default=0.0)

    @property
    def needed_from(self) -> int | None:
        """The offset of the oldest frame without which the open passes could not be built again."""
        return min((open.first for open in self._open), default=None)

    def take_over(self) -> list[Span]:
        """The passes that ended since the last call."""
        over, self._over = self._over, []
        return over

    def _close(self, open: _Open) -> list[Output]:
        self._open.remove(open)
        stretch = open.stretch
        out: list[Output] = [(stretch.last.time, item) for item in stretch.close()]
        self.too_far += stretch.too_far
        self._over.append(Span(stretch.first.time, stretch.last.time, open.last))
        return out
