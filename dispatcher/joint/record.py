"""Record: one case as the engine keeps it, while sightings come and its belief moves."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from dispatcher.case import Alert, Share, State
from dispatcher.joint.seen import Seen

if TYPE_CHECKING:
    from dispatcher.joint.thing import Thing


@dataclass(slots=True, eq=False)
class Record:
    """One episode of one disorder: what is known of it, and what was told."""

    id: str
    number: int  # order of founding
    kind: str
    matter: str
    episode: int = 1
    previous: str | None = None
    state: State = State.CANDIDATE
    seens: list[Seen] = field(default_factory=list)  # in order of capture time
    probability: float = 0.0
    opened_at: datetime | None = None
    closed_at: datetime | None = None
    alerts: list[Alert] = field(default_factory=list)
    owners: tuple[Share, ...] = ()
    areas: int = 0  # version of the areas it was last routed by
    logged: bool = False  # an event of it was given out, so its end must be one too
    told: bool = False  # it was opened: it stays so until looks see it gone
    learnt: bool = False  # what became of its first report was taken in
    taught: int = 0  # looks that saw it, whose manner was taken in
    again: int = 0  # times it was found to be still there after it was closed
    passes: set[str] = field(default_factory=set)  # that had seen it when it last changed
    last_seens: list[Seen] = field(default_factory=list)  # as of its last review: what a merged case had
    heard: dict[str, Seen] = field(default_factory=dict)  # every sighting that was ever told as a part of it, by id
    thing: Thing | None = None
    handled_at: datetime | None = None  # when an office said that it was cleared; looks since then check it
    ended_at: datetime | None = None  # when a person closed it: what is seen later is another episode
    refused_until: float | None = None  # dismissed by a person: what is seen there until then is of it, and not told
    one_until: float | None = None  # what was seen until then is one episode: a person said so
    routed: tuple[float, float] = (0.0, 0.0)  # where the thing was on the map when its owners were worked out
    routed_passes: int = 0
    lat: float = 0.0
    lon: float = 0.0
    covariance: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def whole_until(self) -> float:
        """Until when, in seconds since 1970, looks do not cut it into episodes; minus infinity when they may."""
        ended = math.inf if self.ended_at is None else self.ended_at.timestamp()
        refused = -math.inf if self.refused_until is None else self.refused_until
        return min(ended, refused if self.one_until is None else max(refused, self.one_until))

    @property
    def recipients(self) -> tuple[str, ...]:
        """Who has heard of it, each once, in the order they heard."""
        return tuple(dict.fromkeys([alert.recipient for alert in self.alerts]))


def mark(record: Record) -> None:
    """Its sightings were told to somebody."""
    for seen in record.seens:
        seen.told = True
        record.heard[seen.sighting.id] = seen


def heir(record: Record) -> Record:
    """The case that has most of what was told as a part of one that is no more, by confidence."""
    weight: dict[str, float] = {}
    heirs: dict[str, Record] = {}
    for seen in record.heard.values() if record.told else record.last_seens:
        if seen.record is not None and seen.record is not record:
            heirs[seen.record.id] = seen.record
            weight[seen.record.id] = weight.get(seen.record.id, 0.0) + seen.confidence
    return heirs[min(weight, key=lambda id: (-weight[id], heirs[id].number))]


def home(record: Record) -> Thing | None:
    """The thing that most of what a case rests on is of now; of one that was told, of all that was told with it.

    So a case that lost nearly all its sightings to another thing does not stay behind with the last of them.
    """
    weight: dict[int, float] = {}
    things: dict[int, Thing] = {}
    for seen in record.heard.values() if record.told else record.seens:
        if seen.thing is not None:
            things[seen.thing.number] = seen.thing
            weight[seen.thing.number] = weight.get(seen.thing.number, 0.0) + seen.confidence
    return things[min(weight, key=lambda number: (-weight[number], number))] if weight else None


def told_by(record: Record) -> str:
    """The pass that opened a case; the next that saw it, when that one turned out to have seen something else."""
    since = [s for s in record.seens if record.opened_at is None or s.sighting.seen_at >= record.opened_at]
    return min(since, key=in_time).look if since else record.seens[-1].look


def agreed(record: Record) -> bool:
    """Whether another pass than the first saw it, and was rather sure."""
    first = record.seens[0].pass_id
    return any(s.pass_id != first and s.confidence >= 0.5 for s in record.seens)


def in_time(seen: Seen) -> tuple[float, str]:
    return seen.at, seen.sighting.id
