"""The tables of what was deleted. Both are the truth: no event tells of them, and a rebuild reads them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, String, Table, Text

from dispatcher.store.tables import metadata

gone = Table(
    "gone",
    metadata,
    Column("name", Text, primary_key=True),  # of a picture
    Column("case", Text, primary_key=True),  # that has to do without it
    Column("why", String(16), nullable=False),  # "expired" or "erased"
    Column("at", String(32), nullable=False),
)
Index("gone_case", gone.c.case)

erased_looks = Table(  # what erased passes had looked at, all of them together: `looks` is made of it too
    "erased_looks",
    metadata,
    Column("day", String(10), primary_key=True),
    Column("cell", BigInteger, primary_key=True, autoincrement=False),
    Column("milli", BigInteger, nullable=False),
)
