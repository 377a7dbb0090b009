"""What the routes about offices answer."""

from __future__ import annotations

from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import BaseModel

from dispatcher.channels.channel import Channel
from dispatcher.store.statistics import Tally


class OfficeOut(BaseModel):
    code: str
    name: str


class OwnerOfOut(BaseModel):
    """Who answers for a matter in an area."""

    matter: str
    matter_zh: str
    office: OfficeOut | None
    co_handlers: list[OfficeOut]
    disposition: str | None  # what a dispatcher is offered first
    disposition_zh: str | None


class ResultsOut(BaseModel):
    """What came of the cases of a time. Minutes are medians, from registering; null where nobody did."""

    opened: int
    open: int  # of them, as they stand
    handled: int  # reported as handled, not yet checked
    closed: int
    dismissed: int  # those that were merged into others with them
    in_time: int  # reported as handled, or ended, by the deadline
    late: int  # not, or not yet
    acknowledge_minutes: float | None
    handle_minutes: float | None
    hand_backs: int
    rejections: int
    rebounds: int
    first_occurrences: int

    @classmethod
    def of(cls, tally: Tally, **more: Any) -> Self:
        counts = {name: tally.counts[name] for name in cls.model_fields if not name.endswith("_minutes")}
        minutes = {"acknowledge_minutes": tally.acknowledge_minutes, "handle_minutes": tally.handle_minutes}
        return cls(**(counts | minutes | more))


class AreaResultsOut(ResultsOut):
    area: str | None  # the owner; null: nobody's
    area_path: str | None


class StatisticsOut(BaseModel):
    """Of the cases that were opened from `since` up to, but not including, `until`."""

    since: str
    until: str
    total: ResultsOut
    by_area: list[AreaResultsOut]


class ChannelOut(BaseModel):
    """A webhook or a group robot. Its address is a secret beyond the host, and is not told."""

    name: str
    kind: str
    host: str
    areas: list[str]  # empty: all
    events: list[str]  # empty: all
    signed: bool
    stopped: str | None  # why nothing more is sent
    held_until: str | None
    failures: int  # in a row
    deliveries: dict[str, int]  # by how far they have come

    @classmethod
    def of(cls, channel: Channel, deliveries: dict[str, int]) -> Self:
        return cls(
            name=channel.name,
            kind=str(channel.kind),
            host=urlsplit(channel.url).hostname or "",
            areas=list(channel.recipients),
            events=list(channel.events),
            signed=bool(channel.secret),
            stopped=channel.stopped or None,
            held_until=channel.held_until or None,
            failures=channel.failures,
            deliveries=deliveries,
        )
