"""Gate: finds out who somebody is, from what they show."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from dispatcher.access.account import Account, Key, Session, normal_login
from dispatcher.access.passwords import Passwords, Weakness, WeakPassword, checked_password, same_password
from dispatcher.access.principal import LOCAL, Principal
from dispatcher.access.throttle import ACCOUNT, ADDRESS, Throttle, subject_of
from dispatcher.access.tokens import hashed, key_id, new_token

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shown:
    """What somebody has shown, a token of one kind or nothing, and as whom they were let in with it."""

    principal: Principal
    key: str | None = field(default=None, repr=False)
    session: str | None = field(default=None, repr=False)


class NotSignedIn(PermissionError):
    """Nobody is known by what was shown."""


class TooManyAttempts(PermissionError):
    """Wrong passwords came too fast: nothing is checked until `wait` is over."""

    def __init__(self, wait: timedelta) -> None:
        super().__init__(f"too many attempts: wait {wait.total_seconds():.0f} s")
        self.wait = wait


class AccountStore(Protocol):
    """What the gate needs of the accounts; the store's is the real one."""

    def any(self) -> bool: ...
    def get(self, login: str) -> Account | None: ...
    def change(self, account: Account) -> None: ...
    def rehash(self, login: str, password_hash: str) -> None: ...
    def begin_session(self, token_hash: str, account: Account, now: datetime) -> bool: ...
    def session(self, token_hash: str, now: datetime) -> Session | None: ...
    def sessions(self, token_hashes: Sequence[str], now: datetime) -> dict[str, Session]: ...
    def end_session(self, token_hash: str) -> None: ...


class KeyStore(Protocol):
    def remembered(self, id: str, token_hash: str, now: datetime) -> Key | None: ...
    def find(self, id: str, token_hash: str, now: datetime) -> Key | None: ...
    def find_all(self, ids: Mapping[str, str], now: datetime) -> dict[str, Key]: ...


class AttemptStore(Protocol):
    def begin(self, throttles: dict[str, Throttle], now: datetime) -> timedelta: ...
    def forgive(self, account: str, address: str) -> None: ...


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Gate:
    """Who may enter. Without accounts, and unless `always`, whoever sits at this machine."""

    accounts: AccountStore
    keys: KeyStore
    attempts: AttemptStore
    passwords: Passwords
    always: bool = False  # demand it also while there is no account: for a server beyond loopback
    now: Callable[[], datetime] = _utc_now

    def demanded(self) -> bool:
        """Whether one has to sign in. Once there was an account it stays so: accounts are never deleted."""
        self.always = self.always or self.accounts.any()
        return self.always

    def anyone(self) -> Principal | None:
        """Who it is that shows nothing."""
        return None if self.demanded() else LOCAL

    def of_session(self, token: str) -> Principal | None:
        session = self.accounts.session(hashed(token), self.now())
        return None if session is None else session.account.principal()

    def remembered_key(self, token: str) -> Principal | None:
        """As `of_key` said a moment ago, if it did; asks nobody."""
        id = key_id(token)
        key = None if id is None else self.keys.remembered(id, hashed(token), self.now())
        return None if key is None else key.principal()

    def of_key(self, token: str) -> Principal | None:
        id = key_id(token)
        key = None if id is None else self.keys.find(id, hashed(token), self.now())
        return None if key is None else key.principal()

    def still_known(self, many: Collection[Shown]) -> set[Shown]:
        """Who would still be let in, and as the same, of those who have shown this: a question or two for all."""
        now = self.now()
        sessions = self.accounts.sessions([hashed(one.session) for one in many if one.session], now)
        tokens = [one.key for one in many if one.key]
        keys = self.keys.find_all({hashed(token): id for token in tokens if (id := key_id(token))}, now)

        def again(one: Shown) -> Principal | None:
            if one.key:
                key = keys.get(hashed(one.key))
                return None if key is None else key.principal()
            if one.session:
                session = sessions.get(hashed(one.session))
                return None if session is None else session.account.principal()
            return self.anyone()

        return {one for one in many if again(one) == one.principal}

    def sign_in(self, login: str, password: str, address: str) -> str:
        """The token of a new session. Raises NotSignedIn or TooManyAttempts, both without saying what was wrong."""
        account, named = self._checked(login, password, address)
        hash = account.password_hash
        if hash is not None and self.passwords.outdated(hash):
            self.accounts.rehash(account.login, self.passwords.hash(password))
        logger.info("%s signed in from %s", account.principal().id, named)
        return self.begin(account)

    def begin(self, account: Account) -> str:
        """The token of a new session of an account that has shown who it is. Raises NotSignedIn."""
        token = new_token()
        if not self.accounts.begin_session(hashed(token), account, self.now()):
            raise NotSignedIn("login or password is wrong")
        return token

    def sign_out(self, token: str) -> None:
        self.accounts.end_session(hashed(token))

    def change_password(self, login: str, old: str, new: str, address: str) -> str:
        """All sessions of the account end; the token is of a new one, for whoever asked.

        Raises NotSignedIn, TooManyAttempts or WeakPassword.
        """
        account, _ = self._checked(login, old, address)
        checked_password(new, account.login)
        if same_password(old, new):
            raise WeakPassword(Weakness.SAME)
        changed = replace(account, password_hash=self.passwords.hash(new), changed_at=self.now())
        self.accounts.change(changed)
        logger.info("%s changed the password", account.principal().id)
        return self.begin(changed)

    def _checked(self, login: str, password: str, address: str) -> tuple[Account, str]:
        """The account of a login and its password, and the address as it was counted."""
        try:
            known = normal_login(login)
        except ValueError:
            known = ""
        subjects = {f"account:{known}": ACCOUNT, (named := subject_of(address)): ADDRESS}
        wait = self.attempts.begin(subjects, self.now())
        if wait > timedelta(0):
            logger.warning("sign-in from %s refused: too many attempts", named)
            raise TooManyAttempts(wait)
        account = self.accounts.get(known) if known else None
        right = self.passwords.right(None if account is None else account.password_hash, password)
        if account is None or not right or account.disabled:
            logger.warning("sign-in from %s failed", named)  # a login may be a password in the wrong field
            raise NotSignedIn("login or password is wrong")
        self.attempts.forgive(f"account:{known}", named)
        return account, named
