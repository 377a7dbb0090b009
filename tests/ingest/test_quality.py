"""The quality gate, on the sample's pictures and on what happens to pictures in a vehicle."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.degrade import DEGRADATIONS, Degradation, Image, encoded
from ingest.jpeg import read_header
from ingest.quality import Fault, Health, first_look, look_at, look_at_pixels, measured, suspicious
from models.card import find_card
from vision.detector import Detector
from vision.jpeg import PictureUnreadable

SAMPLE = Path(__file__).resolve().parents[2] / "datasets" / "sample"
PICTURES = sorted(SAMPLE.glob("*.jpg"))
SURE = {"black", "grey", "covered, all", "covered, 95 %", "light x 0.001", "focus, 1.5 %", "focus, 3 %", "motion, 12 %"}
NAMED = {
    "black": Fault.DARK,
    "light": Fault.DARK,
    "grey": Fault.COVERED,
    "focus": Fault.BLURRED,
    "motion": Fault.BLURRED,
}


def picture(n: int) -> Image:
    return np.asarray(cv2.imread(str(PICTURES[n])), np.uint8)


def fault_of(jpeg: bytes) -> Fault | None:
    """What the detector's gate says."""
    said = detector().submit_gated(jpeg).result()
    return said if isinstance(said, Fault) else None


@cache
def detector() -> Detector:
    return Detector(find_card("streetscape-v1"))


def faults(one: Degradation, quality: int) -> list[Fault | None]:
    rng = np.random.default_rng(0)
    images = [picture(n) for n in range(0, len(PICTURES), 10)]
    return [fault_of(encoded(one.change(i, rng), quality)) for i in images]


def test_no_picture_of_the_sample_is_dropped_and_none_needs_a_look() -> None:
    assert len(PICTURES) == 70
    for path in PICTURES:
        jpeg = path.read_bytes()
        assert not suspicious(jpeg, read_header(jpeg)), path.name
        look = look_at(jpeg, read_header(jpeg))
        assert look is not None
        assert look.fault is None, path.name


@pytest.mark.parametrize("quality", [60, 95])
@pytest.mark.parametrize("one", [d for d in DEGRADATIONS if not d.useless], ids=lambda d: d.name)
def test_pictures_that_still_show_something_pass(one: Degradation, quality: int) -> None:
    assert set(faults(one, quality)) == {None}


@pytest.mark.parametrize("quality", [60, 95])
@pytest.mark.parametrize("one", [d for d in DEGRADATIONS if d.name in SURE], ids=lambda d: d.name)
def test_pictures_that_show_nothing_are_dropped_for_the_right_reason(one: Degradation, quality: int) -> None:
    found = faults(one, quality)
    assert sum(fault is not None for fault in found) >= 0.9 * len(found)
    named = NAMED.get(one.name.split()[0].rstrip(","))
    if named is not None:
        assert set(found) <= {named, None}


@pytest.mark.parametrize("size_wh", [(1920, 1080), (1280, 720), (640, 360), (320, 240)])
def test_the_verdict_does_not_hang_on_the_resolution(size_wh: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    blur = next(d for d in DEGRADATIONS if d.name == "focus, 3 %")
    sharp = cv2.resize(picture(20), size_wh, interpolation=cv2.INTER_AREA).astype(np.uint8)
    assert fault_of(encoded(sharp, 80)) is None
    assert fault_of(encoded(blur.change(sharp, rng), 80)) is Fault.BLURRED


def test_sharpness_is_a_quarter_where_edges_are_soft_or_far_apart_and_high_in_fine_texture() -> None:
    ramp = np.linspace(0, 160, 128)[None, :] + np.linspace(0, 90, 72)[:, None]
    # a step of one is a quarter of a step of four
    assert measured(ramp.astype(np.uint8)).sharpness == pytest.approx(0.25, abs=0.02)
    board = 255 * ((np.indices((72, 128)) // 16).sum(axis=0) % 2).astype(np.uint8)
    assert measured(board).sharpness == pytest.approx(0.25, abs=0.02)  # an edge every 16: 1 of 16 steps, 4 of 16 afar
    dots = 255 * (np.indices((72, 128)).sum(axis=0) % 2).astype(np.uint8)
    assert measured(dots).sharpness > 10  # every step is one, and four further all is the same


@pytest.mark.parametrize("jpeg", [b"", b"\xff\xd8\xff\xd9", b"no picture at all", PICTURES[0].read_bytes()[:300]])
def test_what_does_not_decode_is_left_to_the_decoder_to_refuse(jpeg: bytes) -> None:
    assert first_look(jpeg, (640, 480))[0] is None
    assert isinstance(detector().submit_gated(jpeg).result(), PictureUnreadable)


def test_a_progressive_and_a_grey_jpeg_are_judged_as_others() -> None:
    image = picture(3)
    progressive = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_QUALITY, 95])[
        1
    ].tobytes()
    grey = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), [cv2.IMWRITE_JPEG_QUALITY, 60])[1].tobytes()
    black = cv2.imencode(".jpg", np.zeros((480, 640), np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    assert fault_of(progressive) is None
    assert fault_of(grey) is None
    assert fault_of(black) is Fault.DARK


def test_a_look_at_what_the_net_would_get_says_what_one_at_an_eighth_says() -> None:
    rng = np.random.default_rng(0)
    for one in [d for d in DEGRADATIONS if d.name in SURE or not d.useless]:
        images = [one.change(picture(n), rng) for n in range(0, len(PICTURES), 10)]
        eighth = [look_at(encoded(image, 95), (640, 480)) for image in images]
        pixels = [look_at_pixels(cv2.resize(image, (480, 360)).astype(np.uint8)) for image in images]
        agree = sum(
            a is not None and (a.fault is None) == (b.fault is None) for a, b in zip(eighth, pixels, strict=True)
        )
        assert agree >= 0.9 * len(images), one.name


def test_what_is_settled_before_decoding_is_what_the_bytes_prove_or_what_is_nearly_empty() -> None:
    good = picture(0)
    assert first_look(encoded(good, 85), (640, 480)) == (None, True)
    assert first_look(encoded(good, 98), (640, 480)) == (None, False)  # noise alone would fill the bytes
    assert first_look(encoded(np.zeros_like(good), 98), (640, 480)) == (Fault.DARK, True)


def test_a_picture_cut_short_is_no_covered_lens() -> None:
    whole = encoded(picture(0), 85)
    assert isinstance(detector().submit_gated(whole[: len(whole) // 3]).result(), PictureUnreadable)


def test_health_counts_by_camera_and_reason() -> None:
    health = Health()
    assert health.health() == []
    for second in range(6):
        health.note("bus", "right", Fault.DARK if second % 3 else None)
    health.note("bus", "left", None)
    assert [one.document() for one in health.health()] == [
        {"vehicle": "bus", "camera": "left", "frames": 1, "dropped": {"dark": 0, "covered": 0, "blurred": 0}},
        {"vehicle": "bus", "camera": "right", "frames": 6, "dropped": {"dark": 4, "covered": 0, "blurred": 0}},
    ]
