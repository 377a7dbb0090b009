"""Routes of the desk: the work on a case, actions, what is due, rosters and campaigns."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Self

from fastapi import APIRouter, Depends, Header, HTTPException, Path, Query, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from dispatcher.access.principal import Principal
from dispatcher.api.who import Who
from dispatcher.work.asked import Asked, Refusal, allowed
from dispatcher.work.calendar import china
from dispatcher.work.clerk import Clerk, Done, Standing, tag
from dispatcher.work.duty import Officer, Shift, on_duty
from dispatcher.work.entry import Entry
from dispatcher.work.filing import Condition
from dispatcher.work.policy import Campaign
from dispatcher.work.step import (
    ACT_ZH,
    DISPOSITION_ZH,
    LABEL_ZH,
    OUTCOME_ZH,
    STEP_ZH,
    Act,
    Disposition,
    Label,
    Step,
)
from dispatcher.work.work import Work
from ingest.frame import rfc3339

router = APIRouter(tags=["work"])
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def _clerk(request: Request) -> Clerk:
    clerk: Clerk = request.app.state.clerk
    return clerk


def _now() -> datetime:
    return datetime.now(UTC)


def _plain(text: str) -> str:
    """What a database can keep and a page can show."""
    if CONTROL.search(text):
        raise ValueError("control characters are no text")
    return text


CaseId = Annotated[str, Path(max_length=64, pattern=r"^[0-9A-Za-z_.:-]+$")]
Words = Annotated[str, AfterValidator(_plain)]
ClerkDep = Annotated[Clerk, Depends(_clerk)]
Now = Annotated[datetime, Depends(_now)]
IfMatch = Annotated[str | None, Header(max_length=100, description="The ETag of the work as it was read")]
Key = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]


class ActionIn(BaseModel):
    """What is asked for."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"act": "acknowledge"},
                {"act": "dispatch", "office": "440304-cgj", "disposition": "enforcement"},
                {"act": "hand-back", "reason": "不在本社区范围"},
                {"act": "dismiss", "reason": "商户门内摆放", "label": "not-there"},
            ]
        },
    )

    act: Act
    reason: Words | None = Field(None, max_length=2000)
    office: str | None = Field(None, max_length=32, pattern=r"^[0-9A-Za-z_-]+$")
    department: str | None = Field(None, max_length=32, pattern=r"^[0-9A-Za-z_-]+$")
    disposition: Disposition | None = None
    condition: Words | None = Field(None, max_length=64)
    label: Label | None = None
    score: int | None = Field(None, ge=1, le=5)

    def asked(self) -> Asked:
        return Asked(**{name: getattr(self, name) for name in type(self).model_fields})


class ConditionOut(BaseModel):
    id: str
    matter: str
    when: str
    type: str  # 紧急工作时, 工作时, 工作日 or 自然日
    amount: float
    example: bool
    division: str | None

    @classmethod
    def of(cls, condition: Condition) -> Self:
        return cls(**condition.document())


class CallOut(BaseModel):
    """A department that was called (吹哨), and its answer (报到)."""

    department: str
    name: str
    at: str
    by: str
    why: str
    answered_at: str | None
    answered_by: str | None
    answer: str | None


class EntryOut(BaseModel):
    """One action, as the hash-chained log has it."""

    seq: int
    act: str
    act_zh: str
    actor: str
    name: str
    at: str
    reason: str | None
    details: dict[str, Any]
    hash: str

    @classmethod
    def of(cls, entry: Entry) -> Self:
        return cls(
            seq=entry.seq,
            act=entry.act,
            act_zh=ACT_ZH[entry.act],
            actor=entry.actor,
            name=entry.name,
            at=rfc3339(entry.at),
            reason=entry.reason,
            details=dict(entry.details),
            hash=entry.hash,
        )


class WorkOut(BaseModel):
    """How far the offices have come with a case."""

    case: str
    state: str  # of the belief in it, which is another field than the step
    version: int
    step: str
    step_zh: str
    step_number: int  # 1 to 7
    outcome: str | None
    outcome_zh: str | None
    office: str | None
    office_name: str | None
    disposition: str | None
    disposition_zh: str | None
    co_handlers: list[str]
    priority: float
    first_occurrence: bool
    registered_at: str | None
    dispatched_at: str | None
    acknowledged_at: str | None
    acknowledged_by: str | None
    handled_at: str | None
    handled_by: str | None
    ended_at: str | None
    condition: ConditionOut | None
    due_at: str | None
    overdue: bool
    paused_at: str | None
    escalates_at: str | None
    level: int
    told: list[str]
    calls: list[CallOut]
    hand_backs: int
    rejections: int
    rebounds: int
    label: str | None
    label_zh: str | None
    score: int | None
    allowed: list[str]  # what who asks may do now

    @classmethod
    def of(cls, work: Work, state: str, who: Principal, clerk: Clerk, now: datetime) -> Self:
        names = clerk.offices
        same = {name: value for name, value in work.document().items() if name in cls.model_fields}
        said = same | {
            "state": state,
            "step_zh": STEP_ZH[work.step],
            "step_number": list(Step).index(work.step) + 1,
            "outcome_zh": None if work.outcome is None else OUTCOME_ZH[work.outcome],
            "office_name": None if work.office is None else names.name(work.office),
            "disposition_zh": None if work.disposition is None else DISPOSITION_ZH[work.disposition],
            "label_zh": None if work.label is None else LABEL_ZH[Label(work.label)],
            "overdue": work.overdue(now),
            "calls": [call | {"name": names.name(call["department"])} for call in work.document()["calls"]],
            "allowed": allowed(work, who),
        }
        return cls(**said)


