"""Engine: sightings and passes in, case events out. Pure and deterministic: no clock, no storage, no network.

It decides online: an event rests on what had arrived by then. What arrives late corrects by later events, never by
silence or by repeating what was told.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from dispatcher.area import Areas
from dispatcher.case import Case, Share, State
from dispatcher.joint.atlas import Atlas, Identify
from dispatcher.joint.belief import Look
from dispatcher.joint.case import Anchor, CaseEvent
from dispatcher.joint.command import Merge, Split
from dispatcher.joint.docket import Docket
from dispatcher.joint.grid import ROW
from dispatcher.joint.pairs import FARTHEST_M
from dispatcher.joint.record import Record
from dispatcher.joint.rest import RESTS, Rest
from dispatcher.joint.seen import Seen
from dispatcher.joint.thing import Located, Thing
from dispatcher.joint.twins import undecided
from dispatcher.joint.view import View
from dispatcher.owner import owners
from dispatcher.work.action import Action
from dispatcher.work.rules import Rules
from ingest.frame import derived_id
from models.taxonomy import Taxonomy
from vision.sighting import Covariance, Pass, Sighting

LEAST_DETECTABLE: Final = 0.05  # a look that would hardly have seen it says nothing
AHEAD: Final = timedelta(hours=24)  # a capture time this far after its envelope's time is absurd
UNKNOWN_BIAS = (0.0, 0.0, 9.0, 0.0, 9.0)  # a vehicle's position error when nothing it saw tells: 1 sigma of 3 m
TOLD_AT_LAST: Final = 4  # runs that saw a thing, from which on it is told although it may be another one that was
GONE: Final = 0.0075  # chance that what is seen beside something that is gone is the same, come back
BEFORE_S: Final = 3600.0  # a bin overflows so long before it was seen to ...
AFTER_S: Final = 6 * 3600.0  # ... and so long after
PERHAPS: Final = 0.4  # chance that it does, by sightings that opened no case ...
SURELY: Final = 0.85  # ... and by those of an open one
OVER_S: Final = 72 * 3600.0  # so long after a case was closed passes that see nothing there are no news
AROUND_S: Final = 60.0  # a pass shares its vehicle's error with what was seen so long before and after it


Input = Sighting | Pass | Merge | Split | Action


class Engine:
    """Every thing, and what was told about it."""

    def __init__(
        self,
        areas: Areas,
        taxonomy: Taxonomy,
        identify: Identify | None = None,
        *,
        rests: timedelta | None = RESTS,
    ) -> None:
        """`rests`: after so long that nobody looked at a place, what is there is kept on disk; None: never."""
        self._areas = [areas]
        self._taxonomy = taxonomy
        self._atlas = Atlas(identify)
        self._docket = Docket(self._owners, self._atlas.surveyed)
        self._seen: dict[str, Seen] = {}  # by id; what rests is not in it
        self._regrouped: list[Thing] = []  # what the input read last gave other sightings
        self._others: dict[str, float] = {}  # ids of passes and commands, and when they were read
        self._count = 0  # sightings read
        self._rest: Rest | None = None
        if rests is not None and identify is None:  # an oracle knows things by their names, wherever they are
            self._rest = Rest(self._atlas, self._docket, self._seen, rests)
        self._clock = datetime.min.replace(tzinfo=UTC)
        self.repeats = 0

    def read(self, item: Input, *, made_at: datetime) -> list[CaseEvent]:
        """Take one input. Repeats change nothing. Raises ValueError for one that makes no sense."""
        if isinstance(item, Sighting):
            self._check(item, made_at)
        self._clock = max(self._clock, made_at)
        self._docket.regrouped.clear()
        self._regrouped.clear()
        now = self._clock.timestamp()
        if self._rest is not None:
            self._rest.sweep(now, self._others)
        if self._knows(item.id):
            self.repeats += 1
            return []
        if isinstance(item, Sighting):
            if self._rest is not None:
                self._rest.looked_at(item.lat, item.lon, now)
            return self._sight(item)
        if isinstance(item, Pass):
            events = self._look(item)
        else:
            events = self._hear(item, made_at) if isinstance(item, Action) else self._obey(item)
        self._others[item.id] = now
        return events

    def _knows(self, id: str) -> bool:
        if id in self._seen or id in self._others:
            return True
        return self._rest is not None and self._rest.shelf.knows(id)

    @property
    def rules(self) -> Rules:
        """What communities have agreed on, and campaigns; by what was imported last."""
        return self._docket.rules

    @rules.setter
    def rules(self, rules: Rules) -> None:
        self._docket.rules = rules

    def use(self, areas: Areas) -> None:
        """Route what is opened from now on by newer areas; a case that is told keeps those that it was routed by."""
        self._areas.append(areas)

    def cases(self) -> list[Case]:
        """Every case, candidates and closed ones included, oldest first."""
        found = self._docket.cases() + ([] if self._rest is None else self._rest.cases())
        return sorted(found, key=lambda case: (case.first_seen_at, case.id))

    def objects(self) -> list[Anchor]:
        """The permanent objects, in the order they were first seen."""
        found = [(thing, self._atlas.surveyed(thing)) for thing in self._atlas.things.values() if thing.plain]
        found += [] if self._rest is None else self._rest.objects()
        return [object_of(thing, located) for thing, located in sorted(found, key=lambda each: _first(each[0]))]

    @property
    def resting(self) -> int:
        """How many things are on disk."""
        return 0 if self._rest is None else len(self._rest.shelf)

    @property
    def resting_bytes(self) -> int:
        """How large they are there."""
        return 0 if self._rest is None else self._rest.shelf.bytes

    def object_with(self, sighting_id: str) -> Anchor | None:
        """The object that a sighting belongs to; None when it is of a case, or unknown."""
        if self._rest is not None and sighting_id not in self._seen:
            self._rest.fetch_sighting(sighting_id, self._clock.timestamp())
        seen = self._seen.get(sighting_id)
        if seen is None or not seen.plain or seen.thing is None:
            return None
        return object_of(seen.thing, self._atlas.surveyed(seen.thing))

    # One sighting

    def _check(self, sighting: Sighting, made_at: datetime) -> None:
        if sighting.matter is not None and sighting.matter not in self._taxonomy.by_code:
            raise ValueError(f"matter {sighting.matter!r} is no code of matters.csv")
        if sighting.seen_at - made_at > AHEAD:
            raise ValueError(f"seen_at {sighting.seen_at:%Y-%m-%d %H:%M} lies after its envelope's time")
        if sighting.lat == 0 and sighting.lon == 0:
            raise ValueError("position is 0, 0: no fix")

    def _key(self, sighting: Sighting) -> str:
        """Only things of one key can be one thing: those of one matter, and a bin whether it overflows or not."""
        group = self._taxonomy.group_of_kind(sighting.kind)
        filed = self._taxonomy.matter_of_kind(sighting.kind)
        return group if sighting.matter == filed else f"{sighting.matter or sighting.kind}"

    def _sight(self, sighting: Sighting) -> list[CaseEvent]:
        run = self._atlas.fleet.number(sighting.vehicle, sighting.seen_at.timestamp())
        seen = Seen.of(sighting, self._count, self._key(sighting), run)
        self._seen[sighting.id] = seen
        self._count += 1
        touched = self._atlas.place(seen)
        assert seen.thing is not None
        if sighting.matter is not None:
            self._catch_up(seen.thing, seen.at)
        return self._review(touched, (), sighting.id)

    def _catch_up(self, thing: Thing, at: float) -> None:
        """Passes that arrived already and looked after a sighting that is news."""
        for view in self._atlas.views.after(at, thing.lat, thing.lon, FARTHEST_M):
            if view.id not in thing.looks:
                self._miss(view, [thing])

    # One pass

    def _look(self, item: Pass) -> list[CaseEvent]:
        view = View(item)
        if self._rest is not None:
            self._rest.looked_into(view, self._clock.timestamp())
        self._atlas.views.put(view)
        touched: dict[int, Thing] = {}
        for run in self._atlas.fleet.runs_between(view.vehicle, view.started, view.ended):
            if run in self._atlas.fleet.stale:
                touched |= self._atlas.finish(run, self._clock.timestamp())
        touched |= self._atlas.rework_due(self._clock.timestamp())
        touched |= self._atlas.rework_suspects(list(touched.values()))
        in_view = self._in_view(view)
        missed = self._miss(view, in_view)
        touched |= self._atlas.scatter(in_view)
        return self._review(touched, [thing for thing in missed if thing.runs], item.id)

    def _in_view(self, view: View) -> list[Thing]:
        squares = {s + r * ROW + c for s in view.squares for r in (-1, 0, 1) for c in (-1, 0, 1)}
        return self._atlas.within(sorted(squares))

    def _miss(self, view: View, things: list[Thing]) -> list[Thing]:
        """What a pass looked at and did not report counts against the cases there. Returns the things that changed."""
        runs = self._atlas.fleet.runs_between(view.vehicle, view.started - AROUND_S, view.ended + AROUND_S)
        changed = []
        for thing in things:
            recall = view.recall.get(_kind(thing), 0.0)
            if recall < LEAST_DETECTABLE:
                continue
            east, north, ee, en, nn = self._atlas.bias_near(runs, thing.lat, thing.lon) or UNKNOWN_BIAS
            a, b, c = thing.covariance
            lat, lon = thing.lat + north / thing.per_lat, thing.lon + east / thing.per_lon
            detectable = recall * view.looked(lat, lon, (ee + a, en + b, nn + c))
            if detectable < LEAST_DETECTABLE:
                continue
            thing.expected += detectable
            if _watched(thing, view.ended) and not self._atlas.doubtful(thing, view.id):
                thing.looks[view.id] = Look(view.ended_at, view.id, None, round(detectable, 6))
                changed.append(thing)
        return changed

    # One command, or action

    def _obey(self, command: Merge | Split) -> list[CaseEvent]:
        """What a person decided. What they said is one, or apart, stays so."""
        record = self._record(command.case)
        if isinstance(command, Merge):
            return self._merge(record, self._record(command.other), command.id, None)
        mine = {s.sighting.id for s in record.seens}
        if not mine > set(command.sightings):
            raise ValueError("a split takes some sightings of the case, and leaves some")
        return self._split(record, command.sightings, command.id, None)

    def _hear(self, action: Action, made_at: datetime) -> list[CaseEvent]:
        """What an office did. Its event was told when it was done; what else follows from a merge or split is told."""
        if action.at - made_at > AHEAD:
            raise ValueError(f"at {action.at:%Y-%m-%d %H:%M} lies after its envelope's time")
        record = self._record(action.case)
        if action.into is not None:
            return self._merge(self._record(action.into), record, action.id, action)
        if action.part is not None:
            if self._knows_case(action.part):
                raise ValueError(f"there is a case {action.part} already")
            return self._split(record, action.sightings, action.id, action)
        thing = record.thing
        assert thing is not None
        self._docket.act(record, action, last=thing.records[-1] is record)
        self._watch(thing)
        return []

    def _merge(self, record: Record, other: Record, cause: str, told: Action | None) -> list[CaseEvent]:
        """Let a case go on in `record`."""
        assert record.thing is not None
        assert other.thing is not None
        if other.thing is record.thing:
            raise ValueError("both are episodes of one thing: it was gone in between")
        if other.thing.key != record.thing.key:
            raise ValueError(f"a case of {other.matter} cannot go on in one of {record.matter}")
        if record.ended_at is not None or record.refused_until is not None:
            raise ValueError(f"a person said that case {record.id} is over: no other can go on in it")
        if record.number > other.number:  # the older one goes on
            record.number, other.number = other.number, record.number
        touched: dict[int, Thing] = {}
        self._atlas.join(record.thing, other.thing, touched, pin=True)
        self._docket.merge(other, record, at=self._clock, cause=cause, told=told)
        return self._docket.flush() + self._review(touched, (), cause)

    def _split(self, record: Record, sightings: Iterable[str], cause: str, told: Action | None) -> list[CaseEvent]:
        """Make some sightings of a case another one; those that are of something else by now stay there."""
        named = set(sightings)
        taken = [seen for seen in record.seens if seen.sighting.id in named]
        if not taken or len(taken) == len(record.seens):
            raise ValueError("a split takes some sightings of the case, and leaves some")
        assert record.thing is not None
        touched: dict[int, Thing] = {}
        part = self._atlas.part(record.thing, taken, touched)
        self._docket.part(record, part, at=self._clock, cause=cause, told=told)
        return self._docket.flush() + self._review(touched, (), cause)

    def _record(self, id: str) -> Record:
        """A case by its id; of one that was merged the one that it went into. Raises ValueError when there is none."""
        id = self._docket.goes_on(id)
        if self._rest is not None and id not in self._docket.records:
            self._rest.fetch_case(id, self._clock.timestamp())
        record = self._docket.records.get(id)
        if record is None or record.thing is None:
            raise ValueError(f"there is no case {id}")
        return record

    def _knows_case(self, id: str) -> bool:
        return id in self._docket.records or self._docket.rests(id)

    # What follows from it

    def _review(self, touched: dict[int, Thing], looked: Iterable[Thing], cause: str) -> list[CaseEvent]:
        """What follows for the things whose sightings or looks changed, and for those that only moved."""
        regrouped, self._atlas.regrouped = self._atlas.regrouped, {}
        self._regrouped += regrouped.values()
        anew = regrouped | {thing.number: thing for thing in looked}
        things = [anew[n] for n in sorted(anew) if anew[n].records or anew[n].disordered]
        events = self._docket.review(
            things, at=self._clock, cause=cause, held=self._undecided, areas=len(self._areas) - 1
        )
        for thing in things:
            self._watch(thing)
        for number in sorted(touched.keys() - anew.keys()):
            events += self._docket.shifted(touched[number], at=self._clock, cause=cause)
        return events

    @staticmethod
    def _watch(thing: Thing) -> None:
        last = thing.records[-1] if thing.records else None
        if thing.plain:
            thing.disorders = [_span(record) for record in thing.records if record.seens]
            thing.stood = []
        else:
            thing.stood = [(record.seens[0].at, record.seens[-1].at) for record in thing.records if record.seens]
        thing.there = 1.0 if last is None or thing.plain else max(last.probability, GONE)

    def _undecided(self, thing: Thing) -> bool:
        """True while a thing may be another one whose case was open when it was last seen."""
        if len(thing.runs) >= TOLD_AT_LAST:
            return False
        last = max(seen.at for seen in thing.seens)
        return any(
            any(_stood(record, last) for record in other.records) and undecided(thing, other)
            for other in self._atlas.neighbours(thing)
        )

    def _owners(self, version: int, lat: float, lon: float, covariance: Covariance) -> tuple[Share, ...]:
        return owners(self._areas[version], lat, lon, covariance)


def object_of(thing: Thing, located: Located) -> Anchor:
    plain = sorted((s for s in thing.seens if s.plain), key=lambda s: s.number)
    lat, lon, (ee, en, nn) = located
    return Anchor(
        id=object_id(thing),
        kind=plain[0].sighting.kind,
        lat=round(lat, 7),
        lon=round(lon, 7),
        covariance_m2=(round(ee, 4), round(en, 4), round(nn, 4)),
        sightings=tuple(s.sighting.id for s in plain),
    )


def object_id(thing: Thing) -> str:
    return derived_id("object", thing.id)


def _first(thing: Thing) -> int:
    """The number of the first sighting of it in order."""
    return min(seen.number for seen in thing.seens if seen.plain)


def _span(record: Record) -> tuple[float, float, float]:
    """From when until when a bin overflows by one of its cases, and how likely that is."""
    first, last = record.seens[0].at, record.seens[-1].at
    if not record.told:
        return first - BEFORE_S, last + AFTER_S, PERHAPS
    if record.refused_until is not None:
        return first - BEFORE_S, record.refused_until, SURELY
    return first - BEFORE_S, math.inf if record.closed_at is None else record.closed_at.timestamp(), SURELY


def _stood(record: Record, at: float) -> bool:
    """Whether a case that was told was not closed at some time."""
    if record.refused_until is not None:
        return at <= record.refused_until
    return record.told and (record.closed_at is None or record.closed_at.timestamp() >= at)


def _kind(thing: Thing) -> str:
    return thing.records[-1].kind if thing.records else next(iter(thing.passes.values()))[0].sighting.kind


def _watched(thing: Thing, at: float) -> bool:
    """Whether it matters that a pass saw nothing of it: not of what was given up, or is long over."""
    if not thing.records or thing.records[-1].state is State.DISMISSED:
        return False
    closed_at = thing.records[-1].closed_at
    return closed_at is None or at - closed_at.timestamp() < OVER_S
