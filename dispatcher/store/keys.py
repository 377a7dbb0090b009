"""Keys of machines, as stored."""

from __future__ import annotations

import hmac
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, insert, select, update

from dispatcher.access.account import TOUCH, Key
from dispatcher.access.principal import Reach, Role
from dispatcher.store.access_tables import api_keys
from dispatcher.store.accounts import areas_of_text, areas_text
from dispatcher.store.bulk import rows_with, update_rows
from dispatcher.store.database import writer
from ingest.frame import parse_rfc3339, rfc3339

REMEMBERED = timedelta(seconds=1)  # so long a key that another process revokes may still be let in
MOST = 10_000  # keys remembered


@dataclass(frozen=True, slots=True)
class _Found:
    key: Key
    hash: str
    at: datetime


class Keys:
    """Revoked and expired keys stay, so that a list says what became of them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = writer(engine)
        self._lock = threading.Lock()
        self._found: dict[str, _Found] = {}
        self._revoked = 0  # how often: what was asked before the last time is not remembered

    def add(self, key: Key, token_hash: str) -> None:
        values = {
            "id": key.id,
            "hash": token_hash,
            "name": key.name,
            "role": str(key.role),
            "areas": areas_text(key.areas),
            "reach": json.dumps(sorted(key.reach)),
            "created_at": rfc3339(key.created_at),
            "expires_at": rfc3339(key.expires_at),
        }
        with self._writer.begin() as connection:
            connection.execute(insert(api_keys).values(values))

    def all(self) -> list[Key]:
        with self._engine.begin() as connection:
            return [_key(row) for row in connection.execute(select(api_keys).order_by(api_keys.c.created_at))]

    def remembered(self, id: str, token_hash: str, now: datetime) -> Key | None:
        """The key of that id, when it was found no longer ago than `REMEMBERED`; asks nobody."""
        found = self._found.get(id)
        if found is None or not timedelta(0) <= now - found.at < REMEMBERED:
            return None
        return found.key if hmac.compare_digest(found.hash, token_hash) and not found.key.over(now) else None

    def find(self, id: str, token_hash: str, now: datetime) -> Key | None:
        """The key of that id, and it is noted as used. None when the token is another one's, or the key is over.

        It is asked of the store each time; what was found is remembered for a moment, see `remembered`.
        """
        return self.find_all({token_hash: id}, now).get(token_hash)

    def find_all(self, ids: Mapping[str, str], now: datetime) -> dict[str, Key]:
        """`find` for many at once, each the hash of a token and the id in it: the keys by these hashes."""
        if not ids:
            return {}
        revoked = self._revoked
        with self._engine.begin() as connection:
            rows = rows_with(connection, select(api_keys), api_keys.c.id, sorted(set(ids.values())))
            stored = {row.id: (row.hash, _key(row)) for row in rows}
        found = {}
        for token_hash, id in ids.items():
            hash, key = stored.get(id, ("", None))
            if key is not None and hmac.compare_digest(hash, token_hash) and not key.over(now):
                found[token_hash] = key
        used = [key.id for key in found.values() if key.used_at is None or now - key.used_at >= TOUCH]
        if used:
            with self._writer.begin() as connection:
                update_rows(connection, api_keys, [{"id": id, "used_at": rfc3339(now)} for id in used], ["id"])
        with self._lock:
            if revoked == self._revoked:
                self._remember(found, now)
        return found

    def _remember(self, found: Mapping[str, Key], now: datetime) -> None:
        if len(self._found) + len(found) > MOST:
            self._found.clear()
        self._found |= {key.id: _Found(key, hash, now) for hash, key in found.items()}

    def revoke(self, id: str, now: datetime) -> None:
        """From now on it is over: here at once, for other processes within `REMEMBERED`.

        Raises ValueError when there is none.
        """
        with self._writer.begin() as connection:
            known = update(api_keys).where(api_keys.c.id == id, api_keys.c.revoked_at.is_(None))
            done = connection.execute(known.values(revoked_at=rfc3339(now))).rowcount
            if not done and connection.execute(select(api_keys).where(api_keys.c.id == id)).first() is None:
                raise ValueError(f"there is no key {id}")
        with self._lock:
            self._revoked += 1
            self._found.clear()


def _key(row: Any) -> Key:
    return Key(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        areas=areas_of_text(row.areas),
        reach=frozenset(map(Reach, json.loads(row.reach))),
        created_at=parse_rfc3339(row.created_at),
        expires_at=parse_rfc3339(row.expires_at),
        revoked_at=None if row.revoked_at is None else parse_rfc3339(row.revoked_at),
        used_at=None if row.used_at is None else parse_rfc3339(row.used_at),
    )
