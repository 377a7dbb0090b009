"""Clerk: does what offices ask for, keeps the clocks, and follows the case log. Every action is one transaction.

An action, the work it comes to, the case event that tells of it, its letters and what the case engine learns of it
become durable together, while nobody else writes: so an office never acts on a case that has just changed under it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Protocol, cast

from dispatcher.access.principal import Principal
from dispatcher.access.scope import Scope
from dispatcher.alert import letters
from dispatcher.area import Areas
from dispatcher.case import OVER, Alert, Case, CaseEvent, Share, State, parsed_case
from dispatcher.owner import owners
from dispatcher.store import seen_by
from dispatcher.store import work as log
from dispatcher.store.rows import Letter, StoredCase, StoredEvent
from dispatcher.store.store import Store
from dispatcher.store.work import Transaction
from dispatcher.work.action import Action
from dispatcher.work.asked import Asked, Incomplete, KeyReused, NoSuchCase, NotNow, Stale, checked, refusal
from dispatcher.work.book import Book
from dispatcher.work.entry import Entry, canonical, digest
from dispatcher.work.plan import Offices, Plan, Situation, assigned, escalated, moved, planned, registered, same_place
from dispatcher.work.regroup import TOLD, merged, parted, unmergeable
from dispatcher.work.step import RULES, Act, Outcome, Step
from dispatcher.work.work import Work
from ingest.envelope import parse_envelope
from ingest.frame import derived_id, rfc3339
from models.taxonomy import Taxonomy
from vision.sighting import Covariance, Sighting, parse_sighting

SYSTEM, SYSTEM_NAME = "system", "系统"
BEGINS = frozenset({"opened", "rebounded", "split"})
GOES_ON = frozenset({"merged", "judged"})  # also of a case that nobody had heard of, which goes on in place of one
ENDS = frozenset({"verified", "closed"})


class Located(Protocol):
    """The areas; `dispatcher.area.Areas` is the real one."""

    def features(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Done:
    """What was done, and the work right after."""

    entry: Entry
    case: StoredCase
    work: Work
    repeated: bool = False  # it had been done under this Idempotency-Key before


@dataclass(frozen=True, slots=True)
class Standing:
    """A case and the work on it, as they stand."""

    case: StoredCase
    work: Work
    entries: list[Entry]

    @property
    def tag(self) -> str:
        return tag(self.work, self.case)


def tag(work: Work, case: StoredCase) -> str:
    """What changes when an office must look again before it acts: with each action, and with the case's state."""
    return f'"{work.version}-{case.document["state"]}"'


def _matches(if_match: str, current: str) -> bool:
    """As RFC 9110 compares: a list of tags, strongly; `*` is any."""
    return any(part.strip() in ("*", current) for part in if_match.split(","))


