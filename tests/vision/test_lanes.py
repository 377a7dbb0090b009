"""Lanes give what one detector gives, in order, whatever stands beside a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.card import find_card
from vision.detections import Detections
from vision.detector import Detector
from vision.jpeg import PictureUnreadable
from vision.lanes import Lanes, fastest

SAMPLE = Path(__file__).parents[2] / "datasets" / "sample"
JPEGS = [path.read_bytes() for path in sorted(SAMPLE.glob("*.jpg"))[20:30]]


@pytest.fixture(scope="module")
def lanes() -> Lanes:
    return Lanes(find_card("streetscape-v1"), lanes=2)


def same(a: Detections | PictureUnreadable, b: Detections | PictureUnreadable, *, tolerance: float = 0.0) -> bool:
    assert isinstance(a, Detections)
    assert isinstance(b, Detections)
    return (
        np.array_equal(a.label, b.label)
        and np.allclose(a.score, b.score, atol=tolerance, rtol=0)
        and np.allclose(a.xyxy, b.xyxy, atol=1000 * tolerance, rtol=0)
    )


def test_lanes_find_what_one_detector_finds(lanes: Lanes) -> None:
    alone = Detector(find_card("streetscape-v1")).detect_jpegs(JPEGS)
    together = lanes.detect_jpegs(JPEGS)
    assert all(same(a, b, tolerance=1e-3) for a, b in zip(together, alone, strict=True))
    assert any(len(found) for found in alone if isinstance(found, Detections))


def test_a_pictures_numbers_do_not_depend_on_its_neighbours(lanes: Lanes) -> None:
    together = lanes.detect_jpegs(JPEGS)
    backwards = lanes.detect_jpegs(JPEGS[::-1])[::-1]
    singly = [lanes.detect_jpegs([jpeg])[0] for jpeg in JPEGS]
    assert all(same(a, b) and same(a, c) for a, b, c in zip(together, backwards, singly, strict=True))


def test_a_picture_that_does_not_decode_stands_in_its_place(lanes: Lanes) -> None:
    results = lanes.detect_jpegs([JPEGS[0], b"\xff\xd8 no", JPEGS[1]])
    assert [isinstance(result, PictureUnreadable) for result in results] == [False, True, False]


def test_nothing_in_nothing_out(lanes: Lanes) -> None:
    assert lanes.detect_jpegs([]) == []


def test_a_cpu_gets_lanes() -> None:
    chosen = fastest(find_card("streetscape-v1"))
    assert isinstance(chosen, Lanes) == (chosen.provider == "CPUExecutionProvider")
