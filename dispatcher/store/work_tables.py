"""Tables of the offices' work: `actions` is an append-only chain and the truth, `work` its projection."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, String, Table, Text

from dispatcher.store.tables import metadata

actions = Table(
    "actions",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),  # 1, 2, 3 … without a gap
    Column("case", Text, nullable=False, index=True),
    Column("act", String(32), nullable=False),
    Column("actor", Text, nullable=False),
    Column("at", String(32), nullable=False),
    Column("event", Text, index=True),  # the case event that tells of it, or that caused it
    Column("key", Text),  # Idempotency-Key
    Column("document", Text, nullable=False),  # canonical JSON, what the hash is of
    Column("hash", String(64), nullable=False),
)

work = Table(
    "work",
    metadata,
    Column("case", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),  # seq of the last action
    Column("step", String(32), nullable=False, index=True),
    Column("outcome", String(32)),
    Column("office", Text, index=True),
    Column("due_at", String(32), index=True),
    Column("escalates_at", String(32), index=True),
    Column("level", Integer, nullable=False),
    Column("priority", Float, nullable=False),
    Column("document", Text, nullable=False),
)

book = Table(  # rosters, policies and campaigns as they were imported, one text each
    "book",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("document", Text, nullable=False),
    Column("imported_at", String(32), nullable=False),
)

Index("actions_actor_key", actions.c.actor, actions.c.key, unique=True)
