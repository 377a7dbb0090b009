"""Follower: reads the event log once for all open streams, and hands each what lies in its scope.

What one look at the log found is one piece for everybody with the same scope: a thousand streams are then a thousand
writes a look, however many events there were. Whether those who listen still may is asked here too, for all at once.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool

from dispatcher.access.gate import Shown
from dispatcher.access.scope import Scope, above
from dispatcher.store.database import explained_failures
from dispatcher.store.rows import StoredEvent
from dispatcher.store.store import Store

logger = logging.getLogger(__name__)
POLL_S = 0.25  # the store is asked, not told: the writer may be another process
ASK_S = 5.0  # how soon a stream ends after its session has
PAGE = 200
LONGEST = 2_000  # events that wait for one stream; a client that is slower than this reads the log by itself
Stems = frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Told:
    """An event of the log as it goes over the wire, and the areas it is for."""

    seq: int
    stems: frozenset[str]
    wire: bytes


class Piece:
    """Events of one scope that were found together, at least one, as they are sent: shared by all who get them."""

    def __init__(self, told: Sequence[Told]) -> None:
        self._told = told
        self._wire = b"".join(one.wire for one in told)

    def __len__(self) -> int:
        return len(self._told)

    @property
    def last(self) -> int:
        return self._told[-1].seq

    def after(self, seq: int) -> bytes:
        """What of it comes after a number."""
        if self._told[0].seq > seq:
            return self._wire
        return b"".join(one.wire for one in self._told if one.seq > seq)


class Listener:
    """One stream's place. `since` is the number after which everything of its scope is handed over."""

    def __init__(self, stems: Stems, since: int, shown: Shown) -> None:
        self.since = since
        self.stems = stems
        self.shown = shown
        self.fallen_behind = False
        self.ended = False
        self._waiting: deque[Piece] = deque()
        self._events = 0
        self._wakes_s = float("inf")
        self._something = asyncio.Event()

    def hand(self, piece: Piece) -> None:
        if self.fallen_behind:
            return
        self._events += len(piece)
        if self._events > LONGEST:
            self.fallen_behind = True
            self._waiting.clear()
        else:
            self._waiting.append(piece)
        self._something.set()

    def end(self) -> None:
        self.ended = True
        self._something.set()

    def wake(self, now_s: float) -> None:
        """If nothing has come for as long as it wanted to wait."""
        if now_s >= self._wakes_s:
            self._something.set()

    async def take(self, until_s: float) -> list[Piece]:
        """What was handed over, waited for until a time of the loop: the follower looks at it, no timer is needed."""
        self._wakes_s = until_s
        await self._something.wait()
        self._something.clear()
        taken = list(self._waiting)
        self._waiting.clear()
        self._events = 0
        return taken


class Follower:
    """Works while anybody listens. All but asking the store happens on the loop of the server: there are no locks."""

    def __init__(
        self,
        store: Store,
        wire: Callable[[StoredEvent], bytes],
        known: Callable[[Collection[Shown]], set[Shown]],
        stopping: threading.Event,
    ) -> None:
        self._store = store
        self.wire = wire
        self._known = known  # who would still be let in, of those who have shown this
        self._stopping = stopping
        self._seq = 0
        self._asked_s = 0.0
        self._listeners: set[Listener] = set()
        self._work: asyncio.Task[None] | None = None

    async def join(self, scope: Scope, shown: Shown) -> Listener:
        """Listen from now on."""
        if self._work is None or self._work.done():
            last = await run_in_threadpool(self._store.last_event)
            if self._work is None or self._work.done():  # nobody else was quicker
                self._seq = last
                self._work = asyncio.create_task(self._follow())
        listener = Listener(None if scope.areas is None else scope.stems(), self._seq, shown)
        self._listeners.add(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        self._listeners.discard(listener)

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        self._asked_s = loop.time()
        try:
            while not self._stopping.is_set():
                began_s = loop.time()
                told = await run_in_threadpool(self._next, self._seq)
                if told:
                    self._seq = told[-1].seq
                    self._hand(told)
                for listener in self._listeners:
                    listener.wake(began_s)
                if began_s - self._asked_s >= ASK_S:
                    self._asked_s = began_s
                    await self._ask()
                if len(told) < PAGE:
                    await asyncio.sleep(max(0.0, began_s + POLL_S - loop.time()))
                if not self._listeners:
                    return
        except OSError:  # StoreUnavailable among them
            logger.exception("the log cannot be followed; the streams end, and browsers come again")
        finally:
            for listener in self._listeners:
                listener.end()
            self._listeners.clear()

    def _hand(self, told: Sequence[Told]) -> None:
        pieces: dict[Stems, Piece | None] = {}
        for listener in self._listeners:
            if listener.stems not in pieces:
                pieces[listener.stems] = _piece(told, listener.stems)
            piece = pieces[listener.stems]
            if piece is not None:
                listener.hand(piece)

    async def _ask(self) -> None:
        """End the streams of those who would not be let in any more, or not as the same."""
        asked = list(self._listeners)
        known = await run_in_threadpool(self._still, {listener.shown for listener in asked})
        for listener in asked:
            if listener.shown not in known:
                self._listeners.discard(listener)
                listener.end()

    def _still(self, shown: Collection[Shown]) -> set[Shown]:
        with explained_failures():
            return self._known(shown)

    def _next(self, after: int) -> list[Told]:
        with explained_failures():
            found = self._store.follow(after, PAGE)
            return [Told(event.seq, frozenset(above(areas)), self.wire(event)) for event, areas in found]


def _piece(told: Sequence[Told], stems: Stems) -> Piece | None:
    mine = told if stems is None else [one for one in told if not stems.isdisjoint(one.stems)]
    return Piece(mine) if mine else None
