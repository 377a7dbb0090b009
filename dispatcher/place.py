"""Place: everything known about one disorder at one place: its sightings, looks and episodes."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import dropwhile

from dispatcher.belief import Look, believe, gone_since
from dispatcher.case import Alert, Case, Share, State
from dispatcher.identity import fuse
from dispatcher.work.action import Action
from vision.sighting import Covariance, Sighting

STANDS_AT = 0.6  # so probable by the looks since, a thing that was reported as handled is there all the same
REFUSED = timedelta(days=7)  # so long a dismissed thing may go on standing there, and nobody is told of it again

Located = tuple[float, float, Covariance]
Owners = Callable[[float, float, Covariance], tuple[Share, ...]]


@dataclass(slots=True)
class Episode:
    """One case: from the first sighting until it was verified gone."""

    id: str
    number: int
    previous: str | None
    state: State = State.CANDIDATE
    sightings: list[Sighting] = field(default_factory=list)  # in order of arrival
    looks: list[Look] = field(default_factory=list)  # in order of capture time, one a pass
    opened_at: datetime | None = None
    closed_at: datetime | None = None
    probability: float = 0.0
    alerts: list[Alert] = field(default_factory=list)
    owners: tuple[Share, ...] = ()
    position: Located = (0.0, 0.0, (0.0, 0.0, 0.0))
    handled_at: datetime | None = None  # when an officer said that it was cleared
    refused_until: datetime | None = None  # dismissed by an officer: what is seen there until then is the same thing

    @property
    def first_seen_at(self) -> datetime:
        return min(s.seen_at for s in self.sightings)

    @property
    def last_seen_at(self) -> datetime:
        return max(s.seen_at for s in self.sightings)

    def add(self, sighting: Sighting, owners: Owners) -> None:
        """Take a sighting: it counts once a pass, and replaces a miss of the same pass."""
        self.sightings.append(sighting)
        self._see(sighting)
        self._locate(owners)

    def join(self, other: Episode, owners: Owners) -> None:
        """Go on with what another one was made of: a person said that they are one."""
        self.alerts += other.alerts
        self.opened_at = min(filter(None, (self.opened_at, other.opened_at)), default=None)
        self.hold([*self.sightings, *other.sightings], [*self.looks, *other.looks], owners)

    def part(self, id: str, sightings: Collection[str], owners: Owners) -> Episode:
        """Give some sightings to an episode of their own: a person said that they are of something else.

        Passes that looked and saw nothing count for both. The alerts stay.
        """
        fresh = Episode(id, 1, None, State.OPEN, opened_at=self.opened_at)
        looks = self.looks
        fresh.hold([s for s in self.sightings if s.id in sightings], looks, owners)
        self.hold([s for s in self.sightings if s.id not in sightings], looks, owners)
        return fresh

    def hold(self, sightings: list[Sighting], looks: Sequence[Look], owners: Owners) -> None:
        """Be of exactly these sightings, and of the passes that looked after the first of them and saw nothing."""
        self.sightings, self.looks = [], []
        for sighting in sightings:
            self.sightings.append(sighting)
            self._see(sighting)
        self._locate(owners)
        for look in looks:
            if look.seen is None:
                self.miss(look)

    def _see(self, sighting: Sighting) -> None:
        """A pass that saw it is one look, however often."""
        same = [s for s in self.sightings if s.pass_id == sighting.pass_id]
        look = Look(
            at=min(s.seen_at for s in same),
            pass_id=sighting.pass_id,
            seen=max(s.confidence for s in same),
            detectable=1.0,
        )
        self.looks = [other for other in self.looks if other.pass_id != sighting.pass_id]
        self._insert(look)

    def _locate(self, owners: Owners) -> None:
        self.position = fuse(self.sightings)
        self.owners = owners(*self.position)

    def miss(self, look: Look) -> bool:
        """Take a look that reported nothing. False when it says nothing about this episode."""
        if look.at <= self.first_seen_at or any(other.pass_id == look.pass_id for other in self.looks):
            return False
        self._insert(look)
        return True

    def act(self, action: Action) -> None:
        """Take what an office did; it was told when it was stored."""
        self.alerts += [Alert(recipient, action.event, action.at) for recipient in action.recipients]
        if action.state is None:
            return
        self.state = action.state
        self.handled_at = action.at if action.state is State.HANDLED else None
        if action.state is State.CLOSED:
            self.closed_at = action.at
        if action.state is State.DISMISSED:
            self.refused_until = action.at + REFUSED

    def stands(self, kind: str) -> bool:
        """Whether looks since it was reported as handled say that it is still there."""
        if self.state is not State.HANDLED or self.handled_at is None:
            return False
        since = list(dropwhile(lambda look: look.seen is None, (x for x in self.looks if x.at > self.handled_at)))
        return bool(since) and believe(since, kind)[-1] >= STANDS_AT

    def gone(self, beliefs: Sequence[float]) -> datetime | None:
        """The look that verified it gone, if one did."""
        return gone_since(self.looks, beliefs)

    def crossed(self, beliefs: Sequence[float], threshold: float) -> datetime | None:
        """The first look after which the belief stood at a threshold or above."""
        return next((look.at for look, p in zip(self.looks, beliefs, strict=True) if p >= threshold), None)

    def refresh(self, kind: str) -> list[float]:
        """Believe what the looks say; the belief after each of them."""
        beliefs = believe(self.looks, kind)
        self.probability = beliefs[-1]
        return beliefs

    def _insert(self, look: Look) -> None:
        insort(self.looks, look, key=lambda other: (other.at, other.pass_id))


@dataclass(slots=True)
class Place:
    """The episodes of one disorder at one place, oldest first."""

    id: str
    kind: str
    matter: str
    episodes: list[Episode]
    cells: set[str] = field(default_factory=set)  # H3 cells it is indexed under
    middle: str = ""  # the one that it lies in
    parts: list[Located] = field(default_factory=list)  # where things stood that a person said are one: still this one
    retired: bool = False  # its last case went on in another place's: what is seen here is of that one

    @property
    def now(self) -> Episode:
        return self.episodes[-1]

    def episode_at(self, time: datetime) -> Episode | None:
        """The episode a look at `time` belongs to; None when it comes after the last one was closed."""
        for episode in self.episodes:
            if episode.closed_at is None or time <= episode.closed_at:
                return episode
        return None

    def case(self, episode: Episode) -> Case:
        """A snapshot of one episode."""
        lat, lon, covariance = episode.position
        best = max(episode.sightings, key=lambda s: (_has_picture(s), s.confidence))
        return Case(
            id=episode.id,
            kind=self.kind,
            matter=self.matter,
            state=episode.state,
            lat=round(lat, 7),
            lon=round(lon, 7),
            covariance_m2=_rounded(covariance),
            probability=round(episode.probability, 4),
            opened_at=episode.opened_at,
            closed_at=episode.closed_at,
            episode=episode.number,
            previous=episode.previous,
            first_seen_at=episode.first_seen_at,
            last_seen_at=episode.last_seen_at,
            sightings=tuple(s.id for s in episode.sightings),
            passes=len({s.pass_id for s in episode.sightings}),
            owners=episode.owners,
            alerts=tuple(episode.alerts),
            confidence=max(s.confidence for s in episode.sightings),
            evidence=best.evidence,
        )


def _rounded(covariance: Covariance) -> Covariance:
    ee, en, nn = covariance
    return round(ee, 4), round(en, 4), round(nn, 4)


def _has_picture(sighting: Sighting) -> bool:
    return sighting.evidence is not None and sighting.evidence.uri is not None
