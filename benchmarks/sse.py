"""How long after it is stored does an event reach the consoles that are open?

Consoles  Open streams of the shipped server over PostgreSQL, as many as asked, all in one process that reads them. A
          part of them, by default all, see every area; the others see a street each.
Events    Cases opened in a city of 1,000 communities, appended at a steady rate by a process of its own.
Time      From the moment before an event is appended until a console has read it whole.
Figure    `p99_s` over every event at every console that it is for; `missing` and `repeated` count what did not come
          just once, `altered` what did not come byte for byte as to the others, or as another event than was appended.

    jiexun bench sse --json
"""

from __future__ import annotations

import asyncio
import json as jsonlib
import sys
import time
from array import array
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any, NamedTuple

from benchmarks.machine import RESULTS, where
from benchmarks.served import keys, more_files, quantile, server
from benchmarks.stocked import STREETS, opened, postgresql, stock
from dispatcher.store.store import Store
from jiexun.collector import seldom

CONSOLES, RATE, SECONDS, STORED = 1_000, 50.0, 60.0, 1_000
AT_ONCE = 50  # connections opened side by side
LATE_S = 15.0  # so long the last events are waited for
OPENS_S = 120.0
OUT = RESULTS / "sse.json"


def main(
    *,
    consoles: int = CONSOLES,
    rate: float = RATE,
    seconds: float = SECONDS,
    wide: float = 1.0,
    save: bool = False,
    json: bool = False,
) -> dict[str, Any]:
    """Measure; a table goes to standard error, one line of JSON to standard output. `json` leaves out the table."""
    more_files()
    with postgresql() as url:
        stock(url, STORED, STORED)
        with Store.open(url) as store:
            tokens = keys(store, (None, *STREETS))
        with server(url) as port:
            scopes = list(_scopes(consoles, wide))
            found = asyncio.run(_measure(url, port, [(area, tokens[area]) for area in scopes], rate, seconds))
    result = {"benchmark": "sse", "consoles": consoles, "wide": wide, "rate_per_s": rate} | found | where()
    if save:
        OUT.write_text(jsonlib.dumps(result, indent=1) + "\n", encoding="utf-8")
    if not json:
        print(table(result), file=sys.stderr)
    print(jsonlib.dumps(result, allow_nan=False))
    return result


def _scopes(consoles: int, wide: float) -> Iterator[str | None]:
    """Every area for a part of them, a street each for the others."""
    for n in range(consoles):
        yield None if n < round(consoles * wide) else STREETS[n % len(STREETS)]


class Told(NamedTuple):
    """An event that was appended."""

    seq: int
    at: float
    area: str
    case: str


def write(url: str, rate: float, seconds: float) -> list[Told]:
    """Append events at a rate."""
    told = []
    with Store.open(url) as store:
        began = time.time()
        for n in range(int(rate * seconds)):
            time.sleep(max(0.0, began + n / rate - time.time()))
            event = opened(STORED + n)
            at = time.time()
            store.append((), [event])
            told.append((event.case.id, at, event.recipients[0]))
        seqs = {event.case: event.seq for event in _all(store, STORED)}
    return [Told(seqs[case], at, area, case) for case, at, area in told]


def _all(store: Store, after: int) -> Iterator[Any]:
    while found := store.events_after(after):
        yield from (event for event in found if event.event == "opened")
        after = found[-1].seq


