"""Does a store without PostGIS find places fast enough, with a million cases?

Stored    Cases spread at random over 45 by 25 km, in PostgreSQL: one in fifty is being worked on, one in twenty was
          handled too late. Rows of `cases`, `case_map` and of the shelves of the city and of ten districts, by SQL.
Asked     What pages, heat map and GIS ask of the store: a box of 300 m in a list, the same in OGC API Features, a box
          of 3 km there, the cells of all open cases, and what is overdue.
Figures   `p50_ms` and `p95_ms` by question, without HTTP. `found` says how many cases were in the answer.

    python -m benchmarks.places --json
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import psycopg

from benchmarks.machine import where
from benchmarks.served import quantile
from benchmarks.stocked import postgresql
from dispatcher.access.scope import EVERYTHING
from dispatcher.store import shelf
from dispatcher.store.maps import MapFilter
from dispatcher.store.rows import Box, CaseFilter
from dispatcher.store.store import Store

CASES, ASKED, WARM = 1_000_000, 50, 3
NOW = "2026-12-01T00:00:00.000Z"
SMALL, LARGE = (114.05, 22.54, 114.053, 22.543), (114.0, 22.52, 114.03, 22.547)
GIVEN = """create temp table given as select i as n, 22.45 + random() * 0.23 as lat, 113.85 + random() * 0.44 as lon,
    case when i % 100 = 0 then 'handled' when i % 50 = 0 then 'open' else 'closed' end as state,
    case when i % 50 = 0 and i > %(cases)s * 0.995 then '2026-12-30T00:00:00.000Z'
         when i % 50 = 0 then '2026-11-21T00:00:00.000Z' when i % 20 = 0 then '' end as late,
    '4403' || lpad((4 + i % 10)::text, 2, '0') as district from generate_series(1, %(cases)s) i"""
SEEN = "'2026-11-20T00:00:00.000Z'"
FILLED = (
    f"""insert into cases (id, state, matter, area, opened_at, first, raised, updated, late_from, document)
    select 'c' || n, state, '06010', district || '001001', {SEEN}, n, n, n, late,
    json_build_object('state', state, 'sightings', '[]'::json, 'about', repeat('x', 600)) from given""",
    f"""insert into case_map ("case", seq, lat, lon, cell, first_seen_at, last_seen_at)
    select 'c' || n, n, lat, lon, 0, {SEEN}, {SEEN} from given""",
    *(
        f"""insert into shelf (stem, raised, state, matter, owned, opened_at, lat, lon, late_from)
        select {stem}, n, state, '06010', true, {SEEN}, lat, lon, late from given"""
        for stem in ("''", "district")
    ),
)


def main(*, cases: int = CASES) -> dict[str, Any]:
    with postgresql() as url, Store.open(url) as store:
        with psycopg.connect(url) as connection:
            for statement in (GIVEN.replace("%(cases)s", str(cases)), *FILLED):
                connection.execute(statement.encode())
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("vacuum analyze")
        asked = {name: measured(ask) for name, ask in questions(store).items()}
    return {"benchmark": "places", "cases": cases, "asked": asked} | where()


def questions(store: Store) -> dict[str, Callable[[], int]]:
    """Each gives how many cases it found."""

    def page(**more: Any) -> Callable[[], int]:
        def ask() -> int:
            with store.reading() as connection:
                return len(shelf.page(connection, CaseFilter(now=NOW, limit=100, **more)).raised)

        return ask

    return {
        "list, box of 300 m": page(box=Box(*SMALL)),
        "list, box of 300 m, open": page(box=Box(*SMALL), state="open"),
        "list, overdue": page(overdue=True),
        "list, overdue and open": page(overdue=True, state="open"),
        "OGC, box of 300 m": lambda: len(store.maps.page(MapFilter(box=SMALL)).cases),
        "OGC, 500 of a box of 3 km": lambda: len(store.maps.page(MapFilter(box=LARGE, limit=500)).cases),
        "OGC, first page of all": lambda: len(store.maps.page(MapFilter()).cases),
        "heat map, cells of what is open": lambda: len(store.maps.unsettled(EVERYTHING)),
    }


def measured(ask: Callable[[], int]) -> dict[str, float]:
    took, found = [], 0
    for n in range(WARM + ASKED):
        began = time.perf_counter()
        found = ask()
        if n >= WARM:
            took.append(1e3 * (time.perf_counter() - began))
    return {"found": found, "p50_ms": round(quantile(took, 0.5), 1), "p95_ms": round(quantile(took, 0.95), 1)}


def table(result: dict[str, Any]) -> str:
    """For people."""
    lines = [f"{result['cases']:,} cases"]
    lines += [
        f"{name:34}{one['found']:>7,.0f} found{one['p50_ms']:>9.1f} ms p50{one['p95_ms']:>9.1f} p95"
        for name, one in result["asked"].items()
    ]
    return "\n".join([*lines, f"{result['machine']} · commit {result['commit']} · {result['date']}"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=CASES)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    done = main(cases=given.cases)
    if not given.json:
        print(table(done), file=sys.stderr)
    print(json.dumps(done, allow_nan=False))
