"""Routes about offices: who answers for what, how they did, and through what they are told."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query

from dispatcher.access.principal import Role
from dispatcher.access.scope import EVERYTHING
from dispatcher.api.asked import Time
from dispatcher.api.desk import DeskDep, ViewDep
from dispatcher.api.names import Names
from dispatcher.api.office_schemas import (
    AreaResultsOut,
    ChannelOut,
    OfficeOut,
    OwnerOfOut,
    ResultsOut,
    StatisticsOut,
)
from dispatcher.api.rules import needs
from dispatcher.api.view import View
from dispatcher.api.work import ClerkDep, Now
from dispatcher.channels.channel import Channel
from dispatcher.store.statistics import Tally
from dispatcher.work.clerk import Clerk
from dispatcher.work.duty import responsible
from dispatcher.work.step import DISPOSITION_ZH
from ingest.frame import rfc3339

router = APIRouter(tags=["offices"])
SPAN, LONGEST = timedelta(days=30), timedelta(days=92)
Code = Annotated[str, Query(max_length=32, pattern=r"^[0-9A-Za-z_-]+$")]


@router.get("/api/owners", dependencies=[needs(Role.VIEWER)])
def owners(desk: DeskDep, view: ViewDep, clerk: ClerkDep, area: Code, matter: Code | None = None) -> list[OwnerOfOut]:
    """Who answers in an area, one's own: for each matter, or for one."""
    if not view.scope.covers(area):
        raise HTTPException(404, f"no area {area!r}")
    matters = desk.names.taxonomy.by_code
    if matter is not None and matter not in matters:
        raise HTTPException(404, f"no matter {matter!r}")
    wanted = sorted(matters) if matter is None else [matter]
    return [_owner_of(desk.names, clerk, area, code) for code in wanted]


def _owner_of(names: Names, clerk: Clerk, area: str, matter: str) -> OwnerOfOut:
    found = responsible(clerk.book().duty, matter, area)
    return OwnerOfOut(
        matter=matter,
        matter_zh=names.taxonomy.by_code[matter].name,
        office=None if found.office is None else _office(clerk, found.office),
        co_handlers=[_office(clerk, code) for code in found.co_handlers],
        disposition=found.disposition,
        disposition_zh=None if found.disposition is None else DISPOSITION_ZH[found.disposition],
    )


def _office(clerk: Clerk, code: str) -> OfficeOut:
    return OfficeOut(code=code, name=clerk.offices.name(code))


@router.get("/api/statistics", dependencies=[needs(Role.VIEWER)])
def statistics(desk: DeskDep, view: ViewDep, now: Now, since: Time = None, until: Time = None) -> StatisticsOut:
    """How the offices did with the cases that were opened in a time: the last 30 days, at most 92."""
    begin, end = _span(since, until, now)
    found = view.statistics(begin, end, now)
    names = desk.names.areas
    by_area = [
        AreaResultsOut.of(tally, area=area, area_path=None if area is None else names.path(area))
        for area, tally in sorted(found.items(), key=lambda one: one[0] or "")
    ]
    return StatisticsOut(since=begin, until=end, total=ResultsOut.of(_sum(found.values())), by_area=by_area)


def _sum(tallies: Iterable[Tally]) -> Tally:
    total = Tally()
    for tally in tallies:
        total.counts += tally.counts
        total.acknowledged += tally.acknowledged
        total.handled += tally.handled
    return total


def _span(since: datetime | None, until: datetime | None, now: datetime) -> tuple[str, str]:
    try:
        end = (until or (now if since is None else since + SPAN)).astimezone(UTC)
        begin = (since or end - SPAN).astimezone(UTC)
        if not timedelta(0) <= end - begin <= LONGEST:
            raise HTTPException(422, f"since and until: up to {LONGEST.days} days, and not backwards")
        return rfc3339(begin), rfc3339(end)
    except (OverflowError, ValueError):
        raise HTTPException(422, "a time before or after all calendars") from None


@router.get("/api/channels", dependencies=[needs(Role.ADMIN)])
def channels(desk: DeskDep, view: ViewDep) -> list[ChannelOut]:
    """Webhooks and robots, and how their deliveries stand. `jiexun channels` sets them up: it takes their secrets.

    An administrator of some areas sees the channels of those areas alone.
    """
    counts: dict[str, dict[str, int]] = {}
    for count in desk.store.deliveries.counts():
        counts.setdefault(count.channel, {})[count.state] = count.n
    shown = [channel for channel in desk.store.channels.all() if _within(view, channel)]
    return [ChannelOut.of(channel, counts.get(channel.id, {})) for channel in shown]


def _within(view: View, channel: Channel) -> bool:
    """Whether a channel tells nothing of areas beyond those of whoever asks; one without areas tells of all."""
    areas = channel.recipients
    return view.scope == EVERYTHING or (bool(areas) and all(view.scope.covers(code) for code in areas))
