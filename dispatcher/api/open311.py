"""Open311 GeoReport v2: citizens and the 12345 line report what lies in the street, and see what becomes of it."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from dispatcher.access.principal import Principal, Reach, Role
from dispatcher.access.scope import Scope
from dispatcher.api.asked import Time
from dispatcher.api.desk import DeskDep
from dispatcher.api.georeport import listed, single
from dispatcher.api.open311_schemas import BUSY, ERRORS, FORM_BODY, answers
from dispatcher.api.rules import Rule, refuse, ruling
from dispatcher.api.view import View
from dispatcher.api.work import Key, Now
from dispatcher.case import STATE_ZH, State
from dispatcher.open311.intake import Intake
from dispatcher.open311.limits import TooMany
from dispatcher.open311.posted import FORM, Refused, filed, read_form
from dispatcher.open311.report import Taking
from dispatcher.open311.services import definition, services
from dispatcher.store.reports import OPEN, ReportFilter, Standing
from dispatcher.work.entry import canonical, digest
from ingest.frame import rfc3339

router = APIRouter(prefix="/open311/v2", tags=["open311"])
SPAN = timedelta(days=90)  # of a listing, as the standard has it
READS, SENDS = Rule(Role.VIEWER, Reach.OPEN311), Rule(Role.OFFICER, Reach.OPEN311)

Format = Annotated[str, Path(pattern="^(json|xml)$")]
Code = Annotated[str, Path(max_length=20, pattern=r"^[0-9A-Za-z_-]+$")]
Id = Annotated[str, Path(max_length=64, pattern=r"^[0-9A-Za-z_-]+$")]
Codes = Annotated[str | None, Query(max_length=2000, pattern=r"^[0-9A-Za-z_-]+(,[0-9A-Za-z_-]+)*$")]
# One endpoint serves one city: the parameter of the standard is taken and means nothing.
Jurisdiction = Annotated[str | None, Query(max_length=200)]


async def _form(request: Request) -> dict[str, str]:
    """The fields of a posted form; none of another request."""
    if request.method != "POST":
        return {}
    media = request.headers.get("content-type", FORM).partition(";")[0].strip().lower()
    if media != FORM:
        raise HTTPException(415, f"a report is sent as {FORM}; pictures are named by media_url")
    try:
        return read_form(await request.body())
    except Refused as refused:
        raise HTTPException(refused.status, str(refused)) from None


Form = Annotated[dict[str, str], Depends(_form)]
ApiKey = Annotated[str | None, Query(max_length=200, description="a key; or send it as `Authorization: Bearer`")]


def needs(rule: Rule) -> Any:
    """As `dispatcher.api.rules.needs`, and a key may come as `api_key` in the form or the query."""

    async def check(request: Request, desk: DeskDep, form: Form, api_key: ApiKey = None) -> Principal:
        token = form.get("api_key") or api_key
        if token is not None:
            principal = await run_in_threadpool(desk.gate.of_key, token)
            if principal is None:
                raise HTTPException(403, "the api_key is unknown, expired or revoked")
            request.state.principal = principal
        return refuse(request, rule)

    return Depends(ruling(check, rule))


Reader = Annotated[Principal, needs(READS)]
Sender = Annotated[Principal, needs(SENDS)]


def _intake(request: Request) -> Intake:
    intake: Intake = request.app.state.intake
    return intake


@router.get("/services.{format}", responses=answers("services"), response_class=Response, dependencies=[needs(READS)])
def service_list(desk: DeskDep, format: Format, jurisdiction_id: Jurisdiction = None) -> Response:
    """What can be reported: the matters of GB/T 47678.5-2026."""
    return listed(format, "services", "service", services(desk.names.taxonomy))


@router.get(
    "/services/{service_code}.{format}",
    responses=answers("definition"),
    response_class=Response,
    dependencies=[needs(READS)],
)
def service_definition(
    desk: DeskDep, service_code: Code, format: Format, jurisdiction_id: Jurisdiction = None
) -> Response:
    """What may be said with a report of a matter, beside the standard's own fields."""
    if service_code not in desk.names.taxonomy.by_code:
        raise HTTPException(404, f"service_code {service_code!r} is no matter")
    return single(format, "service_definition", definition(service_code))


@router.post(
    "/requests.{format}",
    responses=answers("posted") | {415: ERRORS, 429: BUSY},
    response_class=Response,
    openapi_extra={"requestBody": FORM_BODY},
)
def post_request(
    request: Request,
    desk: DeskDep,
    form: Form,
    now: Now,
    format: Format,
    who: Sender,
    key: Key = None,
    jurisdiction_id: Jurisdiction = None,
) -> Response:
    """Report something. It joins the case that it is of, or opens one; `token` stands for what is not decided yet."""
    said = {name: value for name, value in form.items() if name != "api_key"}
    asked = digest(canonical(said))
    try:
        report = filed(said, desk.names.taxonomy, sender=who.id, now=now)
    except Refused as refused:
        raise HTTPException(refused.status, str(refused)) from None
    try:
        standing = _intake(request).post(report, key, asked if key else None)
    except TooMany as many:
        seconds = math.ceil(many.wait.total_seconds())
        raise HTTPException(429, f"{many}: wait {seconds} s", {"retry-after": str(seconds)}) from None
    if key is not None and standing.asked != asked:
        raise HTTPException(400, "this Idempotency-Key was used for another report")
    if standing.taking is Taking.REFUSED:
        raise HTTPException(400, f"the report makes no sense: {standing.why}")
    decided = standing.taking is Taking.TAKEN
    name, value = ("service_request_id", standing.report.id) if decided else ("token", standing.report.token)
    answer = {name: value, "service_notice": _notice(standing), "account_id": report.contact.account_id}
    return listed(format, "service_requests", "request", [answer])


