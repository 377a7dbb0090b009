"""The table that lists are read from: a projection of events and actions, laid out in the order in which pages ask."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, String, Table, Text

from dispatcher.store.tables import metadata

shelf = Table(
    "shelf",
    metadata,
    Column("stem", Text, primary_key=True),  # what the codes of an area begin with; "" holds every case
    Column("raised", BigInteger, primary_key=True, autoincrement=False),  # of the case: no two have the same
    Column("state", String(32), nullable=False),
    Column("matter", String(32), nullable=False),
    Column("owned", Boolean, nullable=False),
    Column("opened_at", String(32)),
    Column("lat", Float, nullable=False),
    Column("lon", Float, nullable=False),
    Column("late_from", String(32)),  # as in `cases`
    sqlite_with_rowid=False,  # a page is then one stretch of the file
)
Index("shelf_state", shelf.c.stem, shelf.c.state, shelf.c.raised)
Index(  # of what is or may become overdue: most cases were handled in time, and a walk need not pass them
    "shelf_late",
    *(shelf.c.stem, shelf.c.state, shelf.c.raised, shelf.c.late_from),
    sqlite_where=shelf.c.late_from.is_not(None),
    postgresql_where=shelf.c.late_from.is_not(None),
)
