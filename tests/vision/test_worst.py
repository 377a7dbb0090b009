"""What a mistake is, and which are the worst."""

from __future__ import annotations

import numpy as np

from models.card import find_card
from vision.detections import Detections
from vision.evaluate import Looked
from vision.metrics import Truth
from vision.worst import Mistake, mistakes, worst

CARD = find_card("streetscape-v1")
GARBAGE, BIN, FULL = range(3)
A, B = (0.0, 0.0, 100.0, 100.0), (300.0, 0.0, 400.0, 100.0)
Rows = list[tuple[int, tuple[float, float, float, float], float]]


def looked(told: Rows, truth: list[tuple[int, tuple[float, float, float, float]]]) -> Looked:
    found = Detections(
        np.array([box for _, box, _ in told], np.float32).reshape(-1, 4),
        np.array([score for *_, score in told], np.float32),
        np.array([kind for kind, *_ in told], np.int64),
    )
    boxes = np.array([box for _, box in truth], np.float32).reshape(-1, 4)
    return Looked("a.jpg", found, Truth(boxes, np.array([kind for kind, _ in truth], np.int64)))


def sorts(one: Looked) -> list[tuple[bool, int, str]]:
    return [(m.false_alarm, m.kind, m.sort) for m in mistakes(one, CARD)]


def test_what_is_right_is_no_mistake_and_nothing_is_none() -> None:
    assert sorts(looked([], [])) == []
    assert sorts(looked([(BIN, A, 0.9)], [(BIN, A)])) == []


def test_a_full_bin_told_as_a_bin_is_two_mistakes_of_one_sort() -> None:
    one = looked([(BIN, A, 0.9)], [(FULL, A)])
    assert sorts(one) == [(True, BIN, "it is overflow_bin"), (False, FULL, "told as garbage_bin")]


def test_a_thing_told_twice_and_a_thing_on_bare_ground() -> None:
    one = looked([(BIN, A, 0.9), (BIN, A, 0.8), (GARBAGE, B, 0.7)], [(BIN, A)])
    assert sorts(one) == [(True, BIN, "the thing told twice"), (True, GARBAGE, "nothing labelled there")]


def test_what_is_below_the_threshold_is_missed_but_seen() -> None:
    (low,) = mistakes(looked([(BIN, A, 0.2)], [(BIN, A)]), CARD)
    (blind,) = mistakes(looked([], [(BIN, A)]), CARD)
    assert not low.false_alarm
    assert low.score > blind.score


def test_the_surest_alarms_come_first_and_then_what_was_seen_least() -> None:
    made = [Mistake("a", alarm, 0, A, score, "") for alarm in (True, False) for score in (0.5, 0.9, 0.1)]
    assert [(m.false_alarm, m.score) for m in worst(made, each=2)] == [
        (True, 0.9),
        (True, 0.5),
        (False, 0.1),
        (False, 0.5),
    ]
