"""Doubts: codes in a page that nothing is known of. Such a slip of the pen is no error, and comes to nothing unseen."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from dispatcher.access.scope import lies_in
from dispatcher.work.book import Page
from dispatcher.work.duty import OF_THE_AREA, Duty
from dispatcher.work.filing import ANY, Filing
from dispatcher.work.policy import parse_policies, parse_zones

Codes = set[str]


def doubts(page: Page, text: str, *, matters: Collection[str], areas: Collection[str] = ()) -> Iterator[str]:
    """A sentence for each. Without `areas` nothing is said of areas. Raises ValueError for a page that is wrong."""
    named, places = _named(page, text)
    for code in sorted(named - {ANY} - set(matters)):
        yield f"matter {code} is no code of matters.csv"
    for code in sorted(places) if areas else ():
        if not any(lies_in(area, code) for area in areas):
            yield f"no area has the code {code}, or lies below it"


def _named(page: Page, text: str) -> tuple[Codes, Codes]:
    """Codes of matters, and of areas, that a page names."""
    match page:
        case Page.FILING:
            conditions = Filing.read(text).all
            return {one.matter for one in conditions}, {one.division for one in conditions if one.division is not None}
        case Page.DUTY:
            return _of_duty(Duty.parse(text))
        case Page.POLICY:
            policies, campaigns = parse_policies(text)
            matters = {code for policy in policies for code in policy.matters}
            matters |= {code for campaign in campaigns for code in campaign.matters}
            return matters, {one.community for one in policies} | {code for one in campaigns for code in one.areas}
        case Page.ZONES:
            return {code for zone in parse_zones(text) for code in zone.matters}, set()
        case Page.CALENDAR:
            return set(), set()


def _of_duty(duty: Duty) -> tuple[Codes, Codes]:
    rows = duty.responsibilities
    offices = {row.owner for row in rows} | {code for row in rows for code in row.co_handlers}
    offices |= {shift.office for shift in duty.shifts} | {officer.community for officer in duty.officers}
    places = {code for row in rows for code in row.areas} | (offices - {OF_THE_AREA} - duty.names.keys())
    return {code for row in rows for code in row.matters}, places
