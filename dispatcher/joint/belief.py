"""Belief that a disorder is there, from every look at its place: those that saw it and those that saw nothing.

A filter over the looks in order of capture time, with four states: the disorder is there in plain view; it is there
and something parked hides it from everybody for hours; something is there that fools the detector (a poster, a parked
scooter); nothing is there, be it that the detector saw a ghost or that the thing is gone. Between looks things go
(hazard). A detector that was fooled once is easily fooled again by the same thing, so a further sighting adds less to
the odds of a disorder than the first; but it is strong evidence that *something* is there. A clean look is worth the
chance of a miss.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

MOST: Final = 0.99  # no look, and no number of them, makes it surer
LEAST: Final = 0.005
HOUR: Final = 3600.0  # seconds, as all times here
LIFETIME: Final = {  # how long a disorder lies, on average, when nobody tells the office; a guess until cases teach it
    "overflow_bin": 24 * HOUR,
    "garbage": 36 * HOUR,
    "street_stall": 8 * HOUR,
}
DEFAULT_LIFETIME: Final = 24 * HOUR
CONFUSER_LIFETIME: Final = 7 * 24 * HOUR
FIRST_LEARNT: Final = 20.0  # first reports after which half of what they teach is believed
FIRST_AT_LEAST: Final = 0.1  # odds that a first report is right, beside those of any report
GHOSTS: Final = 0.97  # of what a first look saw that is no disorder, the part that no later look will see again
AGREES: Final = 0.5  # a further report's evidence beside that of the surest: errors at one place go together
FROM_NOTHING: Final = 0.015  # chance of a false alarm at a given bare spot, beside that of a report of what is there
UNSURE: Final = 0.5  # ... at even odds; an unsure report is the oftener a false alarm
FOOLED: Final = 0.5  # how regularly a confuser fools the detector, beside the recall of the real thing
HIDES: Final = 1000 * HOUR  # how long until something parks in front
HIDDEN: Final = 5 * HOUR  # how long it stays
MOST_DETECTABLE: Final = 0.9  # no look is surer to report a thing


UNTOLD: Final = -math.inf


@dataclass(slots=True)
class Look:
    """One pass's look at one place."""

    at: datetime
    pass_id: str
    seen: float | None  # calibrated probability that the thing was there; None when nothing was reported
    detectable: float  # for a miss: probability that the pass would have reported it
    in_order: bool = False  # for a miss: the pass saw the very thing, and that it was in order
    time: float = UNTOLD  # seconds since 1970; by `at`

    def __post_init__(self) -> None:
        if self.time == UNTOLD:
            self.time = self.at.timestamp()

    def claiming(self, detectable: float) -> Look:
        """The same, with another chance that the pass would have reported it."""
        return Look(self.at, self.pass_id, self.seen, detectable, self.in_order, self.time)

    @property
    def clean(self) -> float:
        """-ln of the chance of a miss; 0 for a look that saw it."""
        return 0.0 if self.seen is not None else -math.log1p(-min(self.detectable, MOST_DETECTABLE))


