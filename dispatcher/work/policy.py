"""Policy: what a community has agreed on (一社区一策), permitted stalls, and campaigns. Pure, from data.

    [[policy]]    community, matters, hours, threshold, acknowledge_minutes, acknowledge_type
    [[campaign]]  name, begins, ends, matters, areas, weight, threshold

Permitted zones are a GeoJSON of polygons with `name`, and optionally `matters`, `hours`, `days`, `begins`, `ends`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import shapely
from shapely import Point

from dispatcher.access.scope import lies_in, stem
from dispatcher.polygon import Surface, parsed_polygon
from dispatcher.work.calendar import Calendar, china
from dispatcher.work.clock import TimeType
from dispatcher.work.duty import DAYS
from dispatcher.work.sheet import Row, SheetWrong, TimeOfDay, rows, within

TRADING_ON_THE_ROAD = "09006"  # 占道经营: what a permitted zone permits unless it says otherwise
LEAST_THRESHOLD, MOST_THRESHOLD = 0.5, 0.98
ACKNOWLEDGE_MINUTES = 30.0  # 吹哨报到: the published best


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What one community has agreed on."""

    community: str
    matters: tuple[str, ...] = ()  # that are pursued there; empty: all
    hours: tuple[TimeOfDay, ...] = ()  # in which they are; empty: always
    threshold: float | None = None  # a case is told only from this probability on
    acknowledge_minutes: float = ACKNOWLEDGE_MINUTES
    acknowledge_type: TimeType = TimeType.URGENT  # or 工作时: the night does not count


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """For a period some matters in some areas weigh more."""

    name: str
    begins: date
    ends: date  # the last day
    matters: tuple[str, ...]
    areas: tuple[str, ...]  # with all that lies below them; empty: everywhere
    weight: float
    threshold: float | None

    def holds(self, matter: str, area: str | None, day: date) -> bool:
        if not self.begins <= day <= self.ends or (self.matters and matter not in self.matters):
            return False
        return not self.areas or (area is not None and any(lies_in(area, code) for code in self.areas))


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """Where stalls are permitted, and when."""

    name: str
    polygon: Surface
    matters: tuple[str, ...]
    hours: tuple[TimeOfDay, ...]
    days: str
    begins: date | None
    ends: date | None


@dataclass(frozen=True, slots=True)
class Policies:
    """Everything that was agreed on."""

    policies: tuple[Policy, ...] = ()
    campaigns: tuple[Campaign, ...] = ()
    zones: tuple[Zone, ...] = ()

    def of(self, area: str | None) -> Policy:
        """The policy of a community; without one, the usual rules."""
        own = None if area is None else stem(area)
        return next((p for p in self.policies if stem(p.community) == own), Policy(community=area or ""))


@dataclass(frozen=True, slots=True)
class Bar:
    """From which probability on a case is told, and how much it weighs; or `why` no probability is enough."""

    threshold: float | None  # None: the usual one
    weight: float = 1.0
    campaigns: tuple[str, ...] = ()
    why: str | None = None


def bar(
    policies: Policies, calendar: Calendar, *, matter: str, area: str | None, lat: float, lon: float, at: datetime
) -> Bar:
    """What a case must pass, by where it lies and when it was seen. A campaign's threshold goes before a policy's."""
    policy = policies.of(area)
    zone = permitted(policies.zones, calendar, matter=matter, lat=lat, lon=lon, at=at)
    if zone is not None:
        return Bar(None, why=f"许可经营区：{zone.name}")
    if policy.matters and matter not in policy.matters:
        return Bar(None, why="本社区不办理此事项")
    local = china(at)
    if not within(policy.hours, local.time()):
        return Bar(None, why="不在本社区办理时段")
    running = [c for c in policies.campaigns if c.holds(matter, area, local.date())]
    lowest = min((c.threshold for c in running if c.threshold is not None), default=policy.threshold)
    return Bar(lowest, max((c.weight for c in running), default=1.0), tuple(c.name for c in running))


