"""Book: all that an operator says about the work: calendar, filing conditions, duty, policies, zones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from dispatcher.work.clock import Clock
from dispatcher.work.duty import Duty
from dispatcher.work.filing import Filing
from dispatcher.work.policy import Policies, parse_policies, parse_zones


class Page(StrEnum):
    """One file of local data."""

    CALENDAR = "calendar"
    FILING = "filing"
    DUTY = "duty"
    POLICY = "policy"
    ZONES = "zones"


@dataclass(frozen=True, slots=True)
class Book:
    """What the desk works by. Without files: weekends and public holidays, example deadlines, no rosters."""

    clock: Clock = field(default_factory=Clock)
    filing: Filing = field(default_factory=Filing.read)
    duty: Duty = field(default_factory=Duty)
    policies: Policies = field(default_factory=Policies)

    @classmethod
    def of(cls, texts: Mapping[str, str]) -> Book:
        """From the texts that were imported, by page. Raises ValueError naming what is wrong."""
        policies, campaigns = parse_policies(texts.get(Page.POLICY, ""))
        return cls(
            clock=Clock.parse(texts.get(Page.CALENDAR, "")),
            filing=Filing.read(texts.get(Page.FILING)),
            duty=Duty.parse(texts.get(Page.DUTY, "")),
            policies=Policies(policies, campaigns, parse_zones(texts[Page.ZONES]) if Page.ZONES in texts else ()),
        )


CHECKS: Mapping[Page, Callable[[str], object]] = {
    Page.CALENDAR: Clock.parse,
    Page.FILING: Filing.read,
    Page.DUTY: Duty.parse,
    Page.POLICY: parse_policies,
    Page.ZONES: parse_zones,
}
