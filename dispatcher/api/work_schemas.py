"""What the routes of the desk read and answer."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from dispatcher.access.principal import Principal
from dispatcher.open311.report import Contact, Report
from dispatcher.work.asked import Asked, allowed
from dispatcher.work.calendar import china
from dispatcher.work.clerk import Clerk, Done, Standing
from dispatcher.work.duty import Officer, Shift
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

UNKEPT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")  # halves of characters too


def _plain(text: str) -> str:
    """What a database can keep and a page can show."""
    if UNKEPT.search(text):
        raise ValueError("control characters and halves of characters are no text")
    return text


Words = Annotated[str, AfterValidator(_plain)]


class ActionIn(BaseModel):
    """What is asked for."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"act": "acknowledge"},
                {"act": "dispatch", "office": "440304-cgj", "disposition": "enforcement"},
                {"act": "hand-back", "reason": "不在本社区范围"},
                {"act": "merge", "into": "0a1b2c3d4e5f60718293a4b5", "reason": "同一处垃圾"},
                {"act": "split", "sightings": ["9d3f0b7c55a94e0d8a6b2c41"], "reason": "相邻两处"},
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
    into: str | None = Field(None, max_length=64, pattern=r"^[0-9A-Za-z_.:-]+$")  # the case that it is merged into
    sightings: list[Annotated[Words, Field(min_length=1, max_length=200)]] | None = Field(None, max_length=1000)

    def asked(self) -> Asked:
        said = {name: getattr(self, name) for name in type(self).model_fields}
        return Asked(**(said | {"sightings": None if self.sightings is None else tuple(self.sightings)}))


class ConditionOut(BaseModel):
    id: str
    matter: str
    when: str
    type: str  # 紧急工作时, 工作时, 工作日 or 自然日
    amount: float
    example: bool
    division: str | None
    closing: str | None = None  # 结案条件: closing the case needs a reason then, how it was found to be met

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

    @classmethod
    def of(cls, standing: Standing, who: Principal, clerk: Clerk, now: datetime) -> Self:
        document = standing.case.document
        found = clerk.book().filing.of(document["matter"], standing.case.area)
        return cls(
            work=WorkOut.of(standing.work, document["state"], who, clerk, now),
            conditions=[ConditionOut.of(condition) for condition in found],
            actions=[EntryOut.of(entry) for entry in standing.entries],
        )


class DoneOut(BaseModel):
    """An action that was done, and the work right after."""

    action: EntryOut
    work: WorkOut
    repeated: bool  # it had been done before, under the same Idempotency-Key

    @classmethod
    def of(cls, done: Done, who: Principal, clerk: Clerk, now: datetime) -> Self:
        return cls(
            action=EntryOut.of(done.entry),
            work=WorkOut.of(done.work, done.case.document["state"], who, clerk, now),
            repeated=done.repeated,
        )


class OnDutyOut(BaseModel):
    person: str
    phone: str | None
    by_shift: bool  # else the officer of the community, whom no shift relieves

    @classmethod
    def of(cls, person: Shift | Officer) -> Self:
        return cls(person=person.person, phone=person.phone, by_shift=isinstance(person, Shift))


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

    @classmethod
    def of(cls, clerk: Clerk) -> Self:
        return cls(
            acts={str(act): ACT_ZH[act] for act in Act},
            dispositions={str(entry): DISPOSITION_ZH[entry] for entry in Disposition},
            labels={str(label): LABEL_ZH[label] for label in Label},
            steps={str(step): STEP_ZH[step] for step in Step},
            departments={department.code: department.name for department in clerk.book().duty.departments},
        )


class ContactOut(BaseModel):
    """Personal data."""

    first_name: str | None = None
    last_name: str | None = None
    phone: str | None = None
    email: str | None = None
    device_id: str | None = None
    account_id: str | None = None


class ReportOut(BaseModel):
    """One report of a case."""

    id: str
    at: str
    seen_at: str
    lat: float  # WGS-84 degrees, as it was reported
    lon: float
    accuracy_m: float
    description: str | None
    address: str | None
    media_url: str | None
    contact: ContactOut | None  # for dispatchers and administrators alone

    @classmethod
    def of(cls, report: Report, contact: Contact | None) -> Self:
        return cls(
            id=report.id,
            at=rfc3339(report.at),
            seen_at=rfc3339(report.seen_at),
            lat=report.lat,
            lon=report.lon,
            accuracy_m=report.accuracy_m,
            description=report.description,
            address=report.address,
            media_url=report.media_url,
            contact=None if contact is None else ContactOut(**contact.document()),
        )
