"""Migrate: bring the tables of a store of any earlier version up to today's, in one transaction."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from dispatcher.store import tables
from dispatcher.store.geo import drop_views

HERE = Path(__file__).parent / "migrations"
FIRST = "0001"  # what a store is that knows of no revisions


class LaterVersion(ValueError):
    """The store was made, or changed, by a later version of this program."""


def migrate(connection: Connection) -> None:
    """Run what lacks, and create what is missing. The connection holds the write lock.

    A new store has today's tables at once. Raises LaterVersion.
    """
    at = MigrationContext.configure(connection).get_current_revision()
    last = _revisions().get_current_head()
    if at == last:
        tables.metadata.create_all(connection)
        return
    if at is not None and at not in {found.revision for found in _revisions().walk_revisions()}:
        raise LaterVersion(f"the store is of a later version of this program (revision {at}; this one knows {last})")
    new = at is None and not inspect(connection).has_table(tables.meta.name)
    if new:
        tables.metadata.create_all(connection)
        MigrationContext.configure(connection).stamp(_revisions(), str(last))
        return
    if at is None:
        MigrationContext.configure(connection).stamp(_revisions(), FIRST)
    _upgrade(connection)
    tables.metadata.create_all(connection)


def _upgrade(connection: Connection) -> None:
    revisions = _revisions()
    if connection.dialect.name == "postgresql":
        drop_views(connection)

    def steps(at: Any, _context: MigrationContext) -> Any:
        return revisions._upgrade_revs("head", at)

    with EnvironmentContext(_config(), revisions, fn=steps) as environment:
        environment.configure(connection=connection, target_metadata=tables.metadata)
        environment.run_migrations()


@cache
def _revisions() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(HERE).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
