"""The tables of who may see and do what. No secret is in them: passwords and tokens are kept as hashes."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text, UniqueConstraint

from dispatcher.store.tables import metadata

accounts = Table(
    "accounts",
    metadata,
    Column("login", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("areas", Text),  # JSON list of codes; NULL: all
    Column("disabled", Boolean, nullable=False),
    Column("password_hash", Text),  # argon2id; NULL: signs in elsewhere
    Column("issuer", Text),
    Column("subject", Text),
    Column("created_at", String(32), nullable=False),
    Column("changed_at", String(32), nullable=False),
    UniqueConstraint("issuer", "subject"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("hash", String(64), primary_key=True),  # SHA-256 of the token
    Column("login", String(64), nullable=False, index=True),
    Column("started_at", String(32), nullable=False, index=True),
    Column("seen_at", String(32), nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("hash", String(64), nullable=False),
    Column("name", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("areas", Text),
    Column("reach", Text, nullable=False),  # JSON list
    Column("created_at", String(32), nullable=False),
    Column("expires_at", String(32), nullable=False),
    Column("revoked_at", String(32)),
    Column("used_at", String(32)),
)

attempts = Table(  # failed sign-ins, by account and by address
    "attempts",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("last_at", String(32), nullable=False, index=True),
)

journeys = Table(  # browsers that were sent to an identity provider and are expected back
    "journeys",
    metadata,
    Column("hash", String(64), primary_key=True),  # of the state
    Column("nonce", Text, nullable=False),
    Column("verifier", Text, nullable=False),  # PKCE
    Column("began_at", String(32), nullable=False, index=True),
)

seen_by = Table(  # a projection of events: which areas a case is shown to
    "seen_by",
    metadata,
    Column("case", Text, primary_key=True),
    Column("area", Text, primary_key=True),
    Column("told", Boolean, nullable=False),  # stays whatever becomes of the case; else it is the owner's alone
)
Index("seen_by_area", seen_by.c.area, seen_by.c.case)

pictures = Table(  # a projection of events: to which cases an evidence picture belongs
    "pictures",
    metadata,
    Column("name", Text, primary_key=True),
    Column("case", Text, primary_key=True),
)

marks = Table(  # how far this database has been brought
    "access_marks",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", BigInteger, nullable=False),
)
