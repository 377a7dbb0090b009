"""Stocked: a store with many cases, made of some that went through the real path and copies of their rows.

A city of ten districts with ten streets of ten communities each. The first cases are appended as a dispatcher does;
the others are copied by the database itself, row by row in every table, under ids and numbers of their own, and the
indexes are made when all are there. So a million cases take a minute or two, and each is stored just as if it had been
appended.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import (
    Connection,
    Table,
    create_engine,
    func,
    insert,
    literal,
    select,
    text,
    true,
    union_all,
    update,
)
from sqlalchemy.engine import make_url

from dispatcher.case import Alert, Case, CaseEvent, Share, State
from dispatcher.store import tables
from dispatcher.store.access_tables import seen_by
from dispatcher.store.database import DRIVERS
from dispatcher.store.map_tables import case_map
from dispatcher.store.shelf_tables import shelf
from dispatcher.store.store import Store
from dispatcher.store.tally_tables import alert_tally, tally
from dispatcher.store.work import follow
from vision.sighting import Evidence

SCRIPT = Path(__file__).parents[1] / "scripts" / "postgres"
BASE = 10_000
AT_ONCE = 500
DISTRICTS = [f"4403{n:02d}" for n in range(4, 14)]
STREETS = [f"{district}{n:03d}" for district in DISTRICTS for n in range(1, 11)]
COMMUNITIES = [f"{street}{n:03d}" for street in STREETS for n in range(1, 11)]
START = datetime(2026, 11, 1, tzinfo=UTC)
CONSTRAINTS = """select conname, pg_get_constraintdef(oid) from pg_constraint
    where conrelid = to_regclass(:table) and contype in ('p', 'u')"""
INDEXES = "select indexname, indexdef from pg_indexes where schemaname = 'public' and tablename = :table"
WEST, SOUTH, SIDE = 113.9, 22.5, 0.01  # of a community, degrees


@contextmanager
def postgresql() -> Iterator[str]:
    """A server of one's own with an empty database: its URL. It ends with the block."""
    with server() as url:
        with psycopg.connect(f"{url}/postgres", autocommit=True) as connection:
            connection.execute("create database jiexun")
        yield f"{url}/jiexun"


