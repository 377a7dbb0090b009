"""Engine: sightings and passes in, case events out. Pure and deterministic: no clock, no storage, no network.

It decides online: an event rests on what had arrived by then. What arrives late corrects by later events, never by
silence or by repeating what was told.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import h3

from dispatcher.area import Areas
from dispatcher.belief import DISMISSES_AT, OPENS_AT, Look
from dispatcher.case import OVER, Alert, Anchor, Case, CaseEvent, Share, State
from dispatcher.changes import Changes
from dispatcher.identity import FARTHEST_M, Grid, best_of, fuse, score, spread_m
from dispatcher.open311.report import PREFIX
from dispatcher.owner import owners, recipients
from dispatcher.place import Episode, Place
from dispatcher.places import Places
from dispatcher.regroup import merge, split
from dispatcher.work.action import Action
from dispatcher.work.rules import NONE, Rules
from ingest.frame import derived_id
from models.taxonomy import Taxonomy
from vision.sighting import Covariance, Pass, Sighting

LEAST_DETECTABLE = 0.05  # a look that would hardly have seen it says nothing
AHEAD = timedelta(hours=24)  # a capture time this far after its envelope's time is absurd
MOVES_AT = 0.8  # a case is told to another owner only when that one is this probable ...
LEAVES_AT = 0.2  # ... and the one told before no more than this
KEPT = 40  # sightings of an object by which its place is known, the newest: a bin is seen by every bus, for ever
REFUSABLE = (State.CANDIDATE, State.DISMISSED)
SETTLED = timedelta(days=2)  # after so long nothing late comes for an episode that another one followed
FORGOTTEN = timedelta(days=30)  # a place so long over, or an object so long unseen, is a new one when it comes again


class Engine:
    """Every place and object, and what was told about them."""

    def __init__(self, areas: Areas, taxonomy: Taxonomy, *, remembered: int | None = None) -> None:
        """`remembered`: of how many inputs repeats are known as such, and which object they are of; None: of all.

        An engine with a bound also lets go what is long over: SETTLED, FORGOTTEN. A store knows all of it anyway.
        """
        self._areas = areas
        self._taxonomy = taxonomy
        self._places = Places()
        self._place_of: dict[str, Place] = {}  # case -> its place
        self._anchors: dict[str, list[Sighting]] = {}  # of each object the newest, KEPT of them
        self._members: dict[str, list[str]] = {}  # of each object all, by id; when all inputs are remembered
        self._anchor_of: dict[str, str] = {}  # sighting -> object
        self._anchored: dict[str, tuple[float, float, Covariance]] = {}
        self._grid = Grid()
        self._read: dict[str, None] = {}  # ids of sightings and passes
        self._unsaid: dict[str, str] = {}  # by case: the action that made one of two, or two of one
        self._remembered = remembered
        self._clock = datetime.min.replace(tzinfo=UTC)
        self.changes = Changes()  # of what a snapshot holds
        self.rules: Rules = NONE  # of communities and campaigns, as imported last
        self.repeats = 0

    def read(self, item: Sighting | Pass, *, made_at: datetime) -> list[CaseEvent]:
        """Take one sighting or pass. Repeats change nothing. Raises ValueError for one that makes no sense."""
        if isinstance(item, Sighting):
            self._check(item, made_at)
        if self._remembered is not None and made_at.date() > self._clock.date():
            self._forget(made_at)
        self._clock = max(self._clock, made_at)
        if item.id in self._read:
            self.repeats += 1
            return []
        self._read[item.id] = None
        if self._remembered is not None and len(self._read) > self._remembered:
            forgotten = next(iter(self._read))
            del self._read[forgotten]
            self._anchor_of.pop(forgotten, None)
        if isinstance(item, Pass):
            return self._miss(item)
        if item.matter is None:
            self._anchor(item)
            return []
        return self._sight(item, item.matter)

    def act(self, action: Action) -> None:
        """Take what an office did with a case. Its event is told already; a repeat, or a case long over, is nothing."""
        place = self._place_of.get(action.case)
        if place is None or action.id in self._read:
            return
        self._read[action.id] = None
        self.changes.place(place.id)
        episode = next(episode for episode in place.episodes if episode.id == action.case)
        if action.into is not None:
            self._merge(place, episode, action, action.into)
        elif action.part is not None:
            self._split(place, episode, action, action.part)
        else:
            episode.act(action)

    def judged(self) -> list[CaseEvent]:
        """Cases whose belief the desk could not work out when it merged or split them, as they stand now; told once."""
        unsaid, self._unsaid = self._unsaid, {}
        return [
            self._event(place, episode, "judged", action, ())
            for id, action in unsaid.items()
            if (place := self._place_of.get(id)) is not None
            for episode in place.episodes
            if episode.id == id
        ]

    def cases(self) -> list[Case]:
        """Every case, candidates and closed ones included, oldest first."""
        found = [place.case(episode) for place in self._places.all() for episode in place.episodes]
        return sorted(found, key=lambda case: (case.first_seen_at, case.id))

    def objects(self) -> list[Anchor]:
        """The permanent objects, in the order they were first seen."""
        return [self._object(id) for id in self._anchors]

    def object_with(self, sighting_id: str) -> Anchor | None:
        """The object that a sighting belongs to; None when it is of a case, or unknown."""
        id = self._anchor_of.get(sighting_id)
        return None if id is None else self._object(id)

    def objects_of(self, sighting_id: str) -> list[Anchor]:
        """The object that a sighting belongs to, if any."""
        found = self.object_with(sighting_id)
        return [] if found is None else [found]

    def _object(self, id: str) -> Anchor:
        sightings = self._anchors[id]
        return _object(sightings[0].kind, self._members.get(id) or [s.id for s in sightings], *self._anchored[id])

    def places_in_view(self, item: Pass) -> list[Place]:
        """The places that a pass would be taken to say something about."""
        return [self._places[id] for id in sorted(self._places.in_view(item))]

    # What a snapshot needs

    @property
    def clock(self) -> datetime | None:
        """The largest envelope time read; None before the first."""
        return None if self._clock.year == 1 else self._clock

    def place(self, id: str) -> Place | None:
        return self._places.get(id)

    def places(self) -> Iterable[Place]:
        return self._places.all()

    def anchors(self) -> dict[str, list[Sighting]]:
        """The newest sightings of each object, by its id."""
        return self._anchors

    def adopt(self, places: Iterable[Place], anchors: dict[str, list[Sighting]], clock: datetime | None) -> None:
        """Know what another engine knew. For a fresh one."""
        for place in places:
            self._place_of |= {episode.id: place for episode in place.episodes}
            self._places.put(place)
        for id, sightings in anchors.items():
            self._anchors[id] = sightings
            if self._remembered is None:
                self._members[id] = [sighting.id for sighting in sightings]
                self._anchor_of |= dict.fromkeys(self._members[id], id)
            self._anchored[id] = fuse(sightings)
            self._grid.put(id, sightings[0].kind, *self._anchored[id][:2])
        self._clock = clock or self._clock

    def _forget(self, now: datetime) -> None:
        """Let go what is long over."""
        for place in list(self._places.all()):
            last = place.now
            settled = [e for e in place.episodes[:-1] if e.closed_at is None or now - e.closed_at < SETTLED]
            for episode in place.episodes[:-1]:
                if episode not in settled:
                    del self._place_of[episode.id]
                    self.changes.place(place.id)
            place.episodes[:] = [*settled, last]
            if last.state in OVER and now - last.looks[-1].at > FORGOTTEN:
                for episode in place.episodes:
                    del self._place_of[episode.id]
                self._places.forget(place)
                self.changes.place(place.id)
        for id, known in list(self._anchors.items()):
            if now - max(s.seen_at for s in known) > FORGOTTEN:
                del self._anchors[id], self._anchored[id]
                self.changes.anchor(id)
                self._grid.remove(id)
        self._places.tidy()

    # One sighting

    def _check(self, sighting: Sighting, made_at: datetime) -> None:
        if sighting.matter is not None and sighting.matter not in self._taxonomy.by_code:
            raise ValueError(f"matter {sighting.matter!r} is no code of matters.csv")
        if sighting.seen_at - made_at > AHEAD:
            raise ValueError(f"seen_at {sighting.seen_at:%Y-%m-%d %H:%M} lies after its envelope's time")
        if sighting.lat == 0 and sighting.lon == 0:
            raise ValueError("position is 0, 0: no fix")

    def _sight(self, sighting: Sighting, matter: str) -> list[CaseEvent]:
        place = self._match(sighting, matter)
        if place is None:
            place = Place(derived_id("place", sighting.id), sighting.kind, matter, [])
        episode = place.episode_at(sighting.seen_at) if place.episodes else None
        if episode is None:
            episode = _begun(place, sighting)
            self._place_of[episode.id] = place
        again = bool(episode.sightings) and all(s.pass_id != sighting.pass_id for s in episode.sightings)
        episode.add(sighting, self._owners)
        if episode is place.now:
            self._places.put(place)
        events = self._judge(place, episode, cause=sighting.id, again=again)
        if not events and sighting.id.startswith(PREFIX):  # whoever reported it asks which case it is of
            events = [self._event(place, episode, "reported", sighting.id, ())]
        return events

    def _match(self, sighting: Sighting, matter: str) -> Place | None:
        """The known place that a sighting is most probably of."""
        reach = min(FARTHEST_M, 12.0 + 3.0 * spread_m(sighting.covariance_m2))
        scores = {}
        for id, place, spot in self._places.near(matter, sighting.lat, sighting.lon, reach):
            now = place.now
            if now.refused_until is not None and sighting.seen_at > now.refused_until:
                continue  # what was dismissed is long over: another thing, to be judged by itself
            scores[id] = score(sighting, now.sightings, *spot)
        best = best_of(scores)
        return None if best is None else self._places.of_spot(best)

    def _anchor(self, sighting: Sighting) -> None:
        near = self._grid.near(sighting.kind, sighting.lat, sighting.lon, FARTHEST_M)
        id = best_of({id: score(sighting, self._anchors[id], *self._anchored[id]) for id in near})
        if id is None:
            id = derived_id("anchor", sighting.id)
        self.changes.anchor(id)
        known = self._anchors.setdefault(id, [])
        known.append(sighting)
        if len(known) > KEPT:
            known.remove(min(known, key=lambda s: (s.seen_at, s.id)))
        if self._remembered is None:
            self._members.setdefault(id, []).append(sighting.id)
        self._anchor_of[sighting.id] = id
        self._anchored[id] = fuse(self._anchors[id])
        self._grid.put(id, sighting.kind, *self._anchored[id][:2])

    # What a person said is one, or is not

    def _merge(self, place: Place, episode: Episode, action: Action, into: str) -> None:
        other = self._place_of.get(into)
        if other is None:
            return
        merge(self._places, (place, episode), (other, into), self._owners)
        del self._place_of[episode.id]
        self.changes.place(other.id)
        self._unsaid[into] = action.id

    def _split(self, place: Place, episode: Episode, action: Action, part: str) -> None:
        made = split(self._places, (place, episode), action, part, self._owners)
        self._place_of[part] = made
        self.changes.place(made.id)
        self._unsaid |= dict.fromkeys((episode.id, part), action.id)

    # One pass

    def _miss(self, item: Pass) -> list[CaseEvent]:
        """What a pass looked at and did not report counts against the cases there."""
        events: list[CaseEvent] = []
        for id in sorted(self._places.in_view(item)):
            place = self._places[id]
            episode = place.now
            if episode.state in OVER:
                continue
            detectable = item.recall.get(place.kind, 0.0) * _looked(item, episode.position)
            look = Look(at=item.ended_at, pass_id=item.id, seen=None, detectable=detectable)
            if detectable >= LEAST_DETECTABLE and episode.miss(look):
                events += self._judge(place, episode, cause=item.id, again=False)
        return events

    # What follows from it

    def _judge(self, place: Place, episode: Episode, *, cause: str, again: bool) -> list[CaseEvent]:
        """Move an episode to the state its belief asks for, and say what happened."""
        self.changes.place(place.id)
        beliefs = episode.refresh(place.kind)
        if episode is not place.now or episode.state is State.CLOSED or episode.refused_until is not None:
            return []
        if episode.state in REFUSABLE:
            return self._judge_candidate(place, episode, beliefs, cause)
        gone = episode.gone(beliefs)
        if gone is not None:
            event = "verified" if episode.state is State.HANDLED else "closed"
            episode.state, episode.closed_at = State.CLOSED, gone
            return [self._event(place, episode, event, cause, _told(episode))]
        if episode.stands(place.kind):
            episode.state, episode.handled_at = State.OPEN, None
            return [self._event(place, episode, "confirmed", cause, _told(episode))]
        moved = self._moved(place, episode, cause)
        if again and not moved:
            return [self._event(place, episode, "confirmed", cause, ())]
        return moved

    def _judge_candidate(self, place: Place, episode: Episode, beliefs: list[float], cause: str) -> list[CaseEvent]:
        opens_at = self._opens_at(place, episode)
        if opens_at is not None and episode.probability >= opens_at:
            episode.state = State.OPEN
            episode.opened_at = episode.crossed(beliefs, opens_at)
            event = "opened" if episode.number == 1 else "rebounded"
            return [self._event(place, episode, event, cause, recipients(episode.owners))]
        begun = len(episode.sightings) == 1 and len(episode.looks) == 1
        before = None if begun else episode.state
        episode.state = State.DISMISSED if episode.probability <= DISMISSES_AT else State.CANDIDATE
        if episode.state is before:
            return []
        event = "suspected" if episode.state is State.CANDIDATE else "dismissed"
        return [self._event(place, episode, event, cause, ())]

    def _opens_at(self, place: Place, episode: Episode) -> float | None:
        """The belief from which on it is told; None where it was last seen as something that is permitted."""
        lat, lon, _ = episode.position
        area = next(iter(recipients(episode.owners)), None)
        bar = self.rules.bar(matter=place.matter, area=area, lat=lat, lon=lon, at=episode.last_seen_at)
        return None if bar.why is not None else bar.threshold or OPENS_AT

    def _moved(self, place: Place, episode: Episode, cause: str) -> list[CaseEvent]:
        """Tell the right owner when better positions show that another one was told."""
        told = _told(episode)
        p = {share.area: share.p for share in episode.owners}
        best = next(iter(recipients(episode.owners)), None)
        if best is None or best in told or p[best] < MOVES_AT or any(p.get(area, 0.0) > LEAVES_AT for area in told):
            return []
        return [self._event(place, episode, "moved", cause, (best,))]

    def _event(self, place: Place, episode: Episode, event: str, cause: str, to: tuple[str, ...]) -> CaseEvent:
        episode.alerts += [Alert(recipient, event, self._clock) for recipient in to]
        return CaseEvent(
            id=derived_id("event", episode.id, event, cause),
            event=event,
            at=self._clock,
            case=place.case(episode),
            recipients=to,
        )

    def _owners(self, lat: float, lon: float, covariance: Covariance) -> tuple[Share, ...]:
        return owners(self._areas, lat, lon, covariance)


def _begun(place: Place, sighting: Sighting) -> Episode:
    previous = place.episodes[-1] if place.episodes else None
    episode = Episode(
        id=derived_id("case", sighting.id),
        number=1 if previous is None else previous.number + 1,
        previous=None if previous is None else previous.id,
    )
    place.episodes.append(episode)
    return episode


def _told(episode: Episode) -> tuple[str, ...]:
    """Who has heard of an episode, each once, in the order they heard."""
    return tuple(dict.fromkeys(alert.recipient for alert in episode.alerts))


def _looked(item: Pass, position: tuple[float, float, Covariance]) -> float:
    """Probability that the pass had the thing in clear view, over where the thing may be."""
    lat, lon, covariance = position
    cell = h3.latlng_to_cell(lat, lon, item.h3_resolution)
    own = item.looked.get(cell, 0.0)
    others = [item.looked.get(other, 0.0) for other in h3.grid_disk(cell, 1) if other != cell]
    side_m: float = h3.average_hexagon_edge_length(item.h3_resolution, unit="m")
    certain = side_m**2 / (side_m**2 + (covariance[0] + covariance[2]) / 2)  # weight of the cell it is thought to be in
    return certain * own + (1 - certain) * sum(others) / len(others)


def _object(kind: str, members: list[str], lat: float, lon: float, covariance: Covariance) -> Anchor:
    ee, en, nn = covariance
    return Anchor(
        kind=kind,
        lat=round(lat, 7),
        lon=round(lon, 7),
        covariance_m2=(round(ee, 4), round(en, 4), round(nn, 4)),
        sightings=tuple(members),
    )
