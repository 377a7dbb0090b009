"""Several models look at every frame, as one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
from nets import FREE, saying, ultralytics

from ingest.frame import Fix, Frame, frame_id
from ingest.quality import Fault
from models.card import ModelUnusable, find_card
from vision.foreign import open_card
from vision.sight import answering, open_sight

SAMPLE = Path(__file__).parents[2] / "datasets" / "sample"


def always(path: Path, names: tuple[str, ...]) -> str:
    """A net that finds one thing of its second class in the middle of every picture."""
    raw = np.zeros((6, 126), np.float32)
    raw[:, 5] = [48, 32, 20, 10, 0.8, 0.9]
    return str(saying(path, raw, read=FREE, meta=ultralytics(names, imgsz="[64, 96]")))


def frame(jpeg: bytes) -> Frame:
    at = datetime(2026, 11, 20, 8, 15, tzinfo=UTC)
    fix = Fix(time=at, lat=22.54, lon=114.05, speed_mps=5.0, heading_deg=90.0, accuracy_m=3.0)
    name = frame_id("bus-1", "right", at)
    return Frame(
        id=name, vehicle="bus-1", camera="right", time=at, fix=fix, jpeg=jpeg, size_wh=(640, 384), file="a.jpg"
    )


def test_a_second_model_adds_its_kinds_and_the_first_keeps_its_own(tmp_path: Path) -> None:
    main = find_card("streetscape-v1")
    also = open_card(always(tmp_path / "stalls.onnx", ("garbage", "street_stall")))
    good, broken = (SAMPLE / "0021.jpg").read_bytes(), b"no picture"
    both, alone = open_sight([main, also]), open_sight([main])
    shown, before = both.detect([frame(good), frame(broken)]), alone.detect([frame(good)])
    assert isinstance(shown[0], list)
    assert isinstance(before[0], list)
    assert shown[0][:-1] == before[0]  # its garbage is the first model's matter
    assert shown[0][-1].kind == "street_stall"
    assert isinstance(shown[1], ValueError)
    assert both.model == f"{alone.model} + {also.version}"
    assert set(both.recall) == {"garbage", "garbage_bin", "overflow_bin", "street_stall"}
    assert both.recall["garbage"] == main.recall["garbage"]


def test_a_frame_that_shows_nothing_is_not_shown_to_the_second(tmp_path: Path) -> None:
    dark = cv2.imencode(".jpg", np.zeros((384, 640, 3), np.uint8))[1].tobytes()
    also = open_card(always(tmp_path / "stalls.onnx", ("garbage", "street_stall")))
    (shown,) = open_sight([find_card("streetscape-v1"), also]).detect([frame(dark)])
    assert isinstance(shown, Fault)


def test_a_model_that_adds_nothing_is_refused() -> None:
    card = find_card("streetscape-v1")
    with pytest.raises(ModelUnusable, match="knows no kind"):
        answering([card, replace(card, name="again")])