@router.get("/tokens/{token}.{format}", responses=answers("token"), response_class=Response)
def token(desk: DeskDep, who: Reader, token: Id, format: Format, jurisdiction_id: Jurisdiction = None) -> Response:
    """The report that a token stands for. While nobody has decided on it, it has no `service_request_id`."""
    standing = _found(desk, who, token)
    decided = standing.taking is not Taking.WAITING
    row = {"service_request_id": standing.report.id if decided else None, "token": standing.report.token}
    return listed(format, "service_requests", "request", [row])


@router.get("/requests.{format}", responses=answers("requests"), response_class=Response)
def requests(
    request: Request,
    desk: DeskDep,
    who: Reader,
    now: Now,
    format: Format,
    service_request_id: Codes = None,
    service_code: Codes = None,
    start_date: Time = None,
    end_date: Time = None,
    status: Annotated[str | None, Query(pattern="^(open|closed|open,closed|closed,open)$")] = None,
    jurisdiction_id: Jurisdiction = None,
) -> Response:
    """Reports, the last one first: those one sent, and those of cases in one's areas. Ids go before all else."""
    if service_request_id is not None:
        where = ReportFilter(ids=tuple(service_request_id.split(",")))
    else:
        since, until = _span(start_date, end_date, now)
        one = status in ("open", "closed")
        codes = None if service_code is None else tuple(service_code.split(","))
        where = ReportFilter(matters=codes, since=since, until=until, open=(status == "open") if one else None)
    found = desk.store.reports.listing(where, who.id, _scope(desk, who))
    return listed(format, "service_requests", "request", [_row(request, desk, one) for one in found])


@router.get("/requests/{id}.{format}", responses=answers("requests"), response_class=Response)
def one_request(
    request: Request, desk: DeskDep, who: Reader, id: Id, format: Format, jurisdiction_id: Jurisdiction = None
) -> Response:
    """One report, by its `service_request_id`."""
    return listed(format, "service_requests", "request", [_row(request, desk, _found(desk, who, id))])


def _found(desk: DeskDep, who: Principal, id: str) -> Standing:
    standing = desk.store.reports.find(id, who.id, _scope(desk, who))
    if standing is None:
        raise HTTPException(404, "there is no such report, or it is not yours to see")
    return standing


def _scope(desk: DeskDep, who: Principal) -> Scope:
    return View.of(who, desk.store, desk.names.areas).scope


def _span(start: datetime | None, end: datetime | None, now: datetime) -> tuple[str, str]:
    """No more than SPAN: from its start, or up to its end, or up to now."""
    try:
        until = (end or (now if start is None else start + SPAN)).astimezone(UTC)
        since = (start or until - SPAN).astimezone(UTC)
        return rfc3339(max(since, until - SPAN)), rfc3339(until)
    except (OverflowError, ValueError):
        raise HTTPException(400, "start_date and end_date: a time before or after all calendars") from None


def _row(request: Request, desk: DeskDep, standing: Standing) -> dict[str, Any]:
    """A report as the standard shows it: of whoever made it nothing."""
    report, matter = standing.report, desk.names.taxonomy.by_code.get(standing.report.matter)
    over = standing.taking is Taking.REFUSED or (standing.state is not None and standing.state not in OPEN)
    office = standing.office or standing.area
    return {
        "service_request_id": report.id,
        "status": "closed" if over else "open",
        "status_notes": _notice(standing),
        "service_name": report.matter if matter is None else matter.name,
        "service_code": report.matter,
        "description": report.description,
        "agency_responsible": None if office is None else request.app.state.clerk.offices.name(office),
        "service_notice": None,
        "requested_datetime": rfc3339(report.at),
        "updated_datetime": standing.changed_at or rfc3339(report.at),
        "expected_datetime": standing.due_at,
        "address": report.address,
        "address_id": None,
        "zipcode": None,
        "lat": report.lat,
        "long": report.lon,
        "media_url": report.media_url,
    }


def _notice(standing: Standing) -> str:
    """In a few words, how it stands."""
    if standing.taking is Taking.REFUSED:
        return f"不予受理：{standing.why}"
    if standing.state is None:
        return "已收到，等待受理"
    return f"已受理：{STATE_ZH[State(standing.state)]}"
