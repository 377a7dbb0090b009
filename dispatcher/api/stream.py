"""The live stream: every case event, as server-sent events, from any place in the log on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import cast

from sse_starlette import ServerSentEvent
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse
from starlette.types import Send

from dispatcher.access.gate import Shown
from dispatcher.api.follow import Follower
from dispatcher.api.names import Names
from dispatcher.api.schemas import CaseEventOut, CaseOut, EventOut
from dispatcher.api.view import View
from dispatcher.store.project import owner_area
from dispatcher.store.rows import StoredCase, StoredEvent
from ingest.envelope import dumps

HEARTBEAT_S = 10.0  # the page takes a silence of more than twice this for a dead connection
RETRY_MS = 2000  # how long a browser waits before it connects again
PAGE = 200
UNHELD = {"cache-control": "no-store", "x-accel-buffering": "no"}  # a proxy is not to wait for more


@dataclass(frozen=True, slots=True)
class Stream:
    """What a stream reads, and what whoever listens has shown: the stream ends when that opens no door any more."""

    view: View
    follower: Follower
    shown: Shown

    async def events(self, log: str, after: int) -> AsyncGenerator[bytes]:
        """`hello` once, then `case` for each event after seq `after`, and `heartbeat` while nothing happens.

        Only `case` has an id, its seq: a browser sends back the last one when it connects again. What is there at the
        same time comes as one piece.
        """
        yield ServerSentEvent(dumps({"log": log, "after": after}), event="hello", retry=RETRY_MS).encode()
        silent_since = _now()
        listener = await self.follower.join(self.view.scope, self.shown)
        try:
            while not listener.ended:
                if after < listener.since:  # what was before the follower is read from the log
                    wire, upto = await self._read(after)
                    after = upto if after < upto < listener.since else max(upto, listener.since)
                else:
                    pieces = await listener.take(silent_since + HEARTBEAT_S)
                    wire = b"".join(piece.after(after) for piece in pieces if piece.last > after)
                    after = max(after, pieces[-1].last) if pieces else after
                if wire:
                    silent_since = _now()
                    yield wire
                elif _now() - silent_since >= HEARTBEAT_S:
                    silent_since = _now()
                    yield ServerSentEvent(dumps({"seq": after}), event="heartbeat").encode()
                if listener.fallen_behind:
                    self.follower.leave(listener)
                    listener = await self.follower.join(self.view.scope, self.shown)
        finally:
            self.follower.leave(listener)

    async def _read(self, after: int) -> tuple[bytes, int]:
        found, upto = await run_in_threadpool(self.view.listen, after, PAGE)
        return b"".join(self.follower.wire(event) for event in found), upto


class EventStream(StreamingResponse):
    """An open stream as an answer."""

    media_type = "text/event-stream"

    def __init__(self, stream: Stream, log: str, after: int, status_code: int = 200) -> None:
        super().__init__(stream.events(log, after), status_code, UNHELD)

    async def stream_response(self, send: Send) -> None:
        # Closed when the client goes away while something is sent, not when somebody looks for what is not used.
        async with aclosing(cast("AsyncGenerator[bytes]", self.body_iterator)):
            await super().stream_response(send)


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
