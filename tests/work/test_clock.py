"""The four time types: known dates of the Chinese calendar, and what holds of every clock."""

from __future__ import annotations

import itertools
import logging
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.work.calendar import CHINA, Calendar, CalendarUnreadable
from dispatcher.work.clock import Clock, Hours, NeverDue, Pause, TimeType

CLOCK = Clock()
ONE_MS = timedelta(milliseconds=1)


def at(text: str) -> datetime:
    """A moment in China."""
    return datetime.fromisoformat(text).replace(tzinfo=CHINA)


DUE = {
    # Friday 2026-11-20 was a workday, the 21st and 22nd a weekend.
    "urgent hours run at night": (at("2026-11-20T23:00"), TimeType.URGENT, 2, at("2026-11-21T01:00")),
    "work hours run over the lunch break": (at("2026-11-20T11:00"), TimeType.WORK_HOURS, 2, at("2026-11-20T15:00")),
    "work hours run over a weekend": (at("2026-11-20T16:00"), TimeType.WORK_HOURS, 4, at("2026-11-23T11:00")),
    "work hours may end with the day": (at("2026-11-20T16:00"), TimeType.WORK_HOURS, 2, at("2026-11-20T18:00")),
    "found at night, work begins in the morning": (
        at("2026-11-19T22:30"),
        TimeType.WORK_HOURS,
        1,
        at("2026-11-20T10:00"),
    ),
    "one workday is the same time on the next one": (
        at("2026-11-20T10:00"),
        TimeType.WORKDAYS,
        1,
        at("2026-11-23T10:00"),
    ),
    "natural days run over a weekend": (at("2026-11-20T10:00"), TimeType.NATURAL, 2, at("2026-11-22T10:00")),
    # The State Council's days for 2026: National Day 1-7 October free, Saturday 10 October worked.
    "National Day is free": (at("2026-09-30T17:00"), TimeType.WORK_HOURS, 2, at("2026-10-08T10:00")),
    "a Saturday that makes up for it is worked": (
        at("2026-10-09T17:00"),
        TimeType.WORK_HOURS,
        2,
        at("2026-10-10T10:00"),
    ),
}


@pytest.mark.parametrize("row", DUE.values(), ids=DUE)
def test_a_deadline_falls_where_a_person_with_a_calendar_puts_it(row) -> None:
    start, kind, count, expected = row
    assert CLOCK.due_at(start, kind, count) == expected


def test_a_clock_that_is_paused_over_noon_is_due_so_much_later() -> None:
    pauses = [
        Pause(at("2026-11-20T10:00"), at("2026-11-20T15:00"))
    ]  # four hours of business: 10-12 and 14-15 are three
    assert CLOCK.due_at(at("2026-11-20T09:00"), TimeType.WORK_HOURS, 4, pauses) == at("2026-11-20T18:00")
    assert CLOCK.due_at(at("2026-11-20T09:00"), TimeType.URGENT, 4, pauses) == at("2026-11-20T18:00")


def test_a_clock_that_stands_is_not_due_but_one_that_ran_out_before_stays_due() -> None:
    standing = [Pause(at("2026-11-20T12:00"))]
    assert CLOCK.due_at(at("2026-11-20T09:00"), TimeType.URGENT, 4, standing) is None
    assert CLOCK.due_at(at("2026-11-20T09:00"), TimeType.URGENT, 2, standing) == at("2026-11-20T11:00")


def test_pauses_that_overlap_count_once() -> None:
    pauses = [
        Pause(at("2026-11-20T10:00"), at("2026-11-20T11:00")),
        Pause(at("2026-11-20T10:30"), at("2026-11-20T11:30")),
        Pause(at("2026-11-20T07:00"), at("2026-11-20T08:00")),
    ]
    assert CLOCK.due_at(at("2026-11-20T09:00"), TimeType.URGENT, 2, pauses) == at("2026-11-20T12:30")


