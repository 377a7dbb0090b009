"""Where evidence pictures are kept: a folder, or a bucket (`vision.s3`). A picture's name is the hash of its bytes."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

NAME = re.compile(r"[0-9a-f]{64}\.jpg")
PART = ".part"  # of a picture that is being written, or was when its process ended
# A picture that is put again when it is older counts as written anew: what wrote it may need it as long as a new one.
REFRESH = timedelta(days=1)


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


@dataclass(frozen=True, slots=True)
class Kept:
    """A picture in a store."""

    name: str
    size: int  # bytes
    written_at: datetime  # aware; or put again


class EvidenceArchive(EvidenceStore, Protocol):
    """A store whose pictures can be listed and removed, while others write and read it."""

    def kept(self) -> Iterator[Kept]:
        """Every picture, in any order. Raises OSError."""
        ...

    def remove(self, name: str, *, unless_since: datetime | None = None) -> bool:
        """Remove a picture, unless it was written or put again since. False when it stays or is not there."""
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
        if _there(path):
            return name
        self.folder.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=self.folder, suffix=PART)
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

    def kept(self) -> Iterator[Kept]:
        """Also pictures that a process which ended left half written. Other files are not ours."""
        if not self.folder.is_dir():
            return
        with os.scandir(self.folder) as files:
            for file in files:
                if _ours(file.name) and file.is_file(follow_symlinks=False):
                    with suppress(FileNotFoundError):  # removed, or finished, meanwhile
                        found = file.stat(follow_symlinks=False)
                        yield Kept(file.name, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    def remove(self, name: str, *, unless_since: datetime | None = None) -> bool:
        if not _ours(name):
            return False
        path, aside = self.folder / name, self.folder / f"{secrets.token_hex(8)}{PART}"
        try:
            os.replace(path, aside)  # whoever puts it from now on writes it anew
        except (FileNotFoundError, NotADirectoryError):
            return False
        if unless_since is not None and aside.stat().st_mtime >= unless_since.timestamp():
            os.replace(aside, path)  # it was put again after it was listed: the same bytes, whoever wrote them
            return False
        aside.unlink()
        return True


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


def _ours(name: str) -> bool:
    """Whether a file of the folder is a picture, or was to become one."""
    return NAME.fullmatch(name) is not None or (name.endswith(PART) and Path(name).name == name)


def _there(path: Path) -> bool:
    """Whether a picture is there; one that was written long ago is from now on as if it was written today."""
    try:
        if datetime.now(UTC).timestamp() - path.stat().st_mtime > REFRESH.total_seconds():
            with suppress(PermissionError):  # another user's: that one keeps it
                os.utime(path)
    except FileNotFoundError:
        return False
    return True


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
