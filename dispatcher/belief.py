"""Belief that a disorder is there, from every look at its place: those that saw it and those that saw nothing.

A two-state filter over the looks in order of capture time: between looks the thing may have been removed (hazard), a
look that saw it multiplies the odds by the detector's calibrated odds, a look that missed it by the chance of a miss.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

OPENS_AT = 0.80  # belief from which a case is opened and told
CLOSES_AT = 0.05  # belief below which an open case is verified gone
DISMISSES_AT = 0.03  # belief below which a candidate is given up
CLEAN_ENOUGH = 1.8  # -ln of the chance that every clean look was a miss: one pass alone never closes a case
MOST = 0.99  # no look, and no number of them, makes it surer
LEAST = 0.01
LIFETIME = {  # how long a disorder lies, on average, when nobody tells the office; a guess until cases teach it
    "overflow_bin": timedelta(hours=30),
    "garbage": timedelta(hours=48),
    "street_stall": timedelta(hours=6),
}
DEFAULT_LIFETIME = timedelta(hours=48)


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
    p = 0.5
    for i, look in enumerate(looks):
        if i:
            p *= math.exp(-max(0.0, (look.at - looks[i - 1].at) / lifetime))
        p = min(max(p, LEAST), MOST)
        odds = p / (1 - p)
        if look.seen is not None:
            seen = min(max(look.seen, LEAST), MOST)
            odds *= seen / (1 - seen)
        else:
            odds *= math.exp(-look.clean)
        p = min(max(odds / (1 + odds), LEAST), MOST)
        beliefs.append(p)
    return beliefs


def gone_since(looks: Sequence[Look], beliefs: Sequence[float]) -> datetime | None:
    """The look at which an open case was verified gone, None while it is not.

    Asks for clean looks by more than one pass after the last look that saw it.
    """
    clean = 0.0
    gone = None
    for look, p in zip(looks, beliefs, strict=True):
        clean = 0.0 if look.seen is not None else clean + look.clean
        if look.seen is not None:
            gone = None
        elif gone is None and p <= CLOSES_AT and clean >= CLEAN_ENOUGH:
            gone = look.at
    return gone
