"""The tables that counts are read from: projections of events and actions, kept up to date by every one of them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, String, Table, Text

from dispatcher.store.tables import metadata

tally = Table(  # how many cases share all this; no row says none
    "tally",
    metadata,
    Column("stem", Text, primary_key=True),  # of a shelf that they stand on; "" counts every case
    Column("state", String(32), primary_key=True),
    Column("matter", String(32), primary_key=True),
    Column("area", Text, primary_key=True),  # the owner; "" when unowned
    Column("n", BigInteger, nullable=False),
)

alert_tally = Table(
    "alert_tally",
    metadata,
    Column("recipient", Text, primary_key=True),
    Column("n", BigInteger, nullable=False),
)
