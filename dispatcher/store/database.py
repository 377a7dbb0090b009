"""Opening the database: SQLite or PostgreSQL. What is particular to each stays in this file."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from sqlalchemy import (
    URL,
    Boolean,
    ColumnElement,
    Connection,
    Engine,
    NullPool,
    QueuePool,
    create_engine,
    event,
    insert,
    select,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DisconnectionError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.sql.visitors import InternalTraversal

from dispatcher.store import geo, tables
from dispatcher.store.migrate import LaterVersion, migrate

BUSY_MS = 15_000  # how long a writer waits for the writer of another process
SQLITE, POSTGRESQL = "sqlite", "postgresql"
DRIVERS = {SQLITE: "sqlite+pysqlite", POSTGRESQL: "postgresql+psycopg"}
WRITING = 0x4A58_0001  # PostgreSQL's advisory locks: one writer at a time ...
DECIDING = 0x4A58_0002  # ... one dispatcher ...
SENDING = 0x4A58_0003  # ... and one sender
IDLE_S = 1.0  # after which a connection is asked whether it still is one
USED = "used_s"


class StoreUnavailable(OSError):
    """The store cannot be opened: no such folder, not writable, no database, or made by another version."""


def connect(url: str) -> Engine:
    """Open or create the database at `url`. Raises StoreUnavailable."""
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
        if backend not in DRIVERS:
            raise StoreUnavailable(f"store {parsed.render_as_string()}: only sqlite:// and postgresql:// are supported")
        named = parsed.set(drivername=DRIVERS[backend])
        engine = _sqlite(named) if backend == SQLITE else _postgresql(named)
        try:
            _create(engine)
        except BaseException:
            engine.dispose()  # nobody else can close what was opened
            raise
    except (DatabaseError, ArgumentError) as error:
        hidden = make_url(url).render_as_string() if "://" in url else url
        raise StoreUnavailable(f"store {hidden} cannot be opened: {getattr(error, 'orig', None) or error}") from error
    except LaterVersion as error:
        raise StoreUnavailable(str(error)) from error
    return engine


def looked_at(url: str) -> geo.Support:
    """What a store in PostgreSQL has of PostGIS, without changing anything there. Raises StoreUnavailable."""
    try:
        engine = create_engine(make_url(url).set(drivername=DRIVERS[POSTGRESQL]), poolclass=NullPool)
        with engine.connect() as connection:
            return geo.support(connection)
    except (DatabaseError, ArgumentError) as error:
        raise StoreUnavailable(f"the store does not answer: {getattr(error, 'orig', None) or error}") from error


def writer(engine: Engine) -> Engine:
    """The same engine, whose transactions take the write lock as they begin."""
    return engine.execution_options(write=True)


def at_once(engine: Engine) -> Engine:
    """The same engine for single statements that read: each sees one moment by itself, no transaction is begun."""
    single = engine.execution_options(single=True)
    return single if engine.dialect.name == SQLITE else single.execution_options(isolation_level="AUTOCOMMIT")


class rare(ColumnElement[bool]):  # noqa: N801  # reads as a word of a query
    """A condition that few rows meet: SQLite, which keeps no statistics here, else walks past all that do not."""

    inherit_cache = True
    _traverse_internals = [("condition", InternalTraversal.dp_clauseelement)]  # noqa: RUF012

    def __init__(self, condition: ColumnElement[bool]) -> None:
        self.condition = condition
        self.type = Boolean()

    def self_group(self, against: Any = None) -> rare:
        """As it stands: SQLAlchemy else compares it with 1, and then it hints at nothing."""
        return self


@compiles(rare)
def _as_it_is(element: rare, compiler: Any, **options: Any) -> str:
    text: str = compiler.process(element.condition, **options)
    return text


@compiles(rare, SQLITE)
def _with_a_hint(element: rare, compiler: Any, **options: Any) -> str:
    return f"unlikely({compiler.process(element.condition, **options)})"


@contextmanager
def explained_failures() -> Iterator[None]:
    """A database that fails in the middle of the block raises StoreUnavailable: what was not appended was not said."""
    try:
        yield
    except DatabaseError as error:
        raise StoreUnavailable(f"the store does not answer: {error.orig}") from error


def zero_freed(connection: Connection) -> None:
    """From now on SQLite writes zeros over what this connection deletes or replaces, which else stays in the file."""
    if connection.dialect.name == SQLITE:
        connection.exec_driver_sql("PRAGMA secure_delete=ON")


def drop_freed(engine: Engine, names: Sequence[str]) -> bool:
    """Get rid of what these tables held before. False when a reader is in the way: what it may see still stays.

    SQLite's log is emptied into the file; PostgreSQL frees the rows, whose space is then written over. Names of ours.
    """
    connection = engine.raw_connection()
    try:
        if engine.dialect.name == SQLITE:
            cursor = connection.cursor()
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            row: Any = cursor.fetchone()
            return not row[0]  # 1: somebody reads
        driver: Any = connection.driver_connection
        driver.autocommit = True
        try:
            driver.execute(f"VACUUM {', '.join(names)}")
        finally:
            driver.autocommit = False
        return True
    finally:
        connection.close()


def _sqlite(url: URL) -> Engine:
    in_memory = url.database in (None, "", ":memory:")
    # A database in memory belongs to its connection: one connection for all, and the pool makes threads take turns.
    options: dict[str, Any] = {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0} if in_memory else {}
    engine = create_engine(url, connect_args={"check_same_thread": False}, **options)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _postgresql(url: URL) -> Engine:
    """A reader sees one snapshot; writers take turns, so that rows become visible in the order of their `seq`."""
    engine = create_engine(url)
    event.listen(engine, "begin", _take_turn)
    event.listen(engine, "checkin", _used)
    event.listen(engine, "checkout", partial(_answers, engine))
    return engine


def _used(_connection: Any, record: ConnectionPoolEntry) -> None:
    record.info[USED] = time.monotonic()


def _answers(engine: Engine, connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
    """A server that was started anew has forgotten the connections of before: one that lay idle is asked first.

    SQLAlchemy's own way asks each time, which costs as much as a small question.
    """
    if time.monotonic() - record.info.get(USED, 0.0) < IDLE_S:
        return
    try:
        engine.dialect.do_ping(connection)
    except engine.dialect.loaded_dbapi.Error as error:
        raise DisconnectionError("the server has gone away") from error  # the pool opens another one


def _take_turn(connection: Any) -> None:
    if connection.get_execution_options().get("single", False):
        return
    if connection.get_execution_options().get("write", False):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITING})")
    else:
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


def _create(engine: Engine) -> None:
    with writer(engine).begin() as connection:
        migrate(connection)
        stored = {row.name: row.value for row in connection.execute(select(tables.meta))}
        if not stored:
            # Readers compare `log` to notice that they resume in another store, where their seq means nothing.
            rows = [{"name": "schema", "value": tables.SCHEMA}, {"name": "log", "value": secrets.token_hex(8)}]
            connection.execute(insert(tables.meta), rows)
        elif stored.get("schema") != tables.SCHEMA:
            raise StoreUnavailable(f"store has schema {stored.get('schema')}, this version reads {tables.SCHEMA}")
        if engine.dialect.name == POSTGRESQL:
            geo.make_views(connection)


def _prepare(connection: Any, _record: Any) -> None:
    """WAL: readers never wait for the writer nor the writer for them.

    synchronous=FULL syncs the log at every commit. NORMAL would survive a killed process, but not a power cut, and
    what was acknowledged must stay; appends come in batches, so it is one sync a batch.
    """
    connection.isolation_level = None  # we say BEGIN ourselves: the driver would begin only at the first write
    for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={BUSY_MS}"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Any) -> None:
    """A reader gets one snapshot; a writer the lock at once, since a later upgrade could fail with a stale snapshot."""
    write = connection.get_execution_options().get("write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
