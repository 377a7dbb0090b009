"""Tables of channels and of what is delivered through them. Not projections: nothing else knows what was sent."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text, UniqueConstraint

from dispatcher.store.tables import metadata

channels = Table(
    "channels",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", Text, nullable=False),  # unique among those that are not removed
    Column("kind", String(16), nullable=False),
    Column("url", Text, nullable=False),  # emptied with the secrets when the channel is removed
    Column("secret", Text, nullable=False),
    Column("secret_before", Text, nullable=False, server_default=""),
    Column("before_until", String(32), nullable=False, server_default=""),
    Column("recipients", Text, nullable=False),  # JSON lists
    Column("events", Text, nullable=False),
    Column("mentions", Text, nullable=False),
    Column("page", Text, nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("removed_at", String(32), nullable=False, server_default=""),
    Column("held_until", String(32), nullable=False, server_default=""),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("next_free", String(32), nullable=False, server_default=""),
    Column("stopped", Text, nullable=False, server_default=""),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("seq", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
    Column("alert", Text, nullable=False),  # id of its envelope
    Column("channel", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("created_at", String(32), nullable=False),  # RFC 3339, UTC, milliseconds: sorts as text
    Column("next_at", String(32), nullable=False),
    Column("ended_at", String(32), nullable=False, server_default=""),
    Column("error", Text, nullable=False, server_default=""),
    Column("digest", String(32), nullable=False, server_default=""),
    Column("line", Text, nullable=False),  # the envelope
    UniqueConstraint("alert", "channel"),
    sqlite_autoincrement=True,
)

# In the order in which they are due, so that a long backlog costs the sender nothing.
Index("deliveries_due", deliveries.c.channel, deliveries.c.state, deliveries.c.next_at, deliveries.c.seq)
