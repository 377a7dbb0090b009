"""Raw output becomes boxes: the same ones that the slow, obvious way gives."""

import numpy as np
import pytest

from vision.detections import Detections
from vision.heads import HEADS, Head, xywh_scores
from vision.letterbox import Letterbox
from vision.postprocess import MAX_CANDIDATES, MAX_DETECTIONS, iou_matrix, one_picture, suppressed

SHAPE_HW = (384, 640)
SAME = Letterbox.fit((640, 384), SHAPE_HW)  # source pixels are input pixels


def test_nothing_in_gives_nothing_out() -> None:
    left = suppressed(Detections.empty())
    assert len(left) == 0
    assert left.xyxy.shape == (0, 4)
    raw, floor = np.zeros((7, 5040), np.float32), np.full(3, 0.25, np.float32)
    found = one_picture(raw, SAME, floor, HEADS["xywh-scores"], SHAPE_HW)
    assert (len(found), found.xyxy.shape, found.label.dtype) == (0, (0, 4), np.int64)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ([0, 0, 10, 10], 1.0),
        ([5, 0, 15, 10], 1 / 3),
        ([0, 0, 10, 5], 0.5),
        ([10, 0, 20, 10], 0.0),
        ([3, 3, 3, 3], 0.0),  # without area
    ],
)
def test_overlap_is_intersection_over_union(other: list[float], expected: float) -> None:
    first = np.array([[0, 0, 10, 10]], np.float32)
    assert iou_matrix(first, np.array([other], np.float32))[0, 0] == pytest.approx(expected)


def test_boxes_are_in_the_pixels_of_the_source() -> None:
    raw = np.zeros((7, 3), np.float32)
    raw[:, 1] = [320, 192, 64, 36, 0, 0.8, 0]
    letterbox = Letterbox.fit((1920, 1080), SHAPE_HW)
    found = one_picture(raw, letterbox, np.full(3, 0.5, np.float32), HEADS["xywh-scores"], SHAPE_HW)
    np.testing.assert_allclose(found.xyxy, [[960 - 96, 540 - 54, 960 + 96, 540 + 54]], atol=1e-3)
    assert found.label.tolist() == [1]


def test_what_is_found_outlives_the_output_it_was_read_from() -> None:
    for name, head in HEADS.items():
        shape = [6 if isinstance(side, str) else side for side in head.axes(1)]
        raw = np.full(shape, 0.75, np.float32)
        if name == "grid-objectness":
            raw = np.full((21, 6), 0.75, np.float32)  # the cells of a picture of 32 x 32
        if name == "xyxy-score-class":
            raw[:] = [1, 1, 9, 9, 0.75, 0]
        found = one_picture(raw, Letterbox.fit((32, 32), (32, 32)), np.array([0.5], np.float32), head, (32, 32))
        before = [part.copy() for part in (found.xyxy, found.score, found.label)]
        raw[:] = 0  # engines write the next result into the same memory
        assert len(found), name
        for part, copy in zip((found.xyxy, found.score, found.label), before, strict=True):
            assert np.array_equal(part, copy), name


def test_boxes_that_are_no_numbers_are_left_out() -> None:
    raw = np.zeros((5, 4), np.float32)
    raw[:, 0] = [50, 50, 20, 20, 0.9]
    raw[:, 1] = [np.nan, 50, 20, 20, 0.8]
    raw[:, 2] = [50, 50, np.inf, 20, 0.7]
    raw[:, 3] = [200, 50, 20, 20, np.nan]  # nor is this a score
    found = one_picture(raw, SAME, np.array([0.5], np.float32), HEADS["xywh-scores"], SHAPE_HW)
    assert found.score.tolist() == pytest.approx([0.9])


def test_a_net_that_sees_things_everywhere_costs_only_its_best_candidates() -> None:
    seen: list[int] = []

    def everything(_: np.ndarray, floor: np.ndarray, __: tuple[int, int]) -> Detections:
        count = MAX_CANDIDATES + 5000
        seen.append(count)
        place = np.arange(count, dtype=np.float32) % 600
        xyxy = np.stack([place, place / 2, place + 0.5, place / 2 + 0.5], axis=1)
        return Detections(xyxy, (np.arange(count) / count).astype(np.float32), np.zeros(count, np.int64))

    head = Head(everything, lambda c: ("boxes", c), repeats=True)
    found = one_picture(np.zeros((1, 1), np.float32), SAME, np.zeros(1, np.float32), head, SHAPE_HW)
    assert len(found) == MAX_DETECTIONS < 600 < seen[0]
    assert found.score[0] == pytest.approx(1, abs=1e-4)
    assert (np.diff(found.score) < 0).all()


def test_a_head_that_tells_each_thing_once_is_taken_at_its_word() -> None:
    rows = np.zeros((400, 6), np.float32)
    rows[:, :4], rows[:, 4] = [10, 10, 50, 50], np.linspace(0.3, 0.9, 400)
    found = one_picture(rows, SAME, np.array([0.25], np.float32), HEADS["xyxy-score-class"], SHAPE_HW)
    assert len(found) == MAX_DETECTIONS  # one upon the other, but nothing is suppressed
    assert (np.diff(found.score) < 0).all()  # best first, whatever the order of the rows
    assert found.score[0] == pytest.approx(0.9)


def test_every_head_takes_a_floor_for_each_class() -> None:
    raw = np.array([[100, 50], [80, 60], [40, 20], [20, 10], [0.9, 0.1], [0.3, 0.0], [0.0, 0.6]], np.float32)
    found = xywh_scores(raw, np.array([0.25, 0.25, 0.7], np.float32), SHAPE_HW)
    assert found.label.tolist() == [0, 1]  # 0.6 is not above the third class's 0.7
    assert found.xyxy.tolist() == [[80, 70, 120, 90], [80, 70, 120, 90]]  # one anchor may speak for two classes
    assert found.score.tolist() == pytest.approx([0.9, 0.3])
