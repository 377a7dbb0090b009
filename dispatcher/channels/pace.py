"""Pace: how often a channel may send, and how long to wait before trying again.

A token bucket is kept as one time, `next_free`: when the bucket will be full again. Each message moves it by `every`;
as long as it lies no more than `burst` × `every` ahead, there is a token. One time is easily stored with the attempt,
so that a sender that starts anew sends no faster than the one before it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from dispatcher.channels.channel import Kind

FIRST_WAIT_S = 1.0  # upper end of the first wait; doubled each time ...
LONGEST_WAIT_S = 600.0  # ... up to this
LONGEST_ASKED_S = 86_400.0  # a Retry-After beyond a day is a mistake


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `burst` messages at once and one more every `every_s`: burst + 60 / every_s in any minute."""

    burst: int
    every_s: float


# WeCom and DingTalk allow 20 in a minute, and DingTalk locks a robot out for ten minutes when it sends more: 18 are
# sent at most, since messages may bunch up on the way. Feishu allows 5 in a second and 100 in a minute.
RATES = {
    Kind.WEBHOOK: Rate(burst=100, every_s=0.01),
    Kind.WECOM: Rate(burst=8, every_s=6.0),
    Kind.DINGTALK: Rate(burst=8, every_s=6.0),
    Kind.FEISHU: Rate(burst=3, every_s=0.75),
}


def tokens(rate: Rate, next_free: datetime | None, now: datetime) -> int:
    """How many messages may be sent now."""
    if next_free is None:
        return rate.burst
    # A clock that was set back must not close a channel for as long as it was set back.
    ahead_s = min(max((next_free - now).total_seconds(), 0.0), rate.burst * rate.every_s)
    return int((rate.burst * rate.every_s - ahead_s) / rate.every_s + 1e-6)


def taken(rate: Rate, next_free: datetime | None, now: datetime, n: int) -> datetime:
    """`next_free` after n messages."""
    latest = now + timedelta(seconds=rate.burst * rate.every_s)
    start = now if next_free is None else min(max(next_free, now), latest)
    return start + timedelta(seconds=n * rate.every_s)


def wait_s(attempts: int, chance: random.Random, asked_s: float | None = None) -> float:
    """Exponential backoff with full jitter: anything up to a limit that doubles with each attempt, from the first on.

    What the other side asked for is waited for first.
    """
    most = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(attempts, 30))
    jitter = chance.uniform(0.0, most)
    return jitter if asked_s is None else min(asked_s, LONGEST_ASKED_S) + min(jitter, FIRST_WAIT_S)
