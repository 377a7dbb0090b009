"""Plan: what an action comes to — office, deadline, who is told. Pure: the clock and all data are given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dispatcher.store.rows import Document
from dispatcher.work.asked import Asked, Incomplete
from dispatcher.work.book import Book
from dispatcher.work.clock import Pause, TimeType
from dispatcher.work.duty import responsible
from dispatcher.work.filing import Condition
from dispatcher.work.policy import bar
from dispatcher.work.step import Act, Disposition
from dispatcher.work.work import Work
from ingest.frame import parse_rfc3339, rfc3339
from ingest.geo import m_per_deg

SAME_PLACE_M = 30.0  # within it an earlier case of the same matter was at the same place
FINABLE = "09"  # major of the matters for which a first occurrence matters (首违不罚)
LADDER = (9, 6, 4)  # digits of street, district, city


class Offices:
    """Which office is above which, and what they are called."""

    def __init__(self, parents: Mapping[str, str | None], names: Mapping[str, str]) -> None:
        self._parents, self._names = parents, names

    @classmethod
    def of(cls, features: Document, departments: Mapping[str, str]) -> Offices:
        """From the areas as GeoJSON, and the departments."""
        properties = [feature["properties"] for feature in features.get("features", ())]
        parents = {entry["code"]: entry.get("parent") for entry in properties}
        return cls(parents, {entry["code"]: entry["name"] for entry in properties} | dict(departments))

    def name(self, code: str) -> str:
        return self._names.get(code, code)

    def knows(self, code: str) -> bool:
        return code in self._names

    def above(self, code: str) -> str | None:
        """The next level: community → street → district → city. By the code where the areas do not say."""
        parent = self._parents.get(code)
        if parent:
            return parent
        digits = code.partition("-")[0]
        stem = digits if "-" in code else _shorter(digits)
        return stem if stem and stem != code else None


def _shorter(code: str) -> str | None:
    while len(code) > 6 and code.endswith("000"):
        code = code[:-3]
    return next((code[:n] for n in LADDER if len(code) > n), None)


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of it: details for the log, and who is told."""

    details: dict[str, Any] = field(default_factory=dict)
    recipients: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Situation:
    """What an action is planned from."""

    case: Document
    area: str | None  # of the most probable owner
    work: Work
    book: Book
    offices: Offices
    now: datetime

    @property
    def matter(self) -> str:
        return str(self.case["matter"])

    @property
    def told(self) -> tuple[str, ...]:
        """Who has heard of the case."""
        return tuple(dict.fromkeys(str(alert["recipient"]) for alert in self.case["alerts"]))

    def escalates_at(self, office: str | None) -> str | None:
        """When the level above is told unless somebody acknowledges; None when there is none."""
        if office is None or self.offices.above(office) is None:
            return None
        policy = self.book.policies.of(self.area)
        due = self.book.clock.due_at(self.now, policy.acknowledge_type, policy.acknowledge_minutes / 60)
        return None if due is None else rfc3339(due)

    def deadline(self, condition: Condition) -> dict[str, Any]:
        """The clock that starts now."""
        due = self.book.clock.due_at(self.now, condition.kind, condition.amount)
        return {"condition": condition.document(), "due_at": None if due is None else rfc3339(due)}

    def condition(self, id: str | None) -> Condition:
        """The one that is named, else the one that the case has, else the usual one of its matter."""
        found = self.book.filing.of(self.matter, self.area)
        if id is None:
            before = None if self.work.condition is None else self.work.condition["id"]
            return next((condition for condition in found if condition.id == before), found[0])
        known = next((condition for condition in found if condition.id == id), None)
        if known is None:
            names = ", ".join(condition.id for condition in found)
            raise Incomplete(f"filing condition {id!r} is none of {names}")
        return known


def planned(asked: Asked, at: Situation) -> Plan:
    """What an allowed action of a person comes to. Raises Incomplete."""
    match asked.act:
        case Act.DISPATCH:
            return _dispatched(asked, at)
        case Act.HAND_BACK:
            return _handed_back(asked, at)
        case Act.CALL:
            department = _named(asked.department, "department", at)
            if department in at.work.unanswered:
                raise Incomplete(f"{department} is called already and has not answered")
            return Plan({"department": department}, (department,))
        case Act.ANSWER:
            return _answered(asked, at)
        case Act.REJECT:
            return Plan({}, _those(at.work.office))
        case Act.CLOSE:
            return Plan(_met(asked, at), at.told)
        case Act.EVALUATE:
            if asked.score is None or not 1 <= asked.score <= 5:
                raise Incomplete("evaluate: needs a score from 1 to 5")
            return Plan({"score": asked.score})
        case Act.DISMISS:
            if asked.label is None:
                raise Incomplete("dismiss: needs a label, so that the model can learn from it")
            return Plan({"label": str(asked.label)}, at.told)
        case Act.PAUSE:
            return Plan({"due_at": _stopped(at)})
        case Act.RESUME:
            return Plan({"due_at": _resumed(at), "escalates_at": _waits(at)})
        case _:
            return Plan()


