"""Calendar: which days are worked in China, with public holidays, make-up workdays and what an operator adds.

The public days come from `chinesecalendar`, whose data end with the year that the State Council announced last. Beyond
them weekends are free, unless the operator's file says otherwise, and the calendar says so once a year it is asked of.
"""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any

import chinese_calendar

logger = logging.getLogger(__name__)
CHINA = timezone(timedelta(hours=8))  # one time zone, no summer time
SATURDAY = 5


class CalendarUnreadable(ValueError):
    """A file of extra days is missing or contradicts itself: mended by hand, at the day that is named."""


class Calendar:
    """Workdays. Extra days go before the public ones: a typhoon, or a year that nobody has announced yet."""

    def __init__(self, holidays: Iterable[date] = (), workdays: Iterable[date] = ()) -> None:
        self._holidays, self._workdays = frozenset(holidays), frozenset(workdays)
        both = sorted(self._holidays & self._workdays)
        if both:
            raise CalendarUnreadable(f"{both[0]} is both a holiday and a workday")
        self.unknown: set[int] = set()  # years whose holidays nobody has told

    @classmethod
    def read(cls, path: Path | None) -> Calendar:
        """With the extra days of a TOML file: `holidays` and `workdays`, lists of dates. Raises CalendarUnreadable."""
        if path is None:
            return cls()
        try:
            return cls.parse(path.read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError) as error:
            raise CalendarUnreadable(f"{path} cannot be read: {error}") from None
        except CalendarUnreadable as error:
            raise CalendarUnreadable(f"{path}: {error}") from None

    @classmethod
    def parse(cls, text: str) -> Calendar:
        """As `read`, of the text of a file. Its `hours` are for `Clock.parse`."""
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise CalendarUnreadable(f"it cannot be read: {error}") from None
        unknown = sorted(document.keys() - {"holidays", "workdays", "hours"})
        if unknown:
            raise CalendarUnreadable(f"{unknown[0]!r} is none of holidays, workdays, hours")
        return cls(_days(document, "holidays"), _days(document, "workdays"))

    def is_workday(self, day: date) -> bool:
        if day in self._holidays:
            return False
        if day in self._workdays:
            return True
        known = _public(day)
        if known is None:
            self._tell(day.year)
            return day.weekday() < SATURDAY
        return known

    def _tell(self, year: int) -> None:
        if year in self.unknown:
            return
        self.unknown.add(year)
        if not any(day.year == year for day in self._holidays):
            logger.warning(
                "the public holidays of %d are not known: weekends alone are free; name a file of days", year
            )


@lru_cache(maxsize=4096)
def _public(day: date) -> bool | None:
    """As announced; None for a year that the library has no data of."""
    try:
        return bool(chinese_calendar.is_workday(day))
    except NotImplementedError:
        return None


def _days(document: dict[str, Any], name: str) -> list[date]:
    days = document.get(name, [])
    if not isinstance(days, list):
        raise CalendarUnreadable(f"{name} is no list of dates")
    return [_day(value) for value in days]


def _day(value: object) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise CalendarUnreadable(f"{value!r} is no date: write 2027-01-01") from None


def china(time: datetime) -> datetime:
    """The same instant on a clock in China. Raises ValueError for a naive time."""
    if time.tzinfo is None:
        raise ValueError("a time without time zone")
    return time.astimezone(CHINA)


def midnight(day: date) -> datetime:
    """When a day begins in China, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=CHINA).astimezone(UTC)
