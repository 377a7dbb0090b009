"""Lease: who may decide on a store, and who may send for it. When its process ends, the next takes over."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from enum import IntEnum
from typing import Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from dispatcher.store.database import DECIDING, POSTGRESQL, SENDING, StoreUnavailable


class Right(IntEnum):
    """What a lease is for."""

    DECIDE = DECIDING  # the dispatcher's
    SEND = SENDING  # of whoever delivers through channels


class Lease(Protocol):
    """Held until it is released, or its process ends."""

    def check(self) -> None:
        """Raises StoreUnavailable when it is held no more: another process may decide already."""

    def release(self) -> None: ...


def take(engine: Engine, right: Right = Right.DECIDE) -> Lease | None:
    """The lease on a store; None while another process has it. Raises StoreUnavailable."""
    if engine.url.get_backend_name() == POSTGRESQL:
        return _Session.taken(engine, right)
    if engine.url.database in (None, "", ":memory:"):
        return _Alone()
    return _File.taken(f"{engine.url.database}.{'lease' if right is Right.DECIDE else 'sending'}")


class _Alone:
    """Nobody else can reach a database in memory."""

    def check(self) -> None: ...

    def release(self) -> None: ...


class _File:
    """The lock of a file beside the database: the kernel drops it with the process."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    @classmethod
    def taken(cls, path: str) -> _File | None:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        return cls(handle)

    def check(self) -> None: ...

    def release(self) -> None:
        os.close(self._handle)


class _Session:
    """An advisory lock of a session with PostgreSQL: the server drops it with the connection."""

    def __init__(self, connection: Connection, right: Right) -> None:
        self._connection = connection
        self._right = right

    @classmethod
    def taken(cls, engine: Engine, right: Right) -> _Session | None:
        try:
            connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT", write=True)
            got = connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({int(right)})").scalar()
        except DBAPIError as error:
            raise StoreUnavailable(f"the store does not answer: {error.orig}") from error
        if got:
            return cls(connection, right)
        connection.close()
        return None

    def check(self) -> None:
        try:
            self._connection.exec_driver_sql("SELECT 1")
        except DBAPIError as error:
            raise StoreUnavailable(f"the lease on the store is lost: {error.orig}") from error

    def release(self) -> None:
        """It would go with the session too, but only when the server has come to notice that that is over."""
        if not self._connection.invalidated:
            with suppress(DBAPIError):  # a server that is away has dropped it
                self._connection.exec_driver_sql(f"SELECT pg_advisory_unlock({int(self._right)})")
        self._connection.invalidate()
        self._connection.close()
