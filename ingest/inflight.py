"""In flight: records that were sent and not yet acknowledged, each with the future that tells of it.

Whoever sends must look at every future: the client's own `flush` tells of no failure, and it takes any number of bytes.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from ingest.record import BrokerAway, Full, Record, Refused

RETRY_S = 1.0


class Future(Protocol):
    """What the client gives for a record."""

    @property
    def exception(self) -> Exception | None: ...

    def succeeded(self) -> bool: ...

    def failed(self) -> bool: ...

    def retriable(self) -> bool:
        """True when it failed, and may succeed another time."""


class InFlight:
    """Keeps every record until it is acknowledged; at most `limit` bytes of them, but always one.

    `begin` hands a record to the client, `wait` waits up to so many seconds for a future.
    """

    def __init__(self, begin: Callable[[Record], Future], wait: Callable[[Future, float], None], *, limit: int) -> None:
        self._begin = begin
        self._wait = wait
        self._limit = limit
        self._waiting: deque[tuple[Record, Future]] = deque()
        self._bytes = 0

    def send(self, record: Record, wait_s: float) -> None:
        """Raises Full when there is no room within `wait_s`; the record was not taken then."""
        self._make_room(record.size, wait_s)
        self._waiting.append((record, self._begin(record)))
        self._bytes += record.size

    def flush(self, wait_s: float) -> None:
        """Return when everything is acknowledged. Raises BrokerAway when it is not in time, and keeps the rest."""
        give_up = time.monotonic() + wait_s
        while self._waiting:
            left = give_up - time.monotonic()
            if left <= 0:
                raise BrokerAway(f"{len(self._waiting)} records are not acknowledged", RETRY_S)
            self._wait(self._waiting[0][1], left)
            self._settle()

    def _make_room(self, size: int, wait_s: float) -> None:
        while self._waiting and self._waiting[0][1].succeeded():
            self._bytes -= self._waiting.popleft()[0].size
        give_up = time.monotonic() + wait_s
        while self._waiting and self._bytes + size > self._limit:
            left = give_up - time.monotonic()
            if left <= 0:
                raise Full(f"{len(self._waiting)} records wait for the broker's word", RETRY_S)
            self._wait(self._waiting[0][1], left)
            self._settle()

    def _settle(self) -> None:
        """Forget what arrived, send again what failed for a while, raise Refused for what can never arrive."""
        for i, (record, future) in enumerate(self._waiting):
            if future.retriable():
                self._waiting[i] = (record, self._begin(record))
            elif future.failed():
                raise Refused(f"a record for {record.topic} was refused: {future.exception}")
        self._waiting = deque(item for item in self._waiting if not item[1].succeeded())
        self._bytes = sum(record.size for record, _ in self._waiting)