def test_a_year_that_nobody_has_announced_has_free_weekends_and_says_so_once(caplog) -> None:
    calendar = Calendar()
    with caplog.at_level(logging.WARNING):
        found = [calendar.is_workday(date(2031, 5, day)) for day in range(1, 8)]
    assert found == [True, True, False, False, True, True, True]  # 1 May 2031 is a Thursday
    assert [record.message for record in caplog.records if "2031" in record.message] == [
        "the public holidays of 2031 are not known: weekends alone are free; name a file of days"
    ]
    assert calendar.unknown == {2031}


def test_an_operator_s_days_go_before_weekends_and_public_days(tmp_path: Path, caplog) -> None:
    path = tmp_path / "days.toml"
    path.write_text('holidays = [2031-05-01, "2026-11-20"]\nworkdays = [2031-05-03]\n', encoding="utf8")
    calendar = Calendar.read(path)
    with caplog.at_level(logging.WARNING):
        assert not calendar.is_workday(date(2031, 5, 1))
        assert calendar.is_workday(date(2031, 5, 3))
        assert calendar.is_workday(date(2031, 5, 2))
        assert not calendar.is_workday(date(2026, 11, 20))  # a typhoon
    assert caplog.records == []  # the operator knows that year
    due = Clock(calendar).due_at(at("2026-11-19T17:00"), TimeType.WORK_HOURS, 2)
    assert due == at("2026-11-23T10:00")


WRONG_DAYS = {
    "both": ("holidays = [2027-01-01]\nworkdays = [2027-01-01]", "2027-01-01 is both"),
    "a word": ('holidays = ["soon"]', "'soon' is no date"),
    "a stranger": ("holiday = [2027-01-01]", "'holiday' is none of"),
    "no list": ("holidays = 2027-01-01", "no list of dates"),
    "a time": ("holidays = [2027-01-01T00:00:00Z]", "is no date"),
    "no TOML": ("holidays = [", "cannot be read"),
}


@pytest.mark.parametrize("row", WRONG_DAYS.values(), ids=WRONG_DAYS)
def test_a_file_of_days_that_is_wrong_is_refused_with_the_day(tmp_path: Path, row) -> None:
    text, said = row
    path = tmp_path / "days.toml"
    path.write_text(text, encoding="utf8")
    with pytest.raises(CalendarUnreadable, match=said):
        Calendar.read(path)


@pytest.mark.parametrize("text", ["", "9-12", "12:00-09:00", "09:00-12:00, 11:00-13:00", "09:00-12:00 14:00-18:00"])
def test_business_hours_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="business hours"):
        Hours.parse(text)


def test_business_hours_are_read_as_they_are_written() -> None:
    assert Hours.parse("08:30-12:00, 14:00-17:30").a_day == timedelta(hours=7)
    assert str(Hours.parse(" 08:30 - 12:00,14:00-17:30")) == "08:30-12:00, 14:00-17:30"
    assert str(Hours()) == "09:00-12:00, 14:00-18:00"


@pytest.mark.parametrize("count", [0, -1, float("nan"), float("inf"), 1e9])
def test_an_amount_that_is_none_is_refused(count: float) -> None:
    with pytest.raises(ValueError, match="amount of time"):
        CLOCK.due_at(at("2026-11-20T09:00"), TimeType.URGENT, count)


def test_a_calendar_without_workdays_is_never_due() -> None:
    class Free(Calendar):
        def is_workday(self, day: date) -> bool:
            return False

    with pytest.raises(NeverDue):
        Clock(Free()).due_at(at("2026-11-20T09:00"), TimeType.WORK_HOURS, 1)


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        CLOCK.is_business(datetime(2026, 11, 20, 9))


# What holds of every clock

moments = st.datetimes(datetime(2025, 1, 1), datetime(2027, 6, 1), timezones=st.just(UTC))
kinds = st.sampled_from(list(TimeType))
counts = st.floats(0.01, 60, allow_nan=False)
lengths = st.timedeltas(timedelta(minutes=1), timedelta(days=20))


