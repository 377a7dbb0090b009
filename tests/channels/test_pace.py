"""How often is sent, and how long is waited: for any traffic and any clock."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.channels.channel import Kind
from dispatcher.channels.pace import LONGEST_ASKED_S, LONGEST_WAIT_S, RATES, Rate, taken, tokens, wait_s
from ingest.frame import parse_rfc3339, rfc3339

NOON = datetime(2026, 11, 20, 4, tzinfo=UTC)
LIMITS = {Kind.WECOM: [(20, 60.0)], Kind.DINGTALK: [(20, 60.0)], Kind.FEISHU: [(100, 60.0), (5, 1.0)]}


@pytest.mark.parametrize("kind", LIMITS)
@given(steps=st.lists(st.floats(0.0, 30.0), min_size=1, max_size=300))
def test_no_window_of_time_holds_more_messages_than_a_robot_may_send(kind: Kind, steps: list[float]) -> None:
    rate, free, now, sent = RATES[kind], None, NOON, []
    for step in steps:
        now += timedelta(seconds=step)
        while tokens(rate, free, now) > 0:
            free = parse_rfc3339(rfc3339(taken(rate, free, now, 1)))  # as it is stored: a restart changes nothing
            sent.append(now)
    for most, seconds in LIMITS[kind]:
        for first, beyond in zip(sent, sent[most:], strict=False):
            assert (beyond - first).total_seconds() >= seconds


def test_a_bucket_fills_again_and_never_beyond_its_size() -> None:
    rate = Rate(burst=3, every_s=10.0)
    assert tokens(rate, None, NOON) == 3
    free = taken(rate, None, NOON, 3)
    assert [tokens(rate, free, NOON + timedelta(seconds=s)) for s in (0, 9, 10, 20, 30, 999)] == [0, 0, 1, 2, 3, 3]


def test_a_clock_that_was_set_back_closes_a_channel_no_longer_than_its_bucket_takes_to_fill() -> None:
    rate = Rate(burst=3, every_s=10.0)
    free = taken(rate, None, NOON + timedelta(days=1), 3)
    later = taken(rate, free, NOON, 1)
    assert tokens(rate, later, NOON + timedelta(seconds=40)) == 3


@given(attempts=st.integers(0, 10_000), seed=st.integers(0, 2**32))
def test_a_wait_is_anything_up_to_a_limit_that_doubles_and_ends(attempts: int, seed: int) -> None:
    assert 0.0 <= wait_s(attempts, random.Random(seed)) <= min(LONGEST_WAIT_S, 2.0**attempts if attempts < 64 else 1e9)


@given(attempts=st.integers(0, 50), asked=st.floats(0.0, 1e9), seed=st.integers(0, 2**32))
def test_what_was_asked_for_is_waited_for(attempts: int, asked: float, seed: int) -> None:
    waited = wait_s(attempts, random.Random(seed), asked)
    assert min(asked, LONGEST_ASKED_S) <= waited <= min(asked, LONGEST_ASKED_S) + 1.0


def test_waits_are_spread_and_not_all_alike() -> None:
    chance = random.Random(1)
    waits = sorted(wait_s(6, chance) for _ in range(400))
    assert waits[0] < 3.0
    assert waits[-1] > 60.0