class Console(asyncio.Protocol):
    """One open stream, and which events it read when.

    Every event is taken apart from its neighbours and compared, byte by byte, with what the others read under the same
    number: `said` is theirs too. Without asyncio's streams, so that a thousand of these cost less than the server.
    """

    def __init__(self, area: str | None, token: str, after: int, said: dict[int, bytes]) -> None:
        self.area = area
        self.seqs = array("q")
        self.at = array("d")
        self.altered = 0
        self.ready = asyncio.Event()
        self._said = said
        self._ask = (
            f"GET /api/events?after={after} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\n\r\n"
        )
        self._raw = b""
        self._rest = b""
        self._begun = False
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(self._ask.encode())

    def data_received(self, data: bytes) -> None:
        now = time.time()
        *blocks, self._rest = (self._rest + self._body(data)).split(b"\r\n\r\n")
        for block in blocks:
            if block.startswith(b"id: "):
                seq = int(block[4 : block.index(b"\r")])
                self.seqs.append(seq)
                self.at.append(now)
                self.altered += self._said.setdefault(seq, block) != block
            elif block.startswith(b"event: hello"):
                self.ready.set()

    def close(self) -> None:
        assert self._transport is not None
        self._transport.close()

    def _body(self, data: bytes) -> bytes:
        """What has come whole of an answer that is sent in chunks."""
        raw, at, parts = self._raw + data, 0, []
        if not self._begun:
            end = raw.find(b"\r\n\r\n")
            if end < 0:
                self._raw = raw
                return b""
            if not raw.startswith(b"HTTP/1.1 200 "):
                raise OSError(f"a console was refused: {raw[:end]!r}")
            self._begun, at = True, end + 4
        while (end := raw.find(b"\r\n", at)) >= 0:
            after = end + 2 + int(raw[at:end], 16)
            if len(raw) < after + 2:
                break
            parts.append(raw[end + 2 : after])
            at = after + 2
        self._raw = raw[at:]
        return b"".join(parts)


async def _measure(
    url: str, port: int, who: list[tuple[str | None, str]], rate: float, seconds: float
) -> dict[str, Any]:
    loop, said = asyncio.get_running_loop(), dict[int, bytes]()
    consoles = [Console(area, token, STORED, said) for area, token in who]
    for start in range(0, len(consoles), AT_ONCE):
        some = consoles[start : start + AT_ONCE]
        async with asyncio.timeout(OPENS_S):
            await asyncio.gather(*(loop.create_connection(partial(_same, one), "127.0.0.1", port) for one in some))
            await asyncio.gather(*(one.ready.wait() for one in some))
    with ProcessPoolExecutor(1) as pool, seldom():
        told = await loop.run_in_executor(pool, write, url, rate, seconds)
    give_up = time.monotonic() + LATE_S
    while time.monotonic() < give_up and any(_lacking(console, told) for console in consoles):
        await asyncio.sleep(0.5)
    for console in consoles:
        console.close()
    return figures(consoles, told) | {"altered": sum(one.altered for one in consoles) + wrong(said, told)}


def _same(console: Console) -> Console:
    return console


def wrong(said: dict[int, bytes], told: Sequence[Told]) -> int:
    """How many events say another number or case than was stored."""
    found = 0
    for one in told:
        _, _, data = said.get(one.seq, b"").partition(b"\r\ndata: ")
        document = jsonlib.loads(data) if data else None
        found += document is not None and (document["event"]["seq"], document["case"]["id"]) != (one.seq, one.case)
    return found


def _lacking(console: Console, told: Sequence[Told]) -> bool:
    last = next((one.seq for one in reversed(told) if _for(console, one.area)), None)
    return last is not None and last not in console.seqs[-200:]


def _for(console: Console, area: str) -> bool:
    return console.area is None or area.startswith(console.area)


def figures(consoles: list[Console], told: Sequence[Told]) -> dict[str, Any]:
    """How late, and how often not just once."""
    when = {one.seq: one.at for one in told}
    late: list[float] = []
    missing = repeated = 0
    for console in consoles:
        mine = {one.seq for one in told if _for(console, one.area)}
        read = [(seq, at) for seq, at in zip(console.seqs, console.at, strict=True) if seq in when]
        late += [at - when[seq] for seq, at in read]
        seen = {seq for seq, _ in read}
        missing += len(mine - seen)
        repeated += len(read) - len(seen)
    return {
        "events": len(told),
        "deliveries": len(late),
        "missing": missing,
        "repeated": repeated,
        "p50_s": round(quantile(late, 0.5), 3),
        "p99_s": round(quantile(late, 0.99), 3),
        "worst_s": round(max(late), 3),
    }


def table(result: dict[str, Any]) -> str:
    """For people."""
    return (
        f"{result['consoles']} consoles ({result['wide']:.0%} see every area), {result['events']} events, "
        f"{result['rate_per_s']:g} a second: {result['deliveries']:,} deliveries\n"
        f"p50 {result['p50_s']} s, p99 {result['p99_s']} s, worst {result['worst_s']} s; asked: p99 1 s\n"
        f"missing {result['missing']}, repeated {result['repeated']}, altered {result['altered']}\n"
        f"{result['machine']} · commit {result['commit']} · {result['date']}"
    )
