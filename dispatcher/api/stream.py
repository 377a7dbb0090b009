"""The live stream: every case event, as server-sent events, from any place in the log on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from sse_starlette import ServerSentEvent
from starlette.concurrency import run_in_threadpool

from dispatcher.api.names import Names
from dispatcher.api.schemas import CaseEventOut, CaseOut, EventOut
from dispatcher.api.view import View
from dispatcher.store.project import dumps, owner_area
from dispatcher.store.rows import StoredCase, StoredEvent

POLL_S = 0.3  # the store is asked, not told: the writer may be another process
HEARTBEAT_S = 10.0  # the page takes a silence of more than twice this for a dead connection
ASK_S = 5.0  # how soon a stream ends after its session has
RETRY_MS = 2000  # how long a browser waits before it connects again
PAGE = 200


@dataclass(frozen=True, slots=True)
class Stream:
    """Where the stream reads, and what ends it."""

    view: View
    names: Names
    stopping: threading.Event
    known: Callable[[], bool] = lambda: True  # whether whoever listens still may: asked while it goes on

    async def events(self, log: str, after: int) -> AsyncIterator[ServerSentEvent]:
        """`hello` once, then `case` for each event after seq `after`, and `heartbeat` while nothing happens.

        Only `case` has an id, its seq: a browser sends back the last one when it connects again.
        """
        yield ServerSentEvent(dumps({"log": log, "after": after}), event="hello", retry=RETRY_MS)
        silent_since = asked = _now()
        while not self.stopping.is_set():
            if _now() - asked >= ASK_S:
                asked = _now()
                if not await run_in_threadpool(self.known):
                    return
            found, upto = await run_in_threadpool(self.view.listen, after, PAGE)
            for event in found:
                yield self._case(event)
                silent_since = _now()
            more, after = upto > after, upto
            if _now() - silent_since >= HEARTBEAT_S:
                yield ServerSentEvent(dumps({"seq": after}), event="heartbeat")
                silent_since = _now()
            if not more:
                await asyncio.sleep(POLL_S)

    def _case(self, event: StoredEvent) -> ServerSentEvent:
        document = {name: value for name, value in event.document.items() if name != "event"}
        stored = StoredCase(
            id=event.case, area=owner_area(document), raised=event.seq, updated=event.seq, document=document
        )
        out = CaseEventOut(event=EventOut.of(event, self.names), case=CaseOut.of(stored, self.names))
        return ServerSentEvent(out.model_dump_json(), event="case", id=str(event.seq))


def _now() -> float:
    return asyncio.get_running_loop().time()
