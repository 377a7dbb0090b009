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
from datetime import datetime, timedelta

OPENS_AT = 0.90  # belief from which a case is opened and told
CLOSES_AT = 0.015  # belief below which an open case is verified gone
DISMISSES_AT = 0.03  # belief below which a candidate is given up
CLEAN_ENOUGH = 2.3  # -ln of the chance that every clean look was a miss; one pass alone never closes a case
NEVER_GONE = 4.0  # a thing seen again after clean looks of less than this had not gone: they were misses
MOST = 0.99  # no look, and no number of them, makes it surer
LEAST = 0.005
LIFETIME = {  # how long a disorder lies, on average, when nobody tells the office; a guess until cases teach it
    "overflow_bin": timedelta(hours=24),
    "garbage": timedelta(hours=36),
    "street_stall": timedelta(hours=8),
}
DEFAULT_LIFETIME = timedelta(hours=24)
CONFUSER_LIFETIME = timedelta(days=7)
FIRST_LEARNT = 20.0  # first reports after which half of what they teach is believed
FIRST_AT_LEAST = 0.1  # odds that a first report is right, beside those of any report
GHOSTS = 0.97  # of what a first look saw that is no disorder, the part that no later look will see again
AGREES = 0.5  # a further report's evidence beside that of the surest: errors at one place go together
FROM_NOTHING = 0.015  # chance of a false alarm at a given bare spot, beside that of a report of what is there
UNSURE = 0.5  # ... at even odds; an unsure report is the oftener a false alarm
FOOLED = 0.5  # how regularly a confuser fools the detector, beside the recall of the real thing
HIDES = timedelta(hours=1000)  # how long until something parks in front
HIDDEN = timedelta(hours=5)  # how long it stays
FAKE_LEFT = 0.02  # part of what nothing has, to which what fools the detector must have fallen for a case to close
ALONE = 0.6  # odds that first reports are right below which one pass alone opens no case, however sure it is
MOST_DETECTABLE = 0.9  # no look is surer to report a thing


@dataclass(frozen=True, slots=True)
class Look:
    """One pass's look at one place."""

    at: datetime
    pass_id: str
    seen: float | None  # calibrated probability that the thing was there; None when nothing was reported
    detectable: float  # for a miss: probability that the pass would have reported it

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
        return _bounded(self.real + self.hidden)

    def pass_by(self, since: timedelta, kind: str) -> None:
        """Move on in time: some of what was there has gone, something may have parked in front."""
        since = max(since, timedelta(0))
        stays = math.exp(-(since / LIFETIME.get(kind, DEFAULT_LIFETIME)))
        fools = math.exp(-(since / CONFUSER_LIFETIME))
        self.nothing += (self.real + self.hidden) * (1 - stays) + self.fake * (1 - fools)
        there, far = (self.real + self.hidden) * stays, HIDDEN / (HIDES + HIDDEN)
        mixed = math.exp(-(since / HIDDEN) * (1 + HIDDEN / HIDES))
        self.hidden = there * far + (self.hidden * stays - there * far) * mixed
        self.real = there - self.hidden
        self.fake *= fools

    @property
    def anew(self) -> bool:
        """Whether a report that comes now is likelier of something new than of what was there before."""
        return self.real + self.fake + FROM_NOTHING * self.hidden < FROM_NOTHING * self.nothing

    def look(self, look: Look) -> None:
        """Weigh a look."""
        if look.seen is None:
            d = min(look.detectable, MOST_DETECTABLE)
            self.real, self.fake = self.real * (1 - d), self.fake * (1 - FOOLED * d)
        else:
            seen = _bounded(look.seen)
            ratio = self._agrees(seen)
            self.real, self.fake = self.real * ratio / (1 + ratio), self.fake / (1 + ratio)
            alarm = FROM_NOTHING * max(1.0, UNSURE * (1 - seen) / seen)
            self.hidden *= alarm
            self._begin(self.nothing * alarm, seen)
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
            belief.pass_by(look.at - looks[i - 1].at, kind)
            belief.look(look)
        beliefs.append(belief.p)
    return beliefs


