"""Clock: when a thing is due, in the four time types of the national standard, with holidays and pauses.

    紧急工作时   hours of the wall clock, day and night, holidays too
    工作时       hours of business, on workdays only
    工作日       days of business: as many business hours as a workday has
    自然日       days of 24 hours, holidays too

A deadline is an amount of running time. A clock runs from its start, stands while it is paused, and a clock of business
time also stands outside business hours; it is due at the earliest moment at which the amount has run.
"""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

from dispatcher.work.calendar import CHINA, Calendar, china

FARTHEST = timedelta(days=3660)  # no deadline lies further off; a calendar without workdays must not be walked for ever
ZERO = timedelta(0)


class TimeType(StrEnum):
    """What an amount of time is counted in."""

    URGENT = "紧急工作时"
    WORK_HOURS = "工作时"
    WORKDAYS = "工作日"
    NATURAL = "自然日"

    @property
    def business(self) -> bool:
        return self in (TimeType.WORK_HOURS, TimeType.WORKDAYS)


class NeverDue(ValueError):
    """A deadline that no clock reaches within ten years: the calendar has no workdays, or the amount is absurd."""


@dataclass(frozen=True, slots=True)
class Hours:
    """The spans of a workday in which business is done, in China time, in order."""

    spans: tuple[tuple[time, time], ...] = ((time(9), time(12)), (time(14), time(18)))

    def __post_init__(self) -> None:
        if not self.spans:
            raise ValueError("business hours: at least one span")
        if any(span[0].tzinfo or span[1].tzinfo for span in self.spans):
            raise ValueError("business hours are in China time: write them without a zone")
        edges = [edge for span in self.spans for edge in span]
        if any(before >= after for before, after in itertools.pairwise(edges)):
            raise ValueError(f"business hours {self}: each span ends after it begins, and before the next one begins")

    @classmethod
    def parse(cls, text: str) -> Hours:
        """From "09:00-12:00, 14:00-18:00". Raises ValueError."""
        spans = []
        for span in text.split(","):
            try:
                begin, end = (time.fromisoformat(edge.strip()) for edge in span.split("-"))
            except ValueError:
                raise ValueError(f"business hours {span.strip()!r}: write 09:00-12:00, 14:00-18:00") from None
            spans.append((begin, end))
        return cls(tuple(spans))

    def __str__(self) -> str:
        return ", ".join(f"{begin:%H:%M}-{end:%H:%M}" for begin, end in self.spans)

    @property
    def a_day(self) -> timedelta:
        """The running time of one workday."""
        return sum((_of_day(end) - _of_day(begin) for begin, end in self.spans), ZERO)

    def on(self, day: date) -> Iterator[tuple[datetime, datetime]]:
        """The spans of one workday, in UTC."""
        for begin, end in self.spans:
            yield (_at(day, begin), _at(day, end))


@dataclass(frozen=True, slots=True)
class Pause:
    """From when to when a clock stood; without an end it still stands."""

    begun: datetime
    ended: datetime | None = None


class Clock:
    """Counts time as an office does."""

    def __init__(self, calendar: Calendar | None = None, hours: Hours | None = None) -> None:
        self.calendar = calendar or Calendar()
        self.hours = hours or Hours()

    @classmethod
    def parse(cls, text: str) -> Clock:
        """From the text of an operator's file: `holidays`, `workdays`, `hours`. Raises ValueError."""
        calendar = Calendar.parse(text)
        hours = tomllib.loads(text).get("hours")
        return cls(calendar, None if hours is None else Hours.parse(str(hours)))

    def amount(self, kind: TimeType, count: float) -> timedelta:
        """The running time of so many hours or days. Raises ValueError for one that is not positive."""
        if not 0 < count < 100_000:
            raise ValueError(f"an amount of time is positive and less than 100,000, not {count}")
        if kind is TimeType.WORKDAYS:
            return count * self.hours.a_day
        return timedelta(days=count) if kind is TimeType.NATURAL else timedelta(hours=count)

    def is_business(self, moment: datetime) -> bool:
        """Whether business is done then; the first and the last moment of a span count."""
        day = china(moment).date()
        return self.calendar.is_workday(day) and any(begin <= moment <= end for begin, end in self.hours.on(day))

    def due_at(self, start: datetime, kind: TimeType, count: float, pauses: Sequence[Pause] = ()) -> datetime | None:
        """When the amount has run, in UTC; None while the clock stands before that. Raises NeverDue.

        Pauses may touch or overlap, and begin before the start; each is cut to what lies after it.
        """
        left = self.amount(kind, count)
        for begin, end in _running(start.astimezone(UTC), pauses):
            if begin is None:
                return None
            due, left = self._run(begin, end, kind, left)
            if due is not None:
                return due
        raise AssertionError("the last running part has no end")  # pragma: no cover

    def elapsed(self, start: datetime, end: datetime, kind: TimeType, pauses: Sequence[Pause] = ()) -> timedelta:
        """How much time of this kind ran between two moments, pauses left out. Never negative."""
        total = ZERO
        for begin, stop in _running(start.astimezone(UTC), pauses):
            if begin is None or begin >= end:
                break
            until = end if stop is None else min(stop, end)
            total += sum((b - a for a, b in self._spans(begin, until, kind)), ZERO)
        return total

    def _run(
        self, begin: datetime, end: datetime | None, kind: TimeType, left: timedelta
    ) -> tuple[datetime | None, timedelta]:
        """Run from `begin` to `end`: when the rest has run, or what is still left."""
        last = begin + FARTHEST if end is None else end
        for a, b in self._spans(begin, last, kind):
            if b - a >= left:
                return a + left, ZERO
            left -= b - a
        if end is None:
            raise NeverDue(f"nothing is due within {FARTHEST.days} days of {begin:%Y-%m-%d}: is any day a workday?")
        return None, left

    def _spans(self, begin: datetime, end: datetime, kind: TimeType) -> Iterator[tuple[datetime, datetime]]:
        """The parts of [begin, end] in which a clock of this kind runs."""
        if not kind.business:
            if begin < end:
                yield (begin, end)
            return
        day = china(begin).date()
        while _at(day, time.min) < end:
            if self.calendar.is_workday(day):
                for a, b in self.hours.on(day):
                    if max(a, begin) < min(b, end):
                        yield (max(a, begin), min(b, end))
            day += timedelta(days=1)


def _running(start: datetime, pauses: Sequence[Pause]) -> Iterator[tuple[datetime | None, datetime | None]]:
    """The parts between pauses, the last without an end; (None, None) instead where the clock stands to the end."""
    at = start
    for pause in sorted(pauses, key=lambda pause: pause.begun):
        if pause.ended is not None and pause.ended <= at:
            continue
        if pause.begun > at:
            yield (at, pause.begun)
        if pause.ended is None:
            yield (None, None)
            return
        at = pause.ended.astimezone(UTC)
    yield (at, None)


def _at(day: date, clock: time) -> datetime:
    return datetime.combine(day, clock, CHINA).astimezone(UTC)


def _of_day(clock: time) -> timedelta:
    return timedelta(hours=clock.hour, minutes=clock.minute, seconds=clock.second, microseconds=clock.microsecond)
