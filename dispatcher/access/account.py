"""Account: a person's name, role and areas. Key: the same for a machine. Session: a person signed in at one browser."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta

from dispatcher.access.principal import Principal, Reach, Role

SESSION_IDLE = timedelta(hours=4)  # without any request
SESSION_LONGEST = timedelta(hours=12)  # a shift
TOUCH = timedelta(minutes=1)  # how exactly the last request is kept: not every request writes
LOGIN = re.compile(r"[^\W_][\w.@-]{1,63}")
AREA = re.compile(r"[0-9A-Za-z_-]{2,32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A person who may sign in."""

    login: str  # as `normal_login` gives it; unique
    name: str  # for people
    role: Role
    areas: frozenset[str] | None
    disabled: bool = False
    password_hash: str | None = None  # argon2id; None: signs in elsewhere
    issuer: str | None = None  # OpenID Connect: who vouches, and for whom
    subject: str | None = None
    created_at: datetime
    changed_at: datetime  # of password, role, areas or being disabled: sessions from before are over

    def principal(self) -> Principal:
        return Principal(f"user:{self.login}", self.name, self.role, self.areas)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A person signed in at one browser, known by the hash of its token."""

    account: Account
    started_at: datetime
    seen_at: datetime

    def over(self, now: datetime) -> bool:
        ended = now - self.started_at >= SESSION_LONGEST or now - self.seen_at >= SESSION_IDLE
        return ended or self.account.disabled


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What a machine shows instead of signing in."""

    id: str  # the recognisable part of its token
    name: str
    role: Role
    areas: frozenset[str] | None
    reach: frozenset[Reach]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None
    used_at: datetime | None = None

    def over(self, now: datetime) -> bool:
        return self.revoked_at is not None or now >= self.expires_at

    def principal(self) -> Principal:
        return Principal(f"key:{self.id}", self.name, self.role, self.areas, self.reach)


def normal_login(text: str) -> str:
    """One spelling of a login. Raises ValueError for what can be none."""
    login = unicodedata.normalize("NFKC", text).strip().casefold()
    if LOGIN.fullmatch(login) is None:
        raise ValueError("a login has 2 to 64 letters, digits or . _ - @ and begins with a letter or digit")
    return login


def read_areas(text: str) -> frozenset[str] | None:
    """Area codes as people type them, with commas between; `all` is None. Raises ValueError."""
    if text.strip() == "all":
        return None
    codes = frozenset(code.strip() for code in text.split(",") if code.strip())
    wrong = sorted(code for code in codes if AREA.fullmatch(code) is None)
    if wrong or not codes:
        raise ValueError(f"areas are codes with commas between, or all; not {', '.join(wrong) or repr(text)}")
    return codes
