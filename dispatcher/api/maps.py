"""Routes of maps: the heat map as GeoJSON of H3 cells, and how much of each area was looked at."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import h3
from fastapi import APIRouter, Depends, HTTPException, Query
from starlette.responses import JSONResponse

from dispatcher.access.principal import Role
from dispatcher.api.desk import DeskDep, ViewDep
from dispatcher.api.rules import needs
from dispatcher.api.schemas import Problem
from dispatcher.case import State
from dispatcher.heat import COARSE, FINE, SEEN_LOOKS, TooFine, Warm, owners_of
from dispatcher.store.maps import Box
from dispatcher.work.calendar import CHINA
from ingest.frame import rfc3339

router = APIRouter(tags=["maps"])


class GeoJson(JSONResponse):
    """RFC 7946."""

    media_type = "application/geo+json"


def _now() -> datetime:
    return datetime.now(UTC)


Now = Annotated[datetime, Depends(_now)]
Days = Annotated[int, Query(ge=1, le=366, description="Looks of so many days count, today's among them")]
DEGREES = r"-?\d{1,3}(\.\d{1,20})?([eE]-\d{1,2})?"
BOX = rf"^{DEGREES}(,{DEGREES}){{3}}((,{DEGREES}){{2}})?$"
# The pattern is said, not enforced, here: the standard of `/ogc` wants 400 for what is no box.
BoxText = Annotated[
    str | None,
    Query(
        max_length=200,
        description="west,south,east,north in WGS-84 degrees",
        json_schema_extra={"pattern": BOX},
        examples=["114.04,22.53,114.06,22.55"],
    ),
]
MatterCode = Annotated[str | None, Query(max_length=32, pattern=r"^[0-9A-Za-z_-]+$")]
BAD: dict[int | str, dict[str, Any]] = {
    400: {
        "description": "a parameter that cannot be read, or a map of too many cells",
        "content": {"application/problem+json": {"schema": Problem.model_json_schema()}},
    }
}


def box_of(text: str | None) -> Box | None:
    """Of four numbers, or of six with heights. 400 for what is no box."""
    if text is None:
        return None
    if re.fullmatch(BOX, text) is None:
        raise HTTPException(400, "bbox: four numbers, west,south,east,north, with commas between")
    numbers = [float(part) for part in text.split(",")]
    west, south, east, north = [*numbers[:2], *numbers[3:5]] if len(numbers) == 6 else numbers
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= north <= 90):
        raise HTTPException(400, "bbox: degrees of WGS-84, west,south,east,north; south is not above north")
    return west, south, east, north


def within(box: Box, lat: float, lon: float) -> bool:
    """Whether a point lies in a box, which goes over 180° when its west is beyond its east."""
    west, south, east, north = box
    return south <= lat <= north and (west <= lon <= east if west <= east else lon >= west or lon <= east)


@router.get("/api/heatmap", response_class=GeoJson, dependencies=[needs(Role.VIEWER)], responses=BAD)
def heatmap(
    desk: DeskDep,
    view: ViewDep,
    now: Now,
    resolution: Annotated[int, Query(ge=COARSE, le=FINE, description="of H3; 9 is some 200 m a side")] = 9,
    days: Days = 7,
    matter: MatterCode = None,
    bbox: BoxText = None,
) -> dict[str, Any]:
    """Open cases of each H3 cell over the clear looks to be expected there. A cell that nobody looked at is unseen,
    never clean: it has no figure.
    """
    box, since = box_of(bbox), since_day(now, days)
    try:
        cells = view.heat(resolution, since, matter)
    except TooFine as error:
        raise HTTPException(400, str(error)) from None
    shown = [warm for warm in cells if box is None or within(box, *h3.cell_to_latlng(h3.int_to_str(warm.cell)))]
    owners = owners_of(desk.names.areas, [warm.cell for warm in shown])
    features = [_feature(warm, owner, resolution) for warm, owner in zip(shown, owners, strict=True)]
    about = {"resolution": resolution, "since": since, "at": rfc3339(now), "seen_from_looks": SEEN_LOOKS}
    return {"type": "FeatureCollection", "features": features} | about


@dataclass(frozen=True, slots=True)
class CoverageOut:
    """How much of an area was looked at, in H3 cells of resolution 10."""

    area: str
    name: str
    path: str
    cells: int
    seen: int  # with one expected clear look or more
    share: float
    clear_looks: float
    last_day: str | None  # on which anybody looked, also before the days asked for


@dataclass(frozen=True, slots=True)
class CoveragesOut:
    since: str
    areas: list[CoverageOut]


@router.get("/api/coverage", dependencies=[needs(Role.VIEWER)], responses=BAD)
def coverage(desk: DeskDep, view: ViewDep, now: Now, days: Days = 7) -> CoveragesOut:
    """How much of each area was looked at. Cells without street count too: compare an area with itself."""
    since, names = since_day(now, days), desk.names.areas
    try:
        found = view.coverage(since)
    except TooFine as error:
        raise HTTPException(400, str(error)) from None
    rows = [
        CoverageOut(
            area=row.area,
            name=names.name(row.area),
            path=names.path(row.area),
            cells=row.cells,
            seen=row.seen,
            share=round(row.seen / row.cells, 4),
            clear_looks=round(row.looks, 3),
            last_day=row.last_day,
        )
        for row in found
    ]
    return CoveragesOut(since, rows)


def since_day(now: datetime, days: int) -> str:
    """The first of so many days, the last of which is today in China."""
    return (now.astimezone(CHINA).date() - timedelta(days=days - 1)).isoformat()


def _feature(warm: Warm, owner: str | None, resolution: int) -> dict[str, Any]:
    cell = h3.int_to_str(warm.cell)
    per_look = warm.per_look
    properties = {
        "cell": cell,
        "sight": str(warm.sight),
        "open": warm.open,
        "handled": warm.counts[State.HANDLED],
        "clear_looks": round(warm.looks, 3),
        "open_per_look": None if per_look is None else round(per_look, 6),
        "seen_share": round(warm.fine_seen / 7 ** (FINE - resolution), 4),
        "area": owner,
    }
    ring = list(_ring(cell))
    return {
        "type": "Feature",
        "id": cell,
        "properties": properties,
        "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
    }


def _ring(cell: str) -> Iterator[list[float]]:
    for lat, lon in h3.cell_to_boundary(cell):
        yield [round(lon, 7), round(lat, 7)]
