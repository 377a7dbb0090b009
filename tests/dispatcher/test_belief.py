"""Belief rises with looks that saw a disorder and falls with clean ones."""

import math
from datetime import UTC, datetime, timedelta

import pytest

from dispatcher.belief import CLOSES_AT, MOST, OPENS_AT, Look, believe, gone_since

NOON = datetime(2026, 11, 20, 4, tzinfo=UTC)


def seen(hours: float, confidence: float) -> Look:
    return Look(NOON + timedelta(hours=hours), f"seen-{hours}", confidence, 1.0)


def clean(hours: float, detectable: float) -> Look:
    return Look(NOON + timedelta(hours=hours), f"clean-{hours}", None, detectable)


def test_one_look_is_believed_as_far_as_its_calibrated_confidence() -> None:
    assert believe([seen(0, 0.83)], "garbage") == [pytest.approx(0.83)]


def test_a_second_look_at_once_adds_to_the_odds_but_less_than_the_first() -> None:
    _, after = believe([seen(0, 0.8), seen(0, 0.8)], "garbage")
    assert after / (1 - after) == pytest.approx(4 * 4**0.6)


def test_a_clean_look_is_worth_the_chance_of_a_miss() -> None:
    _, after = believe([seen(0, 0.8), clean(0, 0.75)], "garbage")
    assert after == pytest.approx(0.8 * 0.25 / (0.8 * 0.25 + 0.2 * 0.625))


def test_after_two_days_a_clean_look_finds_a_third_of_the_heaps_still_there() -> None:
    _, after = believe([seen(0, 0.99), clean(48, 0.9)], "garbage")
    stays = 0.99 * math.exp(-1)
    fake = 0.01 * math.exp(-2 / 7)
    assert after == pytest.approx(stays * 0.1 / (stays * 0.1 + fake * 0.55 + (1 - stays - fake)))


def test_what_is_seen_again_after_days_was_there_all_along() -> None:
    assert believe([seen(0, 0.87), seen(24, 0.87), seen(48, 0.87)], "overflow_bin")[-1] > 0.87


def test_a_doubtful_thing_seen_again_and_again_stays_doubtful() -> None:
    assert believe([seen(day * 24, 0.5) for day in range(5)], "garbage")[-1] < 0.6


def test_time_alone_never_closes() -> None:
    looks = [seen(0, 0.95), clean(480, 0.06)]
    assert gone_since(looks, believe(looks, "garbage")) is None


def test_no_number_of_looks_is_certainty() -> None:
    assert believe([seen(h, 0.99) for h in range(20)], "garbage")[-1] == pytest.approx(MOST)


def test_one_clean_pass_never_closes_and_two_good_ones_do() -> None:
    one = [seen(0, 0.85), clean(72, 0.8)]
    assert believe(one, "garbage")[-1] > CLOSES_AT or gone_since(one, believe(one, "garbage")) is None
    two = [*one, clean(73, 0.8)]
    assert gone_since(two, believe(two, "garbage")) == NOON + timedelta(hours=73)


def test_a_later_sighting_takes_the_closing_back() -> None:
    looks = [seen(0, 0.85), clean(72, 0.8), clean(73, 0.8), seen(74, 0.9)]
    assert gone_since(looks, believe(looks, "garbage")) is None


@pytest.mark.parametrize("confidence", [0.0, 1.0])
def test_a_detector_that_claims_certainty_is_taken_at_less(confidence: float) -> None:
    (p,) = believe([seen(0, confidence)], "garbage")
    assert 0.0 < p < 1.0
    assert (p > OPENS_AT) == (confidence == 1.0)


def test_one_pass_never_closes_however_clearly_it_looked() -> None:
    looks = [seen(0, 0.85), clean(200, 0.95)]
    assert believe(looks, "garbage")[-1] < CLOSES_AT
    assert gone_since(looks, believe(looks, "garbage")) is None
