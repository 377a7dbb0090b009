"""What the store gives back: frozen rows, and the questions they answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from dispatcher.access.scope import EVERYTHING, Scope

Document = dict[str, Any]


class Delivery(StrEnum):
    """How far an alert has come on one channel. Never mixed with the state of the case."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Box:
    """WGS-84 degrees, edges included."""

    west: float
    south: float
    east: float
    north: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFilter:
    """Which cases to list. A field that is None does not narrow."""

    state: str | None = None
    matter: str | None = None
    area: str | None = None  # code of any layer: cases owned by it or below it, or told to somebody there
    unowned: bool | None = None
    opened_from: str | None = None  # RFC 3339, UTC, milliseconds
    opened_before: str | None = None
    box: Box | None = None
    overdue: bool | None = None
    now: str = ""  # when it is asked what is overdue
    below: int | None = None  # go on with what was raised before this
    limit: int = 500
    scope: Scope = EVERYTHING  # of whoever asks


@dataclass(frozen=True, slots=True)
class Due:
    """Until when the office has to report a case as handled, and how much it weighs."""

    at: str | None = None  # None: there is no deadline, or its clock stands
    stopped_at: str | None = None  # when it was reported as handled, or the work on it ended
    priority: float | None = None  # the weight of the campaigns that it belongs to; None: no office works on it

    def overdue(self, now: str) -> bool:
        """Whether it was not, or is not yet, reported in time."""
        return self.at is not None and (self.stopped_at or now) > self.at


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCase:
    """A case as it stands. `raised` orders a list by what last called for attention."""

    id: str
    area: str | None  # most probable owner; None when unowned
    raised: int  # seq of the last event that was told to somebody, else of the first event
    updated: int  # seq of the last event
    document: Document
    due: Due | None = None  # None: it was not asked for
    late_from: str | None = None  # `Work.late_from`, where the desk asks


@dataclass(frozen=True, slots=True)
class Line:
    """A case as a list gives it, not read yet. Two that are equal are shown alike, as long as what is due is."""

    id: str
    area: str | None
    raised: int
    updated: int
    text: str  # the document as it is stored
    due: Due

    def case(self) -> StoredCase:
        document = json.loads(self.text)
        return StoredCase(
            id=self.id, area=self.area, raised=self.raised, updated=self.updated, document=document, due=self.due
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """One entry of the event log. `document` is the case right after it."""

    seq: int  # counts up, never given twice
    id: str
    case: str
    event: str
    at: str  # RFC 3339
    recipients: tuple[str, ...]
    document: Document
    text: str  # the document as it is stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """An envelope that is to be sent, and where to."""

    id: str  # of the envelope
    topic: str
    key: str
    line: str  # the envelope
    seq: int = 0  # in the outbox


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Cases, the last raised first, and the place in the log they rest on: listen on from `seq` to miss nothing."""

    log: str  # which log `seq` counts in; another store has another one
    seq: int
    total: int  # how many match, also beyond the limit
    more: bool  # than the total: it was not counted further
    lines: list[Line]
    below: int | None  # from where the next page goes on; None at the end

    @cached_property
    def cases(self) -> list[StoredCase]:
        return [line.case() for line in self.lines]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseCount:
    """How many cases share a state, a matter and an owner."""

    state: str
    matter: str
    area: str | None
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Counts over everything stored, all read at one moment."""

    log: str
    seq: int
    counts: tuple[CaseCount, ...]
    opened_since: int  # cases opened at or after the time asked for
    alerts: int
    inputs: int | None  # None for a scope: they belong to no area
    rejected: int | None
