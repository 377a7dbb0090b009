"""The first revision: the tables as they were made before there were revisions. Such a store is stamped with it."""

from __future__ import annotations

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Nothing: a new store gets its tables as they are today."""
