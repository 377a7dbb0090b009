"""Tables of reports. Who reported is in a table of its own; which case a report is of is a projection of events."""

from __future__ import annotations

from sqlalchemy import Column, Index, String, Table, Text

from dispatcher.store.tables import metadata

reports = Table(
    "reports",
    metadata,
    Column("id", Text, primary_key=True),
    Column("token", String(64), nullable=False, unique=True),
    Column("matter", String(32), nullable=False),
    Column("at", String(32), nullable=False, index=True),
    Column("sender", Text, nullable=False),
    Column("key", Text),  # Idempotency-Key
    Column("asked", String(64)),  # hash of what was sent under that key
    Column("taking", String(16), nullable=False, index=True),
    Column("why", Text),  # it was refused
    Column("document", Text, nullable=False),
)
Index("reports_sender_at", reports.c.sender, reports.c.at)
Index("reports_sender_key", reports.c.sender, reports.c.key, unique=True)

reporters = Table(  # personal data
    "reporters",
    metadata,
    Column("report", Text, primary_key=True),
    Column("reporter", String(64), index=True),  # a hash by which those of one reporter are counted together
    Column("document", Text, nullable=False),
)

report_cases = Table(
    "report_cases",
    metadata,
    Column("report", Text, primary_key=True),
    Column("case", Text, nullable=False, index=True),
)
