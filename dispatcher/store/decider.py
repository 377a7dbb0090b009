"""Decider: which case engine decides on a store. Each call is inside a transaction."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from dispatcher.store import tables

DECIDER = "engine"  # in `kept`


def decider(connection: Connection) -> str | None:
    """The engine's name; None where nobody has said."""
    found: str | None = connection.scalar(select(tables.kept.c.document).where(tables.kept.c.name == DECIDER))
    return found


def keep_decider(connection: Connection, name: str) -> None:
    connection.execute(delete(tables.kept).where(tables.kept.c.name == DECIDER))
    connection.execute(insert(tables.kept).values(name=DECIDER, document=name))
