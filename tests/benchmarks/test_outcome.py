"""When two runs are the same, and what is said when they are not."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from benchmarks.outcome import Outcome, differences

OPENED, CLOSED = ("c1", "opened", "440304001001"), ("c1", "closed", "440304001001")
CALM = Outcome(
    states={"c1": "closed", "c2": "candidate"},
    members={"c1": frozenset({"s1", "s2"}), "c2": frozenset({"s3"})},
    told=Counter([OPENED, CLOSED]),
    without_picture=0,
    on_border=0,
)
RENAMED = replace(
    CALM, states={"x1": "closed", "c2": "candidate"}, members={"x1": frozenset({"s1", "s2"}), "c2": frozenset({"s3"})}
)

NOT_BY_ID = [
    ("the same", CALM, True),
    ("another id for the same sightings", RENAMED, True),
    ("told again", replace(CALM, told=Counter([OPENED, CLOSED, CLOSED])), False),
    (
        "a sighting in another case",
        replace(CALM, members={"c1": frozenset({"s1"}), "c2": frozenset({"s2", "s3"})}),
        False,
    ),
    ("a case too few", replace(CALM, members={"c1": frozenset({"s1", "s2"})}), False),
    ("a picture lost", replace(CALM, without_picture=1), False),
]
BY_ID = [
    ("the same", CALM, True),
    ("another id for the same sightings", RENAMED, False),
    ("told again", replace(CALM, told=Counter([OPENED, OPENED, CLOSED])), False),
    ("not told", replace(CALM, told=Counter([OPENED])), False),
    ("told to somebody else", replace(CALM, told=Counter([OPENED, ("c1", "closed", "440304001002")])), False),
    ("another state", replace(CALM, states=CALM.states | {"c2": "dismissed"}), False),
    ("a sighting fewer", replace(CALM, members=CALM.members | {"c1": frozenset({"s1"})}), False),
    ("contradicts itself", replace(CALM, faults=("store and topic differ in 1 alerts",)), False),
]


@pytest.mark.parametrize(("what", "found", "same"), BY_ID, ids=[row[0] for row in BY_ID])
def test_after_crashes_and_repeats_ids_states_sightings_and_alerts_must_agree(
    what: str, found: Outcome, same: bool
) -> None:
    assert (differences(found, CALM, by_id=True) == []) is same


@pytest.mark.parametrize(("what", "found", "same"), NOT_BY_ID, ids=[row[0] for row in NOT_BY_ID])
def test_after_late_input_sightings_must_agree_and_nothing_be_repeated(what: str, found: Outcome, same: bool) -> None:
    assert (differences(found, CALM, by_id=False) == []) is same