class Clerk:
    """The desk of one store. Any number may work on it, in any number of processes."""

    def __init__(self, store: Store, areas: Located, taxonomy: Taxonomy, book: Book | None = None) -> None:
        """`book` is what the desk works by; without one, what was imported into the store."""
        self._store = store
        self._taxonomy = taxonomy
        self._areas = areas
        self._given = book
        self._texts: dict[str, str] | None = None
        self._book = book or Book()
        self._named: Offices | None = None

    def book(self) -> Book:
        """What the desk works by now."""
        with self._store.reading() as connection:
            self._refresh(connection)
        return self._book

    @property
    def offices(self) -> Offices:
        """What offices are called, and which is above which."""
        if self._named is None:
            self._named = Offices.of(self._areas.features(), self._book.duty.names)
        return self._named

    def standing(self, id: str, who: Principal) -> Standing:
        """A case, the work on it and what was done. Raises NoSuchCase, also for one of somebody else."""
        with self._store.reading() as connection:
            case = log.case_of(connection, id)
            work = log.work_of(connection, id) or Work(case=id, version=0)
            if case is None or not seen_by.cases_in(connection, {id}, Scope(who.areas)):
                raise NoSuchCase(f"no case {id!r}")
            return Standing(case, work, log.entries_of(connection, id))

    def act(
        self,
        who: Principal,
        id: str,
        asked: Asked,
        *,
        now: datetime,
        if_match: str | None = None,
        key: str | None = None,
    ) -> Done:
        """Do what a person asks. Raises a Refusal; nothing is changed then."""
        body = digest(canonical({"case": id, "asked": asked.document()}))
        with self._store.writing() as connection:
            self._refresh(connection)
            self._follow_all(connection, now)
            case = log.case_of(connection, id)
            work = log.work_of(connection, id) or Work(case=id, version=0)
            if case is None or not seen_by.cases_in(connection, {id}, Scope(who.areas)):
                raise NoSuchCase(f"no case {id!r}")
            before = None if key is None else log.entry_with(connection, who.id, key)
            if before is not None:
                if before.asked != body:
                    raise KeyReused("this Idempotency-Key was used for another request")
                return Done(before, case, work, repeated=True)
            if if_match is not None and not _matches(if_match, tag(work, case)):
                raise Stale(f"the work on {id} has changed: it is {tag(work, case)} now; read it again")
            checked(asked, work, who)
            situation = self._situation(case, work, now)
            entry = _entry(case, asked.act, who.id, who.name, now, (asked.reason or "").strip() or None)
            entry = replace(entry, key=key, asked=body)
            if asked.act is Act.MERGE:
                return self._merge(connection, entry, asked, case, who)
            if asked.act is Act.SPLIT:
                return self._split(connection, entry, asked, case)
            return self._do(connection, entry, planned(asked, situation), case)

    def tick(self, now: datetime) -> int:
        """Follow the case log and tell the next level of what nobody took up. Returns how many entries that made.

        Cheap when there is nothing to do: it looks before it asks for the write lock.
        """
        with self._store.reading() as connection:
            behind = log.last_event(connection) > log.followed(connection)
            late = bool(log.unacknowledged(connection, rfc3339(now), 1))
        made = 0
        if behind or late:
            with self._store.writing() as connection:
                self._refresh(connection)
                made += self._follow_all(connection, now)
                made += self._escalate(connection, now)
        return made

    # Following the engine

    def _follow_all(self, connection: Transaction, now: datetime) -> int:
        """Take what the case engine has said since. Idempotent: the place in the log is kept with what it made."""
        made, seq = 0, log.followed(connection)
        start = seq
        while events := log.events_after(connection, seq):
            ours = log.of_actions(connection, [event.id for event in events])
            for event in events:
                if event.id not in ours:
                    made += self._heard(connection, event, now)
            seq = events[-1].seq
        if seq != start:
            log.follow(connection, seq)
        return made

    def _heard(self, connection: Transaction, event: StoredEvent, now: datetime) -> int:
        case = log.case_of(connection, event.case)
        work = log.work_of(connection, event.case)
        assert case is not None  # an event makes its case
        begins = event.event in BEGINS or (event.event in GOES_ON and event.document["state"] in TOLD)
        if begins and (work is None or work.outcome is Outcome.MERGED) and case.document["state"] not in OVER:
            return self._register(connection, case, event, now)
        if work is None or work.outcome is not None:
            return 0
        act, plan = None, Plan()
        if "merged_into" in event.document:
            return self._absorbed(connection, case, event, now)
        if event.event in ENDS:
            act = Act.VERIFY
        elif event.event == "confirmed" and event.document["state"] == State.OPEN and work.step is Step.REPORTED:
            act = Act.FOUND_AGAIN
        elif event.event == "moved" and work.step is Step.REGISTERED and work.hand_backs == 0:
            act, plan = Act.MOVE, moved(self._situation(case, work, now))
        if act is None:
            return 0
        self._by_system(connection, case, act, plan, now, event.id)
        return 1

    @staticmethod
    def _absorbed(connection: Transaction, case: StoredCase, event: StoredEvent, now: datetime) -> int:
        """The engine found that the case goes on in another one: there is no more to do for it."""
        entry = _entry(case, Act.MERGE, SYSTEM, SYSTEM_NAME, now, None, event.id)
        log.chained(connection, replace(entry, details={"into": event.document["merged_into"]}))
        return 1

    def _register(self, connection: Transaction, case: StoredCase, event: StoredEvent, now: datetime) -> int:
        others = log.earlier_near(connection, case, case.document["matter"])
        earlier = any(same_place(case.document, other.document) for other in others)
        begun = Work(case=case.id, version=0)
        plan = registered(self._situation(case, begun, now), earlier)
        work = self._by_system(connection, case, Act.REGISTER, plan, now, event.id).work
        onward = assigned(self._situation(case, work, now))
        if onward is None:
            return 1
        self._by_system(connection, case, Act.DISPATCH, onward, now)
        return 2

    def _escalate(self, connection: Transaction, now: datetime) -> int:
        made = 0
        for id in log.unacknowledged(connection, rfc3339(now)):
            case, work = log.case_of(connection, id), log.work_of(connection, id)
            assert case is not None
            assert work is not None
            plan = escalated(self._situation(case, work, now))
            if plan is not None:
                self._by_system(connection, case, Act.ESCALATE, plan, now)
                made += 1
        return made

    # What a person says is one, or is not

    def _merge(self, connection: Transaction, entry: Entry, asked: Asked, case: StoredCase, who: Principal) -> Done:
        """The case goes on in another one. Nobody is told: whoever heard of it hears how that one ends."""
        other = None if asked.into is None else log.case_of(connection, asked.into)
        if other is None or not seen_by.cases_in(connection, {other.id}, Scope(who.areas)):
            raise Incomplete(f"merge: there is no case {asked.into!r} that it could go into")
        work = log.work_of(connection, other.id) or Work(case=other.id, version=0)
        fault = unmergeable(case.document, other.document) or refusal(Act.ABSORB, work)
        if fault is not None:
            raise NotNow(f"merge: {fault}")
        sightings = self._sightings(connection, other, case)
        gone, kept = merged(parsed_case(case.document), parsed_case(other.document), sightings, self._owners)
        told = [_told(found, "merged", stored, entry.at) for found, stored in ((gone, case), (kept, other))]
        done = log.chained(connection, replace(entry, event=told[0].id, details={"into": other.id}))
        beside = _entry(other, Act.ABSORB, entry.actor, entry.name, entry.at, entry.reason, told[1].id)
        log.chained(connection, replace(beside, details={"from": case.id, "sightings": list(gone.sightings)}))
        self._append(connection, replace(_action(done, told[0], State.DISMISSED), into=other.id), told)
        return self._done(connection, done)

    def _split(self, connection: Transaction, entry: Entry, asked: Asked, case: StoredCase) -> Done:
        """Some sightings become a case of their own, which its office is told of."""
        taken = asked.sightings or ()
        if not set(taken) or not set(taken) < set(case.document["sightings"]):
            raise Incomplete("split: name some of the sightings of the case, and leave some")
        id = derived_id("case", "split", case.id, str(case.updated))
        sightings = self._sightings(connection, case)
        rest, part = parted(parsed_case(case.document), id, taken, sightings, self._owners, entry.at)
        alerted = tuple(alert.recipient for alert in part.alerts)
        told = [_told(rest, "split", case, entry.at), _told(part, "split", case, entry.at, alerted)]
        details = {"part": id, "sightings": sorted(taken)}
        done = log.chained(connection, replace(entry, event=told[0].id, details=details))
        heard = replace(_action(done, told[1], None), case=case.id, part=id, sightings=part.sightings)
        self._append(connection, heard, told)
        fresh, event = log.case_of(connection, id), log.last_event_of(connection, id)
        assert fresh is not None
        assert event is not None
        self._register(connection, fresh, event, entry.at)
        return self._done(connection, done)

    def _append(self, connection: Transaction, heard: Action, told: list[CaseEvent]) -> None:
        work = log.work_of(connection, heard.case)
        told_by = partial(self._letters, due_at=None if work is None else work.due_at)
        self._store.append([heard.envelope()], told, letters=told_by)

    def _sightings(self, connection: Transaction, *cases: StoredCase) -> list[Sighting]:
        """What cases are made of, as it was read. Raises NotNow when it is not stored any more."""
        ids = [id for case in cases for id in case.document["sightings"]]
        lines = log.input_lines(connection, ids)
        if len(lines) < len(set(ids)):
            raise NotNow("sightings of the case are not stored any more: it stays as it is")
        return [parse_sighting(parse_envelope(lines[id]).data) for id in ids]

    def _owners(self, lat: float, lon: float, covariance: Covariance) -> tuple[Share, ...]:
        return owners(cast(Areas, self._areas), lat, lon, covariance)

    # Doing it

    def _by_system(
        self,
        connection: Transaction,
        case: StoredCase,
        act: Act,
        plan: Plan,
        now: datetime,
        cause: str | None = None,
    ) -> Done:
        return self._do(connection, _entry(case, act, SYSTEM, SYSTEM_NAME, now, None, cause), plan, case)

    def _do(self, connection: Transaction, entry: Entry, plan: Plan, case: StoredCase) -> Done:
        """Store an action and everything that follows from it. The write lock is held."""
        rule = RULES[entry.act]
        if rule.event is not None:
            fresh = log.case_of(connection, case.id)
            assert fresh is not None
            told = _event(fresh, rule.event, rule.state, plan.recipients, entry.at)
            entry = replace(entry, event=told.id)
        done = log.chained(connection, replace(entry, details=plan.details))
        if rule.event is not None:
            heard = _action(done, told, rule.state)
            work = log.work_of(connection, case.id)
            told_by = partial(self._letters, due_at=None if work is None else work.due_at)
            self._store.append([heard.envelope()], [told], letters=told_by)
        return self._done(connection, done)

    @staticmethod
    def _done(connection: Transaction, done: Entry) -> Done:
        after, work = log.case_of(connection, done.case), log.work_of(connection, done.case)
        assert after is not None
        assert work is not None
        return Done(done, after, work)

    def _letters(self, event: CaseEvent, due_at: str | None) -> Iterator[Letter]:
        return letters(event, self.offices, self._taxonomy, due_at)

    def _situation(self, case: StoredCase, work: Work, now: datetime) -> Situation:
        return Situation(case.document, case.area, work, self._book, self.offices, now)

    def _refresh(self, connection: Transaction) -> None:
        """Work by what was imported last."""
        if self._given is not None:
            return
        texts = log.books(connection)
        if texts != self._texts:
            self._texts, self._book = texts, Book.of(texts)
            self._named = None


