"""Where evidence pictures are kept: a folder, or a bucket (`vision.s3`). A picture's name is the hash of its bytes."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit


class EvidenceUnavailable(OSError):
    """The evidence store cannot be reached, or refuses; the message says which and why."""


class EvidenceStore(Protocol):
    """Pictures by content hash, so a replay writes nothing twice. Any number of processes may use one at a time."""

    def put(self, jpeg: bytes) -> str:
        """Keep a picture and return its name; on return it is durable. Raises OSError, and then nothing is kept."""
        ...

    def get(self, name: str) -> bytes | None:
        """The picture with that name, or None. Raises OSError when it cannot be said."""
        ...


def picture_name(jpeg: bytes) -> str:
    """`<sha256>.jpg`: what a picture is called in every store."""
    return f"{hashlib.sha256(jpeg).hexdigest()}.jpg"


class FolderEvidence:
    """Evidence in a folder, one file a picture. The folder is made with the first one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __str__(self) -> str:
        return str(self.folder)

    def put(self, jpeg: bytes) -> str:
        name = picture_name(jpeg)
        path = self.folder / name
        if path.is_file():
            return name
        self.folder.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=self.folder, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(jpeg)
                file.flush()
                os.fsync(file.fileno())  # a full disk may show only here
            os.replace(part, path)  # a reader never sees half a picture
        except OSError:
            Path(part).unlink(missing_ok=True)
            raise
        return name

    def get(self, name: str) -> bytes | None:
        if Path(name).name != name:
            return None  # a name is no path: nothing outside the folder is read
        try:
            return (self.folder / name).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None


class PatientEvidence:
    """A store for a process that must lose no picture: what another one refuses is tried again after `wait`.

    `wait` is told the OSError; it sleeps, says so, keeps its process alive meanwhile, or raises what ends the attempt.
    """

    def __init__(self, store: EvidenceStore, wait: Callable[[OSError], None]) -> None:
        self._store = store
        self._wait = wait

    def put(self, jpeg: bytes) -> str:
        while True:
            try:
                return self._store.put(jpeg)
            except OSError as error:
                self._wait(error)

    def get(self, name: str) -> bytes | None:
        return self._store.get(name)


def folder_of(url: str) -> Path | None:
    """The folder that `file:///path`, or a plain path, names; None for another kind of store. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost") or not parts.path:
            raise ValueError(f"{url!r} names no folder of this machine: write file:///path")
        return Path(unquote(parts.path))
    if "://" not in url:
        return Path(url)
    return None
