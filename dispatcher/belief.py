"""Belief that a disorder is there, from every look at its place: those that saw it and those that saw nothing.

A filter over the looks in order of capture time, with three states: the disorder is there; something is there that
fools the detector (a poster, a parked scooter); nothing is there any more. Between looks both may have gone (hazard).
A detector that was fooled once is easily fooled again by the same thing, so a further sighting adds less to the odds
of a disorder than the first; but it is strong evidence that *something* is still there. A clean look is worth the
chance of a miss.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

OPENS_AT = 0.70  # belief from which a case is opened and told: nine of ten such first sightings are right (val split)
CLOSES_AT = 0.05  # belief below which an open case is verified gone
DISMISSES_AT = 0.03  # belief below which a candidate is given up
CLEAN_ENOUGH = 1.8  # -ln of the chance that every clean look was a miss; one pass alone never closes a case
MOST = 0.99  # no look, and no number of them, makes it surer
LEAST = 0.01
LIFETIME = {  # how long a disorder lies, on average, when nobody tells the office; a guess until cases teach it
    "overflow_bin": timedelta(hours=30),
    "garbage": timedelta(hours=48),
    "street_stall": timedelta(hours=6),
}
DEFAULT_LIFETIME = timedelta(hours=48)
CONFUSER_LIFETIME = timedelta(days=7)
AGAIN = 0.6  # a further sighting's evidence, as a part of the first one's: errors at one place go together
FROM_NOTHING = 0.03  # chance of a false alarm at a given bare spot, beside that of a report of what is there
FOOLED = 0.5  # how regularly a confuser fools the detector, beside the recall of the real thing


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
        return 0.0 if self.seen is not None else -math.log1p(-min(self.detectable, 0.95))


def believe(looks: Sequence[Look], kind: str) -> list[float]:
    """Belief right after each look, in order of time. The first look must have seen the thing."""
    lifetime = LIFETIME.get(kind, DEFAULT_LIFETIME)
    beliefs: list[float] = []
    real, fake, gone = 0.0, 0.0, 0.0
    for i, look in enumerate(looks):
        if i == 0:
            real = _bounded(look.seen or 0.0)
            fake = 1.0 - real
        else:
            since = max(look.at - looks[i - 1].at, timedelta(0))
            stays, fools = math.exp(-(since / lifetime)), math.exp(-(since / CONFUSER_LIFETIME))
            gone += real * (1 - stays) + fake * (1 - fools)
            likely_real, likely_fake, likely_gone = _likelihoods(look)
            real, fake, gone = real * stays * likely_real, fake * fools * likely_fake, gone * likely_gone
            total = real + fake + gone
            real, fake, gone = real / total, fake / total, gone / total
        beliefs.append(_bounded(real))
    return beliefs


def _likelihoods(look: Look) -> tuple[float, float, float]:
    """Of a look's outcome if the disorder is there, a confuser is there, nothing is there; up to a common factor."""
    if look.seen is None:
        return 1 - min(look.detectable, 0.95), 1 - FOOLED * min(look.detectable, 0.95), 1.0
    seen = _bounded(look.seen)
    ratio = (seen / (1 - seen)) ** AGAIN
    return ratio / (1 + ratio), 1 / (1 + ratio), FROM_NOTHING


def _bounded(p: float) -> float:
    return min(max(p, LEAST), MOST)


def gone_since(looks: Sequence[Look], beliefs: Sequence[float]) -> datetime | None:
    """The look at which an open case was verified gone, None while it is not.

    Asks for clean looks by more than one pass after the last look that saw it.
    """
    clean, passes = 0.0, 0
    gone = None
    for look, p in zip(looks, beliefs, strict=True):
        clean, passes = (0.0, 0) if look.seen is not None else (clean + look.clean, passes + 1)
        if look.seen is not None:
            gone = None
        elif gone is None and p <= CLOSES_AT and clean >= CLEAN_ENOUGH and passes > 1:
            gone = look.at
    return gone
