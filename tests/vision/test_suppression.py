"""Suppression keeps what torchvision keeps, and what the slow, obvious way keeps.

Its own answers for made-up boxes are stored (torchvision_nms.py writes them); where torchvision is installed it
is asked again, for boxes that hypothesis thinks of.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision_nms import CASES, OUT, checksum, made, name

from vision.detections import Detections
from vision.postprocess import best_first, kept, suppressed

STORED = np.load(OUT)
SHORT = [case for case in CASES if case[1] <= 100]


def overlap(a: list[float], b: list[float]) -> float:
    """Intersection over union in float32, as nets and torchvision compute."""
    x1, y1, x2, y2 = (np.float32(v) for v in a)
    u1, v1, u2, v2 = (np.float32(v) for v in b)
    width, height = max(np.float32(0), min(x2, u2) - max(x1, u1)), max(np.float32(0), min(y2, v2) - max(y1, v1))
    union = (x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1) - width * height
    return float(width * height / union) if union > 0 else 0.0


def obvious(boxes: list[list[float]], score: list[float], label: list[int], iou: float, limit: int) -> list[int]:
    """From the definition: best first, keep what overlaps nothing kept of its class."""
    chosen: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: (-score[i], i)):
        if all(label[i] != label[j] or overlap(boxes[i], boxes[j]) <= iou for j in chosen):
            chosen.append(i)
    return chosen[:limit]


def indices(found: Detections, iou: float, limit: int = 10**9) -> list[int]:
    """Which boxes are kept, best first, as indices into `found`."""
    order = np.argsort(-found.score, kind="stable")
    return [int(i) for i in order[kept(best_first(found), iou, limit)]] if len(found) else []


whole = st.integers(0, 24)  # small whole numbers: much overlap, copies, boxes without area, overlaps of exactly a half
box = st.tuples(whole, whole, whole, whole).map(
    lambda c: [float(min(c[0], c[2])), float(min(c[1], c[3])), float(max(c[0], c[2])), float(max(c[1], c[3]))]
)
row = st.tuples(box, st.sampled_from([0.125, 0.25, 0.5, 0.75, 0.875]), st.integers(0, 2))
overlaps = st.sampled_from([0.0, 0.3, 0.45, 0.5, 0.7, 1.0])


def of_rows(rows: list[tuple[list[float], float, int]]) -> Detections:
    return Detections(
        np.array([r[0] for r in rows], np.float32).reshape(-1, 4),
        np.array([r[1] for r in rows], np.float32),
        np.array([r[2] for r in rows], np.int64),
    )


@settings(deadline=None)  # the machine may be busy
@given(st.lists(row, max_size=40), overlaps, st.sampled_from([1, 5, 300]))
def test_suppression_keeps_what_the_obvious_way_keeps(
    rows: list[tuple[list[float], float, int]], iou: float, limit: int
) -> None:
    boxes, score, label = [r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows]
    expected = obvious(boxes, score, label, iou, limit)
    left = suppressed(of_rows(rows), iou, limit)
    assert left.xyxy.tolist() == [boxes[i] for i in expected]
    assert left.label.tolist() == [label[i] for i in expected]
    assert left.score.tolist() == [score[i] for i in expected]


@pytest.mark.parametrize(("kind", "count", "iou"), SHORT, ids=[name(*case) for case in SHORT])
def test_the_obvious_way_is_torchvisions(kind: str, count: int, iou: float) -> None:
    xyxy, score, label = made(kind, count)
    expected = STORED[name(kind, count, iou)].tolist()
    assert obvious(xyxy.tolist(), score.tolist(), label.tolist(), iou, 10**9) == expected


@pytest.mark.parametrize(("kind", "count", "iou"), CASES, ids=[name(*case) for case in CASES])
def test_suppression_keeps_what_torchvision_kept(kind: str, count: int, iou: float) -> None:
    assert int(STORED[f"crc-{kind}-{count}"]) == checksum(kind, count), "the boxes are not those torchvision saw"
    found = Detections(*made(kind, count))
    expected = STORED[name(kind, count, iou)].tolist()
    assert indices(found, iou) == expected
    assert suppressed(found, iou).xyxy.tolist() == found.xyxy[expected[:300]].tolist()


def test_the_stored_boxes_put_suppression_to_the_test() -> None:
    kept_of = {case: len(STORED[name(*case)]) for case in CASES}
    assert kept_of["whole", 999, 0.5] < 500  # many copies
    assert kept_of["scattered", 999, 0.3] > 300  # more than the limit of a picture
    assert 0 < kept_of["clusters", 8400, 0.7] < 8400
    xyxy, score, _ = made("flat", 999)
    assert ((xyxy[:, 0] == xyxy[:, 2]) | (xyxy[:, 1] == xyxy[:, 3])).sum() > 300
    assert len(np.unique(made("ties", 999)[1])) == 11
    assert len(np.unique(score)) > 900


@settings(deadline=None, max_examples=300)
@given(st.lists(row, max_size=60), overlaps)
def test_suppression_keeps_what_torchvision_keeps_now(rows: list[tuple[list[float], float, int]], iou: float) -> None:
    torch = pytest.importorskip("torch", reason="torchvision is not installed: the stored answers stand for it")
    ops = pytest.importorskip("torchvision.ops", reason="torchvision is not installed")
    found = of_rows(rows)
    theirs = ops.batched_nms(*(torch.from_numpy(p) for p in (found.xyxy, found.score, found.label)), iou)
    assert indices(found, iou) == theirs.tolist()


@settings(deadline=None, max_examples=300)
@given(st.integers(0, 2**32 - 1), st.integers(0, 400), st.floats(1.0, 300.0), overlaps)
def test_suppression_keeps_what_torchvision_keeps_of_any_floats(seed: int, count: int, size: float, iou: float) -> None:
    torch = pytest.importorskip("torch", reason="torchvision is not installed: the stored answers stand for it")
    boxes = pytest.importorskip("torchvision.ops.boxes", reason="torchvision is not installed")
    random = np.random.default_rng(seed)
    low = random.random((count, 2)) * (640, 384)
    xyxy = np.hstack([low, low + random.random((count, 2)) * size]).astype(np.float32)
    found = Detections(xyxy, random.permutation(count).astype(np.float32), random.integers(0, 4, count))
    theirs = boxes._batched_nms_vanilla(*(torch.from_numpy(p) for p in (found.xyxy, found.score, found.label)), iou)
    assert indices(found, iou) == theirs.tolist()


@pytest.mark.parametrize("length", [63, 64, 127, 128, 129, 130, 400])
def test_a_row_of_boxes_that_each_repeat_only_the_next_keeps_every_other(length: int) -> None:
    left = np.arange(length, dtype=np.float32)
    xyxy = np.stack([left, 0 * left, left + 6, 0 * left + 4], axis=1)  # neighbours share 5/7, the next but one 4/8
    found = Detections(xyxy, np.linspace(1, 0.5, length, dtype=np.float32), np.zeros(length, np.int64))
    assert indices(found, 0.7) == list(range(0, length, 2))


def test_of_equal_scores_the_first_stays() -> None:
    same = Detections(
        np.tile(np.array([[0, 0, 10, 10]], np.float32), (500, 1)), np.full(500, 0.5, np.float32), np.arange(500) % 2
    )
    assert indices(same, 0.7) == [0, 1]


def test_boxes_without_area_or_turned_inside_out_suppress_nothing() -> None:
    boxes = [[5, 5, 5, 5], [5, 5, 5, 5], [0, 0, 10, 10], [8, 8, 2, 2], [0, 0, 10, 10]]
    found = Detections(np.array(boxes, np.float32), np.linspace(0.9, 0.5, 5, dtype=np.float32), np.zeros(5, np.int64))
    assert indices(found, 0.3) == [0, 1, 2, 3]