def permitted(
    zones: tuple[Zone, ...], calendar: Calendar, *, matter: str, lat: float, lon: float, at: datetime
) -> Zone | None:
    """The zone that permits it there and then; the border belongs to the zone."""
    local = china(at)
    for zone in zones:
        if matter not in zone.matters or not within(zone.hours, local.time()):
            continue
        day = local.date()
        if (zone.begins is not None and day < zone.begins) or (zone.ends is not None and day > zone.ends):
            continue
        if zone.days != "all" and calendar.is_workday(day) != (zone.days == "workdays"):
            continue
        if shapely.intersects(zone.polygon, Point(lon, lat)):
            return zone
    return None


def parse_policies(text: str) -> tuple[tuple[Policy, ...], tuple[Campaign, ...]]:
    """Raises SheetWrong naming the row."""
    policies: dict[str, Policy] = {}
    campaigns: list[Campaign] = []
    for table, row in rows(text, "policy", ("policy", "campaign")):
        if table == "campaign":
            campaigns.append(_campaign(row))
            continue
        policy = _policy(row)
        if (own := stem(policy.community)) in policies:
            raise row.wrong(f"community {policy.community} has a policy already")
        policies[own] = policy
    return tuple(policies.values()), tuple(campaigns)


def parse_zones(text: str) -> tuple[Zone, ...]:
    """Raises SheetWrong naming the feature."""
    try:
        document = json.loads(text)
        features = document["features"]
        assert document["type"] == "FeatureCollection"
        assert isinstance(features, list)
    except (ValueError, KeyError, TypeError, AssertionError, RecursionError):
        raise SheetWrong("zones: no GeoJSON FeatureCollection") from None
    return tuple(_zone(feature, number) for number, feature in enumerate(features, start=1))


def _zone(feature: Any, number: int) -> Zone:
    if not isinstance(feature, dict) or not isinstance(feature.get("properties"), dict):
        raise SheetWrong(f"zones, feature {number}: it has no properties")
    row = Row(f"zones, feature {number}", feature["properties"])
    try:
        polygon, _ = parsed_polygon(feature.get("geometry"))
    except ValueError as error:
        raise row.wrong(str(error)) from None
    return Zone(
        name=row.text("name"),
        polygon=polygon,
        matters=row.texts("matters") or (TRADING_ON_THE_ROAD,),
        hours=row.hours("hours"),
        days=row.choice("days", DAYS, "all"),
        begins=row.day("begins"),
        ends=row.day("ends"),
    )


def _policy(row: Row) -> Policy:
    threshold = _threshold(row)
    policy = Policy(
        community=row.text("community"),
        matters=row.texts("matters"),
        hours=row.hours("hours"),
        threshold=threshold,
        acknowledge_minutes=row.number("acknowledge_minutes", ACKNOWLEDGE_MINUTES, 1, 10_000),
        acknowledge_type=TimeType(
            row.choice("acknowledge_type", (TimeType.URGENT, TimeType.WORK_HOURS), TimeType.URGENT)
        ),
    )
    row.done()
    return policy


def _threshold(row: Row) -> float | None:
    """What is less probable than not is never told; and no belief comes to 0.99."""
    value = row.number("threshold", 0.0, 0.0, MOST_THRESHOLD)
    if 0.0 < value < LEAST_THRESHOLD:
        raise row.wrong(f"threshold is {value:g}, not a number from {LEAST_THRESHOLD:g} to {MOST_THRESHOLD:g}")
    return value or None


def _campaign(row: Row) -> Campaign:
    name, begins, ends = row.text("name"), row.day("begins"), row.day("ends")
    if begins is None or ends is None or ends < begins:
        raise row.wrong(f"{name}: begins and ends are dates, the end not before the beginning")
    campaign = Campaign(
        name=name,
        begins=begins,
        ends=ends,
        matters=row.texts("matters"),
        areas=row.texts("areas"),
        weight=row.number("weight", 1.0, 0.1, 100),
        threshold=_threshold(row),
    )
    row.done()
    return campaign