class StandingOut(BaseModel):
    work: WorkOut
    conditions: list[ConditionOut]  # that the case may be filed under
    actions: list[EntryOut]  # oldest first


class DoneOut(BaseModel):
    """An action that was done, and the work right after."""

    action: EntryOut
    work: WorkOut
    repeated: bool  # it had been done before, under the same Idempotency-Key


class OnDutyOut(BaseModel):
    person: str
    phone: str | None
    by_shift: bool  # else the officer of the community, whom no shift relieves


class RosterOut(BaseModel):
    office: str
    name: str
    at: str
    workday: bool
    on_duty: list[OnDutyOut]


class CampaignOut(BaseModel):
    name: str
    begins: str
    ends: str
    matters: list[str]
    areas: list[str]
    weight: float
    threshold: float | None
    running: bool

    @classmethod
    def of(cls, campaign: Campaign, now: datetime) -> Self:
        return cls(
            name=campaign.name,
            begins=campaign.begins.isoformat(),
            ends=campaign.ends.isoformat(),
            matters=list(campaign.matters),
            areas=list(campaign.areas),
            weight=campaign.weight,
            threshold=campaign.threshold,
            running=campaign.begins <= china(now).date() <= campaign.ends,
        )


class ChoicesOut(BaseModel):
    """The words of the desk, for forms."""

    acts: dict[str, str]
    dispositions: dict[str, str]
    labels: dict[str, str]
    steps: dict[str, str]
    departments: dict[str, str]


Problems = {status: {"description": text} for status, text in {
    403: "another role may", 404: "no such case", 409: "not at this step", 412: "it has changed since it was read",
    422: "something is missing or wrong",
}.items()}  # fmt: skip


@router.get("/api/cases/{id}/work", responses={404: Problems[404]})
def work(clerk: ClerkDep, who: Who, now: Now, id: CaseId, response: Response) -> StandingOut:
    """The work on a case and everything that was done with it. Its ETag is for `If-Match` of an action."""
    try:
        standing = clerk.standing(id, who)
    except Refusal as refusal:
        raise HTTPException(refusal.status, str(refusal)) from None
    response.headers["etag"] = standing.tag
    return _standing(standing, who, clerk, now)


@router.post("/api/cases/{id}/actions", responses=Problems, status_code=201)  # type: ignore[arg-type]
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
    return _done(done, who, clerk, now)


@router.get("/api/rosters")
def rosters(
    clerk: ClerkDep,
    who: Who,
    now: Now,
    office: Annotated[list[str] | None, Query(max_length=200)] = None,
) -> list[RosterOut]:
    """Who is on duty now: of the offices that are named, or of all that have a roster and lie in one's areas."""
    book = clerk.book()
    known = [shift.office for shift in book.duty.shifts] + [officer.community for officer in book.duty.officers]
    wanted = [code for code in dict.fromkeys(office or known) if who.areas is None or _within(code, who.areas)]
    calendar = book.clock.calendar
    return [
        RosterOut(
            office=code,
            name=clerk.offices.name(code),
            at=rfc3339(now),
            workday=calendar.is_workday(china(now).date()),
            on_duty=[_on_duty(person) for person in on_duty(book.duty, code, now, calendar)],
        )
        for code in wanted
    ]


@router.get("/api/campaigns")
def campaigns(clerk: ClerkDep, who: Who, now: Now) -> list[CampaignOut]:
    """Campaigns, those to come and those that are over with them."""
    found = clerk.book().policies.campaigns
    mine = [c for c in found if who.areas is None or not c.areas or _meet(c.areas, who.areas)]
    return [CampaignOut.of(campaign, now) for campaign in mine]


@router.get("/api/filing")
def filing(clerk: ClerkDep) -> list[ConditionOut]:
    """Every filing condition and its clock."""
    return [ConditionOut.of(condition) for condition in clerk.book().filing.all]


@router.get("/api/choices")
def choices(clerk: ClerkDep) -> ChoicesOut:
    """What actions, dispositions and labels are called."""
    return ChoicesOut(
        acts={str(act): ACT_ZH[act] for act in Act},
        dispositions={str(entry): DISPOSITION_ZH[entry] for entry in Disposition},
        labels={str(label): LABEL_ZH[label] for label in Label},
        steps={str(step): STEP_ZH[step] for step in Step},
        departments={department.code: department.name for department in clerk.book().duty.departments},
    )


def _standing(standing: Standing, who: Principal, clerk: Clerk, now: datetime) -> StandingOut:
    document = standing.case.document
    found = clerk.book().filing.of(document["matter"], standing.case.area)
    return StandingOut(
        work=WorkOut.of(standing.work, document["state"], who, clerk, now),
        conditions=[ConditionOut.of(condition) for condition in found],
        actions=[EntryOut.of(entry) for entry in standing.entries],
    )


def _done(done: Done, who: Principal, clerk: Clerk, now: datetime) -> DoneOut:
    return DoneOut(
        action=EntryOut.of(done.entry),
        work=WorkOut.of(done.work, done.case.document["state"], who, clerk, now),
        repeated=done.repeated,
    )


def _on_duty(person: Shift | Officer) -> OnDutyOut:
    return OnDutyOut(person=person.person, phone=person.phone, by_shift=isinstance(person, Shift))


def _within(code: str, areas: frozenset[str]) -> bool:
    return any(code.startswith(area) for area in areas)


def _meet(some: tuple[str, ...], others: frozenset[str]) -> bool:
    return any(a.startswith(b) or b.startswith(a) for a in some for b in others)
