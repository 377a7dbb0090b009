"""What is overdue is found on the shelf: cases and shelves say when a case becomes so, by the work on it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """A store that has no shelf yet gets it with everything in it, from the log."""
    connection = op.get_bind()
    seen = sa.inspect(connection)
    for table in ("cases", "shelf"):
        if seen.has_table(table) and "late_from" not in {column["name"] for column in seen.get_columns(table)}:
            op.add_column(table, sa.Column("late_from", sa.String(32)))
    if not (seen.has_table("shelf") and seen.has_table("work")):
        return
    stopped = f"coalesce({_said(connection, 'handled_at')}, {_said(connection, 'ended_at')})"
    late = f"case when {stopped} is null then work.due_at when {stopped} > work.due_at then '' end"
    joined = 'from work where work."case" = cases.id and work.due_at is not null'
    op.execute(f"update cases set late_from = {late} {joined}")  # nosec B608
    op.execute(
        "update shelf set late_from = cases.late_from from cases "
        "where cases.raised = shelf.raised and cases.late_from is not null"
    )
    where = sa.text("late_from IS NOT NULL")
    columns = ["stem", "state", "raised", "late_from"]
    op.create_index("shelf_late", "shelf", columns, if_not_exists=True, sqlite_where=where, postgresql_where=where)


def _said(connection: sa.Connection, name: str) -> str:
    """A member of the JSON text of `work`; NULL for null."""
    postgresql = connection.dialect.name == "postgresql"
    return f"(work.document::json ->> '{name}')" if postgresql else f"json_extract(work.document, '$.{name}')"
