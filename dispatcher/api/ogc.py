"""OGC API – Features (part 1, core and GeoJSON): cases as a layer that QGIS and other programs open by an address."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Header, HTTPException, Path, Query, Request

from dispatcher.access.principal import Role
from dispatcher.api.desk import DeskDep, ViewDep
from dispatcher.api.maps import BAD, BoxText, GeoJson, MatterCode, Now, box_of
from dispatcher.api.names import Names
from dispatcher.api.rules import needs
from dispatcher.api.schemas import CaseOut, Problem
from dispatcher.store.maps import MapFilter
from dispatcher.store.rows import StoredCase
from ingest.frame import parse_rfc3339, rfc3339

router = APIRouter(prefix="/ogc", tags=["ogc"])
MOST = 2000  # features of a page
CONFORMANCE = [f"http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/{name}" for name in ("core", "geojson")]
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
OPENAPI = "application/vnd.oai.openapi+json;version=3.1"
KNOWN = frozenset({"bbox", "datetime", "limit", "after", "state", "matter", "f"})
Accept = Annotated[str | None, Header(max_length=1000, description="application/geo+json gives cases as GeoJSON")]
ALSO_GEOJSON: dict[int | str, dict[str, Any]] = {200: {"content": {GeoJson.media_type: {"schema": {"type": "object"}}}}}
# What a layer's table shows: plain values, no lists
COLUMNS = (
    *("kind", "kind_zh", "matter", "matter_zh", "state", "state_zh", "area", "area_path", "unowned_p", "error_m"),
    *("probability", "confidence", "passes", "episode", "opened_at", "closed_at", "first_seen_at", "last_seen_at"),
)


INSTANT = r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[ +-]\d\d:\d\d)"
INTERVAL = rf"^({INSTANT}|({INSTANT}|(\.\.)?)/({INSTANT}|(\.\.)?))$"
Interval = Annotated[
    str | None,
    Query(
        max_length=80,
        description="RFC 3339, or from/to with .. for open",
        json_schema_extra={"pattern": INTERVAL},
        examples=["2026-11-20T00:00:00Z/.."],
    ),
]


def _root(request: Request, desk: DeskDep) -> str:
    """The address of `/ogc` as whoever asks writes it."""
    return f"{desk.public_url or str(request.base_url)}".rstrip("/") + "/ogc"


def _known(request: Request) -> None:
    unknown = sorted(set(request.query_params) - KNOWN)
    if unknown:
        raise HTTPException(400, f"no such parameter: {', '.join(unknown)}; known are {', '.join(sorted(KNOWN))}")


Root = Annotated[str, Depends(_root)]
VIEWER = [needs(Role.VIEWER)]


@router.get("", dependencies=VIEWER)
def landing(root: Root) -> dict[str, Any]:
    """Where everything is."""
    links = [
        _link("self", root, "application/json", "this page"),
        _link("service-desc", f"{root.removesuffix('/ogc')}/api/openapi.json", OPENAPI, "the API"),
        _link("conformance", f"{root}/conformance", "application/json", "what it conforms to"),
        _link("data", f"{root}/collections", "application/json", "the layers"),
    ]
    return {"title": "街巡 · 案件", "description": "Cases of street disorder, as one may see them", "links": links}


@router.get("/conformance", dependencies=VIEWER)
def conformance() -> dict[str, list[str]]:
    return {"conformsTo": CONFORMANCE}


@router.get("/collections", dependencies=VIEWER)
def collections(view: ViewDep, root: Root) -> dict[str, Any]:
    links = [_link("self", f"{root}/collections", "application/json", "the layers")]
    return {"links": links, "collections": [cases_collection(view, root)]}


@router.get("/collections/cases", dependencies=VIEWER)
def cases_collection(view: ViewDep, root: Root) -> dict[str, Any]:
    own = f"{root}/collections/cases"
    return {
        "id": "cases",
        "title": "案件",
        "description": "Points in WGS-84; every state, candidates and closed ones too",
        "extent": {
            "spatial": {"bbox": [list(view.bounds() or (-180, -90, 180, 90))], "crs": CRS84},
            "temporal": {"interval": [[None, None]]},
        },
        "itemType": "feature",
        "crs": [CRS84],
        "links": [
            _link("self", own, "application/json", "案件"),
            _link("items", f"{own}/items", GeoJson.media_type, "案件"),
        ],
    }


@router.get("/collections/cases/items", response_class=GeoJson, dependencies=[*VIEWER, Depends(_known)], responses=BAD)
def items(
    request: Request,
    desk: DeskDep,
    view: ViewDep,
    root: Root,
    now: Now,
    bbox: BoxText = None,
    datetime: Interval = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 100,
    after: Annotated[int, Query(ge=0, le=2**62, description="as in the link to the next page")] = 0,
    state: MatterCode = None,
    matter: MatterCode = None,
) -> dict[str, Any]:
    """Cases by place and by when they were seen, in the order in which they came to be; `next` leads on."""
    since, until = interval_of(datetime)
    where = MapFilter(box=box_of(bbox), since=since, until=until, state=state, matter=matter, after=after, limit=limit)
    page = view.map_page(where)
    own = f"{root}/collections/cases/items"
    asked = dict(request.query_params)
    links = [_link("self", f"{own}?{urlencode(asked)}".rstrip("?"), GeoJson.media_type, "this page")]
    if page.after is not None:
        further = urlencode(asked | {"after": str(page.after)})
        links.append(_link("next", f"{own}?{further}", GeoJson.media_type, "the next page"))
    answer = {
        "type": "FeatureCollection",
        "features": [feature(case, desk.names) for case in page.cases],
        "links": links,
        "timeStamp": rfc3339(now),
        "numberReturned": len(page.cases),
    }
    return answer if page.matched is None else answer | {"numberMatched": page.matched}


@router.get(
    "/collections/cases/items/{id}",
    response_class=GeoJson,
    dependencies=VIEWER,
    responses={
        404: {
            "description": "no such case, or not one's own",
            "content": {"application/problem+json": {"schema": Problem.model_json_schema()}},
        }
    },
)
def item(desk: DeskDep, view: ViewDep, root: Root, id: Annotated[str, Path(max_length=200)]) -> dict[str, Any]:
    found = view.case(id)
    if found is None:
        raise HTTPException(404, f"no case {id!r}")
    own = f"{root}/collections/cases"
    links = [
        _link("self", f"{own}/items/{id}", GeoJson.media_type, "this case"),
        _link("collection", own, "application/json", "案件"),
    ]
    return feature(found[0], desk.names) | {"links": links}


def interval_of(text: str | None) -> tuple[str | None, str | None]:
    """From and to, as times are stored; None is open. 400 for what is no time."""
    if text is None:
        return None, None
    if re.fullmatch(INTERVAL, text) is None:
        why = f"datetime: {text!r} is no RFC 3339 time, like 2026-11-20T04:00:00Z, and no two with / between"
        raise HTTPException(400, why)
    parts = text.split("/")
    times = [None if part in ("", "..") else _time(part) for part in parts]
    since, until = times[0], times[-1]
    if since is not None and until is not None and since > until:
        raise HTTPException(400, "datetime: it ends before it begins")
    return since, until


def _time(text: str) -> str:
    """A + that arrives in an address is a space."""
    try:
        return rfc3339(parse_rfc3339(text.strip().replace(" ", "+")))
    except (ValueError, OverflowError):
        raise HTTPException(400, f"datetime: {text!r} is no RFC 3339 time, like 2026-11-20T04:00:00Z") from None


def wants_geojson(accept: str | None) -> bool:
    """Whether somebody asks for GeoJSON and sets it no lower than JSON."""
    quality: dict[str, float] = {}
    for one in (accept or "").split(","):
        media, *parameters = (part.strip() for part in one.split(";"))
        weights = [found[1] for p in parameters if (found := re.fullmatch(r"q=([01](?:\.\d{0,3})?)", p))]
        quality[media.lower()] = float(weights[0]) if weights else 1.0
    wanted = quality.get(GeoJson.media_type, 0.0)
    return wanted > 0.0 and wanted >= quality.get("application/json", 0.0)


def collection(cases: Sequence[StoredCase], names: Names, cursor: str | None) -> GeoJson:
    """A page of a list as GeoJSON. `next` is the cursor of the page after it, as in the list."""
    features = [feature(case, names) for case in cases]
    return GeoJson({"type": "FeatureCollection", "features": features, "next": cursor})


def feature(case: StoredCase, names: Names) -> dict[str, Any]:
    """A case as a point with plain properties."""
    shown = CaseOut.of(case, names).model_dump()
    evidence = shown["evidence"]["url"]
    return {
        "type": "Feature",
        "id": case.id,
        "geometry": {"type": "Point", "coordinates": [shown["lon"], shown["lat"]]},
        "properties": {"id": case.id} | {name: shown[name] for name in COLUMNS} | {"evidence": evidence},
    }


def _link(rel: str, href: str, type: str, title: str) -> dict[str, str]:
    return {"rel": rel, "href": href, "type": type, "title": title}