@dataclass(slots=True)
class Belief:
    """The four states of the filter; they sum to 1."""

    real: float
    hidden: float
    fake: float
    nothing: float
    surest: float  # log odds of the surest report so far
    odds: float  # that a first report is right, beside those of any report

    @classmethod
    def first(cls, seen: float, odds: float = 1.0) -> Belief:
        p = discounted(seen, odds)
        return cls(p, 0.0, (1 - p) * (1 - GHOSTS), (1 - p) * GHOSTS, _logit(seen), odds)

    def _agrees(self, seen: float) -> float:
        """What a further report says for a disorder against what fools the detector, as a ratio of at least 1.

        Errors at one place go together: a report that is less sure than one before says little of what it is.
        """
        odds = _logit(seen)
        gain = max(0.0, odds - self.surest) + AGREES * max(0.0, min(odds, self.surest))
        self.surest = max(self.surest, odds)
        return math.exp(gain)

    def _begin(self, weight: float, seen: float) -> None:
        """Where nothing was, a sighting is what a first one is: a ghost, or something new."""
        p = discounted(seen, self.odds)
        self.real += weight * p
        self.fake += weight * (1 - p) * (1 - GHOSTS)
        self.nothing = weight * (1 - p) * GHOSTS

    @property
    def p(self) -> float:
        """Probability that the disorder is there."""
        return bounded(self.real + self.hidden)

    def pass_by(self, since: float, kind: str) -> None:
        """Move on in time: some of what was there has gone, something may have parked in front."""
        since = max(since, 0.0)
        stays = math.exp(-(since / LIFETIME.get(kind, DEFAULT_LIFETIME)))
        fools = math.exp(-(since / CONFUSER_LIFETIME))
        self.nothing += (self.real + self.hidden) * (1 - stays) + self.fake * (1 - fools)
        there, far = (self.real + self.hidden) * stays, HIDDEN / (HIDES + HIDDEN)
        mixed = math.exp(-(since / HIDDEN) * (1 + HIDDEN / HIDES))
        self.hidden = there * far + (self.hidden * stays - there * far) * mixed
        self.real = there - self.hidden
        self.fake *= fools

    def look(self, look: Look) -> None:
        """Weigh a look."""
        if look.seen is None:
            d = min(look.detectable, MOST_DETECTABLE)
            self.real, self.fake = self.real * (1 - d), self.fake * (1 - FOOLED * d)
            if look.in_order:  # who saw the very thing had nothing in the way
                self.hidden *= 1 - d
        else:
            seen = bounded(look.seen)
            ratio = self._agrees(seen)
            self.real, self.fake = self.real * ratio / (1 + ratio), self.fake / (1 + ratio)
            odds = alarm(seen)
            self.hidden *= odds
            self._begin(self.nothing * odds, seen)
        total = self.real + self.hidden + self.fake + self.nothing
        self.real, self.hidden = self.real / total, self.hidden / total
        self.fake, self.nothing = self.fake / total, self.nothing / total


def believe(looks: Sequence[Look], kind: str, odds: float = 1.0) -> list[float]:
    """Belief right after each look, in order of time. The first look must have seen the thing."""
    beliefs: list[float] = []
    belief = None
    for i, look in enumerate(looks):
        if belief is None:
            belief = Belief.first(look.seen or 0.0, odds)
        else:
            belief.pass_by(look.time - looks[i - 1].time, kind)
            belief.look(look)
        beliefs.append(belief.p)
    return beliefs


def discounted(seen: float, odds: float) -> float:
    """Probability that a report of something that nobody saw before is of a disorder."""
    all_odds = odds * bounded(seen) / (1 - bounded(seen))
    return all_odds / (1 + all_odds)


@dataclass(slots=True)
class Firsts:
    """How far first reports are to be believed, as what became of them teaches.

    A confidence is right on average over all reports. What is there is reported by one pass after the other, a ghost
    once: so of the first reports fewer are right, how many fewer depends on how often a street is looked at.
    """

    right: float = FIRST_LEARNT
    wrong: float = FIRST_LEARNT
    claimed_right: float = FIRST_LEARNT  # by their confidences
    claimed_wrong: float = FIRST_LEARNT

    @property
    def odds(self) -> float:
        """Beside those of any report; at most 1."""
        found = self.right / self.wrong / (self.claimed_right / self.claimed_wrong)
        return min(1.0, max(FIRST_AT_LEAST, found))

    def learn(self, seen: float, *, right: bool) -> None:
        """Another pass saw it too; or none did, until it was given up."""
        seen = bounded(seen)
        self.right, self.wrong = self.right + right, self.wrong + (not right)
        self.claimed_right, self.claimed_wrong = self.claimed_right + seen, self.claimed_wrong + 1 - seen


def alarm(seen: float) -> float:
    """Chance of a report where nothing is, beside that of what is there."""
    return FROM_NOTHING * max(1.0, UNSURE * (1 - seen) / seen)


def _logit(p: float) -> float:
    p = bounded(p)
    return math.log(p / (1 - p))


def bounded(p: float) -> float:
    return min(max(p, LEAST), MOST)