@contextmanager
def server() -> Iterator[str]:
    """A server of one's own: its URL without a database. It ends with the block."""
    folder = Path(tempfile.mkdtemp(prefix="jiexun-postgres-", dir="/var/tmp"))
    folder.chmod(0o755)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    try:
        start = [str(SCRIPT), "start", "--data", str(folder), "--port", str(port)]
        done = subprocess.run(start, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise OSError("PostgreSQL could not be started: see above")
        try:
            yield done.stdout.splitlines()[-1]
        finally:
            subprocess.run([SCRIPT, "stop", "--data", folder], check=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def areas_text() -> str:
    """The city as GeoJSON: communities on a lattice, 40 in a row, named so that a person sees which is which."""
    return json.dumps({"type": "FeatureCollection", "features": list(_features())}, ensure_ascii=False)


def _features() -> Iterator[dict[str, Any]]:
    for n, code in enumerate(COMMUNITIES):
        row, column = divmod(n, 40)
        west, south = WEST + column * SIDE, SOUTH + row * SIDE
        east, north = west + SIDE, south + SIDE
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        named = {"code": code, "name": f"第{n + 1}社区", "layer": "community", "parent": code[:9]}
        yield {"type": "Feature", "properties": named, "geometry": {"type": "Polygon", "coordinates": [ring]}}


def opened(n: int) -> CaseEvent:
    """The n-th case as it is opened; one in five was closed meanwhile, and so on."""
    area = COMMUNITIES[n * 7 % len(COMMUNITIES)]
    row, column = divmod(COMMUNITIES.index(area), 40)
    at = START + timedelta(minutes=n)
    id = f"case-{n:07d}-{'0' * 19}"  # as long as the ids that an engine makes
    case = Case(
        id=id,
        kind="garbage",
        matter=("06010", "06042", "08010", "08011")[n % 4],
        state=(State.OPEN, State.OPEN, State.HANDLED, State.CLOSED, State.OPEN)[n % 5],
        lat=SOUTH + (row + 0.5) * SIDE,
        lon=WEST + (column + 0.5) * SIDE,
        covariance_m2=(4.0, 0.0, 1.0),
        probability=0.9973,
        opened_at=at,
        closed_at=None,
        episode=1,
        previous=None,
        first_seen_at=at,
        last_seen_at=at + timedelta(minutes=25),
        sightings=(f"{id}-1", f"{id}-2"),
        passes=2,
        owners=(Share(area, 0.97),),
        alerts=(Alert(area, "opened", at),),
        confidence=0.91,
        evidence=Evidence(uri=None, sha256=None, box_xyxy=None, missing="not-stored: a benchmark"),
    )
    return CaseEvent(id=f"{id}:opened", event="opened", at=at, case=case, recipients=(area,))


def stock(url: str, cases: int, base: int = BASE) -> None:
    """Fill an empty store with so many cases, and let the database learn how they lie."""
    base = min(base, cases)
    with Store.open(url) as store:
        store.keep_areas(areas_text())
        for start in range(0, base, AT_ONCE):
            store.append((), [opened(n) for n in range(start, min(start + AT_ONCE, base))])
    named = make_url(url)
    engine = create_engine(named.set(drivername=DRIVERS[named.get_backend_name()]))
    on_postgresql = named.get_backend_name() == "postgresql"
    with engine.begin() as connection:
        for table in (tables.events, tables.cases, tables.alerts, seen_by, shelf, case_map):
            with _unindexed(connection, table) if on_postgresql else nullcontext():
                connection.execute(_copied(table, cases // base, base))
        for counted in (tally, alert_tally):
            connection.execute(update(counted).values(n=counted.c.n * (cases // base)))
        follow(connection, cases // base * base)  # the desk has taken note of them
        if on_postgresql:
            connection.execute(text("select setval('events_seq_seq', (select max(seq) from events))"))
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("vacuum analyze" if on_postgresql else "analyze"))
    engine.dispose()


@contextmanager
def _unindexed(connection: Connection, table: Table) -> Iterator[None]:
    """A table without its keys and indexes, which are made anew at the end: for PostgreSQL by far the quicker way."""
    named = {"table": table.name}
    constraints = connection.execute(text(CONSTRAINTS), named).all()
    for name, _ in constraints:
        connection.execute(text(f'alter table "{table.name}" drop constraint "{name}"'))
    indexes = connection.execute(text(INDEXES), named).all()
    for name, _ in indexes:
        connection.execute(text(f'drop index "{name}"'))
    yield
    connection.execute(text("set local maintenance_work_mem = '512MB'"))
    for name, definition in constraints:
        connection.execute(text(f'alter table "{table.name}" add constraint "{name}" {definition}'))
    for _, definition in indexes:
        connection.execute(text(definition))


def _copied(table: Table, copies: int, base: int) -> Any:
    """All rows of the first cases, copied under other ids and numbers until there are so many of each."""
    others = [(n, f"-{n:019d}") for n in range(1, copies)] or [(0, "")]  # a union needs one at least
    named = [select(literal(n).label("number"), literal(name).label("name")) for n, name in others]
    copy = union_all(*named).subquery("copy")
    row = {}
    for one in table.c:
        value: Any = one
        if one.name in ("seq", "first", "raised", "updated"):
            value = one + copy.c.number * base
        elif one.name in ("id", "case", "event_id", "document"):
            value = func.replace(one, literal("-" + "0" * 19), copy.c.name)
        row[one.name] = value
    number = next(one for one in table.c if one.name in ("seq", "first", "raised", "case"))
    first = number <= base if number.name != "case" else number.like("%-" + "0" * 19)
    pairs = select(*row.values()).select_from(table.join(copy, true()))
    return insert(table).from_select(list(row), pairs.where(first, copy.c.number > 0))
