"""Work: how far the offices have come with a case. A fold of the case's entries, so that it can always be made anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from typing import Any

from dispatcher.work.clock import Pause
from dispatcher.work.entry import Entry
from dispatcher.work.step import RULES, Act, Disposition, Outcome, Step
from ingest.frame import parse_rfc3339, rfc3339


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A department that was called to help (吹哨), and what it answered (报到)."""

    department: str
    at: str
    by: str
    why: str
    answered_at: str | None = None
    answered_by: str | None = None
    answer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The work on one case. Times are RFC 3339; a time that has not come is None."""

    case: str
    version: int  # seq of the last entry
    step: Step = Step.COLLECTED
    outcome: Outcome | None = None
    office: str | None = None  # code of the area or department that has it now
    disposition: Disposition | None = None
    co_handlers: tuple[str, ...] = ()
    priority: float = 1.0
    first_occurrence: bool = False  # 首违不罚: a hint to the officer, never a decision
    registered_at: str | None = None
    dispatched_at: str | None = None
    acknowledged_at: str | None = None
    acknowledged_by: str | None = None
    handled_at: str | None = None
    handled_by: str | None = None
    ended_at: str | None = None
    condition: dict[str, Any] | None = None  # the filing condition that sets the clock
    clock_from: str | None = None
    due_at: str | None = None  # None while the clock stands
    paused_at: str | None = None
    pauses: tuple[tuple[str, str], ...] = ()  # that are over
    escalates_at: str | None = None  # when the next level is told, unless somebody acknowledges
    level: int = 0  # how many levels above the first office have been told
    told: tuple[str, ...] = ()  # the offices above that were
    calls: tuple[Call, ...] = ()
    hand_backs: int = 0
    rejections: int = 0  # how often it was reported as handled and was not
    rebounds: int = 0  # how often it came back after it was closed
    label: str | None = None  # why it was dismissed
    score: int | None = None

    def document(self) -> dict[str, Any]:
        return asdict(self) | {"pauses": [list(pause) for pause in self.pauses]}

    @property
    def stopped(self) -> tuple[Pause, ...]:
        """When the clock stood."""
        over = [Pause(parse_rfc3339(begun), parse_rfc3339(ended)) for begun, ended in self.pauses]
        return (*over, *([] if self.paused_at is None else [Pause(parse_rfc3339(self.paused_at))]))

    @property
    def offices(self) -> set[str]:
        """Everybody who has, had to help with, or was told of it."""
        here = set() if self.office is None else {self.office}
        return here | {*self.co_handlers, *self.told, *(call.department for call in self.calls)}

    @property
    def unanswered(self) -> tuple[str, ...]:
        """Departments that were called and have not answered."""
        return tuple(call.department for call in self.calls if call.answered_at is None)

    @property
    def late_from(self) -> str | None:
        """After which moment it is overdue: "" when it was reported too late, None while nothing makes it so."""
        stopped = self.handled_at or self.ended_at
        if self.due_at is None or stopped is None:
            return self.due_at
        return "" if stopped > self.due_at else None

    def overdue(self, now: datetime) -> bool:
        """Whether it was not reported as handled in time."""
        late_from = self.late_from
        return late_from is not None and late_from < rfc3339(now)


def parsed_work(doc: dict[str, Any]) -> Work:
    """From `document`."""
    made = {
        "step": Step(doc["step"]),
        "outcome": None if doc["outcome"] is None else Outcome(doc["outcome"]),
        "disposition": None if doc["disposition"] is None else Disposition(doc["disposition"]),
        "co_handlers": tuple(doc["co_handlers"]),
        "told": tuple(doc["told"]),
        "pauses": tuple((begun, ended) for begun, ended in doc["pauses"]),
        "calls": tuple(Call(**call) for call in doc["calls"]),
    }
    return Work(**{field.name: doc[field.name] for field in fields(Work) if field.name in doc} | made)


def after(work: Work | None, entry: Entry) -> Work:
    """The work right after an entry. Pure: what the entry does not say does not change it."""
    before = work or Work(case=entry.case, version=0)
    rule = RULES[entry.act]
    done = _DONE[entry.act](before, entry, rfc3339(entry.at))
    ended = rule.outcome is not None
    return replace(
        done,
        version=entry.seq,
        step=rule.to or done.step,
        outcome=rule.outcome or done.outcome,
        ended_at=rfc3339(entry.at) if ended else done.ended_at,
        escalates_at=None if ended else done.escalates_at,
    )


def _register(work: Work, entry: Entry, at: str) -> Work:
    """Also of a case that had gone into another one, and came apart from it again."""
    said = entry.details
    return replace(
        Work(case=work.case, version=work.version),
        registered_at=at,
        office=said["office"],
        co_handlers=tuple(said["co_handlers"]),
        priority=said["priority"],
        first_occurrence=said["first_occurrence"],
        rebounds=said["rebounds"],
        condition=said["condition"],
        clock_from=at,
        due_at=said["due_at"],
        escalates_at=said["escalates_at"],
    )


def _acknowledge(work: Work, entry: Entry, at: str) -> Work:
    own = work.disposition or Disposition.OWN
    return replace(work, acknowledged_at=at, acknowledged_by=entry.name, escalates_at=None, disposition=own)


def _dispatch(work: Work, entry: Entry, at: str) -> Work:
    said = entry.details
    return replace(
        work,
        office=said["office"],
        disposition=Disposition(said["disposition"]),
        condition=said["condition"],
        dispatched_at=at,
        acknowledged_at=None,
        acknowledged_by=None,
        clock_from=at,
        pauses=(),
        due_at=said["due_at"],
        escalates_at=said["escalates_at"],
        level=0,
        told=(),
    )


def _hand_back(work: Work, entry: Entry, at: str) -> Work:
    said = entry.details
    return replace(
        work,
        office=said["office"],
        disposition=None,
        acknowledged_at=None,
        acknowledged_by=None,
        escalates_at=said["escalates_at"],
        level=0,
        told=(),
        hand_backs=work.hand_backs + 1,
    )


def _call(work: Work, entry: Entry, at: str) -> Work:
    call = Call(department=entry.details["department"], at=at, by=entry.name, why=entry.reason or "")
    return replace(work, calls=(*work.calls, call))


def _answer(work: Work, entry: Entry, at: str) -> Work:
    department = entry.details["department"]
    calls = [
        replace(call, answered_at=at, answered_by=entry.name, answer=entry.reason)
        if call.department == department and call.answered_at is None
        else call
        for call in work.calls
    ]
    return replace(work, calls=tuple(calls))


def _handled(work: Work, entry: Entry, at: str) -> Work:
    seen = work if work.acknowledged_at is not None else _acknowledge(work, entry, at)
    return replace(seen, handled_at=at, handled_by=entry.name)


def _not_handled(work: Work, entry: Entry, at: str) -> Work:
    return replace(work, handled_at=None, handled_by=None, rejections=work.rejections + 1)


def _pause(work: Work, entry: Entry, at: str) -> Work:
    return replace(work, paused_at=at, due_at=entry.details["due_at"], escalates_at=None)


def _resume(work: Work, entry: Entry, at: str) -> Work:
    assert work.paused_at is not None  # only a clock that stands is resumed
    said = entry.details
    pauses = (*work.pauses, (work.paused_at, at))
    return replace(work, paused_at=None, pauses=pauses, due_at=said["due_at"], escalates_at=said["escalates_at"])


def _escalate(work: Work, entry: Entry, at: str) -> Work:
    said = entry.details
    return replace(work, level=work.level + 1, told=(*work.told, said["to"]), escalates_at=said["escalates_at"])


def _move(work: Work, entry: Entry, at: str) -> Work:
    return replace(work, office=entry.details["office"], escalates_at=entry.details["escalates_at"], level=0, told=())


def _same(work: Work, entry: Entry, at: str) -> Work:
    return work


_DONE: dict[Act, Callable[[Work, Entry, str], Work]] = {
    Act.REGISTER: _register,
    Act.ACKNOWLEDGE: _acknowledge,
    Act.DISPATCH: _dispatch,
    Act.HAND_BACK: _hand_back,
    Act.CALL: _call,
    Act.ANSWER: _answer,
    Act.HANDLED: _handled,
    Act.REJECT: _not_handled,
    Act.FOUND_AGAIN: _not_handled,
    Act.CLOSE: _same,
    Act.EVALUATE: lambda work, entry, at: replace(work, score=entry.details["score"]),
    Act.DISMISS: lambda work, entry, at: replace(work, label=entry.details["label"]),
    Act.PAUSE: _pause,
    Act.RESUME: _resume,
    Act.ESCALATE: _escalate,
    Act.VERIFY: _same,
    Act.MOVE: _move,
    Act.MERGE: _same,
    Act.SPLIT: _same,
    Act.ABSORB: _same,
    Act.ERASE: _same,
}
