"""A PostgreSQL of this test run's own, and databases for stores of either kind."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import delete

from benchmarks.stocked import server
from dispatcher.store import tables
from dispatcher.store.database import connect, writer
from dispatcher.store.store import Store


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """As `postgresql://…` without a database. JIEXUN_POSTGRESQL names another."""
    if given := os.environ.get("JIEXUN_POSTGRESQL"):
        yield given.rstrip("/")
        return
    if not list(Path("/usr/lib/postgresql").glob("*/bin")) or not shutil.which("runuser"):
        why = "NO REAL POSTGRESQL, NOT TESTED: install postgresql-15-postgis-3, or name one by JIEXUN_POSTGRESQL"
        pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)
    with server() as url:
        yield url


@pytest.fixture(scope="session")
def sqlite_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with today's tables, to be copied."""
    path = tmp_path_factory.mktemp("tables") / "tables.db"
    make_tables(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgresql_tables(postgresql: str) -> str:
    """The name of a database with today's tables, to be copied."""
    name = create_database(postgresql)
    make_tables(f"{postgresql}/{name}")
    return name


def make_tables(url: str) -> None:
    """As opening a store there makes them, with nothing in them that says which store it is: a copy is a new one."""
    Store.open(url).close()
    engine = connect(url)
    with writer(engine).begin() as connection:
        connection.execute(delete(tables.meta))
    engine.dispose()


def create_database(server: str, template: str = "template1") -> str:
    """Its name."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"create database {name} template {template}")  # type: ignore[call-overload]  # ours
    return name


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without any tables: what opening a store makes of it is under test."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    server: str = request.getfixturevalue("postgresql")
    return f"{server}/{create_database(server)}"


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with today's tables and nothing in them. Making them anew for each test took a third of its time."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_tables"), tmp_path / "store.db")
        return f"sqlite:///{tmp_path / 'store.db'}"
    server: str = request.getfixturevalue("postgresql")
    return f"{server}/{create_database(server, request.getfixturevalue('postgresql_tables'))}"
