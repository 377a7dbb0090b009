"""Limits: how many reports one sender, and one reporter, may make in an hour. Kept by counting what is stored."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from dispatcher.open311.report import Contact

SPAN = timedelta(hours=1)
NAMES = ("account_id", "device_id", "phone", "email")  # what tells one reporter from another, the surest first


class TooMany(PermissionError):
    """So many reports came from there in the last hour that no more are taken until `wait` is over."""

    def __init__(self, whose: str, limit: int, wait: timedelta) -> None:
        self.wait = max(wait, timedelta(seconds=1))
        super().__init__(f"{whose} may make {limit} reports an hour")


@dataclass(frozen=True, slots=True)
class Limits:
    """Reports an hour; 0 sets no limit."""

    sender: int = 1000  # of a key or an account: a hotline passes on those of a whole city
    reporter: int = 20  # of one citizen, as far as the sender says who it is


def reporter_of(contact: Contact, sender: str) -> str | None:
    """By what the reports of one reporter are counted together: a hash; None for somebody who is not named at all."""
    said = contact.document()
    name = next((name for name in NAMES if name in said), None)
    if name is None:
        return None
    return hashlib.sha256(f"{sender}\n{name}\n{said[name]}".encode()).hexdigest()


def wait_until(before: datetime, now: datetime) -> timedelta:
    """How long until a report that came `before` does not count any more."""
    return before + SPAN - now
