"""Duty: which office answers for a matter in an area, who helps it, and who of it is on duty now. Pure, from data.

[[department]]      code, name
[[responsibility]]  matters, areas, owner ("area": the office of the place itself), co_handlers, disposition
[[officer]]         community, person, phone: the one officer of a community
[[shift]]           office, person, phone, hours, days (all, workdays, holidays), begins, ends
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from dispatcher.access.scope import lies_in, stem
from dispatcher.work.calendar import Calendar, china
from dispatcher.work.sheet import Row, SheetWrong, TimeOfDay, rows, within
from dispatcher.work.step import Disposition

OF_THE_AREA = "area"
DAYS = ("all", "workdays", "holidays")
DISPOSITIONS = tuple(Disposition)


@dataclass(frozen=True, slots=True)
class Department:
    """An office that owns no area. Its code begins with that of its district: 440304-cgj."""

    code: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Responsibility:
    """For these matters in these areas. Empty is every one; the row that names most decides, the first of equals."""

    matters: tuple[str, ...]
    areas: tuple[str, ...]  # with all that lies below them
    owner: str  # a code, or OF_THE_AREA
    co_handlers: tuple[str, ...] = ()
    disposition: Disposition | None = None  # what the dispatcher is offered first


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """Who is on duty in an office, and when."""

    office: str
    person: str
    phone: str | None
    hours: tuple[TimeOfDay, ...]  # in China; a span over midnight belongs to the day it began on
    days: str  # one of DAYS
    begins: date | None
    ends: date | None  # the last day


@dataclass(frozen=True, slots=True)
class Officer:
    """The one officer of a community."""

    community: str
    person: str
    phone: str | None


@dataclass(frozen=True, slots=True)
class Duty:
    """Everything that one file says."""

    departments: tuple[Department, ...] = ()
    responsibilities: tuple[Responsibility, ...] = ()
    officers: tuple[Officer, ...] = ()
    shifts: tuple[Shift, ...] = ()
    names: dict[str, str] = field(default_factory=dict)  # of departments

    @classmethod
    def parse(cls, text: str) -> Duty:
        """Raises SheetWrong naming the row."""
        found = list(rows(text, "duty", ("department", "responsibility", "officer", "shift")))
        duty = cls(
            tuple(_department(row) for table, row in found if table == "department"),
            tuple(_responsibility(row) for table, row in found if table == "responsibility"),
            tuple(_officer(row) for table, row in found if table == "officer"),
            tuple(_shift(row) for table, row in found if table == "shift"),
        )
        duty.names.update({department.code: department.name for department in duty.departments})
        _checked(duty)
        return duty


@dataclass(frozen=True, slots=True)
class Responsible:
    """Who answers for a case."""

    office: str | None
    co_handlers: tuple[str, ...]
    disposition: Disposition | None


def responsible(duty: Duty, matter: str, area: str | None) -> Responsible:
    """Who answers for a matter in an area; without a row the office of the area itself."""
    best: Responsibility | None = None
    for row in duty.responsibilities:
        weight = _weight(row, matter, area)
        if weight is not None and (best is None or weight > (_weight(best, matter, area) or (-1, -1))):
            best = row
    if best is None:
        return Responsible(area, (), None)
    office = area if best.owner == OF_THE_AREA else best.owner
    return Responsible(office, tuple(c for c in best.co_handlers if c != office), best.disposition)


def on_duty(duty: Duty, office: str, now: datetime, calendar: Calendar) -> tuple[Shift | Officer, ...]:
    """Who of an office is on duty: those whose shift it is, else the officer of that community."""
    own = stem(office)
    shifts = tuple(shift for shift in duty.shifts if stem(shift.office) == own and _runs(shift, now, calendar))
    return shifts or tuple(officer for officer in duty.officers if stem(officer.community) == own)


def _weight(row: Responsibility, matter: str, area: str | None) -> tuple[int, int] | None:
    """How closely a row names a case; None when it does not."""
    if row.matters and matter not in row.matters:
        return None
    lengths = [len(stem(code)) for code in row.areas if area is not None and lies_in(area, code)]
    if row.areas and not lengths:
        return None
    return (max(lengths, default=0), int(bool(row.matters)))


def _runs(shift: Shift, now: datetime, calendar: Calendar) -> bool:
    local = china(now)
    for begin, end in shift.hours or ((None, None),):
        begun = local.date()
        if begin is not None and end is not None:
            if not within(((begin, end),), local.time()):
                continue
            if begin >= end and local.time() < end:
                begun -= timedelta(days=1)
        if _holds(shift, begun, calendar):
            return True
    return False


def _holds(shift: Shift, day: date, calendar: Calendar) -> bool:
    if (shift.begins is not None and day < shift.begins) or (shift.ends is not None and day > shift.ends):
        return False
    return shift.days == "all" or calendar.is_workday(day) == (shift.days == "workdays")


def _department(row: Row) -> Department:
    department = Department(row.text("code"), row.text("name"))
    row.done()
    if not all(c.isascii() and (c.isalnum() or c in "-_") for c in department.code):
        raise row.wrong(f"code {department.code!r} has other characters than letters, digits, - and _")
    return department


def _responsibility(row: Row) -> Responsibility:
    disposition = row.choice("disposition", ("-", *DISPOSITIONS), "-")
    found = Responsibility(
        matters=row.texts("matters"),
        areas=row.texts("areas"),
        owner=row.text("owner", OF_THE_AREA),
        co_handlers=row.texts("co_handlers"),
        disposition=None if disposition == "-" else Disposition(disposition),
    )
    row.done()
    return found


def _officer(row: Row) -> Officer:
    officer = Officer(row.text("community"), row.text("person"), _phone(row))
    row.done()
    return officer


def _shift(row: Row) -> Shift:
    shift = Shift(
        office=row.text("office"),
        person=row.text("person"),
        phone=_phone(row),
        hours=row.hours("hours"),
        days=row.choice("days", DAYS, "all"),
        begins=row.day("begins"),
        ends=row.day("ends"),
    )
    row.done()
    if shift.begins is not None and shift.ends is not None and shift.ends < shift.begins:
        raise row.wrong(f"it ends {shift.ends}, before it begins")
    return shift


def _phone(row: Row) -> str | None:
    phone = row.text("phone", "-")
    return None if phone == "-" else phone


def _checked(duty: Duty) -> None:
    _once((department.code for department in duty.departments), "department")
    _once((stem(officer.community) for officer in duty.officers), "officer of community")
    for row in duty.responsibilities:
        for code in (row.owner, *row.co_handlers):
            if code != OF_THE_AREA and not code.isdigit() and code not in duty.names:
                raise SheetWrong(f"duty: {code!r} is neither the code of an area nor a [[department]]")


def _once(codes: Iterable[str], what: str) -> None:
    seen: set[str] = set()
    for code in codes:
        if code in seen:
            raise SheetWrong(f"duty: {what} {code} is named twice")
        seen.add(code)
