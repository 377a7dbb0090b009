"""Stores of earlier versions become stores of today, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from futian import NOON, WEST
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import make_url

from dispatcher.access.scope import Scope
from dispatcher.store.database import DRIVERS, StoreUnavailable
from dispatcher.store.rows import CaseFilter
from dispatcher.store.store import Store
from dispatcher.store.tables import metadata
from ingest.envelope import dumps
from ingest.frame import rfc3339

OLD = Path(__file__).parent / "data" / "store_0001.sql"  # what the version before the first revision made


def engine_of(address: str) -> Any:
    parsed = make_url(address)
    return create_engine(parsed.set(drivername=DRIVERS[parsed.get_backend_name()]))


def schema(address: str) -> dict[str, Any]:
    """Every table with its columns, keys and indexes, in no order."""
    engine = engine_of(address)
    seen = inspect(engine)
    found = {
        name: (
            sorted((c["name"], str(c["type"]), c["nullable"], str(c["default"])) for c in seen.get_columns(name)),
            seen.get_pk_constraint(name)["constrained_columns"],
            sorted(str(sorted(u["column_names"])) for u in seen.get_unique_constraints(name)),
            sorted((i["name"], i["column_names"], bool(i["unique"])) for i in seen.get_indexes(name)),
        )
        for name in seen.get_table_names()
    }
    engine.dispose()
    return found


def revision(address: str) -> str | None:
    engine = engine_of(address)
    with engine.connect() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    engine.dispose()
    return found


@pytest.fixture
def url(empty_url: str) -> str:
    return empty_url


@pytest.fixture
def old(tmp_path: Path, make_event) -> str:
    """An SQLite store as it was before there were revisions, with a case in it."""
    path = tmp_path / "old.db"
    event = make_event()
    recipients, document = dumps(list(event.recipients)), dumps(event.document())
    row = (event.id, event.case.id, event.event, rfc3339(event.at), recipients, document)
    with sqlite3.connect(path) as connection:
        connection.executescript(OLD.read_text(encoding="utf8"))
        connection.executemany("insert into meta values (?, ?)", [("schema", "1"), ("log", "00112233aabbccdd")])
        columns = 'id, "case", event, at, recipients, document'
        connection.execute(f"insert into events ({columns}) values (?, ?, ?, ?, ?, ?)", row)
        connection.execute("insert into access_marks values ('seen_by', 1)")
    connection.close()
    return f"sqlite:///{path}"


def test_an_old_file_becomes_what_a_new_one_is(old, tmp_path, make_case):
    fresh = f"sqlite:///{tmp_path / 'fresh.db'}"
    Store.open(fresh).close()
    assert schema(old) != schema(fresh)
    with Store.open(old) as store:
        assert store.log == "00112233aabbccdd"
        (case,) = store.cases(CaseFilter(scope=Scope(frozenset({WEST})))).cases
        assert case.document == make_case().document()
        assert store.summary(NOON).opened_since == 1
    assert schema(old) == schema(fresh)
    assert revision(old) == revision(fresh) is not None
    before = schema(old)
    Store.open(old).close()
    assert schema(old) == before


def test_a_store_from_before_there_were_revisions_is_brought_up(url, make_event):
    with Store.open(url) as store:
        store.append((), [make_event()])
        before = store.cases()
    fresh, at = schema(url), revision(url)
    engine = engine_of(url)
    with engine.begin() as connection:
        connection.execute(text("drop table alembic_version"))
        connection.execute(text("drop table shelf"))
        connection.execute(text("delete from access_marks"))
        connection.execute(text("create index ix_cases_state on cases (state)"))
        connection.execute(text("create index ix_cases_matter on cases (matter)"))
    engine.dispose()
    with Store.open(url) as store:
        assert store.cases() == before
    assert (schema(url), revision(url)) == (fresh, at)


def test_the_tables_are_those_that_the_code_speaks_of(url):
    Store.open(url).close()
    engine = engine_of(url)
    with engine.connect() as connection:
        ours = {"include_name": lambda name, *_: name != "spatial_ref_sys"}  # that is PostGIS's
        assert compare_metadata(MigrationContext.configure(connection, opts=ours), metadata) == []
    engine.dispose()


def test_a_store_of_a_later_version_is_left_alone(url):
    Store.open(url).close()
    engine = engine_of(url)
    with engine.begin() as connection:
        connection.execute(text("update alembic_version set version_num = '9999'"))
    engine.dispose()
    with pytest.raises(StoreUnavailable, match="later version"):
        Store.open(url)
    assert revision(url) == "9999"
