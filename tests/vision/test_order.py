"""The frames of one camera in order of time, each once, and waiting only for what is missing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from ingest.binding import Before
from ingest.frame import Fix, Frame, frame_id
from vision.camera import DEFAULT_CAMERAS
from vision.order import LATE, LATE_S, MOST_WAITING, Looked, Order
from vision.reel import Span
from vision.stretch import Found

START = datetime(2026, 11, 20, 8, tzinfo=UTC)
THING = Found(kind="garbage", confidence=0.8, box_xyxy=(0, 0, 1, 1))


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def looked(seconds: float, after: float | str | None = "unsaid", *, things: bool = True, came_s: float = 0.0) -> Looked:
    """A frame; `after`: when the one before it was taken, None for the first."""
    time = at(seconds)
    fix = Fix(time=time, lat=22.5, lon=114.0)
    frame = Frame(
        id=frame_id("bus-1", "front", time),
        vehicle="bus-1",
        camera="front",
        time=time,
        fix=fix,
        jpeg=b"picture",
        size_wh=(640, 360),
        file="",
    )
    before = Before(none=True) if after is None else Before() if isinstance(after, str) else Before(time=at(after))
    found = [THING] if things else []
    return Looked(frame=frame, things=found, offset=0, before=before, camera=DEFAULT_CAMERAS["front"], at_s=came_s)


def taken(order: Order, now_s: float = 0.0, **more: bool) -> list[float]:
    return [(one.frame.time - START).total_seconds() for one in order.take(now_s, **more)]


@pytest.mark.parametrize("arrival", list(permutations(range(4))))
def test_in_whatever_order_they_come_they_leave_in_order(arrival: tuple[int, ...]) -> None:
    order = Order()
    left = []
    for n in arrival:
        order.put(looked(n, n - 1 if n else None))
        left += taken(order)
    assert left == [0, 1, 2, 3]


def test_frames_in_order_wait_for_nothing() -> None:
    order = Order()
    for n in range(5):
        assert order.put(looked(n, n - 1 if n else None))
        assert taken(order) == [n]


def test_a_frame_whose_predecessor_is_missing_waits_for_it_alone() -> None:
    order = Order()
    order.put(looked(0, None))
    order.put(looked(2, 1))
    order.put(looked(3, 2))
    assert taken(order) == [0]
    assert order.needed_from == 0
    order.put(looked(1, 0))
    assert taken(order) == [1, 2, 3]
    assert order.needed_from is None


def test_what_is_missing_is_given_up_when_the_camera_is_far_ahead() -> None:
    order = Order()
    order.put(looked(0, None))
    order.put(looked(2, 1))
    assert taken(order) == [0]
    ahead = 2 + LATE.total_seconds()
    order.put(looked(ahead - 1, ahead - 2))
    assert taken(order) == []
    order.put(looked(ahead, ahead - 1))
    assert taken(order) == [2]


def test_what_is_missing_is_given_up_after_a_minute() -> None:
    order = Order()
    order.put(looked(2, 1, came_s=100.0))
    order.put(looked(3, 2, came_s=130.0))
    assert taken(order, 100.0 + LATE_S - 1) == []
    assert taken(order, 100.0 + LATE_S) == [2, 3]


def test_an_older_frame_goes_with_one_that_was_waited_for_long_enough() -> None:
    order = Order()
    order.put(looked(5, 4, came_s=0.0))
    order.put(looked(3, 2, came_s=50.0))
    assert taken(order, LATE_S) == [3, 5]


@pytest.mark.parametrize("seconds", [91.0, 7200.0])
def test_nobody_waits_for_a_frame_of_another_pass(seconds: float) -> None:
    order = Order()
    order.put(looked(seconds, 0))
    assert taken(order) == [seconds]


def test_nobody_waits_for_a_frame_that_cannot_be_used() -> None:
    order = Order()
    order.put(looked(2, 1))
    assert taken(order) == []
    order.skip(at(1))
    assert taken(order) == [2]
    assert order.put(looked(1, 0))  # a whole copy of it still counts
    assert taken(order, LATE_S) == [1]


def test_nobody_waits_for_a_frame_of_a_pass_that_is_over() -> None:
    order = Order(over=[Span(at(0), at(10), 99)])
    assert not order.put(looked(4, 3))
    order.put(looked(11, 10))
    assert taken(order) == [11]


def test_repeats_are_known_also_while_they_wait() -> None:
    order = Order()
    assert order.put(looked(0, None))
    assert order.put(looked(2, 1))
    assert not order.put(looked(2, 1))
    taken(order)
    assert not order.put(looked(0, None))
    assert order.repeats(at(0))
    assert not order.repeats(at(1))


def test_a_publisher_that_starts_again_is_not_waited_for() -> None:
    order = Order()
    order.put(looked(0, None))
    order.put(looked(7, None))
    assert taken(order) == [0, 7]


def test_senders_that_say_nothing_are_taken_as_they_come() -> None:
    order = Order()
    order.put(looked(2))
    assert taken(order) == [2]
    order.put(looked(1))
    assert taken(order) == [1]


def test_or_held_for_as_long_as_is_asked() -> None:
    order = Order(hold=timedelta(seconds=10))
    for n in (3, 1, 2):
        order.put(looked(n, came_s=0.0))
    assert taken(order, 5.0) == []
    order.put(looked(11, came_s=5.0))
    assert taken(order, 5.0) == [1]
    assert taken(order, 10.0) == [2, 3]
    assert taken(order, 15.0) == [11]


def test_at_the_end_everything_leaves() -> None:
    order = Order()
    for n in (9, 4, 7):
        order.put(looked(n, n - 1))
    assert taken(order, everything=True) == [4, 7, 9]


def test_pictures_that_nobody_will_ask_for_are_let_go() -> None:
    order = Order()
    order.put(looked(2, 1, things=False))
    order.put(looked(3, 2))
    assert [len(one.frame.jpeg) for one in order.waiting] == [0, len(b"picture")]


def test_not_more_than_so_many_wait() -> None:
    order = Order()
    for n in range(MOST_WAITING + 10):
        order.put(looked(1 + n * 0.1, 0.5 + n * 0.1))
        taken(order)
    assert len(list(order.waiting)) <= MOST_WAITING
