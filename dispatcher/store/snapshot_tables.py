"""The table of what an engine knows: an engine's memory, not a projection; without it the inputs are read again."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, String, Table, Text, UniqueConstraint

from dispatcher.store.tables import metadata

known = Table(
    "known",
    metadata,
    Column("n", BigInteger, primary_key=True, autoincrement=False),  # in the order of first appearance
    Column("part", String(16), nullable=False),
    Column("id", Text, nullable=False),
    Column("document", Text, nullable=False),
    UniqueConstraint("part", "id"),
)
