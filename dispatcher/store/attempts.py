"""Attempts to sign in, as stored: a restart forgives nothing, and several servers count together."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, delete, insert, select, update

from dispatcher.access.throttle import Throttle
from dispatcher.store.access_tables import attempts, journeys
from dispatcher.store.database import writer
from ingest.frame import parse_rfc3339, rfc3339

JOURNEY = timedelta(minutes=10)  # how long an identity provider may take to send somebody back


class Attempts:
    """Failures by subject, and journeys to identity providers."""

    def __init__(self, engine: Engine) -> None:
        self._writer = writer(engine)

    def begin(self, throttles: Mapping[str, Throttle], now: datetime) -> timedelta:
        """Count an attempt of all these subjects as failed, before it is known: many at once do not slip through.

        Returns how long to wait instead when one of them has to; then nothing is counted.
        """
        with self._writer.begin() as connection:
            longest = max(throttle.forgets for throttle in throttles.values())
            connection.execute(delete(attempts).where(attempts.c.last_at < rfc3339(now - longest)))
            failures: dict[str, int] = {}
            wait = timedelta(0)
            for subject, throttle in throttles.items():
                row = connection.execute(select(attempts).where(attempts.c.subject == subject)).one_or_none()
                failures[subject] = 0 if row is None else row.failures
                if row is not None:
                    wait = max(wait, parse_rfc3339(row.last_at) + throttle.wait(row.failures) - now)
            if wait <= timedelta(0):
                for subject, n in failures.items():
                    _keep(connection, subject, n + 1, now)
        return max(wait, timedelta(0))

    def forgive(self, account: str, address: str) -> None:
        """It was the right password: the account starts anew, the address is not charged for it."""
        with self._writer.begin() as connection:
            connection.execute(delete(attempts).where(attempts.c.subject == account))
            known = update(attempts).where(attempts.c.subject == address, attempts.c.failures > 0)
            connection.execute(known.values(failures=attempts.c.failures - 1))

    def depart(self, state_hash: str, nonce: str, verifier: str, now: datetime) -> None:
        """Somebody is sent to an identity provider."""
        with self._writer.begin() as connection:
            connection.execute(delete(journeys).where(journeys.c.began_at < rfc3339(now - JOURNEY)))
            values = {"hash": state_hash, "nonce": nonce, "verifier": verifier, "began_at": rfc3339(now)}
            connection.execute(insert(journeys).values(values))

    def arrive(self, state_hash: str, now: datetime) -> tuple[str, str] | None:
        """Nonce and verifier of a journey, once; None for one that never began, took too long or ended already."""
        with self._writer.begin() as connection:
            row = connection.execute(select(journeys).where(journeys.c.hash == state_hash)).one_or_none()
            connection.execute(delete(journeys).where(journeys.c.hash == state_hash))
        if row is None or now - parse_rfc3339(row.began_at) > JOURNEY:
            return None
        return row.nonce, row.verifier


def _keep(connection: Connection, subject: str, failures: int, now: datetime) -> None:
    known = update(attempts).where(attempts.c.subject == subject)
    if not connection.execute(known.values(failures=failures, last_at=rfc3339(now))).rowcount:
        connection.execute(insert(attempts).values(subject=subject, failures=failures, last_at=rfc3339(now)))
