"""Lists are read from the shelf: two indexes of `cases` serve nobody any more, and cost every event."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    for name in ("ix_cases_state", "ix_cases_matter"):
        op.drop_index(name, table_name="cases", if_exists=True)
