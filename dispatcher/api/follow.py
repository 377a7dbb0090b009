"""Follower: reads the event log once for all open streams, and hands each what lies in its scope."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool

from dispatcher.access.scope import Scope, above
from dispatcher.store.database import explained_failures
from dispatcher.store.rows import StoredEvent
from dispatcher.store.store import Store

logger = logging.getLogger(__name__)
POLL_S = 0.3  # the store is asked, not told: the writer may be another process
PAGE = 200
LONGEST = 2_000  # what waits for one stream; a client that is slower than this reads the log by itself


@dataclass(frozen=True, slots=True)
class Told:
    """An event of the log as it goes over the wire, and the areas it is for."""

    seq: int
    stems: frozenset[str]
    wire: bytes


class Listener:
    """One stream's place. `since` is the number after which everything of its scope is handed over."""

    def __init__(self, scope: Scope, since: int) -> None:
        self.since = since
        self.fallen_behind = False
        self.ended = False
        self._stems = None if scope.areas is None else scope.stems()
        self._waiting: deque[Told] = deque()
        self._something = asyncio.Event()

    def hand(self, told: Sequence[Told]) -> None:
        mine = told if self._stems is None else [one for one in told if not self._stems.isdisjoint(one.stems)]
        if not mine or self.fallen_behind:
            return
        if len(self._waiting) + len(mine) > LONGEST:
            self.fallen_behind = True
            self._waiting.clear()
        else:
            self._waiting.extend(mine)
        self._something.set()

    def end(self) -> None:
        self.ended = True
        self._something.set()

    async def take(self, timeout_s: float) -> list[Told]:
        """What was handed over, waited for no longer than this."""
        if not (self._waiting or self.fallen_behind or self.ended):
            try:
                await asyncio.wait_for(self._something.wait(), timeout_s)
            except TimeoutError:
                return []
        self._something.clear()
        taken = list(self._waiting)
        self._waiting.clear()
        return taken


class Follower:
    """Works while anybody listens. All but the reading itself happens on the loop of the server: there are no locks."""

    def __init__(self, store: Store, wire: Callable[[StoredEvent], bytes], stopping: threading.Event) -> None:
        self._store = store
        self.wire = wire
        self._stopping = stopping
        self._seq = 0
        self._listeners: set[Listener] = set()
        self._work: asyncio.Task[None] | None = None

    async def join(self, scope: Scope) -> Listener:
        """Listen from now on."""
        if self._work is None or self._work.done():
            last = await run_in_threadpool(self._store.last_event)
            if self._work is None or self._work.done():  # nobody else was quicker
                self._seq = last
                self._work = asyncio.create_task(self._follow())
        listener = Listener(scope, self._seq)
        self._listeners.add(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        self._listeners.discard(listener)

    async def _follow(self) -> None:
        try:
            while not self._stopping.is_set():
                told = await run_in_threadpool(self._next, self._seq)
                if told:
                    self._seq = told[-1].seq
                for listener in self._listeners:
                    listener.hand(told)
                if len(told) < PAGE:
                    await asyncio.sleep(POLL_S)
                if not self._listeners:
                    return
        except OSError:  # StoreUnavailable among them
            logger.exception("the log cannot be followed; the streams end, and browsers come again")
        finally:
            for listener in self._listeners:
                listener.end()
            self._listeners.clear()

    def _next(self, after: int) -> list[Told]:
        with explained_failures():
            found = self._store.follow(after, PAGE)
            return [Told(event.seq, frozenset(above(areas)), self.wire(event)) for event, areas in found]
