"""Raw output becomes boxes: the same ones that the slow, obvious way gives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision.detections import Detections
from vision.letterbox import Letterbox
from vision.postprocess import HEADS, detections, iou_matrix, suppressed, xywh_scores


def overlap(a: list[float], b: list[float]) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union if union > 0 else 0.0


def obvious(boxes: list[list[float]], score: list[float], label: list[int], iou: float, limit: int) -> list[int]:
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: (-score[i], i)):
        if all(label[i] != label[j] or overlap(boxes[i], boxes[j]) <= iou for j in kept):
            kept.append(i)
    return kept[:limit]


whole = st.integers(0, 24)  # small whole numbers: much overlap, and arithmetic without rounding
box = st.tuples(whole, whole, whole, whole).map(
    lambda c: [float(min(c[0], c[2])), float(min(c[1], c[3])), float(max(c[0], c[2])), float(max(c[1], c[3]))]
)
some = st.lists(st.tuples(box, st.sampled_from([0.1, 0.25, 0.5, 0.75, 0.875]), st.integers(0, 2)), max_size=40)


@given(some, st.sampled_from([0.3, 0.45, 0.7]), st.sampled_from([1, 5, 300]))
def test_suppression_keeps_what_the_obvious_way_keeps(
    rows: list[tuple[list[float], float, int]], iou: float, limit: int
) -> None:
    boxes, score, label = [r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows]
    found = Detections(
        np.array(boxes, np.float32).reshape(-1, 4), np.array(score, np.float32), np.array(label, np.int64)
    )
    kept = suppressed(found, iou, limit)
    expected = obvious(boxes, score, label, iou, limit)
    assert kept.xyxy.tolist() == [boxes[i] for i in expected]
    assert kept.label.tolist() == [label[i] for i in expected]


def test_nothing_in_gives_nothing_out() -> None:
    kept = suppressed(Detections.empty())
    assert len(kept) == 0
    assert kept.xyxy.shape == (0, 4)
    assert detections(np.zeros((0, 7, 5040), np.float32), [], np.zeros(3, np.float32), "xywh-scores") == []


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


def test_a_box_is_given_by_its_centre_and_size_and_a_score_for_each_class() -> None:
    raw = np.array([[100, 50], [80, 60], [40, 20], [20, 10], [0.9, 0.1], [0.3, 0.0], [0.0, 0.6]], np.float32)
    found = xywh_scores(raw, np.array([0.25, 0.25, 0.7], np.float32))  # 7 rows: 3 classes, 2 anchors
    assert found.xyxy.tolist() == [[80, 70, 120, 90], [80, 70, 120, 90]]  # one anchor may speak for two classes
    assert found.score.tolist() == pytest.approx([0.9, 0.3])
    assert found.label.tolist() == [0, 1]  # 0.6 is not above the third class's 0.7


def test_each_picture_of_a_batch_gets_its_own_boxes_in_its_own_pixels() -> None:
    raw = np.zeros((2, 7, 3), np.float32)
    raw[0, :, 1] = [320, 192, 64, 36, 0, 0.8, 0]
    letterboxes = [Letterbox.fit((1920, 1080), (384, 640)), Letterbox.fit((640, 640), (384, 640))]
    first, second = detections(raw, letterboxes, np.full(3, 0.5, np.float32), next(iter(HEADS)))
    np.testing.assert_allclose(first.xyxy, [[960 - 96, 540 - 54, 960 + 96, 540 + 54]], atol=1e-3)
    assert first.label.tolist() == [1]
    assert len(second) == 0
