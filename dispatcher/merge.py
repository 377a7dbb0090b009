"""Merge: inputs of several partitions in order of their capture times, as far as that can be had without a long wait.

Kafka keeps order within a partition only. A dispatcher that catches up, after a restart or an outage, would read an
hour of one partition before the first minute of the next; cases would then depend on which it happened to be.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from ingest.envelope import Envelope
from ingest.record import Partition, Record
from vision.sighting import Pass, Sighting

PATIENCE_S = 1.0  # how long an input waits for a partition that is known to hold more
MOST = 4000  # inputs that wait at most


@dataclass(frozen=True, slots=True)
class Input:
    """A record that was read and makes sense."""

    record: Record
    envelope: Envelope
    item: Sighting | Pass
    at_s: float  # when it came

    @property
    def captured_at(self) -> datetime:
        """When it was seen, or the pass ended."""
        return self.item.seen_at if isinstance(self.item, Sighting) else self.item.ended_at


class Merge:
    """Inputs that wait for their turn, by partition."""

    def __init__(self) -> None:
        self._waiting: dict[Partition, deque[Input]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def put(self, item: Input) -> None:
        self._waiting.setdefault(item.record.place, deque()).append(item)

    def drop(self, places: Iterable[Partition]) -> None:
        """Somebody else reads these."""
        for place in places:
            self._waiting.pop(place, None)

    def take(
        self, places: Iterable[Partition], behind: Callable[[Partition], bool], now_s: float, most: int
    ) -> list[Input]:
        """Up to `most` whose turn it is; `behind` says of a partition whether it holds more than was read."""
        empty = [place for place in places if not self._waiting.get(place)]
        out: list[Input] = []
        while len(out) < most:
            heads = [queue[0] for queue in self._waiting.values() if queue]
            if not heads:
                break
            pressing = len(self) > MOST or any(now_s - head.at_s >= PATIENCE_S for head in heads)
            if not pressing and any(behind(place) for place in empty):
                break
            first = min(heads, key=lambda head: (head.captured_at, head.item.id))
            queue = self._waiting[first.record.place]
            out.append(queue.popleft())
            if not queue:
                empty.append(first.record.place)
        return out

    def oldest(self) -> dict[Partition, int]:
        """By partition, the offset of the oldest that waits."""
        return {place: queue[0].record.offset for place, queue in self._waiting.items() if queue}
