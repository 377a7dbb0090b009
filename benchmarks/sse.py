"""How long after it is stored does an event reach the consoles that are open?

Consoles  Open streams of the shipped server over PostgreSQL, as many as asked, all in one process that reads them. A
          part of them, by default all, see every area; the others see a street each.
Events    Cases opened in a city of 1,000 communities, appended at a steady rate by a process of its own.
Time      From the moment before an event is appended until a console has read it whole.
Figure    `p99_s` over every event at every console that it is for; `missing` and `repeated` count what did not come
          just once.

    jiexun bench sse --json
"""

from __future__ import annotations

import asyncio
import json as jsonlib
import re
import sys
import time
from array import array
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from benchmarks.machine import RESULTS, where
from benchmarks.served import keys, more_files, quantile, server
from benchmarks.stocked import STREETS, opened, postgresql, stock
from dispatcher.store.store import Store

CONSOLES, RATE, SECONDS, STORED = 1_000, 50.0, 60.0, 1_000
AT_ONCE = 50  # connections opened side by side
LATE_S = 15.0  # so long the last events are waited for
OPENS_S = 120.0
SEQ = re.compile(rb"(?:^|\n)id: (\d+)\r\n")
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


def write(url: str, rate: float, seconds: float) -> list[tuple[int, float, str]]:
    """Append events at a rate: number, time, and area of each."""
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
    return [(seqs[case], at, area) for case, at, area in told]


def _all(store: Store, after: int) -> Iterator[Any]:
    while found := store.events_after(after):
        yield from (event for event in found if event.event == "opened")
        after = found[-1].seq


@dataclass(slots=True)
class Console:
    """One open stream, and which events it read when."""

    area: str | None
    seqs: array[int] = field(default_factory=lambda: array("q"))
    at: array[float] = field(default_factory=lambda: array("d"))

    async def listen(self, port: int, token: str, after: int, ready: asyncio.Event) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
        asked = f"GET /api/events?after={after} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\n\r\n"
        writer.write(asked.encode())
        rest = b""
        try:
            while chunk := await reader.read(1 << 18):
                now = time.time()
                whole, end, rest = (rest + chunk).rpartition(b"\r\n\r\n")
                if b"event: hello" in whole:
                    ready.set()
                for match in SEQ.finditer(whole + end):
                    self.seqs.append(int(match[1]))
                    self.at.append(now)
        finally:
            writer.close()


async def _measure(
    url: str, port: int, who: list[tuple[str | None, str]], rate: float, seconds: float
) -> dict[str, Any]:
    consoles = [Console(area) for area, _ in who]
    tasks = []
    for start in range(0, len(consoles), AT_ONCE):
        ready = [asyncio.Event() for _ in consoles[start : start + AT_ONCE]]
        for n, event in enumerate(ready, start):
            tasks.append(asyncio.create_task(consoles[n].listen(port, who[n][1], STORED, event)))
        await asyncio.wait_for(asyncio.gather(*(event.wait() for event in ready)), OPENS_S)
    with ProcessPoolExecutor(1) as pool:
        told = await asyncio.get_running_loop().run_in_executor(pool, write, url, rate, seconds)
    give_up = time.monotonic() + LATE_S
    while time.monotonic() < give_up and any(_lacking(console, told) for console in consoles):
        await asyncio.sleep(0.5)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return figures(consoles, told)


def _lacking(console: Console, told: list[tuple[int, float, str]]) -> bool:
    last = next((seq for seq, _, area in reversed(told) if _for(console, area)), None)
    return last is not None and last not in console.seqs[-200:]


def _for(console: Console, area: str) -> bool:
    return console.area is None or area.startswith(console.area)


def figures(consoles: list[Console], told: list[tuple[int, float, str]]) -> dict[str, Any]:
    """How late, and how often not just once."""
    when = {seq: at for seq, at, _ in told}
    late: list[float] = []
    missing = repeated = 0
    for console in consoles:
        mine = {seq for seq, _, area in told if _for(console, area)}
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
        f"missing {result['missing']}, repeated {result['repeated']}\n"
        f"{result['machine']} · commit {result['commit']} · {result['date']}"
    )
