"""The FastAPI app: routes that parse, ask the store once, and serialise."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, cast

from fastapi import APIRouter, FastAPI, Header, HTTPException, Query, Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from dispatcher.access.gate import Gate
from dispatcher.access.oidc import Provider
from dispatcher.access.passwords import Passwords
from dispatcher.access.principal import Reach, Role
from dispatcher.access.scope import EVERYTHING
from dispatcher.api import maps, offices, ogc, open311, reports, signin
from dispatcher.api.access import AccessCheck, shown
from dispatcher.api.asked import Asked
from dispatcher.api.desk import Desk, DeskDep, Pictures, ViewDep
from dispatcher.api.follow import Follower
from dispatcher.api.maps import GeoJson
from dispatcher.api.names import AreaNames, Names
from dispatcher.api.page import Pages
from dispatcher.api.problems import DESCRIBED, Api, install
from dispatcher.api.rules import anybody, check_rules, needs
from dispatcher.api.schemas import (
    EVIDENCE_NAME,
    CaseDetailOut,
    CaseOut,
    CasesOut,
    EventOut,
    Health,
    MatterOut,
    ObjectOut,
    SightingOut,
    SummaryOut,
    cursor,
)
from dispatcher.api.stream import EventStream, Stream, wire
from dispatcher.api.work import router as work_router
from dispatcher.area import Areas
from dispatcher.open311.intake import Intake
from dispatcher.open311.limits import Limits
from dispatcher.store.areas import routed_by
from dispatcher.store.store import Store
from dispatcher.work.clerk import Clerk
from ingest.frame import rfc3339
from models.taxonomy import Taxonomy

logger = logging.getLogger(__name__)
CONSOLE = Path(__file__).parent.parent / "console"
CHINA = timezone(timedelta(hours=8))  # one time zone, no summer time
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
MOST_BYTES = 1024 * 1024  # of a request; a router that takes pictures says more
# The name is the hash of the content; a day, lest a picture that is deleted lives on in browsers. `vary`: whoever signs
# in next at this browser gets none of its kept pictures.
IMMUTABLE = {"cache-control": "private, max-age=86400, immutable", "vary": "cookie, authorization"}
MEDIA = {"jpg": "image/jpeg", "jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp"}


PICTURES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The picture", "content": {media: {} for media in sorted(set(MEDIA.values()))}},
    503: {"description": "The evidence store does not answer", "content": DESCRIBED["4XX"]["content"]},
}
router = APIRouter()


def create_app(
    store: Store,
    areas: AreaNames,
    *,
    evidence: Pictures,
    taxonomy: Taxonomy | None = None,
    title: str = "街巡 · 属地处置台",
    hosts: Sequence[str] = LOOPBACK,
    always: bool = False,
    provider: Provider | None = None,
    public_url: str = "",
    clerk: Clerk | None = None,
    limits: Limits | None = None,
) -> FastAPI:
    """The console and its API over one store, for those who have signed in.

    While the store has no account, it is for whoever sits at this machine, unless `always` or with a `provider` of
    identities: `dispatcher.api.serve` then binds it to the loopback address only. `hosts` are the host names it answers
    for, without port; "*" is any; `limits` are those of reports. The store stays the caller's to close.
    """
    # The interactive documentation pages load scripts from elsewhere: only the document itself is served.
    app = Api(
        title=title,
        version=_version(),
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        max_body_size=MOST_BYTES,
        responses=DESCRIBED,
    )
    names = Names(areas, taxonomy or Taxonomy.read())
    gate = Gate(store.accounts, store.keys, store.attempts, Passwords(), always=always or provider is not None)
    end = threading.Event()
    app.state.desk = Desk(store, names, evidence, end, gate, provider, CONSOLE, public_url, Pages(names))
    app.state.follower = Follower(store, partial(wire, names), gate.still_known, end)
    app.include_router(router)
    app.include_router(signin.router)
    app.state.clerk = clerk or Clerk(store, areas, names.taxonomy)
    app.include_router(work_router)
    app.include_router(offices.router)
    app.include_router(maps.router)
    app.include_router(ogc.router)
    app.state.intake = Intake(store, cast(Areas, areas), names.taxonomy, limits)
    app.include_router(open311.router)
    app.include_router(reports.router)
    app.mount("/console", StaticFiles(directory=CONSOLE), name="console")
    check_rules(app)
    app.add_middleware(AccessCheck, gate=gate, public_url=public_url)
    install(app, hosts, tls=public_url.startswith("https://"))
    return app


def tick(app: FastAPI, now: datetime) -> None:
    """What a server does now and then: the desk's clocks, and reports that nobody has taken."""
    app.state.clerk.tick(now)
    app.state.intake.decide()


def stopping(app: FastAPI) -> threading.Event:
    """Set it to end the open streams of an app, which otherwise keep a server from going down."""
    desk: Desk = app.state.desk
    return desk.stopping


def demands_sign_in(app: FastAPI) -> bool:
    """Whether an app shows nothing to those who have not signed in."""
    desk: Desk = app.state.desk
    return desk.gate.demanded()


