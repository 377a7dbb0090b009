"""The tables. `events` is the truth; `cases` and `alerts` are projections of it and can be rebuilt at any time.

Plain column types only, so that the same definitions serve SQLite and PostgreSQL. Documents are kept as text, not in a
database JSON type: what was appended is given back byte for byte, whatever a later version writes into it.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, Text

SCHEMA = "1"  # raised when a stored database can no longer be read as it is

metadata = MetaData()

# SQLite counts up by itself only in a column that is exactly INTEGER; without AUTOINCREMENT it would give the number
# of a deleted last row again, and a reader that resumes after that number would miss the new row.
_Seq = BigInteger().with_variant(Integer(), "sqlite")

meta = Table(
    "meta",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", Text, nullable=False),
)

inputs = Table(
    "inputs",
    metadata,
    Column("seq", _Seq, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("line", Text, nullable=False),  # the envelope, one line of JSON
    sqlite_autoincrement=True,
)

events = Table(
    "events",
    metadata,
    Column("seq", _Seq, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("case", Text, nullable=False),
    Column("event", String(32), nullable=False),
    Column("at", String(32), nullable=False),  # RFC 3339, UTC, milliseconds: sorts as text
    Column("recipients", Text, nullable=False),  # JSON list of area codes
    Column("document", Text, nullable=False),  # the case right after, with `event`
    sqlite_autoincrement=True,
)

cases = Table(
    "cases",
    metadata,
    Column("id", Text, primary_key=True),
    Column("state", String(32), nullable=False),
    Column("matter", String(32), nullable=False),
    Column("area", Text, index=True),  # most probable owner; NULL when unowned
    Column("opened_at", String(32), index=True),
    Column("first", BigInteger, nullable=False),  # seq of its first event
    Column("raised", BigInteger, nullable=False, index=True),  # seq of the last event that was told, else the first
    Column("updated", BigInteger, nullable=False),  # seq of its last event
    Column("late_from", String(32)),  # when it becomes overdue, by the work on it; "": it was reported too late
    Column("document", Text, nullable=False),
)

alerts = Table(
    "alerts",
    metadata,
    Column("event_id", Text, primary_key=True),
    Column("recipient", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("case", Text, nullable=False, index=True),
    Column("event", String(32), nullable=False),
    Column("at", String(32), nullable=False),
    Column("console", String(16), nullable=False),  # how far delivery through the console has come
)

rejected = Table(
    "rejected",
    metadata,
    Column("seq", _Seq, primary_key=True, autoincrement=True),
    Column("document", Text, nullable=False),
    sqlite_autoincrement=True,
)

objects = Table(
    "objects",
    metadata,
    Column("id", Text, primary_key=True),  # its first sighting
    Column("kind", Text, nullable=False),
    Column("document", Text, nullable=False),
)

outbox = Table(  # what is still to be sent to Kafka: written with the event, deleted once it is durable there
    "outbox",
    metadata,
    Column("seq", _Seq, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False),
    Column("topic", String(32), nullable=False),
    Column("key", Text, nullable=False),
    Column("line", Text, nullable=False),  # the envelope
    sqlite_autoincrement=True,
)

kept = Table(  # the areas that the last dispatcher was given, and what its engine knew
    "kept",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("document", Text, nullable=False),
    Column("mark", String(64), nullable=False, server_default=""),  # of a snapshot: under what it was taken
    Column("seq", BigInteger, nullable=False, server_default="0"),  # and the last input in it
)

Index("events_case_seq", events.c.case, events.c.seq)
Index("alerts_recipient", alerts.c.recipient)
