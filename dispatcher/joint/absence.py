"""Absence: what looks that reported nothing say. Is a place half hidden? Had a thing gone when it is seen again?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from dispatcher.joint.belief import (
    DEFAULT_LIFETIME,
    HIDDEN,
    HIDES,
    HOUR,
    LIFETIME,
    MOST_DETECTABLE,
    Look,
    alarm,
    bounded,
)

HALF_HIDDEN: Final = 0.1  # of the places: what stands there hides what lies behind it from most passes ...
SHOWS: Final = 0.4  # ... which report it so often, beside what they claim
COMES_BACK: Final = 60 * HOUR  # until something lies again where it went: one in five does, within half a day
STEP: Final = HOUR / 2  # over which of going, coming and hiding hardly two happen
MOST_STEPS: Final = 400  # over more than eight days only whether it went still counts, and steps may be longer


@dataclass(slots=True)
class Return:
    """Whether what is seen again had gone in between: four states since it was last seen, weighed by every look.

    It is there all along (in plain view, or hidden by what parked in front); it went; it went, and something lies there
    again. A clean look speaks against the first and the last alike, so what tells them apart is when the looks were:
    what goes and comes back takes hours for it.
    """

    kind: str
    stayed: float = 1.0
    hidden: float = 0.0
    gone: float = 0.0
    back: float = 0.0

    def pass_by(self, since: float) -> None:
        """Move on in time, in steps over which next to nothing happens twice."""
        steps = max(1, min(MOST_STEPS, round(since / STEP)))
        step = max(since, 0.0) / steps
        goes = 1 - math.exp(-(step / LIFETIME.get(self.kind, DEFAULT_LIFETIME)))
        comes = 1 - math.exp(-(step / COMES_BACK))
        hides, shows = 1 - math.exp(-(step / HIDES)), 1 - math.exp(-(step / HIDDEN))
        for _ in range(steps):
            went, came = (self.stayed + self.hidden + self.back) * goes, self.gone * comes
            stayed, hidden = self.stayed * (1 - goes), self.hidden * (1 - goes)
            self.stayed = stayed * (1 - hides) + hidden * shows
            self.hidden = hidden * (1 - shows) + stayed * hides
            self.gone, self.back = self.gone + went - came, self.back * (1 - goes) + came

    def look(self, look: Look) -> None:
        """Weigh a look."""
        if look.seen is None:
            misses = 1 - min(look.detectable, MOST_DETECTABLE)
            self.stayed, self.back = self.stayed * misses, self.back * misses
            if look.in_order:
                self.hidden *= misses
        else:
            false = alarm(bounded(look.seen))
            self.hidden, self.gone = self.hidden * false, self.gone * false
        total = self.stayed + self.hidden + self.gone + self.back
        self.stayed, self.hidden = self.stayed / total, self.hidden / total
        self.gone, self.back = self.gone / total, self.back / total


@dataclass(slots=True)
class Habit:
    """Whether a place shows what is there as well as passes claim, or is half hidden from them by what stands there.

    Learnt from looks while the thing was surely there, which are those before it was seen again. While it is not known
    whether it still is, a further miss is to be expected the more, the more there were: should it be there, then the
    place is a half hidden one.
    """

    odds: float = math.log(HALF_HIDDEN / (1 - HALF_HIDDEN))  # log, that it is half hidden
    since: float = 0.0  # log evidence for it since it was last seen, should it be there

    @property
    def share(self) -> float:
        """Of what a pass claims to have seen."""
        half = 1 / (1 + math.exp(-max(-50.0, min(50.0, self.odds + self.since))))
        return 1 - half * (1 - SHOWS)

    def missed(self, detectable: float) -> None:
        """A pass claimed to have seen the place, and reported nothing."""
        d = min(detectable, MOST_DETECTABLE)
        self.since += math.log((1 - SHOWS * d) / (1 - d))

    def seen(self, p: float, *, stayed: bool) -> None:
        """It was seen again, with a probability; `stayed` when it had been there since it was seen before."""
        self.odds += p * (math.log(SHOWS) + (self.since if stayed else 0.0))
        self.since = 0.0


def came_back(looks: Sequence[Look], kind: str) -> bool:
    """Whether the last of some looks saw what came back, rather than what the first one saw and others missed."""
    belief = Return(kind)
    for before, look in pairwise(looks):
        belief.pass_by(look.time - before.time)
        belief.look(look)
    return belief.back > belief.stayed
