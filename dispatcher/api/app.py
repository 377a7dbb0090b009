"""The FastAPI app: routes that parse, ask the store once, and serialise."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Query, Request
from sse_starlette import EventSourceResponse
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles

from dispatcher.api.names import AreaNames, Names
from dispatcher.api.problems import install
from dispatcher.api.schemas import (
    EVIDENCE_NAME,
    CaseDetailOut,
    CaseOut,
    CasesOut,
    EventOut,
    Health,
    MatterOut,
    ObjectOut,
    SummaryOut,
)
from dispatcher.api.stream import Stream
from dispatcher.api.work import router as work_router
from dispatcher.store.rows import CaseFilter
from dispatcher.store.store import Store
from dispatcher.work.clerk import Clerk
from ingest.frame import rfc3339
from models.taxonomy import Taxonomy

logger = logging.getLogger(__name__)
CONSOLE = Path(__file__).parent.parent / "console"
CHINA = timezone(timedelta(hours=8))  # one time zone, no summer time
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
IMMUTABLE = {"cache-control": "private, max-age=31536000, immutable"}  # the name is the hash of the content
MEDIA = {"jpg": "image/jpeg", "jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp"}


class Pictures(Protocol):
    """Where evidence is read: any of the stores that vision writes."""

    def get(self, name: str) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class Desk:
    """What every route works with."""

    store: Store
    names: Names
    evidence: Pictures
    stopping: threading.Event  # set when the server goes down: open streams end


def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


DeskDep = Annotated[Desk, Depends(_desk)]
Code = Annotated[str | None, Query(max_length=32, pattern=r"^[0-9A-Za-z_-]+$")]
router = APIRouter()


def create_app(
    store: Store,
    areas: AreaNames,
    *,
    evidence: Pictures,
    taxonomy: Taxonomy | None = None,
    title: str = "街巡 · 属地处置台",
    hosts: Sequence[str] = LOOPBACK,
    clerk: Clerk | None = None,
) -> FastAPI:
    """The console and its API over one store. There are no accounts: bind it to the loopback address only.

    `hosts` are the host names it answers for, without port; "*" is any. The store stays the caller's to close.
    """
    # The interactive documentation pages load scripts from elsewhere: only the document itself is served.
    app = FastAPI(title=title, version=_version(), docs_url=None, redoc_url=None, openapi_url="/api/openapi.json")
    names = Names(areas, taxonomy or Taxonomy.read())
    app.state.desk = Desk(store, names, evidence, threading.Event())
    app.state.clerk = clerk or Clerk(store, areas, names.taxonomy)
    app.include_router(router)
    app.include_router(work_router)
    app.mount("/console", StaticFiles(directory=CONSOLE), name="console")
    install(app, hosts)
    return app


def stopping(app: FastAPI) -> threading.Event:
    """Set it to end the open streams of an app, which otherwise keep a server from going down."""
    desk: Desk = app.state.desk
    return desk.stopping


@router.get("/", include_in_schema=False)
def page() -> FileResponse:
    return FileResponse(CONSOLE / "index.html", headers={"cache-control": "no-cache"})


@router.get("/healthz")
def health(desk: DeskDep) -> Health:
    return Health(status="ok", seq=desk.store.cases(CaseFilter(limit=0)).seq)


@router.get("/api/cases")
def cases(
    desk: DeskDep,
    state: Code = None,
    matter: Code = None,
    area: Code = None,
    unowned: bool | None = None,
    limit: Annotated[int, Query(ge=0, le=2000)] = 500,
) -> CasesOut:
    where = CaseFilter(state=state, matter=matter, area=area, unowned=unowned, limit=limit)
    return CasesOut.of(desk.store.cases(where), desk.names)


@router.get("/api/cases/{id}")
def case(desk: DeskDep, id: str) -> CaseDetailOut:
    found = desk.store.case(id)
    if found is None:
        raise HTTPException(404, f"no case {id!r}")
    stored, events = found
    timeline = [EventOut.of(event, desk.names) for event in events]
    return CaseDetailOut(case=CaseOut.of(stored, desk.names), timeline=timeline)


@router.get("/api/areas")
def areas(desk: DeskDep) -> dict[str, Any]:
    return desk.names.areas.features()


@router.get("/api/matters")
def matters(desk: DeskDep) -> list[MatterOut]:
    return [
        MatterOut(code=code, zh=matter.name, en=matter.name_en, code_2013=matter.code_2013, kind=matter.kind)
        for code, matter in sorted(desk.names.taxonomy.by_code.items())
    ]


@router.get("/api/objects")
def objects(desk: DeskDep) -> list[ObjectOut]:
    name_zh = desk.names.taxonomy.name_zh
    return [ObjectOut(**found, kind_zh=name_zh(found["kind"])) for found in desk.store.objects()]


@router.get("/api/summary")
def summary(desk: DeskDep) -> SummaryOut:
    today = datetime.now(CHINA).replace(hour=0, minute=0, second=0, microsecond=0)
    return SummaryOut.of(desk.store.summary(today), rfc3339(today.astimezone(UTC)))


@router.get("/api/events", response_class=EventSourceResponse)
def events(
    desk: DeskDep,
    after: Annotated[int, Query(ge=0)] = 0,
    last_event_id: Annotated[int | None, Header(ge=0)] = None,
) -> EventSourceResponse:
    """Server-sent events. `Last-Event-ID`, which a browser sends when it connects again, goes before `after`."""
    log = desk.store.cases(CaseFilter(limit=0)).log
    stream = Stream(desk.store, desk.names, desk.stopping)
    start = after if last_event_id is None else last_event_id
    return EventSourceResponse(stream.events(log, start), ping=0)  # the stream has its own heartbeat


@router.get("/evidence/{name}")
def evidence(desk: DeskDep, name: str) -> Response:
    """A picture by its content hash. Any other name is not found: nothing else in the store can be read."""
    if EVIDENCE_NAME.fullmatch(name) is None:
        raise HTTPException(404, "no such picture: a name is the hash of the content")
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
