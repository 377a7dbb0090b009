"""Keys of machines, as stored."""

from __future__ import annotations

import hmac
import json
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, insert, select, update

from dispatcher.access.account import TOUCH, Key
from dispatcher.access.principal import Reach, Role
from dispatcher.store.access_tables import api_keys
from dispatcher.store.accounts import areas_of_text, areas_text
from dispatcher.store.database import writer
from ingest.frame import parse_rfc3339, rfc3339


class Keys:
    """Revoked and expired keys stay, so that a list says what became of them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = writer(engine)

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

    def find(self, id: str, token_hash: str, now: datetime) -> Key | None:
        """The key of that id, and it is noted as used. None when the token is another one's, or the key is over."""
        with self._engine.begin() as connection:
            row = connection.execute(select(api_keys).where(api_keys.c.id == id)).one_or_none()
        if row is None or not hmac.compare_digest(row.hash, token_hash):
            return None
        key = _key(row)
        if key.over(now):
            return None
        if key.used_at is None or now - key.used_at >= TOUCH:
            with self._writer.begin() as connection:
                connection.execute(update(api_keys).where(api_keys.c.id == id).values(used_at=rfc3339(now)))
        return key

    def revoke(self, id: str, now: datetime) -> None:
        """From now on it is over. Raises ValueError when there is none."""
        with self._writer.begin() as connection:
            known = update(api_keys).where(api_keys.c.id == id, api_keys.c.revoked_at.is_(None))
            if connection.execute(known.values(revoked_at=rfc3339(now))).rowcount:
                return
            if connection.execute(select(api_keys).where(api_keys.c.id == id)).first() is None:
                raise ValueError(f"there is no key {id}")


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