@router.get("/", include_in_schema=False, dependencies=[anybody()])
def page(request: Request) -> Response:
    if request.state.principal is None:
        return RedirectResponse("signin", 303)
    return FileResponse(CONSOLE / "index.html", headers={"cache-control": "no-cache"})


@router.get("/api/openapi.json", include_in_schema=False, dependencies=[anybody()])
def description(request: Request) -> dict[str, Any]:
    """The same document where it was before it was also in the usual place."""
    app: FastAPI = request.app
    return app.openapi()


@router.get("/healthz", dependencies=[anybody()])
def health(view: ViewDep) -> Health:
    seq = view.store.last_event()  # that the store answers
    return Health(status="ok", seq=seq if view.scope == EVERYTHING else None)


@router.get("/api/cases", response_model=CasesOut, dependencies=[needs(Role.VIEWER)], responses=ogc.ALSO_GEOJSON)
def cases(desk: DeskDep, view: ViewDep, where: Asked, accept: ogc.Accept = None) -> Any:
    """Cases, the last raised first: what was told last stands at the top. GeoJSON for whoever prefers that."""
    found = view.cases(where)
    if ogc.wants_geojson(accept):
        return ogc.collection(found.cases, desk.names, cursor(found))
    return Response(desk.pages.written(found), media_type="application/json")


@router.get(
    "/api/cases/{id}", response_model=CaseDetailOut, dependencies=[needs(Role.VIEWER)], responses=ogc.ALSO_GEOJSON
)
def case(desk: DeskDep, view: ViewDep, id: str, accept: ogc.Accept = None) -> Any:
    found = view.case(id)
    if found is None:
        raise HTTPException(404, f"no case {id!r}")
    stored, events = found
    if ogc.wants_geojson(accept):
        return GeoJson(ogc.feature(stored, desk.names))
    timeline = [EventOut.of(event, desk.names) for event in events]
    version = routed_by(events, desk.store.area_versions.uses())
    return CaseDetailOut(case=CaseOut.of(stored, desk.names), timeline=timeline, areas_version=version)


@router.get("/api/cases/{id}/sightings", dependencies=[needs(Role.VIEWER)])
def sightings(view: ViewDep, id: str) -> list[SightingOut]:
    """What a case is made of, in order of time: for whoever says that some of it is of something else."""
    found = view.sightings(id)
    if found is None:
        raise HTTPException(404, f"no case {id!r}")
    return SightingOut.of(found, view.picture)


@router.get("/api/areas", dependencies=[needs(Role.VIEWER)])
def areas(view: ViewDep) -> dict[str, Any]:
    return view.features()


@router.get("/api/matters", dependencies=[needs(Role.VIEWER)])
def matters(desk: DeskDep) -> list[MatterOut]:
    return [
        MatterOut(code=code, zh=matter.name, en=matter.name_en, code_2013=matter.code_2013, kind=matter.kind)
        for code, matter in sorted(desk.names.taxonomy.by_code.items())
    ]


@router.get("/api/objects", dependencies=[needs(Role.VIEWER)])
def objects(desk: DeskDep, view: ViewDep) -> list[ObjectOut]:
    name_zh = desk.names.taxonomy.name_zh
    return [ObjectOut(**found, kind_zh=name_zh(found["kind"])) for found in view.objects()]


@router.get("/api/summary", dependencies=[needs(Role.VIEWER)])
def summary(view: ViewDep) -> SummaryOut:
    today = datetime.now(CHINA).replace(hour=0, minute=0, second=0, microsecond=0)
    return SummaryOut.of(view.summary(today), rfc3339(today.astimezone(UTC)))


@router.get("/api/events", response_class=EventStream, dependencies=[needs(Role.VIEWER)])
def events(
    request: Request,
    view: ViewDep,
    after: Annotated[int, Query(ge=0)] = 0,
    last_event_id: Annotated[int | None, Header(ge=0)] = None,
) -> EventStream:
    """Server-sent events. `Last-Event-ID`, which a browser sends when it connects again, goes before `after`."""
    stream = Stream(view, request.app.state.follower, shown(request))
    return EventStream(stream, view.log(), after if last_event_id is None else last_event_id)


@router.get(
    "/evidence/{name}", response_class=Response, responses=PICTURES, dependencies=[needs(Role.VIEWER, Reach.EVIDENCE)]
)
def evidence(desk: DeskDep, view: ViewDep, name: str) -> Response:
    """A picture by its content hash, if it belongs to a case that is shown to whoever asks.

    Any other name is not found: nothing else in the store can be read.
    """
    if EVIDENCE_NAME.fullmatch(name) is None:
        raise HTTPException(404, "no such picture: a name is the hash of the content")
    if not view.picture(name):
        raise HTTPException(404, f"no picture {name}")
    try:
        picture = desk.evidence.get(name)
    except OSError:  # its message names addresses and folders: for the log, not for a browser
        logger.exception("evidence %s cannot be read", name)
        raise HTTPException(503, "the evidence store does not answer", {"retry-after": "10"}) from None
    if picture is None:
        raise HTTPException(404, f"no picture {name}")
    return Response(picture, media_type=MEDIA[name.rpartition(".")[2]], headers=IMMUTABLE)


def _version() -> str:
    try:
        return version("jiexun")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "0"
