"""Every engine says the same of the same picture, in order, whatever stands beside it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.card import find_card
from vision.batch import bucket_for, unit_planes
from vision.detections import Detections
from vision.detector import Busy, Detector
from vision.engine import Engine, EngineUnavailable, Layout, Raw
from vision.engine_onnxruntime import OnnxRuntimeEngine
from vision.engine_openvino import OpenVinoEngine
from vision.engines import AUTO, ENGINES, chosen, open_engine
from vision.jpeg import PictureUnreadable
from vision.on_device import DeviceJpegs
from vision.postprocess import iou_matrix

SAMPLE = Path(__file__).parents[2] / "datasets" / "sample"
JPEGS = [path.read_bytes() for path in sorted(SAMPLE.glob("*.jpg"))[20:30]]
CARD = find_card("streetscape-v1")
BATCHES = Layout(lanes=1, threads=2, buckets=(1, 2, 4))


@pytest.fixture(scope="module")
def float_detector() -> Iterator[Detector]:
    """ONNX Runtime on the float file: what the others are compared with."""
    detector = Detector(CARD, engine="onnxruntime")
    yield detector
    detector.close()


@pytest.fixture(scope="module")
def detector() -> Iterator[Detector]:
    detector = Detector(CARD)
    yield detector
    detector.close()


def same(a: Detections | PictureUnreadable, b: Detections | PictureUnreadable, *, tolerance: float = 0.0) -> bool:
    assert isinstance(a, Detections)
    assert isinstance(b, Detections)
    return (
        np.array_equal(a.label, b.label)
        and np.allclose(a.score, b.score, atol=tolerance, rtol=0)
        and np.allclose(a.xyxy, b.xyxy, atol=1000 * tolerance, rtol=0)
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: OpenVinoEngine(CARD, precision="fp32"),
        lambda: OpenVinoEngine(CARD, BATCHES, precision="fp32"),
        lambda: OnnxRuntimeEngine(CARD, BATCHES),
        lambda: OnnxRuntimeEngine(CARD, BATCHES, bound=True),
    ],
    ids=["openvino", "openvino in batches", "onnxruntime in batches", "onnxruntime with bound memory"],
)
def test_engines_of_the_float_file_agree(make, float_detector: Detector) -> None:
    other = Detector(CARD, engine=make())
    found, expected = other.detect_jpegs(JPEGS), float_detector.detect_jpegs(JPEGS)
    other.close()
    assert all(same(a, b, tolerance=2e-3) for a, b in zip(found, expected, strict=True))
    assert any(len(one) for one in expected if isinstance(one, Detections))


def test_the_int8_file_finds_what_the_float_file_is_sure_of(float_detector: Detector) -> None:
    detector = Detector(CARD, engine="openvino-int8")
    sure = near = 0
    for found, expected in zip(detector.detect_jpegs(JPEGS), float_detector.detect_jpegs(JPEGS), strict=True):
        assert isinstance(found, Detections)
        assert isinstance(expected, Detections)
        for box, score, label in zip(expected.xyxy, expected.score, expected.label, strict=True):
            own = found[found.label == label]
            sure += score > 0.5
            near += score > 0.5 and bool((iou_matrix(box[None], own.xyxy) > 0.8).any())
    assert sure > 10
    assert near >= 0.9 * sure


def test_a_pictures_numbers_do_not_depend_on_its_neighbours(detector: Detector) -> None:
    together = detector.detect_jpegs(JPEGS)
    backwards = detector.detect_jpegs(JPEGS[::-1])[::-1]
    singly = [detector.detect_jpegs([jpeg])[0] for jpeg in JPEGS]
    again = Detector(CARD).detect_jpegs(JPEGS)
    assert all(same(a, b) and same(a, c) for a, b, c in zip(together, backwards, singly, strict=True))
    assert all(same(a, b) for a, b in zip(together, again, strict=True))


@pytest.mark.parametrize("buckets", [(1,), (1, 2, 4)])
def test_a_picture_that_does_not_decode_stands_in_its_place(buckets: tuple[int, ...]) -> None:
    detector = Detector(CARD, engine=open_engine(CARD, AUTO, Layout(lanes=1, buckets=buckets)))
    results = detector.detect_jpegs([JPEGS[0], b"\xff\xd8 no", JPEGS[1]])
    assert [isinstance(result, PictureUnreadable) for result in results] == [False, True, False]


def test_nothing_in_nothing_out(detector: Detector) -> None:
    assert detector.detect_jpegs([]) == []


class Slow:
    """An engine that runs only when it is let: to see what waits, and in which batches."""

    name, device, precision, lanes, buckets = "slow", "CPU", "fp32", 1, (1, 2, 4)
    jpegs: DeviceJpegs | None = None

    def __init__(self) -> None:
        self.go = threading.Event()
        self.ran: list[int] = []
        self.canvas = np.zeros((4, *CARD.shape_hw, 3), np.uint8)

    def session(self) -> Slow:
        return self

    def run(self, count: int) -> Raw:
        self.ran.append(count)
        if len(self.ran) > len(self.buckets):  # after the warm-up
            assert self.go.wait(30)
        return np.zeros((count, 4 + len(CARD.classes), 10), np.float32)


def test_when_all_places_are_taken_more_is_refused_and_nothing_is_lost() -> None:
    slow = Slow()
    detector = Detector(CARD, engine=slow, max_wait_s=0.0, pending=6)
    started = detector.submit(JPEGS[0])
    while len(slow.ran) < 4:  # the lane has taken the first one
        threading.Event().wait(0.01)
    waiting = [detector.submit(JPEGS[1]) for _ in range(6)]
    with pytest.raises(Busy) as refused:
        detector.submit(JPEGS[2], timeout_s=0.0)
    assert refused.value.retry_after_s > 0
    slow.go.set()
    assert [len(future.result(30)) for future in (started, *waiting)] == [0] * 7
    assert slow.ran == [1, 2, 4, 1, 4, 2]  # warm-up, the first alone, then the fullest batches there are


def test_a_lone_picture_does_not_wait_for_a_full_batch() -> None:
    slow = Slow()
    slow.go.set()
    detector = Detector(CARD, engine=slow, max_wait_s=0.01)
    assert len(detector.submit(JPEGS[0]).result(30)) == 0
    assert slow.ran[3:] == [1]


def test_three_pictures_ride_in_a_bucket_of_four() -> None:
    slow = Slow()
    slow.go.set()
    detector = Detector(CARD, engine=slow, max_wait_s=60.0)  # only a full batch may go
    futures = [detector.submit(jpeg) for jpeg in JPEGS[:4]]
    assert [len(future.result(30)) for future in futures] == [0] * 4
    assert slow.ran[3:] == [4]
    assert [bucket_for(n, Slow.buckets) for n in (1, 2, 3, 4, 9)] == [1, 2, 4, 4, 4]


def test_an_engine_that_fails_is_heard_of_by_whoever_waits() -> None:
    class Broken(Slow):
        def run(self, count: int) -> Raw:
            super().run(count)
            if len(self.ran) > 3:
                raise MemoryError("the card is full")
            return np.zeros((count, 7, 10), np.float32)

    broken = Broken()
    broken.go.set()
    detector = Detector(CARD, engine=broken, max_wait_s=0.0)
    with pytest.raises(MemoryError, match="the card is full"):
        detector.submit(JPEGS[0]).result(30)
    with pytest.raises(MemoryError):  # and the lane is still there
        detector.submit(JPEGS[0]).result(30)


def test_a_closed_detector_finishes_what_it_has_and_takes_no_more() -> None:
    detector = Detector(CARD)
    futures = [detector.submit(jpeg) for jpeg in JPEGS]
    detector.close()
    assert all(isinstance(future.result(0), Detections) for future in futures)
    with pytest.raises(RuntimeError, match="closed"):
        detector.submit(JPEGS[0])


def test_auto_takes_the_first_engine_that_works_and_says_why_others_were_passed_over() -> None:
    engine, tried = chosen(CARD)
    assert engine is not None
    assert [one.works for one in tried] == [False] * (len(tried) - 1) + [True]
    assert all(one.reason for one in tried[:-1])
    assert [one.engine for one in tried] == list(ENGINES)[: len(tried)]
    assert open_engine(CARD, AUTO).precision == engine.precision


def test_an_engine_that_is_not_here_is_refused_by_name() -> None:
    with pytest.raises(EngineUnavailable, match="no engine 'tpu'; there are: auto, tensorrt, cuda, openvino-int8"):
        open_engine(CARD, "tpu")
    with pytest.raises(EngineUnavailable, match="no INT8 file"):
        open_engine(replace(CARD, weights={"fp32": CARD.weights["fp32"]}), "openvino-int8")


def test_a_missing_device_is_no_engine() -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this machine offers CUDA")
    with pytest.raises(EngineUnavailable, match="without CUDAExecutionProvider: install onnxruntime-gpu instead"):
        open_engine(CARD, "cuda")


def test_planes_are_red_green_blue_between_0_and_1() -> None:
    canvas = np.zeros((2, 32, 64, 3), np.uint8)
    canvas[1, 3, 5] = (51, 102, 255)  # BGR
    planes = unit_planes(canvas)
    assert planes.shape == (2, 3, 32, 64)
    assert planes[1, :, 3, 5].tolist() == pytest.approx([1.0, 0.4, 0.2])
    assert planes.sum() == pytest.approx(1.6)


def _protocol(engine: Engine) -> Engine:
    return engine


def test_the_fake_is_an_engine() -> None:
    assert _protocol(Slow()).lanes == 1
