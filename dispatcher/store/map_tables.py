"""The tables of maps. Both are projections: `looks` of stored passes, `case_map` of the event log."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, String, Table, Text

from dispatcher.store.tables import metadata

looks = Table(
    "looks",
    metadata,
    Column("day", String(10), primary_key=True),  # in China, when the pass ended
    Column("cell", BigInteger, primary_key=True, autoincrement=False),  # H3, resolution 10
    # Expected clear looks in thousandths: whole numbers, whose sum does not depend on the order
    Column("milli", BigInteger, nullable=False),
)

case_map = Table(
    "case_map",
    metadata,
    Column("case", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False, unique=True),  # of its first event: the order of pages
    Column("lat", Float, nullable=False),
    Column("lon", Float, nullable=False),
    Column("cell", BigInteger, nullable=False),  # H3, resolution 10
    Column("first_seen_at", String(32), nullable=False),
    Column("last_seen_at", String(32), nullable=False),
)
Index("case_map_place", case_map.c.lat, case_map.c.lon)
