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
