"""Passwords: what is accepted as one, and argon2id hashes of them."""

from __future__ import annotations

import base64
import secrets
import threading
import unicodedata
from enum import StrEnum

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import ARGON2_VERSION

SHORTEST = 12
LONGEST = 256  # longer ones would only cost time
DIFFERENT = 6  # characters
AT_ONCE = 2  # hashes take 64 MiB each, by intent: many at once would take the machine instead
COMMON = ("password", "passw0rd", "123456", "qwerty", "abc123", "1q2w3e", "111111", "888888", "iloveyou", "letmein")
COMMON_HERE = ("jiexun", "admin", "woaini", "chengguan", "a1b2c3", "5201314", "街巡")


class Weakness(StrEnum):
    """Why a password is not accepted."""

    SHORT = "short"
    LONG = "long"
    COMMON = "common"
    SAME = "same"


_SAID = {
    Weakness.SHORT: f"a password has at least {SHORTEST} characters: several words are easier to keep than signs",
    Weakness.LONG: f"a password has at most {LONGEST} characters",
    Weakness.COMMON: "this password would be among the first that are tried: choose another",
    Weakness.SAME: "the new password is the old one",
}


class WeakPassword(ValueError):
    """A password is not accepted. What it was is not repeated."""

    def __init__(self, why: Weakness) -> None:
        super().__init__(_SAID[why])
        self.why = why


class Passwords:
    """Hashes and checks. A wrong account costs the same time as a wrong password."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()  # argon2id with the parameters of RFC 9106 for small memory
        self._turns = threading.BoundedSemaphore(AT_ONCE)
        self._nobody = _hash_of_nobody(self._hasher)

    def hash(self, password: str) -> str:
        with self._turns:
            return self._hasher.hash(_normal(password))

    def right(self, hashed: str | None, password: str) -> bool:
        """Whether a password belongs to a hash. Without hash it never does, and takes as long to say so."""
        with self._turns:
            try:
                self._hasher.verify(hashed or self._nobody, _normal(password)[:LONGEST])
            except (VerificationError, InvalidHashError):
                return False
        return hashed is not None

    def outdated(self, hashed: str) -> bool:
        """Whether it was made with other parameters than now."""
        return self._hasher.check_needs_rehash(hashed)


def checked_password(password: str, login: str) -> str:
    """The password, if it may be one. Raises WeakPassword."""
    text = _normal(password)
    if len(text) < SHORTEST:
        raise WeakPassword(Weakness.SHORT)
    if len(text) > LONGEST:
        raise WeakPassword(Weakness.LONG)
    plain = text.casefold()
    for word in (*COMMON, *COMMON_HERE, login.casefold()):
        plain = plain.replace(word, "")
    if len(set(plain)) < DIFFERENT or plain in "01234567890123456789abcdefghijklmnopqrstuvwxyz":
        raise WeakPassword(Weakness.COMMON)
    return password


def same_password(one: str, other: str) -> bool:
    """Whether two texts are the same password, however they were typed."""
    return _normal(one) == _normal(other)


def _hash_of_nobody(hasher: PasswordHasher) -> str:
    """A hash that costs as much to check as a real one, and that no password has: its bytes are random."""
    salt, hash = (
        base64.b64encode(secrets.token_bytes(n)).rstrip(b"=").decode() for n in (hasher.salt_len, hasher.hash_len)
    )
    cost = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v={ARGON2_VERSION}${cost}${salt}${hash}"


def _normal(password: str) -> str:
    """The same characters, however the keyboard composed them."""
    return unicodedata.normalize("NFC", password)
