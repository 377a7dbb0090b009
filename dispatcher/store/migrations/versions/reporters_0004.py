"""Reports are counted by sender and by reporter. Who reported before is not counted: an hour later nobody would be."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    seen = sa.inspect(op.get_bind())
    if seen.has_table("reports"):
        op.create_index("reports_sender_at", "reports", ["sender", "at"], if_not_exists=True)
        op.drop_index("ix_reports_sender", table_name="reports", if_exists=True)
    if seen.has_table("reporters") and "reporter" not in {column["name"] for column in seen.get_columns("reporters")}:
        op.add_column("reporters", sa.Column("reporter", sa.String(64)))
        op.create_index("ix_reporters_reporter", "reporters", ["reporter"])
