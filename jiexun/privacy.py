"""The privacy gate of a process: its key from the settings, or made once and kept in the data folder."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from jiexun.settings import Settings
from vision.privacy import FaceBlur, PrivacyUnavailable

KEY_FILE = "privacy.key"
KEY_BYTES = 32


def gate(settings: Settings) -> Callable[[], FaceBlur]:
    """What opens the gate, once a thread. Opening raises PrivacyUnavailable, and then no picture is kept."""
    return lambda: FaceBlur(key=privacy_key(settings))


def privacy_key(settings: Settings) -> bytes:
    """The key of the noise, the same on every start. Raises PrivacyUnavailable."""
    if settings.privacy_key:
        return settings.privacy_key.encode()
    path = settings.data / KEY_FILE
    try:
        if not path.exists():
            _make(path)
        key = path.read_bytes()
    except OSError as error:
        remedy = "set JIEXUN_PRIVACY_KEY, or JIEXUN_DATA to a folder that can be written"
        raise PrivacyUnavailable(f"the key {path} cannot be kept ({error.strerror}): {remedy}") from error
    if len(key) != KEY_BYTES:
        raise PrivacyUnavailable(f"the key {path} is damaged: remove it, and a new one is made")
    return key


def _make(path: Path) -> None:
    """Write a new key whole, for the owner's eyes; of several that try at once the first one counts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{KEY_FILE}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(secrets.token_bytes(KEY_BYTES))
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
