"""Simulated vehicles: the same drive by many, one after the other. What is sent, in order of time, and when."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ingest.frame import Frame, frame_id
from ingest.rejected import Rejected
from ingest.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Convoy:
    """How many vehicles drive a drive, and when.

    The first drives it as it is; each next one is named after it and drove it `headway` earlier: nobody drives in the
    future. `shift` moves all of them.
    """

    vehicles: int = 1
    headway: timedelta = timedelta(seconds=60)
    shift: timedelta = timedelta(0)

    def lead(self, n: int) -> timedelta:
        """What is added to the drive's own times for vehicle `n`, counted from 0."""
        return self.shift - n * self.headway

    def frames(self, source: Source) -> Iterator[Frame | Rejected]:
        """The frames of all vehicles in order of time; what fails to be read is told once.

        With several vehicles all pictures of the drive are held in memory, each once.
        """
        if self.vehicles == 1:
            return (_moved(item, 0, self.lead(0)) for item in source.frames())
        return self._merged(_Shared(source))

    def _merged(self, drive: _Shared) -> Iterator[Frame | Rejected]:
        """A vehicle is looked at only when it begins: those that have not, or are through, cost nothing."""
        if drive.begin is None:
            return
        heap = [(drive.begin + self.lead(n), n, 0) for n in range(self.vehicles)]
        heapq.heapify(heap)
        while heap:
            time, n, at = heapq.heappop(heap)
            item = drive.item(at)
            if isinstance(item, Frame) or n == 0:
                yield _moved(item, n, self.lead(n))
            following = drive.item(at + 1)
            if following is not None:
                own = following.time + self.lead(n) if isinstance(following, Frame) else time
                heapq.heappush(heap, (max(time, own), n, at + 1))


class _Shared:
    """A source read once, for many readers at different places in it."""

    def __init__(self, source: Source) -> None:
        self._frames = source.frames()
        self._kept: list[Frame | Rejected] = []
        self.begin: datetime | None = source.rows[0].time if source.rows else None

    def item(self, at: int) -> Frame | Rejected | None:
        """The item at an index; None behind the last."""
        while len(self._kept) <= at:
            item = next(self._frames, None)
            if item is None:
                return None
            self._kept.append(item)
        return self._kept[at]


def _moved(item: Frame | Rejected | None, n: int, by: timedelta) -> Frame | Rejected:
    assert item is not None
    if isinstance(item, Rejected) or (n == 0 and not by):
        return item
    vehicle = item.vehicle if n == 0 else f"{item.vehicle}-{n + 1}"
    time = item.time + by
    return replace(
        item,
        id=frame_id(vehicle, item.camera, time),
        vehicle=vehicle,
        time=time,
        fix=replace(item.fix, time=item.fix.time + by),
    )
