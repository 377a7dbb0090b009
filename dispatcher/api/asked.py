"""Asked: which cases a request wants, from its query."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, HTTPException, Query
from pydantic import AwareDatetime, BeforeValidator, StringConstraints

from dispatcher.api.desk import ViewDep
from dispatcher.store.rows import Box, CaseFilter
from ingest.frame import rfc3339

NUMBER = r"-?\d{1,3}(\.\d{1,12})?"
Code = Annotated[str | None, Query(max_length=32, pattern=r"^[0-9A-Za-z_-]+$")]
OfficeCode = Annotated[str, StringConstraints(max_length=32, pattern=r"^[0-9A-Za-z_-]+$")]
Cursor = Annotated[
    str | None, Query(max_length=40, pattern=r"^[0-9a-f]{16}\.[0-9]{1,18}$", description="`next` of the page before")
]
CALENDAR_DAY = re.compile(r"\d{4}-\d\d-\d\d[Tt ]")


def _written_out(text: object) -> object:
    """Pydantic also takes a number for a time, as seconds since 1970: nobody means that here."""
    if isinstance(text, str) and CALENDAR_DAY.match(text) is None:
        raise ValueError("write a time as 2026-11-20T16:15:00+08:00")
    return text


Time = Annotated[
    AwareDatetime | None, BeforeValidator(_written_out), Query(description="RFC 3339, with its offset from UTC")
]
Corners = Annotated[
    str | None,
    Query(pattern=rf"^{NUMBER}(,{NUMBER}){{3}}$", description="west,south,east,north in WGS-84 degrees"),
]
DEFAULT, MOST = 100, 2000


async def case_filter(
    view: ViewDep,
    state: Code = None,
    matter: Code = None,
    area: Code = None,
    unowned: bool | None = None,
    opened_from: Time = None,
    opened_before: Time = None,
    bbox: Corners = None,
    overdue: Annotated[bool | None, Query(description="Not reported as handled in time, or yet")] = None,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=0, le=MOST)] = DEFAULT,
) -> CaseFilter:
    """What is asked for; 422 for what makes no sense."""
    return CaseFilter(
        state=state,
        matter=matter,
        area=area,
        unowned=unowned,
        opened_from=_utc(opened_from),
        opened_before=_utc(opened_before),
        box=_box(bbox),
        overdue=overdue,
        now=rfc3339(datetime.now(UTC)),
        below=None if cursor is None else _below(cursor, view.log()),
        limit=limit,
    )


Asked = Annotated[CaseFilter, Depends(case_filter)]


def _utc(time: datetime | None) -> str | None:
    if time is None:
        return None
    try:
        return rfc3339(time.astimezone(UTC))
    except (OverflowError, ValueError):
        raise HTTPException(422, "a time before or after all calendars") from None


def _box(corners: str | None) -> Box | None:
    if corners is None:
        return None
    west, south, east, north = map(float, corners.split(","))
    if not (-180.0 <= west <= east <= 180.0 and -90.0 <= south <= north <= 90.0):
        raise HTTPException(422, "bbox: west,south,east,north in degrees, west below east and south below north")
    return Box(west, south, east, north)


def _below(cursor: str, log: str) -> int:
    """A number of another store means nothing here."""
    name, _, raised = cursor.partition(".")
    if name != log:
        raise HTTPException(409, "cursor: this is of another store; begin with the first page")
    return int(raised)
