"""Docket: the cases of each thing. Its looks are cut into episodes; each is one case, and what changed is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from dispatcher.case import OVER, Alert, Case, Share, State
from dispatcher.joint.belief import Firsts, Look
from dispatcher.joint.case import CaseEvent
from dispatcher.joint.episode import Episode, episodes
from dispatcher.joint.heard import act, contradicted, inherit, joined, said
from dispatcher.joint.looked import ends, first_odds, kind_of, leftover, looks_of, trusted
from dispatcher.joint.manner import MANY, Manners
from dispatcher.joint.packing import Placed
from dispatcher.joint.record import Record, agreed, heir, home, in_time, mark, told_by
from dispatcher.joint.seen import Seen
from dispatcher.joint.shown import case_of
from dispatcher.joint.thing import Located, Thing
from dispatcher.owner import recipients
from dispatcher.work.action import Action
from dispatcher.work.rules import NONE, Rules
from ingest.frame import derived_id
from vision.sighting import Covariance

MOVES_AT: Final = 0.8  # a case is told to another owner only when that one is this probable ...
LEAVES_AT: Final = 0.2  # ... and the one told before no more than this
SHIFTED_M: Final = 0.5  # owners are worked out again when a told case's position has moved so far

Owners = Callable[[int, float, float, Covariance], tuple[Share, ...]]
Surveyed = Callable[[Thing], Located]
Held = Callable[[Thing], bool]


class Docket:
    """Every case."""

    def __init__(self, owners: Owners, surveyed: Surveyed) -> None:
        self.records: dict[str, Record] = {}
        self._surveyed = surveyed
        self._owners = owners
        self.rests: Callable[[str], bool] = lambda _: False  # whether a case of some id is kept elsewhere
        self._founded = 0
        self._waiting: list[CaseEvent] = []
        self.rules: Rules = NONE  # of communities and campaigns
        self.regrouped: dict[str, Record] = {}  # cases that lost sightings to others, or got those of one that is over
        self._went: dict[str, str] = {}  # merged case -> the one that it went into
        self.firsts = Firsts()
        self.manners = Manners()

    def state(self) -> list[Any]:
        """What it knows beside cases: what reports taught, the rules, and where merged cases went."""
        f = self.firsts
        firsts = [f.right, f.wrong, f.claimed_right, f.claimed_wrong]
        return [self._founded, firsts, self.manners.counts, dict(self.rules.pages), self._went]

    def recall(self, state: list[Any]) -> None:
        """Know again what `state` told."""
        self._founded, firsts, counts, pages, went = state
        self.firsts, self.manners = Firsts(*firsts), Manners(list(counts))
        self.rules, self._went = Rules.of(pages), dict(went)

    def review(self, things: Iterable[Thing], *, at: datetime, cause: str, held: Held, areas: int) -> list[CaseEvent]:
        """Bring the cases of things that changed up to what their looks say now, and tell what is new."""
        events: list[CaseEvent] = []
        emptied: dict[str, Record] = {}
        found = [(thing, self._assigned(thing, emptied)) for thing in things]
        for record in emptied.values():
            events += self._absorbed(record, at, cause)
        for thing, pieces in found:
            before: Record | None = None
            for record, piece in pieces:
                if before is None or before.refused_until is not None:
                    record.previous, record.episode = None, 1
                elif before.told:
                    record.previous, record.episode = before.id, before.episode + 1
                else:
                    record.previous, record.episode = before.previous, before.episode
                events += self._tell(thing, record, piece, at, cause, held, areas)
                before = record
        return events

    # Which case a sighting belongs to

    def _assigned(self, thing: Thing, emptied: dict[str, Record]) -> list[tuple[Record, Episode]]:
        looks, by_pass = looks_of(thing)
        told = frozenset(told_by(record) for record in thing.records if record.told and record.seens)
        out: list[tuple[Record, Episode]] = []
        claimed: set[str] = set()
        for piece, ended in self._pieces(thing, looks, by_pass, told):
            seens = sorted((s for look in piece.looks for s in by_pass.get(look.pass_id, ())), key=in_time)
            if out and seens[0].at <= out[-1][0].whole_until:
                record = out[-1][0]
                out[-1] = (record, joined(out[-1][1], piece))
            else:
                record = self._claimed(thing, seens, claimed, ended) or self._founded_by(seens)
                claimed.add(record.id)
                out.append((record, piece))
            for seen in seens:
                before = seen.record
                if before is record:
                    continue
                if before is not None:
                    before.seens.remove(seen)
                    self.regrouped[before.id] = before
                    if not before.seens:
                        emptied[before.id] = before
                    self.regrouped[record.id] = record
                seen.record = record
                record.seens.append(seen)
            record.seens.sort(key=in_time)
        thing.records = [record for record, _ in out]
        return out

    def _pieces(
        self, thing: Thing, looks: list[Look], by_pass: dict[str, list[Seen]], told: frozenset[str]
    ) -> list[tuple[Episode, Record | None]]:
        """The episodes at a thing, cut where a person ended a case, too; each with the case that was ended there."""
        odds = first_odds(by_pass, self.firsts.odds)
        kind, out, begun = kind_of(by_pass), list[tuple[Episode, Record | None]](), 0
        for end, record in ends(thing, by_pass):
            upto = begun
            while upto < len(looks) and looks[upto].time <= end:
                upto += 1
            found = episodes(looks[begun:upto], kind, told, odds, self.manners)
            if found and found[-1].closed_at is None:
                found[-1].closed_at = record.ended_at
            out += [(piece, record if piece is found[-1] else None) for piece in found]
            begun = upto
        rest = episodes(looks[begun:] if begun else looks, kind, told, odds, self.manners)
        return out + [(piece, None) for piece in rest]

    def _claimed(self, thing: Thing, seens: list[Seen], claimed: set[str], ended: Record | None) -> Record | None:
        """The case that an episode goes on being: the one that a person ended, the one told first, else the oldest."""
        mine = {s.record.id: s.record for s in seens if s.record is not None and s.record.id not in claimed}
        at_home = [record for record in mine.values() if home(record) is thing]
        return min(at_home, key=lambda r: (r is not ended, not r.told, r.number), default=None)

    def _founded_by(self, seens: list[Seen], id: str = "") -> Record:
        first = min(seens, key=lambda s: s.number)
        assert first.sighting.matter is not None
        id, again = id or derived_id("case", first.sighting.id), 0
        while id in self.records or self.rests(id):
            again += 1
            id = derived_id("case", first.sighting.id, str(again))
        record = Record(id, self._founded, first.sighting.kind, first.sighting.matter)
        self._founded += 1
        self.records[id] = record
        self._went.pop(id, None)  # what had gone into another case is one of its own again
        return record

    def _absorbed(self, record: Record, at: datetime, cause: str) -> list[CaseEvent]:
        """A case that lost all its sightings to others is merged into the one that has most of what was told."""
        del self.records[record.id]
        if not record.logged:
            return []
        into = heir(record)
        inherit(into, record)
        self._went[record.id], self.regrouped[into.id] = into.id, into
        return [self._event(record, "merged", cause, at, record.recipients if record.told else (), into=into.id)]

    def goes_on(self, id: str) -> str:
        """The case that a merged one goes on in; of any other the case itself."""
        while id in self._went:
            id = self._went[id]
        return id

    def act(self, record: Record, action: Action, *, last: bool) -> None:
        """Take what an office did with a case; whoever acts on a case has heard of it."""
        act(record, action, last=last)
        if record.told:
            mark(record)

    def merge(self, gone: Record, into: Record, *, at: datetime, cause: str, told: Action | None) -> None:
        """A person said that two cases are one. `told`: the action that told it; None: it is told now."""
        if told is None:
            to = gone.recipients if gone.told else ()
            self._waiting.append(self._event(gone, "merged", cause, at, to, into=into.id))
        if told is None and not into.told:
            inherit(into, gone)
        else:  # as it stands: what an office did with the other one is over
            into.alerts = sorted([*into.alerts, *gone.alerts], key=lambda alert: alert.at)
        if told is not None:
            into.alerts += said(told)
            into.told = True
            if into.state in (State.CANDIDATE, State.DISMISSED):
                into.state = State.OPEN
        into.opened_at = min([t for t in (into.opened_at, gone.opened_at) if t is not None], default=None)
        into.passes |= gone.passes
        for seen in gone.seens:
            seen.record = into
            into.seens.append(seen)
        into.heard |= gone.heard
        into.seens.sort(key=in_time)
        if into.told:
            mark(into)
        into.one_until = into.seens[-1].at
        gone.seens = []
        self._went[gone.id], self.regrouped[into.id] = into.id, into
        del self.records[gone.id]

    def part(self, record: Record, thing: Thing, *, at: datetime, cause: str, told: Action | None) -> None:
        """Give the sightings that a person took out of a case one of their own. The alerts stay where they are.

        `told`: the action that told it, and gave the new case its id; None: it is told now.
        """
        seens = sorted((s for s in thing.seens if s.record is record), key=in_time)
        fresh = self._founded_by(seens, "" if told is None or told.part is None else told.part)
        fresh.opened_at, fresh.areas = record.opened_at, record.areas
        if told is None:
            fresh.state, fresh.told, fresh.closed_at = record.state, record.told, record.closed_at
            fresh.handled_at, fresh.ended_at = record.handled_at, record.ended_at
            fresh.refused_until = record.refused_until
        else:
            fresh.state, fresh.told, fresh.logged = State.OPEN, True, True
        fresh.episode, fresh.previous, fresh.thing, fresh.probability = 1, None, thing, record.probability
        for seen in seens:
            record.seens.remove(seen)
            fresh.seens.append(seen)
            seen.record = fresh
            if record.heard.pop(seen.sighting.id, None) is not None:
                fresh.heard[seen.sighting.id] = seen
        for each in (record, fresh):
            self.regrouped[each.id] = each
            if each.told:
                mark(each)
        fresh.passes = {s.pass_id for s in seens}
        fresh.last_seens, record.last_seens = list(fresh.seens), list(record.seens)
        thing.records = [fresh]
        if told is None:
            self._waiting.append(self._event(fresh, "split", cause, at, record.recipients if record.told else ()))
        else:
            fresh.alerts = said(told)
            self._route(fresh)

    def restated(self, record: Record, event: str, *, at: datetime, cause: str) -> CaseEvent:
        """A case as it stands, for whoever keeps it; nobody is told."""
        return self._event(record, event, cause, at, ())

    def flush(self) -> list[CaseEvent]:
        """Events that a person's decision caused by itself."""
        events, self._waiting = self._waiting, []
        return events

    # What is told

    def _tell(
        self, thing: Thing, record: Record, piece: Episode, at: datetime, cause: str, held: Held, areas: int
    ) -> list[CaseEvent]:
        """Move a case to the state its belief asks for, and say what happened."""
        fresh = {s.pass_id for s in record.seens} - record.passes
        record.passes |= fresh
        record.probability = piece.p
        record.thing = thing
        record.last_seens = list(record.seens)
        if record.refused_until is not None:
            return []
        if not record.learnt and not record.seens[0].by_person and (piece.doubted or agreed(record)):
            record.learnt = True
            self.firsts.learn(trusted(record.seens[0]), right=agreed(record))
        self._learn_manners(record, piece)
        if not record.told:
            opened_at = self._opened_at(thing, record, piece, areas)
            if opened_at is None or leftover(record, piece) or held(thing):
                return self._doubt(record, piece, at, cause)
            events = self._open(record, piece, opened_at, at, cause, areas)
            mark(record)
            return events
        mark(record)
        if piece.opened_at is not None and record.opened_at is None:
            record.opened_at = piece.opened_at
        if piece.closed_at is not None and record.state is not State.CLOSED:
            return self._close(record, piece.closed_at, at, cause)
        if record.state is State.CLOSED:
            if piece.closed_at is None:
                record.state, record.closed_at = State.OPEN, None
                record.again += 1
                to = record.recipients if record.again == 1 else ()
                return [self._event(record, "confirmed", cause, at, to)]
            record.closed_at = piece.closed_at
            return []
        if contradicted(record, piece):
            record.state, record.handled_at = State.OPEN, None
            return [self._event(record, "confirmed", cause, at, record.recipients)]
        return self._moved(record, at, cause) or ([self._event(record, "confirmed", cause, at, ())] if fresh else [])

    def _learn_manners(self, record: Record, piece: Episode) -> None:
        seen = [look.seen for look in piece.looks if look.seen is not None]
        for one in seen[record.taught :] if len(seen) >= MANY else ():
            self.manners.learn(one)
            record.taught += 1

    def shifted(self, thing: Thing, *, at: datetime, cause: str) -> list[CaseEvent]:
        """A thing was found to stand elsewhere: whose it is may have changed."""
        open_ = [record for record in thing.records if record.told and record.state not in OVER]
        return [event for record in open_ for event in self._moved(record, at, cause)]

    def _opened_at(self, thing: Thing, record: Record, piece: Episode, areas: int) -> datetime | None:
        """When it came to be believed enough to be told; None while it is not, or where it is permitted."""
        if not self.rules.pages:
            return piece.opened_at
        lat, lon, covariance = self._surveyed(thing)
        area = next(iter(recipients(self._owners(areas, lat, lon, covariance))), None)
        seen_at = record.seens[-1].sighting.seen_at
        bar = self.rules.bar(matter=record.matter, area=area, lat=lat, lon=lon, at=seen_at)
        if bar.why is not None:
            return None
        if bar.threshold is None:
            return piece.opened_at
        return (piece.opened_at or seen_at) if piece.p >= bar.threshold else None

    def _open(
        self, record: Record, piece: Episode, opened_at: datetime, at: datetime, cause: str, areas: int
    ) -> list[CaseEvent]:
        record.told, record.state, record.opened_at = True, State.OPEN, opened_at
        record.areas = areas
        self._route(record)
        gone = piece.closed_at is not None  # all of it arrived late: nobody need go there
        event = "opened" if record.previous is None else "rebounded"
        if 2 * sum(seen.told for seen in record.seens) >= len(record.seens):
            event = "split"  # it was told before, as a part of another case
        events = [self._event(record, event, cause, at, () if gone else recipients(record.owners))]
        if piece.closed_at is not None:
            events += self._close(record, piece.closed_at, at, cause)
        return events

    def _close(self, record: Record, closed_at: datetime, at: datetime, cause: str) -> list[CaseEvent]:
        event = "verified" if record.state is State.HANDLED or record.again else "closed"
        record.state, record.closed_at, record.handled_at = State.CLOSED, closed_at, None
        if record.opened_at is not None:  # by a sighting that turned out to be of something else
            record.opened_at = min(record.opened_at, closed_at)
        to = record.recipients if record.again < 2 else ()
        return [self._event(record, event, cause, at, to)]

    def _doubt(self, record: Record, piece: Episode, at: datetime, cause: str) -> list[CaseEvent]:
        gone = piece.doubted or piece.closed_at is not None
        state = State.DISMISSED if gone else State.CANDIDATE
        if record.logged and state is record.state:
            return []
        record.state = state
        return [self._event(record, "dismissed" if gone else "suspected", cause, at, ())]

    def _moved(self, record: Record, at: datetime, cause: str) -> list[CaseEvent]:
        """Tell the right owner when better positions show that another one was told."""
        thing = record.thing
        assert thing is not None  # it was just reviewed
        east, north = thing.offset(*record.routed)
        if max(abs(east), abs(north)) < SHIFTED_M and len(thing.passes) < 2 * record.routed_passes:
            return []
        self._route(record)
        told = record.recipients
        p = {share.area: share.p for share in record.owners}
        best = next(iter(recipients(record.owners)), None)
        if best is None or best in told or p[best] < MOVES_AT or any(p.get(area, 0.0) > LEAVES_AT for area in told):
            return []
        return [self._event(record, "moved", cause, at, (best,))]

    def _route(self, record: Record) -> None:
        """Work out whose the case is, by where it is thought to be now."""
        thing = record.thing
        assert thing is not None  # every case is routed after its first review
        record.routed, record.routed_passes = (thing.lat, thing.lon), len(thing.passes)
        record.lat, record.lon, record.covariance, record.owners = self._whose(record, thing)

    def _whose(self, record: Record, thing: Thing) -> Placed:
        lat, lon, covariance = self._surveyed(thing)
        return lat, lon, covariance, self._owners(record.areas, lat, lon, covariance)

    def placed(self, record: Record) -> Placed:
        """Where a case is and whose, as far as is known now; what decides is what was known when it was routed."""
        thing = record.thing
        assert thing is not None
        return self._whose(record, thing)

    def _event(
        self, record: Record, event: str, cause: str, at: datetime, to: tuple[str, ...], into: str | None = None
    ) -> CaseEvent:
        record.logged = True
        if event != "merged":
            record.alerts += [Alert(recipient, event, at) for recipient in to]
        if record.thing is not None and record.routed == (0.0, 0.0):
            self._route(record)
        case = case_of(record)
        if into is not None:
            case = replace(case, state=State.DISMISSED, closed_at=None, merged_into=into)
        return CaseEvent(
            id=derived_id("event", record.id, event, cause),
            event=event,
            at=at,
            case=case,
            recipients=to,
            into=into,
        )

    def cases(self) -> list[Case]:
        """Every case as it stands, oldest first."""
        for record in self.records.values():
            self._route(record)
        found = [case_of(record) for record in self.records.values()]
        return sorted(found, key=lambda case: (case.first_seen_at, case.id))
