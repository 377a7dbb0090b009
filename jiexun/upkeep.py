"""Upkeep: what is set and where it comes from, and the store as one file that can be carried away."""

from __future__ import annotations

import os
import re
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from dispatcher.document import one_line
from dispatcher.store import backup as keeping
from dispatcher.store.backup import Listed
from dispatcher.store.database import explained_failures
from dispatcher.store.store import Store
from ingest.frame import rfc3339
from jiexun.options import EvidenceUrl, Json, explained
from jiexun.report import console, warn
from jiexun.settings import PREFIX, Settings
from jiexun.streams import default_store
from vision.pictures import folder_of

SECRET = re.compile(r"secret|password|privacy_key")
PASSWORD_IN_URL = re.compile(r"(?<=://)([^:/@]*):[^@]*(?=@)")
HIDDEN = "********"
StoreOption = Annotated[
    str | None, typer.Option("--store", help="sqlite:///PATH.db; default: JIEXUN_STORE.", metavar="URL")
]


def print_settings(json: Json = False) -> None:
    """Print every setting of the environment, its value, and where it comes from; secrets are masked.

    Examples:

        jiexun settings

        jiexun settings --json
    """
    with explained() as settings:
        rows = settings_rows(settings, dict(os.environ))
        if json:
            print(one_line({"settings": rows}))
            return
        table = Table("setting", "value", "from")
        for row in rows:
            table.add_row(row["name"], row["value"], row["from"])
        console.print(table)
        known = {row["name"] for row in rows}
        for name in sorted(set(os.environ) - known):
            if name.startswith(PREFIX):
                warn(f"{name} is set, but is no setting")


def settings_rows(settings: Settings, environment: dict[str, str]) -> list[dict[str, str]]:
    """Name, value as text, and origin of every setting."""
    rows = []
    for setting in fields(Settings):
        name = PREFIX + setting.name.upper()
        given = environment.get(name, "") != ""
        rows.append(
            {
                "name": name,
                "value": shown(setting.name, getattr(settings, setting.name)),
                "from": "environment" if given else "default",
            }
        )
    return rows


def shown(name: str, value: Any) -> str:
    """A value as text, without what it must not tell."""
    text = str(value)
    if SECRET.search(name):
        return HIDDEN if text else ""
    return PASSWORD_IN_URL.sub(rf"\1:{HIDDEN}", text)


def backup(
    file: Annotated[Path, typer.Argument(help="The file to write; it must not exist.")],
    store: StoreOption = None,
    evidence: EvidenceUrl = None,
    json: Json = False,
) -> None:
    """Write the store with its areas and accounts into one file, while others go on working, and list the evidence.

    The pictures are not in it: copy their folder, or keep the bucket. For PostgreSQL use pg_dump.

    Examples:

        jiexun backup jiexun-20261120.backup
    """
    with explained() as settings:
        path = _sqlite(store or settings.store or default_store(settings))
        listed = _evidence(evidence or settings.evidence, path)
        about = keeping.back_up(path, file, listed, rfc3339(datetime.now(UTC)))
        console.print(f"{about['cases']} cases, {about['events']} events, {about['pictures']} pictures listed: {file}")
        if about["not_listed"] and folder_of(evidence or settings.evidence or "evidence") is not None:
            warn(f"of the cases' pictures {about['not_listed']} are not in that folder: name theirs with --evidence")
        if json:
            print(one_line(about))


def restore(
    file: Annotated[Path, typer.Argument(help="What `jiexun backup` wrote.")],
    store: StoreOption = None,
    evidence: EvidenceUrl = None,
    json: Json = False,
) -> None:
    """Make a store from a backup, where there is none yet; everybody has to sign in anew.

    Examples:

        jiexun restore jiexun-20261120.backup --store sqlite:///city/jiexun.db
    """
    with explained() as settings:
        path = _sqlite(store or settings.store or default_store(settings))
        path.parent.mkdir(parents=True, exist_ok=True)
        about, listed = keeping.restore(file, path)
        have = {found.name for found in _evidence(evidence or settings.evidence, path)}
        lacking = [found.name for found in listed if found.name not in have]
        if lacking:
            warn(f"{len(lacking)} of {len(listed)} evidence pictures are not beside it, e.g. {lacking[0]}")
        console.print(f"{about['cases']} cases, {about['events']} events as of {about['at']}: {path}")
        if json:
            print(one_line(about | {"lacking": lacking}))


def rebuild(
    store: Annotated[
        str | None, typer.Option("--store", help="sqlite:///PATH.db or postgresql://…; default: JIEXUN_STORE.")
    ] = None,
    json: Json = False,
) -> None:
    """Make every table that follows from the event log and the actions anew, and say which rows that changed.

    Nothing is told again. Others may read meanwhile; they see the tables as they were until it is done. Ends with
    status 0 also when rows were changed: they are right now.

    Examples:

        jiexun rebuild --store sqlite:///city.db
    """
    with (
        explained() as settings,
        explained_failures(),
        Store.open(store or settings.store or default_store(settings)) as opened,
    ):
        done = opened.rebuild()
        for name, table in done.tables.items():
            said = "as before" if not table.changed else f"[red]{table.changed} rows were not as they are now[/]"
            console.print(f"{name}: {table.rows} rows, {said}")
        console.print(f"from {done.events} events and {done.entries} actions")
        if json:
            tables = {name: {"rows": table.rows, "changed": table.changed} for name, table in done.tables.items()}
            changed = sum(table.changed for table in done.tables.values())
            print(one_line({"events": done.events, "actions": done.entries, "changed": changed, "tables": tables}))


def _sqlite(url: str) -> Path:
    if not url.startswith("sqlite:///"):
        raise ValueError("this store is no SQLite file: use pg_dump and pg_restore, which come with PostgreSQL")
    return Path(url.removeprefix("sqlite:///"))


def _evidence(url: str, store: Path) -> list[Listed]:
    """The pictures of a folder; none of a bucket, which is its own copy."""
    folder = folder_of(url or str(store.parent / "evidence"))
    if folder is None or not folder.is_dir():
        return []
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [Listed(path.relative_to(folder).as_posix(), path.stat().st_size) for path in files]
