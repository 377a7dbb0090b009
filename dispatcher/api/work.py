"""Routes of the desk: the work on a case, actions, what is due, rosters and campaigns."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, HTTPException, Path, Query, Request, Response

from dispatcher.access.principal import Role
from dispatcher.access.scope import Scope
from dispatcher.api.asked import OfficeCode
from dispatcher.api.rules import needs
from dispatcher.api.schemas import Problem
from dispatcher.api.who import Who
from dispatcher.api.work_schemas import (
    ActionIn,
    CampaignOut,
    ChoicesOut,
    ConditionOut,
    DoneOut,
    OnDutyOut,
    RosterOut,
    StandingOut,
)
from dispatcher.work.asked import Refusal
from dispatcher.work.calendar import china
from dispatcher.work.clerk import Clerk, tag
from dispatcher.work.duty import on_duty
from ingest.frame import rfc3339

router = APIRouter(tags=["work"])


def _clerk(request: Request) -> Clerk:
    clerk: Clerk = request.app.state.clerk
    return clerk


def _now() -> datetime:
    return datetime.now(UTC)


CaseId = Annotated[str, Path(max_length=64, pattern=r"^[0-9A-Za-z_.:-]+$")]
ClerkDep = Annotated[Clerk, Depends(_clerk)]
Now = Annotated[datetime, Depends(_now)]
IfMatch = Annotated[str | None, Header(max_length=100, description="The ETag of the work as it was read")]
Key = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]


WHY = {
    400: "no JSON",
    403: "another role may",
    404: "no such case, or not one's own",
    409: "not at this step",
    412: "it has changed since it was read",
    422: "something is missing or wrong",
}


Answers = dict[int | str, dict[str, Any]]
TAGGED = {"ETag": {"description": "for `If-Match` of an action", "required": True, "schema": {"type": "string"}}}


def _problems(*statuses: int) -> Answers:
    """How the errors of a route are documented: one shape, of its own media type."""
    content = {"application/problem+json": {"schema": Problem.model_json_schema()}}
    return {status: {"description": WHY[status], "content": content} for status in statuses}


READ: Answers = {200: {"headers": TAGGED}}
DONE: Answers = {
    200: {
        "model": DoneOut,
        "description": "It had been done before, under the same Idempotency-Key",
        "headers": TAGGED,
    },
    201: {"description": "It is done", "headers": TAGGED},
}


@router.get("/api/cases/{id}/work", responses=READ | _problems(404, 422), dependencies=[needs(Role.VIEWER)])
def work(clerk: ClerkDep, who: Who, now: Now, id: CaseId, response: Response) -> StandingOut:
    """The work on a case and everything that was done with it. Its ETag is for `If-Match` of an action."""
    try:
        standing = clerk.standing(id, who)
    except Refusal as refusal:
        raise HTTPException(refusal.status, str(refusal)) from None
    response.headers["etag"] = standing.tag
    return StandingOut.of(standing, who, clerk, now)


@router.post(
    "/api/cases/{id}/actions",
    responses=DONE | _problems(400, 403, 404, 409, 412, 422),
    status_code=201,
    dependencies=[needs(Role.OFFICER)],
)
def act(
    clerk: ClerkDep,
    who: Who,
    now: Now,
    id: CaseId,
    asked: ActionIn,
    response: Response,
    if_match: IfMatch = None,
    key: Key = None,
) -> DoneOut:
    """Do something with a case. 201: it was done; 200: it had been, under the same Idempotency-Key."""
    try:
        done = clerk.act(who, id, asked.asked(), now=now, if_match=if_match, key=key)
    except Refusal as refusal:
        raise HTTPException(refusal.status, str(refusal)) from None
    response.headers["etag"] = tag(done.work, done.case)
    if done.repeated:
        response.status_code = 200
    return DoneOut.of(done, who, clerk, now)


@router.get("/api/rosters", responses=_problems(422), dependencies=[needs(Role.VIEWER)])
def rosters(
    clerk: ClerkDep,
    who: Who,
    now: Now,
    office: Annotated[list[OfficeCode], Query(max_length=200)] = [],  # noqa: B006  # FastAPI copies it
) -> list[RosterOut]:
    """Who is on duty now: of the offices that are named, or of all that have a roster and lie in one's areas."""
    book = clerk.book()
    known = [shift.office for shift in book.duty.shifts] + [officer.community for officer in book.duty.officers]
    wanted = [code for code in dict.fromkeys(office or known) if Scope(who.areas).covers(code)]
    calendar = book.clock.calendar
    return [
        RosterOut(
            office=code,
            name=clerk.offices.name(code),
            at=rfc3339(now),
            workday=calendar.is_workday(china(now).date()),
            on_duty=[OnDutyOut.of(person) for person in on_duty(book.duty, code, now, calendar)],
        )
        for code in wanted
    ]


@router.get("/api/campaigns", dependencies=[needs(Role.VIEWER)])
def campaigns(clerk: ClerkDep, who: Who, now: Now) -> list[CampaignOut]:
    """Campaigns, those to come and those that are over with them."""
    found = clerk.book().policies.campaigns
    mine = [c for c in found if not c.areas or _meet(c.areas, who.areas)]
    return [CampaignOut.of(campaign, now) for campaign in mine]


@router.get("/api/filing", dependencies=[needs(Role.VIEWER)])
def filing(clerk: ClerkDep) -> list[ConditionOut]:
    """Every filing condition and its clock."""
    return [ConditionOut.of(condition) for condition in clerk.book().filing.all]


@router.get("/api/choices", dependencies=[needs(Role.VIEWER)])
def choices(clerk: ClerkDep) -> ChoicesOut:
    """What actions, dispositions and labels are called."""
    return ChoicesOut.of(clerk)


def _meet(some: tuple[str, ...], mine: frozenset[str] | None) -> bool:
    """Whether any of some areas lies in mine, or any of mine in one of them."""
    return any(Scope(mine).covers(code) for code in some) or any(
        Scope(frozenset(some)).covers(code) for code in mine or ()
    )