def discounted(seen: float, odds: float) -> float:
    """Probability that a report of something that nobody saw before is of a disorder."""
    all_odds = odds * _bounded(seen) / (1 - _bounded(seen))
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
        seen = _bounded(seen)
        self.right, self.wrong = self.right + right, self.wrong + (not right)
        self.claimed_right, self.claimed_wrong = self.claimed_right + seen, self.claimed_wrong + 1 - seen


def _logit(p: float) -> float:
    p = _bounded(p)
    return math.log(p / (1 - p))


def _bounded(p: float) -> float:
    return min(max(p, LEAST), MOST)


@dataclass(slots=True)
class Episode:
    """One time that a disorder was there, as the looks tell it."""

    looks: list[Look]
    p: float
    opened_at: datetime | None = None  # the look at which belief reached OPENS_AT
    closed_at: datetime | None = None  # the look that verified it gone
    doubted: bool = False  # belief fell to DISMISSES_AT before it ever opened


def episodes(looks: Sequence[Look], kind: str, told: frozenset[str] = frozenset(), odds: float = 1.0) -> list[Episode]:
    """Cut the looks at one place, in order of time, into episodes; misses before the first sighting are left out.

    An episode with a pass of `told` is open from there on, whatever its belief: somebody has heard of it. `odds`: how
    far a first report is to be believed, see `Firsts`.
    """
    found: list[Episode] = []
    for piece in _pieces(looks, kind, told, odds):
        if found and found[-1].closed_at is not None and piece.opened_at is not None:
            clean = sum(look.clean for look in _after_last_seen(found[-1].looks))
            if clean < NEVER_GONE:
                found[-1] = _joined(found[-1], piece)
                continue
        found.append(piece)
    return found


def _pieces(looks: Sequence[Look], kind: str, told: frozenset[str], odds: float) -> list[Episode]:
    pieces: list[Episode] = []
    belief: Belief | None = None
    clean, passes = 0.0, 0
    for look in looks:
        now = pieces[-1] if pieces else None
        if now is None or now.closed_at is not None or (now.doubted and look.seen is not None):
            if look.seen is None:
                if now is not None:
                    now.looks.append(look)
                continue
            if now is None or now.closed_at is not None:
                now = Episode([], 0.0)
                pieces.append(now)
                belief = Belief.first(look.seen, odds)
                clean, passes = 0.0, 0
            now.doubted = False
        assert belief is not None
        if now.looks:
            belief.pass_by(look.at - now.looks[-1].at, kind)
            if look.seen is not None and now.opened_at is not None and belief.anew and clean >= CLEAN_ENOUGH:
                now.closed_at = now.looks[-1].at  # what came back had gone by then
                now = Episode([], 0.0)
                pieces.append(now)
                belief = Belief.first(look.seen, odds)
            else:
                belief.look(look)
        now.looks.append(look)
        now.p = belief.p
        clean, passes = (0.0, 0) if look.seen is not None else (clean + look.clean, passes + 1)
        enough = odds >= ALONE or sum(other.seen is not None for other in now.looks) > 1
        if now.opened_at is None and ((now.p >= OPENS_AT and enough) or look.pass_id in told):
            now.opened_at = look.at
        elif now.opened_at is None and now.p <= DISMISSES_AT:
            now.doubted = True
        elif (
            now.opened_at is not None
            and now.p <= CLOSES_AT
            and belief.fake <= FAKE_LEFT * belief.nothing
            and clean >= CLEAN_ENOUGH
            and passes > 1
        ):
            now.closed_at = look.at
    return pieces


def _after_last_seen(looks: Sequence[Look]) -> Sequence[Look]:
    last = max(i for i, look in enumerate(looks) if look.seen is not None)
    return looks[last + 1 :]


def _joined(before: Episode, after: Episode) -> Episode:
    return Episode([*before.looks, *after.looks], after.p, before.opened_at, after.closed_at)
