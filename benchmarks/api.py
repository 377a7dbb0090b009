"""How long does a page of cases take, filtered by area, with a million stored?

Stored    Cases of a city of 1,000 communities in 100 streets and ten districts, in PostgreSQL (`stocked.py`).
Asked     `GET /api/cases?area=…` of the shipped server, by turns: a community, a street, a district, a district's open
          cases, the second page of a district, and the list of somebody who may see one street. Pages of 100, the
          default. Requests begin when their time has come, whether or not those before are answered, and each is timed
          from that moment: a server that falls behind is seen to.
Figure    `p99_ms`, of all requests after the warm-up.

    jiexun bench api --json
"""

from __future__ import annotations

import asyncio
import json as jsonlib
import sys
import time
from collections import defaultdict
from typing import Any

import httpx

from benchmarks.machine import RESULTS, where
from benchmarks.served import keys, more_files, quantile, server
from benchmarks.stocked import COMMUNITIES, DISTRICTS, STREETS, postgresql, stock
from dispatcher.store.store import Store
from jiexun.collector import seldom

CASES, RATE, SECONDS = 1_000_000, 50.0, 60.0
WARM_S = 3.0
OUT = RESULTS / "api.json"
KINDS = ("community", "street", "district", "district, open", "district, page 2", "own street")


def main(
    *, cases: int = CASES, rate: float = RATE, seconds: float = SECONDS, save: bool = False, json: bool = False
) -> dict[str, Any]:
    """Measure; a table goes to standard error, one line of JSON to standard output. `json` leaves out the table."""
    more_files()
    with postgresql() as url:
        began = time.monotonic()
        stock(url, cases)
        stocked_s = time.monotonic() - began
        with Store.open(url) as store:
            tokens = keys(store, (None, STREETS[17]))
        with server(url) as port:
            asyncio.run(asked(port, tokens, rate, WARM_S))
            with seldom():  # whoever asks must not stand still while it looks for objects that nobody needs
                took = asyncio.run(asked(port, tokens, rate, seconds))
    every = [ms for some in took.values() for ms in some]
    result = {
        "benchmark": "api",
        "cases": cases,
        "rate_per_s": rate,
        "requests": len(every),
        "p50_ms": round(quantile(every, 0.5), 1),
        "p95_ms": round(quantile(every, 0.95), 1),
        "p99_ms": round(quantile(every, 0.99), 1),
        "p99_ms_by_kind": {kind: round(quantile(some, 0.99), 1) for kind, some in took.items()},
        "stocked_s": round(stocked_s, 1),
    } | where()
    if save:
        OUT.write_text(jsonlib.dumps(result, indent=1) + "\n", encoding="utf-8")
    if not json:
        print(table(result), file=sys.stderr)
    print(jsonlib.dumps(result, allow_nan=False))
    return result


async def asked(port: int, tokens: dict[str | None, str], rate: float, seconds: float) -> dict[str, list[float]]:
    """Milliseconds of every request, by its kind. Raises httpx.HTTPStatusError for an answer that is none."""
    took: dict[str, list[float]] = defaultdict(list)
    base = f"http://127.0.0.1:{port}/api/cases"
    # The server ends a connection that was idle for 5 s; whoever sends at that moment gets no answer.
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=200, keepalive_expiry=2.0)
    async with httpx.AsyncClient(trust_env=False, timeout=60.0, limits=limits) as client:
        cursors = [await _cursor(client, base, tokens[None], area) for area in DISTRICTS]

        async def one(n: int, due: float) -> None:
            kind = KINDS[n % len(KINDS)]
            query, token = _query(kind, n // len(KINDS), cursors), tokens[STREETS[17] if kind == "own street" else None]
            answer = await client.get(base, params=query, headers={"authorization": f"Bearer {token}"})
            answer.raise_for_status()
            took[kind].append(1e3 * (time.perf_counter() - due))

        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for n in range(int(rate * seconds)):
                due = began + n / rate
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                group.create_task(one(n, due))
    return took


async def _cursor(client: httpx.AsyncClient, base: str, token: str, area: str) -> str:
    headers = {"authorization": f"Bearer {token}"}
    answer = await client.get(base, params={"area": area}, headers=headers)
    return str(answer.raise_for_status().json()["next"] or "")


def _query(kind: str, n: int, cursors: list[str]) -> dict[str, str]:
    district = DISTRICTS[n % len(DISTRICTS)]
    if kind == "community":
        return {"area": COMMUNITIES[n * 37 % len(COMMUNITIES)]}
    if kind == "street":
        return {"area": STREETS[n * 7 % len(STREETS)]}
    if kind == "district, open":
        return {"area": district, "state": "open"}
    if kind == "district, page 2" and cursors[n % len(DISTRICTS)]:
        return {"area": district, "cursor": cursors[n % len(DISTRICTS)]}
    return {} if kind == "own street" else {"area": district}


def table(result: dict[str, Any]) -> str:
    """For people."""
    lines = [f"{result['cases']:,} cases, {result['requests']:,} requests, {result['rate_per_s']:g} a second"]
    lines += [f"{kind:20}{ms:>8.1f} ms p99" for kind, ms in result["p99_ms_by_kind"].items()]
    lines.append(f"{'all':20}{result['p99_ms']:>8.1f} ms p99, {result['p50_ms']} ms p50; asked: 50 ms")
    return "\n".join([*lines, f"{result['machine']} · commit {result['commit']} · {result['date']}"])