def registered(at: Situation, earlier: bool) -> Plan:
    """How the work on a case begins. `earlier`: there was one like it at this place."""
    of_the_place = at.area
    found = responsible(at.book.duty, at.matter, at.area)
    weight = bar(
        at.book.policies,
        at.book.clock.calendar,
        matter=at.matter,
        area=at.area,
        lat=at.case["lat"],
        lon=at.case["lon"],
        at=parse_rfc3339(at.case["last_seen_at"]),
    )
    details = {
        "office": of_the_place,
        "co_handlers": list(found.co_handlers),
        "priority": weight.weight,
        "campaigns": list(weight.campaigns),
        "first_occurrence": not earlier and at.matter.startswith(FINABLE) and at.case["episode"] == 1,
        "rebounds": at.case["episode"] - 1,
        "escalates_at": at.escalates_at(of_the_place),
    }
    return Plan(details | at.deadline(at.condition(None)))


def assigned(at: Situation) -> Plan | None:
    """To whom a new case is dispatched at once, because another office than that of the place answers for it."""
    found = responsible(at.book.duty, at.matter, at.area)
    if found.office is None or found.office == at.area:
        return None
    asked = Asked(act=Act.DISPATCH, office=found.office, disposition=found.disposition or Disposition.ORDER)
    return _dispatched(asked, at)


def escalated(at: Situation) -> Plan | None:
    """Who is told next that nobody has acknowledged; None when nobody is left."""
    last = at.work.told[-1] if at.work.told else at.work.office
    to = None if last is None else at.offices.above(last)
    if to is None:
        return None
    return Plan({"to": to, "escalates_at": at.escalates_at(to)}, (to,))


def moved(at: Situation) -> Plan:
    return Plan({"office": at.area, "escalates_at": at.escalates_at(at.area)})


def same_place(case: Document, other: Document) -> bool:
    """Whether another case lies where this one does."""
    per_lat, per_lon = m_per_deg(case["lat"])
    north, east = (other["lat"] - case["lat"]) * per_lat, (other["lon"] - case["lon"]) * per_lon
    return bool(north**2 + east**2 <= SAME_PLACE_M**2)


def _dispatched(asked: Asked, at: Situation) -> Plan:
    office = _named(asked.office or at.work.office, "office", at)
    found = responsible(at.book.duty, at.matter, at.area)
    disposition = asked.disposition or (found.disposition if found.office == office else None)
    if disposition is None:
        raise Incomplete("dispatch: needs a disposition: own, order or enforcement")
    details = {"office": office, "disposition": str(disposition), "escalates_at": at.escalates_at(office)}
    return Plan(details | at.deadline(at.condition(asked.condition)), (office,))


def _handed_back(asked: Asked, at: Situation) -> Plan:
    """To the office that is named, else to the level above."""
    given = asked.office or (at.offices.above(at.work.office) if at.work.office else None)
    if given is None:
        raise Incomplete("hand-back: nobody is above this office: name another one")
    office = _named(given, "office", at, known=asked.office is not None)
    return Plan({"office": office, "escalates_at": at.escalates_at(office)}, (office,))


def _answered(asked: Asked, at: Situation) -> Plan:
    waiting = at.work.unanswered
    department = asked.department or (waiting[0] if len(waiting) == 1 else None)
    if department not in waiting:
        raise Incomplete(f"answer: name one of the departments that were called: {', '.join(waiting)}")
    return Plan({"department": department}, _those(at.work.office))


def _met(asked: Asked, at: Situation) -> dict[str, Any]:
    """The closing condition of a case, if there is one: whoever closes it says how it was found to be met."""
    closing = (at.work.condition or {}).get("closing")
    if closing is None:
        return {}
    if not (asked.reason or "").strip():
        raise Incomplete(f"close: needs a reason: how this was found to be so: {closing}")
    return {"closing": closing}


def _named(code: str | None, what: str, at: Situation, *, known: bool = True) -> str:
    if code is None:
        raise Incomplete(f"needs the code of the {what}")
    if known and code != at.work.office and not at.offices.knows(code):
        raise Incomplete(f"{what} {code!r} is neither an area nor a department that the desk knows")
    return code


def _those(code: str | None) -> tuple[str, ...]:
    return () if code is None else (code,)


def _stopped(at: Situation) -> str | None:
    """A deadline that has passed already stays."""
    return _due(at, (*at.work.stopped, Pause(at.now)))


def _resumed(at: Situation) -> str | None:
    over = [pause if pause.ended is not None else Pause(pause.begun, at.now) for pause in at.work.stopped]
    return _due(at, tuple(over))


def _waits(at: Situation) -> str | None:
    return at.escalates_at(at.work.office) if at.work.acknowledged_at is None else None


def _due(at: Situation, pauses: tuple[Pause, ...]) -> str | None:
    work = at.work
    assert work.condition is not None  # registered work has one
    assert work.clock_from is not None
    kind, amount = TimeType(work.condition["type"]), float(work.condition["amount"])  # as filed, whatever holds now
    due = at.book.clock.due_at(parse_rfc3339(work.clock_from), kind, amount, pauses)
    return None if due is None else rfc3339(due)
