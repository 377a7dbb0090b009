"""Versions of the areas: every file that was kept, and from which event on the dispatcher routed by which.

An event's owners are those of the version that was in use when it was appended. Both tables are truth, not projection:
nothing is ever changed or deleted in them, and a rebuild leaves them alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, Engine, Integer, String, Table, Text, func, insert, select

from dispatcher.store import tables
from dispatcher.store.database import writer
from dispatcher.store.rows import StoredEvent
from ingest.frame import rfc3339

_Number = BigInteger().with_variant(Integer(), "sqlite")

area_versions = Table(
    "area_versions",
    tables.metadata,
    Column("version", _Number, primary_key=True, autoincrement=True),
    Column("at", String(32), nullable=False),
    Column("digest", String(64), nullable=False),  # SHA-256 of the document
    Column("about", Text, nullable=False),  # JSON: where it came from, and how many areas of which layer
    Column("document", Text, nullable=False),  # the GeoJSON, WGS-84
    sqlite_autoincrement=True,
)

area_uses = Table(
    "area_uses",
    tables.metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("after", BigInteger, nullable=False),  # events with a higher seq were routed by it
    Column("version", BigInteger, nullable=False),
    Column("at", String(32), nullable=False),
    sqlite_autoincrement=True,
)


@dataclass(frozen=True, slots=True)
class Version:
    """One state of the areas."""

    version: int  # counts up
    at: str  # RFC 3339, when it was kept
    about: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Use:
    """From the event after `after` on, the dispatcher routed by `version`."""

    after: int
    version: int
    at: str


class AreaVersions:
    """What was kept, and what was used."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = writer(engine)

    def all(self) -> list[Version]:
        """Oldest first."""
        columns = (area_versions.c.version, area_versions.c.at, area_versions.c.about)
        with self._engine.begin() as connection:
            rows = connection.execute(select(*columns).order_by(area_versions.c.version)).all()
        return [Version(row.version, row.at, json.loads(row.about)) for row in rows]

    def document(self, version: int) -> str | None:
        """The GeoJSON of a version."""
        query = select(area_versions.c.document).where(area_versions.c.version == version)
        with self._engine.begin() as connection:
            found = connection.scalar(query)
        return None if found is None else str(found)

    def uses(self) -> list[Use]:
        """In the order of events."""
        with self._engine.begin() as connection:
            rows = connection.execute(select(area_uses).order_by(area_uses.c.number)).all()
        return [Use(row.after, row.version, row.at) for row in rows]

    def use(self, text: str, now: datetime) -> int:
        """A dispatcher begins to route by these areas. Returns their version."""
        with self._writer.begin() as connection:
            version = keep(connection, text, {}, now)
            last = select(area_uses.c.version).order_by(area_uses.c.number.desc()).limit(1)
            if connection.scalar(last) != version:
                after = connection.scalar(select(func.max(tables.events.c.seq))) or 0
                row = {"after": after, "version": version, "at": rfc3339(now)}
                connection.execute(insert(area_uses).values(row))
        return version


def keep(connection: Connection, text: str, about: Mapping[str, Any], now: datetime) -> int:
    """A version of its own for areas that are not those of the last one. Returns its number."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    last = select(area_versions.c.version, area_versions.c.digest).order_by(area_versions.c.version.desc()).limit(1)
    row = connection.execute(last).one_or_none()
    if row is not None and row.digest == digest:
        return int(row.version)
    values = {"at": rfc3339(now), "digest": digest, "about": json.dumps(dict(about), ensure_ascii=False)}
    kept = connection.execute(insert(area_versions).values(values | {"document": text})).inserted_primary_key
    assert kept is not None
    return int(kept[0])


def routed_by(events: Iterable[StoredEvent], uses: Sequence[Use]) -> int | None:
    """The version that a case has its owners from, by its events, oldest first. None when none was kept then.

    It is the one in use when the owners became what they are: an office's action later on repeats them.
    """
    owners, since = None, 0
    for event in events:
        if event.document["owners"] != owners:
            owners, since = event.document["owners"], event.seq
    return next((use.version for use in reversed(uses) if use.after < since), None)
