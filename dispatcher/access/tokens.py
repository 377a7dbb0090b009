"""Tokens: random words that stand for somebody. Only their hashes are kept."""

from __future__ import annotations

import hashlib
import re
import secrets

KEY = re.compile(r"jxk_(?P<id>[0-9a-f]{8})_[A-Za-z0-9_-]{43}")
COOKIE = "jiexun"  # of a session
SECURE_COOKIE = "__Host-jiexun"  # a browser takes it only with Secure, for the whole site and no other host


def new_token() -> str:
    """256 random bits."""
    return secrets.token_urlsafe(32)


def new_key() -> tuple[str, str]:
    """The id by which people recognise a key, and its token: `jxk_<id>_<256 random bits>`."""
    id = secrets.token_hex(4)
    return id, f"jxk_{id}_{new_token()}"


def key_id(token: str) -> str | None:
    """The id in the token of a key; None for what is no such token."""
    found = KEY.fullmatch(token)
    return None if found is None else found["id"]


def hashed(token: str) -> str:
    """SHA-256: a token is too long to be guessed, so its hash need not be slow."""
    return hashlib.sha256(token.encode()).hexdigest()
