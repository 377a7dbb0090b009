"""A PostgreSQL of this test run's own, and an empty database on either kind of store."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from benchmarks.stocked import server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """As `postgresql://…` without a database. JIEXUN_POSTGRESQL names another."""
    if given := os.environ.get("JIEXUN_POSTGRESQL"):
        yield given.rstrip("/")
        return
    if not list(Path("/usr/lib/postgresql").glob("*/bin")) or not shutil.which("runuser"):
        why = "NO REAL POSTGRESQL, NOT TESTED: install postgresql-15, or name one by JIEXUN_POSTGRESQL"
        pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)
    with server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    server: str = request.getfixturevalue("postgresql")
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"create database {name}")  # type: ignore[call-overload]  # the name is ours
    return f"{server}/{name}"
