"""Backup of an SQLite store into one file, while others read and write it; and the way back."""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from dispatcher.store.database import StoreUnavailable
from dispatcher.store.tables import SCHEMA

FORMAT = 1
# Names of tables are ours alone: nothing that somebody typed gets into a statement.
FORGOTTEN = ("sessions", "journeys")  # a token that was ended since must not come back to life


@dataclass(frozen=True, slots=True)
class Listed:
    """An evidence file beside the store. The pictures themselves are not in a backup: their names are their hashes."""

    name: str
    size: int


def back_up(source: Path, target: Path, evidence: Sequence[Listed], at: str) -> dict[str, Any]:
    """Write one file that holds the store, its areas and accounts, and the list of evidence. Never over another.

    Raises FileExistsError, or StoreUnavailable.
    """
    handle = os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)  # there are password hashes in it
    os.close(handle)
    try:
        with closing(_open(source, readonly=True)) as live, closing(sqlite3.connect(target)) as copy:
            live.backup(copy)
            with copy:
                for table in FORGOTTEN:
                    copy.execute(f"DELETE FROM {table}")  # nosec B608
                copy.execute("CREATE TABLE backup (about TEXT NOT NULL)")
                copy.execute("CREATE TABLE backup_evidence (name TEXT PRIMARY KEY, size INTEGER NOT NULL)")
                copy.executemany("INSERT INTO backup_evidence VALUES (?, ?)", [(e.name, e.size) for e in evidence])
                about = {"format": FORMAT, "at": at, "pictures": len(evidence), **_counts(copy)}
                about["not_listed"] = len(_named(copy) - {PurePosixPath(e.name).name for e in evidence})
                copy.execute("INSERT INTO backup VALUES (?)", (json.dumps(about),))
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, without -wal beside it
            copy.execute("VACUUM")
    except sqlite3.Error as error:
        target.unlink(missing_ok=True)
        raise StoreUnavailable(f"store {source} cannot be backed up: {error}") from error
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return about


def restore(backup: Path, target: Path) -> tuple[dict[str, Any], list[Listed]]:
    """Make a store from a backup, where there is none. Returns what it says of itself, and the evidence it lists.

    Raises FileExistsError for a store that is there, ValueError for what is no backup or is damaged.
    """
    with closing(_open(backup, readonly=True)) as kept:
        about = _about(kept)
        listed = [Listed(*row) for row in kept.execute("SELECT name, size FROM backup_evidence ORDER BY name")]
        handle = os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        os.close(handle)
        try:
            with closing(sqlite3.connect(target)) as store:
                kept.backup(store)
                with store:
                    store.execute("DROP TABLE backup")
                    store.execute("DROP TABLE backup_evidence")
                    # Another log: what a reader has seen after the backup was taken means nothing here.
                    store.execute("UPDATE meta SET value = ? WHERE name = 'log'", (secrets.token_hex(8),))
        except BaseException:
            target.unlink(missing_ok=True)
            raise
    return about, listed


def _about(kept: sqlite3.Connection) -> dict[str, Any]:
    try:
        (text,) = kept.execute("SELECT about FROM backup").fetchone()
        about: dict[str, Any] = json.loads(text)
        (state,) = kept.execute("PRAGMA integrity_check").fetchone()
        (schema,) = kept.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
    except (sqlite3.DatabaseError, TypeError) as error:
        raise ValueError(f"this is no backup of a store, or a damaged one: {error}") from None
    if state != "ok":
        raise ValueError(f"the backup is damaged: {state}")
    if about["format"] != FORMAT or schema != SCHEMA:
        found = f"format {about['format']}, schema {schema}"
        raise ValueError(f"the backup has {found}; this version reads {FORMAT}, {SCHEMA}")
    return about


def _named(copy: sqlite3.Connection) -> set[str]:
    """The pictures that cases have, without those that they gave up."""
    given_up = 'SELECT 1 FROM gone WHERE gone.name = pictures.name AND gone."case" = pictures."case"'
    return {row[0] for row in copy.execute(f"SELECT name FROM pictures WHERE NOT EXISTS ({given_up})")}  # nosec B608


def _counts(copy: sqlite3.Connection) -> dict[str, int]:
    names = ("events", "cases", "inputs", "accounts", "api_keys")
    return {name: copy.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}  # nosec B608


def _open(path: Path, *, readonly: bool) -> sqlite3.Connection:
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}")
    mode = "ro" if readonly else "rw"
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True)
