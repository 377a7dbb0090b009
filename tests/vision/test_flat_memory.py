"""The hot path works in memory that it has: no picture costs an allocation of a picture's size, and none leaves any."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from itertools import cycle, islice

import pytest

from benchmarks.machine import rss_mb
from benchmarks.street_pictures import SAMPLE, SIZES_WH, pictures
from models.card import find_card
from vision.detector import Detector

SMALL_WH = (640, 360)


@pytest.fixture(scope="module")
def detector() -> Iterator[Detector]:
    made = Detector(find_card("streetscape-v1"))
    yield made
    made.close()


@pytest.mark.parametrize("size_wh", [SMALL_WH, SIZES_WH["1080p"]])
def test_nothing_of_a_pictures_size_is_allocated(detector: Detector, size_wh: tuple[int, int]) -> None:
    jpegs = pictures(SAMPLE, size_wh)
    detector.detect_jpegs(jpegs * 2)  # every lane has its room now
    height, width = detector.card.shape_hw
    gc.collect()
    tracemalloc.start()  # numpy tells it of its arrays too
    try:
        peaks = []
        for jpeg in jpegs:
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            detector.detect_jpegs([jpeg])
            peaks.append(tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()
    assert max(peaks) < height * width  # a third of the canvas, a sixth of what a 1080p picture decodes to


def test_four_hundred_pictures_leave_nothing_behind(detector: Detector) -> None:
    jpegs = [*pictures(SAMPLE, SMALL_WH), b"\xff\xd8 no picture"]
    detector.detect_jpegs([*islice(cycle(jpegs), 100)])
    gc.collect()
    before = rss_mb()
    detector.detect_jpegs([*islice(cycle(jpegs), 400)])
    gc.collect()
    assert rss_mb() - before < 8  # of the canvas alone, kept a picture each, it would be 280
