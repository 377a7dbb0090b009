"""Belief rises with looks that saw a disorder and falls with clean ones."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dispatcher.joint.belief import MOST, Firsts, Look, believe
from dispatcher.joint.episode import CLOSES_AT, OPENS_AT, episodes
from dispatcher.joint.looked import MOST_OF_ONE_FRAME
from dispatcher.joint.manner import Manners

NOON = datetime(2026, 11, 20, 4, tzinfo=UTC)


def seen(hours: float, confidence: float) -> Look:
    return Look(NOON + timedelta(hours=hours), f"seen-{hours}", confidence, 1.0)


def clean(hours: float, detectable: float) -> Look:
    return Look(NOON + timedelta(hours=hours), f"clean-{hours}", None, detectable)


def test_one_look_is_believed_as_far_as_its_calibrated_confidence() -> None:
    assert believe([seen(0, 0.83)], "garbage") == [pytest.approx(0.83)]


def test_a_second_look_at_once_rules_out_a_ghost_and_tells_a_disorder_from_what_fools_the_detector() -> None:
    _, after = believe([seen(0, 0.8), seen(0, 0.8)], "garbage")
    r = 4**0.5  # it is as sure as the first: half of what it says is news
    real, fake = 0.8 * r / (1 + r), 0.2 * 0.03 / (1 + r)
    new = 0.2 * 0.97 * 0.015  # nothing stood there and the detector reports something again
    real, fake, nothing = real + new * 0.8, fake + new * 0.2 * 0.03, new * 0.2 * 0.97
    assert after == pytest.approx(min(real / (real + fake + nothing), MOST))


def test_a_clean_look_is_worth_the_chance_of_a_miss() -> None:
    _, after = believe([seen(0, 0.8), clean(0, 0.75)], "garbage")
    real, fake, ghost = 0.8 * 0.25, 0.2 * 0.03 * 0.625, 0.2 * 0.97
    assert after == pytest.approx(real / (real + fake + ghost))


def test_after_a_day_and_a_half_a_third_of_the_heaps_still_lie_there() -> None:
    _, after = believe([seen(0, 0.99), clean(36, 0.0001)], "garbage")
    assert after == pytest.approx(0.99 * math.exp(-1), abs=1e-4)


def test_what_is_seen_again_after_days_was_there_all_along() -> None:
    assert believe([seen(0, 0.87), seen(24, 0.87), seen(48, 0.87)], "overflow_bin")[-1] > 0.87


def test_a_doubtful_thing_seen_again_and_again_stays_doubtful() -> None:
    # Something stands there, that much five looks prove; that it is a disorder none of them said.
    assert believe([seen(day * 24, 0.5) for day in range(5)], "garbage")[-1] < OPENS_AT


def closed_at(looks: list[Look], kind: str = "garbage") -> datetime | None:
    return episodes(looks, kind)[-1].closed_at


def test_time_alone_never_closes() -> None:
    assert closed_at([seen(0, 0.95), clean(480, 0.06)]) is None


def test_a_poster_is_not_gone_because_it_is_no_disorder() -> None:
    """Passes keep reporting it, none of them sure, and as many pass it by: it is there, whatever it is."""
    by_turns = [look for hour in range(1, 60) for look in (seen(hour, 0.5), clean(hour + 0.5, 0.7))]
    looks = [seen(0, 0.8), seen(0.5, 0.8), *by_turns]
    [piece] = episodes(looks, "garbage")
    assert piece.opened_at is not None
    assert (piece.p <= CLOSES_AT, piece.closed_at) == (True, None)
    taken_down = [clean(60 + hour, 0.9) for hour in range(40)]
    assert closed_at(looks + taken_down) is not None


def test_what_is_reported_much_the_same_each_time_and_never_surely_is_not_gone_so_soon() -> None:
    """Unless that is how what is there is reported here. A single frame tells nothing of it."""
    assert Manners().for_confuser(MOST_OF_ONE_FRAME) == 0.0
    confidences = (0.75, 0.7, 0.8, 0.72, 0.78, 0.74, 0.7, 0.76)
    poster = [seen(hour, p) for hour, p in enumerate(confidences)]
    heap = [seen(hour, p if hour % 2 else 0.96) for hour, p in enumerate(confidences)]
    misses = [clean(12 + 3 * i, 0.7) for i in range(6)]
    assert (closed_at(poster + misses), closed_at(heap + misses) is None) == (None, False)
    assert closed_at(poster + [clean(12 + 3 * i, 0.7) for i in range(40)]) is not None
    usual = Manners()
    for p in confidences * 100:
        usual.learn(p)
    assert episodes(poster + misses, "garbage", manners=usual)[-1].closed_at is not None


def test_one_sure_pass_opens_a_case_only_where_first_reports_turn_out_right() -> None:
    [alone] = episodes([seen(0, 0.99)], "garbage", odds=0.3)
    assert (alone.p >= OPENS_AT, alone.opened_at) == (True, None)
    [agreed] = episodes([seen(0, 0.99), seen(1, 0.9)], "garbage", odds=0.3)
    assert agreed.opened_at == NOON + timedelta(hours=1)
    [trusted] = episodes([seen(0, 0.99)], "garbage", odds=1.0)
    assert trusted.opened_at == NOON


def test_no_number_of_looks_is_certainty() -> None:
    assert believe([seen(h, 0.99) for h in range(20)], "garbage")[-1] == pytest.approx(MOST)


def test_one_clean_pass_never_closes_and_several_good_ones_do() -> None:
    one = [seen(0, 0.95), clean(72, 0.8)]
    assert closed_at(one) is None
    two = [*one, clean(76, 0.8)]
    assert closed_at(two) == NOON + timedelta(hours=76)
    assert believe(two, "garbage")[-1] <= CLOSES_AT


def test_clean_looks_within_minutes_may_all_be_hidden_by_one_parked_van() -> None:
    fast = [seen(0, 0.95), *(clean(0.5 + i / 20, 0.7) for i in range(3))]
    slow = [seen(0, 0.95), *(clean(0.5 + i * 8, 0.7) for i in range(3))]
    assert believe(fast, "garbage")[-1] > believe(slow, "garbage")[-1]


def test_what_is_seen_again_within_hours_had_never_gone() -> None:
    looks = [seen(0, 0.95), *(clean(1 + i, 0.8) for i in range(3)), seen(5, 0.95)]
    (only,) = episodes(looks, "garbage")
    assert only.closed_at is None


def test_the_same_clean_looks_a_day_later_saw_it_gone() -> None:
    """What goes and comes back takes its time for it; what the looks missed does not."""
    looks = [seen(0, 0.95), *(clean(8 + i, 0.8) for i in range(3)), seen(30, 0.95)]
    first, second = episodes(looks, "garbage")
    assert first.closed_at == NOON + timedelta(hours=10)
    assert second.opened_at == NOON + timedelta(hours=30)


def test_a_place_that_hides_what_is_there_is_not_clean_so_soon() -> None:
    """It was missed twice for each time that it was seen: more misses say little."""
    shown = [seen(hour, 0.95) for hour in range(6)]
    hidden = [look for hour in range(6) for look in (seen(hour, 0.95), clean(hour + 0.3, 0.8), clean(hour + 0.6, 0.8))]
    misses = [clean(8 + 4 * i, 0.8) for i in range(5)]
    assert closed_at(shown + misses) is not None
    assert closed_at(hidden + misses) is None
    assert closed_at(hidden + [clean(8 + 4 * i, 0.8) for i in range(16)]) is not None


def test_a_report_that_is_next_to_nothing_does_not_undo_what_clean_looks_say() -> None:
    looks = [*(seen(hour, 0.99) for hour in range(4)), *(clean(6 + i, 0.8) for i in range(6))]
    ghost, back = seen(20, 0.02), seen(28, 0.95)
    pieces = episodes([*looks, ghost, clean(24, 0.8), back], "garbage")
    assert [piece.opened_at for piece in pieces if piece.opened_at] == [NOON, back.at]


def test_what_is_seen_again_after_many_clean_looks_came_back() -> None:
    looks = [seen(0, 0.95), *(clean(24 + 4 * i, 0.8) for i in range(5)), seen(77, 0.95)]
    first, second = episodes(looks, "garbage")
    assert first.closed_at is not None
    assert second.opened_at == NOON + timedelta(hours=77)


def test_where_such_a_thing_lay_before_a_first_report_is_believed_as_any_other() -> None:
    """It comes back in one place of five, and a ghost comes anywhere."""
    gone = [*(seen(hour, 0.95) for hour in range(4)), *(clean(24 + 4 * i, 0.8) for i in range(5))]
    again = [seen(60, 0.75), clean(61, 0.3), seen(62, 0.75)]
    assert [piece.opened_at for piece in episodes(again, "garbage", odds=0.1)] == [None]
    first, second = episodes([*gone, *again], "garbage", odds=0.1)
    assert first.closed_at is not None
    assert second.opened_at == again[-1].at


def test_a_doubtful_report_before_a_sure_one_makes_no_poster_of_what_came_back() -> None:
    """It says that something is there again; whether it had gone was clear before."""
    before = [seen(0, 0.99), clean(0.5, 0.6), seen(1.5, 0.98), clean(1.7, 0.67), clean(4.5, 0.45), seen(5, 0.99)]
    looks = [*before, seen(6, 0.99), *(clean(6.1 + i / 2, 0.67) for i in range(12))]
    assert closed_at(looks) is None
    doubtful, sure = seen(24, 0.46), seen(24.01, 0.99)
    first, second = episodes([*looks, doubtful, sure], "garbage")
    assert first.closed_at == looks[-1].at
    assert (second.looks, second.opened_at) == ([doubtful, sure], sure.at)


def test_who_saw_the_bin_in_order_had_nothing_in_the_way() -> None:
    """Three passes within minutes may have missed what a van hides; not when they saw the very bin."""
    looks = [seen(0, 0.99), *(clean(3 + i / 20, 0.9) for i in range(3))]
    in_order = [replace(look, in_order=True) if look.seen is None else look for look in looks]
    assert closed_at(looks, "overflow_bin") is None
    assert closed_at(in_order, "overflow_bin") is not None


def test_where_the_detector_is_known_a_case_waits_for_a_sure_report() -> None:
    """Most of what is there is reported surely here: what two passes reported as posters are is no case yet."""
    rather = [seen(0, 0.75), seen(1, 0.8)]
    assert episodes(rather, "garbage")[0].opened_at is not None
    known = Manners()
    for p in (0.95, 0.7, 0.95) * 20:
        known.learn(p)
    assert episodes(rather, "garbage", manners=known)[0].opened_at is None
    assert episodes([*rather, seen(2, 0.95)], "garbage", manners=known)[0].opened_at == NOON + timedelta(hours=2)


def test_without_a_sighting_there_is_no_episode() -> None:
    assert episodes([], "garbage") == []
    assert episodes([clean(0, 0.9)], "garbage") == []  # nobody saw anything


@pytest.mark.parametrize("confidence", [0.0, 1.0])
def test_a_detector_that_claims_certainty_is_taken_at_less(confidence: float) -> None:
    (p,) = believe([seen(0, confidence)], "garbage")
    assert 0.0 < p < 1.0
    assert (p > OPENS_AT) == (confidence == 1.0)


def test_one_pass_never_closes_however_clearly_it_looked() -> None:
    looks = [seen(0, 0.95), clean(200, 0.95)]
    assert believe(looks, "garbage")[-1] < 0.1
    assert closed_at(looks) is None


def test_unsure_reports_before_a_sure_one_do_not_make_a_poster_of_a_heap() -> None:
    unsure = [seen(hour, 0.05) for hour in range(3)]
    assert believe([*unsure, seen(4, 0.99)], "garbage")[-1] > OPENS_AT


def test_what_comes_after_all_had_looked_gone_is_a_new_episode_before_belief_had_closed_the_old_one() -> None:
    looks = [seen(0, 0.99), seen(1, 0.99), *(clean(8 + hour, 0.8) for hour in range(3)), seen(30, 0.95)]
    assert believe(looks[:-1], "overflow_bin")[-1] > CLOSES_AT
    first, second = episodes(looks, "overflow_bin")
    assert first.closed_at == looks[-2].at
    assert second.opened_at == looks[-1].at


def test_first_reports_are_believed_less_where_most_of_them_were_of_nothing() -> None:
    firsts = Firsts()
    assert firsts.odds == 1.0
    for _ in range(400):
        firsts.learn(0.5, right=False)
    for _ in range(40):
        firsts.learn(0.5, right=True)
    assert 0.1 < firsts.odds < 0.2
    (p,) = believe([seen(0, 0.9)], "garbage", firsts.odds)
    assert 0.4 < p < 0.7


def test_first_reports_are_never_believed_more_than_they_claim() -> None:
    firsts = Firsts()
    for _ in range(100):
        firsts.learn(0.5, right=True)
    assert firsts.odds == 1.0
