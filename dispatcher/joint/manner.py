"""Manner: how a thing is reported, pass after pass, and whether it may be one that fools the detector.

A detector whose confidences are calibrated is seldom sure of what is not there. So what fools it, a poster or a parked
scooter, is reported much the same each time, and hardly ever surely; how what is there is reported is learnt from what
many passes saw. What may be a confuser is not gone because a few passes missed it; and once the detector is known, a
case of it waits for a report that is sure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

from dispatcher.joint.belief import FOOLED, MOST_DETECTABLE

UNSURELY: Final = 0.3  # reports below are unsure ...
RATHER: Final = 0.87  # ... below this rather sure; what lies between rests on a single frame (looked.MOST_OF_ONE_FRAME)
SURE: Final = 0.9  # ... and from here sure
CONFUSER = (0.1, 0.8, 0.1)  # of the reports of a confuser: unsure, rather sure, sure
AMONG: Final = 0.03  # of what several passes saw, the part that is a confuser
SUSPECTED: Final = 4.0  # log odds that no number of reports exceeds: some day it is taken away, too
MANY: Final = 4  # looks that saw a thing, from which on it teaches
LEARNT = (2.0, 6.0, 12.0)  # reports of what is there that are taken as read
FAMILIAR: Final = 30.0  # reports from which on it is known how this detector reports what is there
DOUBTED: Final = 0.1  # chance of a confuser below which nobody waits for a sure report


@dataclass(slots=True)
class Manners:
    """Reports of what is there, counted: unsure, rather sure, sure."""

    counts: list[float] = field(default_factory=lambda: list(LEARNT))

    def learn(self, seen: float) -> None:
        """Something that many passes saw was reported like this."""
        n = _manner(seen)
        if n is not None:
            self.counts[n] += 1

    @property
    def familiar(self) -> bool:
        """Whether enough was learnt to open no case of what is reported as a confuser would be."""
        return math.fsum(self.counts) - math.fsum(LEARNT) >= FAMILIAR

    def for_confuser(self, seen: float) -> float:
        """Log odds that a report adds for a confuser, against what is there."""
        n = _manner(seen)
        return 0.0 if n is None else math.log(CONFUSER[n] * sum(self.counts) / self.counts[n])


def _manner(seen: float) -> int | None:
    """Its place among the counts; None for a single frame, which tells nothing."""
    if seen < UNSURELY:
        return 0
    return 1 if seen < RATHER else 2 if seen >= SURE else None


@dataclass(slots=True)
class Suspicion:
    """Log odds that a thing is a confuser: by its reports, and that it is still there, by the clean looks since."""

    manners: Manners
    reports: float = math.log(AMONG / (1 - AMONG))
    clean: float = 0.0  # since it was surely seen

    @property
    def odds(self) -> float:
        return self.reports + self.clean

    @property
    def likely(self) -> float:
        """Chance that it is a confuser by how it was reported; 0 while that is small, or the detector hardly known."""
        p = 1 / (1 + math.exp(-self.reports))
        return p if p >= DOUBTED and self.manners.familiar else 0.0

    def seen(self, p: float, *, surely: bool) -> None:
        """It was reported again; `surely` ends a run of clean looks."""
        if surely:
            self.clean = 0.0
        self.reports = min(SUSPECTED, self.reports + self.manners.for_confuser(p))

    def missed(self, detectable: float) -> None:
        """A pass would have reported what is there with this probability, a confuser half as often."""
        self.clean += math.log1p(-FOOLED * min(detectable, MOST_DETECTABLE))