def _entry(
    case: StoredCase, act: Act, actor: str, name: str, at: datetime, reason: str | None, cause: str | None = None
) -> Entry:
    """Not chained yet."""
    return Entry(seq=0, case=case.id, act=act, actor=actor, name=name, at=at, reason=reason, details={}, event=cause)


def _event(case: StoredCase, event: str, state: State | None, recipients: tuple[str, ...], at: datetime) -> CaseEvent:
    """The case as the action leaves it."""
    before = parsed_case(case.document)
    after = replace(
        before,
        state=state or before.state,
        closed_at=at if state is State.CLOSED else before.closed_at,
        alerts=(*before.alerts, *(Alert(recipient, event, at) for recipient in recipients)),
    )
    # A case event each moves `updated` on: no two actions on one case start from the same.
    id = derived_id("event", case.id, event, "action", str(case.updated))
    return CaseEvent(id=id, event=event, at=at, case=after, recipients=recipients)


def _told(after: Case, event: str, stored: StoredCase, at: datetime, recipients: tuple[str, ...] = ()) -> CaseEvent:
    """The event of a case as a person regrouped it, `stored` before."""
    id = derived_id("event", after.id, event, "action", str(stored.updated))
    return CaseEvent(id=id, event=event, at=at, case=after, recipients=recipients)


def _action(entry: Entry, told: CaseEvent, state: State | None) -> Action:
    return Action(
        id=derived_id("action", entry.hash),
        case=entry.case,
        event=told.event,
        at=entry.at,
        state=state,
        recipients=told.recipients,
    )