@st.composite
def clocks(draw) -> Clock:
    """Business hours of one to three spans."""
    edges = sorted(draw(st.sets(st.integers(0, 24 * 12 - 1), min_size=2, max_size=6)))
    edges = edges[: len(edges) // 2 * 2]
    clock = [time(edge // 12, edge % 12 * 5) for edge in edges]
    return Clock(CLOCK.calendar, Hours(tuple(zip(clock[::2], clock[1::2], strict=True))))


@st.composite
def paused(draw) -> tuple[datetime, list[Pause]]:
    """A start, and pauses after it that are over."""
    start = draw(moments)
    pauses, when = [], start
    for _ in range(draw(st.integers(0, 3))):
        begun = when + draw(lengths)
        when = begun + draw(lengths)
        pauses.append(Pause(begun, when))
    return start, pauses


@settings(deadline=None)
@given(clocks(), moments, kinds, counts, counts)
def test_more_time_is_never_due_earlier(clock, start, kind, one, other) -> None:
    less, more = sorted((one, other))
    assert clock.due_at(start, kind, less) <= clock.due_at(start, kind, more)


@settings(deadline=None)
@given(clocks(), moments, lengths, kinds, counts)
def test_a_later_start_is_never_due_earlier(clock, start, later, kind, count) -> None:
    assert clock.due_at(start, kind, count) <= clock.due_at(start + later, kind, count)


@settings(deadline=None)
@given(clocks(), paused(), kinds, counts)
def test_a_thing_is_due_when_exactly_its_amount_has_run_and_not_a_moment_before(clock, start, kind, count) -> None:
    begun, pauses = start
    due = clock.due_at(begun, kind, count, pauses)
    assert clock.elapsed(begun, due, kind, pauses) == clock.amount(kind, count)
    assert clock.elapsed(begun, due - ONE_MS, kind, pauses) < clock.amount(kind, count)


@settings(deadline=None)
@given(clocks(), moments, kinds.filter(lambda kind: kind.business), counts)
def test_business_time_is_never_due_outside_business_hours(clock, start, kind, count) -> None:
    assert clock.is_business(clock.due_at(start, kind, count))


@settings(deadline=None)
@given(clocks(), paused(), kinds, counts)
def test_nothing_is_due_while_the_clock_stands(clock, start, kind, count) -> None:
    begun, pauses = start
    due = clock.due_at(begun, kind, count, pauses)
    assert not any(pause.begun < due <= pause.ended for pause in pauses)


@settings(deadline=None)
@given(clocks(), paused(), kinds, counts)
def test_the_parts_between_pauses_add_up(clock, start, kind, count) -> None:
    begun, pauses = start
    due = clock.due_at(begun, kind, count, pauses)
    cut = [begun, *(edge for pause in pauses for edge in (pause.begun, pause.ended) if edge < due), due]
    ran = [clock.elapsed(a, b, kind) for a, b in itertools.pairwise(cut)]
    assert sum(ran[::2], timedelta(0)) == clock.amount(kind, count)  # every second part is a pause


@settings(deadline=None)
@given(clocks(), paused(), kinds, counts)
def test_a_pause_never_makes_a_thing_due_earlier(clock, start, kind, count) -> None:
    begun, pauses = start
    without = clock.due_at(begun, kind, count)
    due = clock.due_at(begun, kind, count, pauses)
    assert due >= without
    if not kind.business:
        assert due - without == sum((p.ended - p.begun for p in pauses if p.begun < due), timedelta(0))


@settings(deadline=None)
@given(clocks(), moments, lengths, lengths, kinds)
def test_time_that_runs_is_additive_and_never_more_than_the_wall_clock_s(clock, start, one, other, kind) -> None:
    middle, end = start + one, start + one + other
    whole = clock.elapsed(start, end, kind)
    assert clock.elapsed(start, middle, kind) + clock.elapsed(middle, end, kind) == whole
    assert timedelta(0) <= whole <= end - start


@settings(deadline=None)
@given(clocks(), moments, st.integers(1, 10))
def test_a_workday_is_as_long_as_its_business_hours(clock, start, days) -> None:
    hours = days * clock.hours.a_day / timedelta(hours=1)
    by_days, by_hours = clock.due_at(start, TimeType.WORKDAYS, days), clock.due_at(start, TimeType.WORK_HOURS, hours)
    assert abs(by_days - by_hours) <= ONE_MS or by_days == by_hours
