"""The live stream: every case event, as server-sent events, from any place in the log on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from sse_starlette import ServerSentEvent
from starlette.concurrency import run_in_threadpool

from dispatcher.api.follow import Follower
from dispatcher.api.names import Names
from dispatcher.api.schemas import CaseEventOut, CaseOut, EventOut
from dispatcher.api.view import View
from dispatcher.store.project import owner_area
from dispatcher.store.rows import StoredCase, StoredEvent
from ingest.envelope import dumps

TURN_S = 1.0  # how soon a stream that has nothing to send notices that it is to end
HEARTBEAT_S = 10.0  # the page takes a silence of more than twice this for a dead connection
ASK_S = 5.0  # how soon a stream ends after its session has
RETRY_MS = 2000  # how long a browser waits before it connects again
PAGE = 200


@dataclass(frozen=True, slots=True)
class Stream:
    """What a stream reads, and what ends it."""

    view: View
    follower: Follower
    stopping: threading.Event
    known: Callable[[], bool] = lambda: True  # whether whoever listens still may: asked while it goes on

    async def events(self, log: str, after: int) -> AsyncIterator[bytes]:
        """`hello` once, then `case` for each event after seq `after`, and `heartbeat` while nothing happens.

        Only `case` has an id, its seq: a browser sends back the last one when it connects again.
        """
        yield ServerSentEvent(dumps({"log": log, "after": after}), event="hello", retry=RETRY_MS).encode()
        async with aclosing(self._turns(after)) as turns:
            async for sent in turns:
                yield sent

    async def _turns(self, after: int) -> AsyncGenerator[bytes]:
        silent_since = asked = _now()
        listener = await self.follower.join(self.view.scope)
        behind = after < listener.since  # what was before the follower is read from the log
        try:
            while not (self.stopping.is_set() or listener.ended):
                if _now() - asked >= ASK_S:
                    asked = _now()
                    if not await run_in_threadpool(self.known):
                        return
                if behind:
                    wires, upto = await self._read(after)
                    behind, after = after < upto < listener.since, max(after, upto)
                else:
                    told = [one for one in await listener.take(TURN_S) if one.seq > after]
                    wires, after = [one.wire for one in told], told[-1].seq if told else after
                if wires:
                    yield b"".join(wires)
                    silent_since = _now()
                elif _now() - silent_since >= HEARTBEAT_S:
                    yield ServerSentEvent(dumps({"seq": after}), event="heartbeat").encode()
                    silent_since = _now()
                if listener.fallen_behind:
                    self.follower.leave(listener)
                    listener = await self.follower.join(self.view.scope)
                    behind = after < listener.since
        finally:
            self.follower.leave(listener)

    async def _read(self, after: int) -> tuple[list[bytes], int]:
        found, upto = await run_in_threadpool(self.view.listen, after, PAGE)
        return [self.follower.wire(event) for event in found], upto


def wire(names: Names, event: StoredEvent) -> bytes:
    """A case event as it is sent: the same for everybody who may see it."""
    document = {name: value for name, value in event.document.items() if name != "event"}
    stored = StoredCase(
        id=event.case, area=owner_area(document), raised=event.seq, updated=event.seq, document=document
    )
    out = CaseEventOut(event=EventOut.of(event, names), case=CaseOut.of(stored, names))
    return ServerSentEvent(out.model_dump_json(), event="case", id=str(event.seq)).encode()


def _now() -> float:
    return asyncio.get_running_loop().time()
