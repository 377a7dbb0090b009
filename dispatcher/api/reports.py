"""What citizens reported of a case, for the desk; who they are is for dispatchers."""

from __future__ import annotations

from typing import Self

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel

from dispatcher.access.principal import Principal, Reach, Role
from dispatcher.api.desk import DeskDep, ViewDep
from dispatcher.api.rules import needs
from dispatcher.api.who import Who
from dispatcher.api.work import CaseId
from dispatcher.open311.report import Contact, Report
from ingest.frame import rfc3339

router = APIRouter(tags=["open311"])


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


@router.get("/api/cases/{id}/reports", dependencies=[needs(Role.VIEWER)])
def reports(desk: DeskDep, view: ViewDep, who: Who, id: CaseId) -> list[ReportOut]:
    """What citizens reported that is of this case, oldest first."""
    if view.case(id) is None:
        raise HTTPException(404, f"no case {id!r}")
    found = desk.store.reports.of_case(id, view.scope)
    return [ReportOut.of(report, contact if _may_call(who) else None) for report, contact in found]


def _may_call(who: Principal) -> bool:
    """A key must moreover be one for reports."""
    return who.at_least(Role.DISPATCHER) and who.reaches(Reach.OPEN311)
