"""What citizens reported of a case, for the desk; who they are is for dispatchers."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException

from dispatcher.access.principal import Principal, Reach, Role
from dispatcher.api.desk import DeskDep, ViewDep
from dispatcher.api.rules import needs
from dispatcher.api.who import Who
from dispatcher.api.work import CaseId
from dispatcher.api.work_schemas import ReportOut

router = APIRouter(tags=["open311"])


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
