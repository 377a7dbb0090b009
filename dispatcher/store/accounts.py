"""Accounts and their sessions, as stored. Times are given, not read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, delete, exists, insert, select, update
from sqlalchemy.exc import IntegrityError

from dispatcher.access.account import SESSION_LONGEST, TOUCH, Account, Session
from dispatcher.access.principal import Role
from dispatcher.store.access_tables import accounts, sessions
from dispatcher.store.bulk import rows_with, update_rows
from dispatcher.store.database import writer
from ingest.frame import parse_rfc3339, rfc3339


class Accounts:
    """Those who may sign in, and where they have. Accounts are disabled, never deleted: the audit log names them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = writer(engine)

    def any(self) -> bool:
        """Whether there is an account, disabled or not."""
        with self._engine.begin() as connection:
            return bool(connection.scalar(select(exists().select_from(accounts))))

    def all(self) -> list[Account]:
        with self._engine.begin() as connection:
            return [_account(row) for row in connection.execute(select(accounts).order_by(accounts.c.login))]

    def get(self, login: str) -> Account | None:
        with self._engine.begin() as connection:
            row = connection.execute(select(accounts).where(accounts.c.login == login)).one_or_none()
        return None if row is None else _account(row)

    def of_subject(self, issuer: str, subject: str) -> Account | None:
        """The account of somebody for whom an identity provider vouches."""
        query = select(accounts).where(accounts.c.issuer == issuer, accounts.c.subject == subject)
        with self._engine.begin() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _account(row)

    def add(self, account: Account) -> None:
        """Raises ValueError when the login is taken."""
        try:
            with self._writer.begin() as connection:
                connection.execute(insert(accounts).values(_values(account)))
        except IntegrityError:
            raise ValueError(f"there is an account {account.login} already") from None

    def change(self, account: Account) -> None:
        """Keep an account as it is now; its sessions end. Raises ValueError when there is none."""
        with self._writer.begin() as connection:
            known = update(accounts).where(accounts.c.login == account.login)
            if not connection.execute(known.values(_values(account))).rowcount:
                raise ValueError(f"there is no account {account.login}")
            connection.execute(delete(sessions).where(sessions.c.login == account.login))

    def rehash(self, login: str, password_hash: str) -> None:
        """The same password in a newer hash: sessions go on."""
        with self._writer.begin() as connection:
            connection.execute(update(accounts).where(accounts.c.login == login).values(password_hash=password_hash))

    def begin_session(self, token_hash: str, account: Account, now: datetime) -> bool:
        """False when the account was changed or disabled meanwhile. Sessions that are long over are forgotten."""
        login = account.login
        with self._writer.begin() as connection:
            row = connection.execute(select(accounts).where(accounts.c.login == login)).one_or_none()
            if row is None or row.disabled or row.changed_at != rfc3339(account.changed_at):
                return False
            old = sessions.c.started_at < rfc3339(now - SESSION_LONGEST)
            connection.execute(delete(sessions).where(old))
            times = {"started_at": rfc3339(now), "seen_at": rfc3339(now)}
            connection.execute(insert(sessions).values(hash=token_hash, login=login, **times))
        return True

    def session(self, token_hash: str, now: datetime) -> Session | None:
        """The session of a token, and it is noted as used. None when there is none, or it is over."""
        return self.sessions([token_hash], now).get(token_hash)

    def sessions(self, token_hashes: Sequence[str], now: datetime) -> dict[str, Session]:
        """The sessions of these tokens that are not over; they are noted as used."""
        query = select(sessions.c.hash, sessions.c.started_at, sessions.c.seen_at, accounts).join(
            accounts, accounts.c.login == sessions.c.login
        )
        found = {}
        with self._engine.begin() as connection:
            for row in rows_with(connection, query, sessions.c.hash, token_hashes):
                started, seen = parse_rfc3339(row.started_at), parse_rfc3339(row.seen_at)
                session = Session(account=_account(row), started_at=started, seen_at=seen)
                if not session.over(now):
                    found[row.hash] = session
        stale = [{"hash": hash, "seen_at": rfc3339(now)} for hash, one in found.items() if now - one.seen_at >= TOUCH]
        if stale:
            with self._writer.begin() as connection:
                update_rows(connection, sessions, stale, ["hash"])
        return found

    def end_session(self, token_hash: str) -> None:
        with self._writer.begin() as connection:
            connection.execute(delete(sessions).where(sessions.c.hash == token_hash))


def areas_text(areas: frozenset[str] | None) -> str | None:
    """How areas are stored."""
    return None if areas is None else json.dumps(sorted(areas))


def areas_of_text(text: str | None) -> frozenset[str] | None:
    return None if text is None else frozenset(json.loads(text))


def end_all_sessions(connection: Connection) -> None:
    """As a copy of a store begins: a token that was stolen, or signed out since, is worth nothing there."""
    connection.execute(delete(sessions))


def _values(account: Account) -> dict[str, Any]:
    return {
        "login": account.login,
        "name": account.name,
        "role": str(account.role),
        "areas": areas_text(account.areas),
        "disabled": account.disabled,
        "password_hash": account.password_hash,
        "issuer": account.issuer,
        "subject": account.subject,
        "created_at": rfc3339(account.created_at),
        "changed_at": rfc3339(account.changed_at),
    }


def _account(row: Any) -> Account:
    return Account(
        login=row.login,
        name=row.name,
        role=Role(row.role),
        areas=areas_of_text(row.areas),
        disabled=bool(row.disabled),
        password_hash=row.password_hash,
        issuer=row.issuer,
        subject=row.subject,
        created_at=parse_rfc3339(row.created_at),
        changed_at=parse_rfc3339(row.changed_at),
    )
