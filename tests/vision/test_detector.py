"""The released model on real pictures: from JPEG bytes to boxes."""

import csv
import struct
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.card import MODELS, ModelUnusable, Weights, file_facts, find_card
from vision.detections import Detections
from vision.detector import Detector
from vision.draw import draw
from vision.jpeg import PictureUnreadable, decode_jpeg
from vision.postprocess import iou_matrix

SAMPLE = Path(__file__).parents[2] / "datasets" / "sample"
CARD = find_card("streetscape-v1")
JPEGS = [path.read_bytes() for path in sorted(SAMPLE.glob("*.jpg"))[:7]]


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(CARD)


def pixels(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def encoded(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def same(found: Detections, other: Detections, *, pixels: float, score: float) -> None:
    """One to one, whatever the order of boxes with nearly the same score."""
    assert sorted(found.label.tolist()) == sorted(other.label.tolist())
    for box, value, label in zip(other.xyxy, other.score, other.label, strict=True):
        candidates = np.flatnonzero(found.label == label)
        nearest = candidates[np.abs(found.xyxy[candidates] - box).max(axis=1).argmin()]
        np.testing.assert_allclose(found.xyxy[nearest], box, atol=pixels)
        assert found.score[nearest] == pytest.approx(value, abs=score)


def test_most_of_what_people_marked_in_the_sample_drive_is_found(detector: Detector) -> None:
    with (SAMPLE / "labels.csv").open(encoding="utf8") as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] in CARD.classes]
    files = sorted({row["file"] for row in rows})[::3]
    seen = dict(zip(files, detector.detect_jpegs([(SAMPLE / f).read_bytes() for f in files]), strict=True))
    hits = []
    for row in (row for row in rows if row["file"] in seen):
        found = seen[row["file"]]
        assert isinstance(found, Detections)
        own = found[found.label == CARD.classes.index(row["kind"])]
        box = np.array([[float(row[side]) for side in ("x1", "y1", "x2", "y2")]], np.float32)
        hits.append(bool((iou_matrix(box, own.xyxy) >= 0.5).any()))
    assert len(hits) > 40
    assert np.mean(hits) > 0.6


def test_a_picture_shows_the_same_alone_and_among_others(detector: Detector) -> None:
    together = detector.detect_jpegs(JPEGS)  # batches of 4, 2 and 1
    assert sum(len(one) for one in together if isinstance(one, Detections)) >= 7
    for data, among in zip(JPEGS, together, strict=True):
        (alone,) = detector.detect_jpegs([data])
        assert isinstance(alone, Detections)
        assert isinstance(among, Detections)
        same(among, alone, pixels=0.05, score=1e-3)


def test_bytes_and_pixels_give_the_same(detector: Detector) -> None:
    for a, b in zip(detector.detect([pixels(d) for d in JPEGS]), detector.detect_jpegs(JPEGS), strict=True):
        assert isinstance(b, Detections)
        same(a, b, pixels=0.01, score=1e-4)


def test_no_pictures_are_no_detections(detector: Detector) -> None:
    assert detector.detect([]) == []
    assert detector.detect_jpegs([]) == []


def test_a_large_picture_is_decoded_at_half_size_and_boxes_are_in_its_own_pixels(detector: Detector) -> None:
    small = pixels(JPEGS[0])
    large = cv2.resize(small, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    image, letterbox = decode_jpeg(encoded(large), CARD.shape_hw)
    assert image.shape[1] * 4 == large.shape[1]
    assert letterbox.source_wh == (large.shape[1], large.shape[0])
    (found,) = detector.detect_jpegs([encoded(large)])
    (expected,) = detector.detect([large])
    assert isinstance(found, Detections)
    sure = expected[expected.score > 0.7]
    assert len(sure)
    for box, label in zip(sure.xyxy, sure.label, strict=True):
        assert iou_matrix(box[None], found[found.label == label].xyxy).max() > 0.85


def test_boxes_of_a_picture_turned_by_its_camera_are_upright(detector: Detector) -> None:
    upright = pixels(JPEGS[0])
    stored = encoded(cv2.rotate(upright, cv2.ROTATE_90_COUNTERCLOCKWISE))
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)  # orientation 6: turn right to view
    exif = b"Exif\0\0" + tiff
    turned = stored[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + stored[2:]
    _, letterbox = decode_jpeg(turned, CARD.shape_hw)
    assert letterbox.source_wh == (upright.shape[1], upright.shape[0])
    (found,) = detector.detect_jpegs([turned])
    (expected,) = detector.detect([upright])
    assert isinstance(found, Detections)
    sure = expected[expected.score > 0.7]
    assert len(sure)
    for box, label in zip(sure.xyxy, sure.label, strict=True):
        assert iou_matrix(box[None], found[found.label == label].xyxy).max() > 0.85


def test_a_picture_that_does_not_decode_is_a_value_and_the_others_go_on(detector: Detector) -> None:
    png = cv2.imencode(".png", pixels(JPEGS[0]))[1].tobytes()
    bad = [b"", png, JPEGS[0][:9000], b"no picture at all"]
    mixed = [JPEGS[0], *bad, JPEGS[1]]
    results = detector.detect_jpegs(mixed)
    assert [isinstance(one, PictureUnreadable) for one in results] == [False, True, True, True, True, False]
    reasons = [str(one) for one in results[1:-1]]
    for reason, part in zip(reasons, ("empty", "PNG", "truncated", "not a JPEG"), strict=True):
        assert part in reason
    (alone,) = detector.detect_jpegs([JPEGS[1]])
    assert isinstance(alone, Detections)
    assert isinstance(results[-1], Detections)
    same(results[-1], alone, pixels=0.05, score=1e-3)


def test_what_is_reported_is_above_the_threshold_of_its_class(detector: Detector) -> None:
    floor = np.array(CARD.thresholds)
    for reported, everything in zip(
        detector.detect_jpegs(JPEGS), detector.detect_jpegs(JPEGS, floor=0.01), strict=True
    ):
        assert isinstance(reported, Detections)
        assert isinstance(everything, Detections)
        assert (reported.score > floor[reported.label]).all()
        assert (everything.score > floor[everything.label]).sum() == len(reported) < len(everything)


def test_a_foreign_model_is_refused_with_what_was_expected(tmp_path: Path) -> None:
    foreign = MODELS / "privacy" / "face_detection_yunet_2026may.onnx"  # an ONNX model, but of faces
    card = replace(CARD, folder=foreign.parent, weights={"fp32": Weights(foreign.name, *file_facts(foreign))})
    with pytest.raises(
        ModelUnusable, match=r"class names missing, expected \{0: 'garbage'.*expected one \(batch, 7, anc"
    ):
        Detector(card)
    path = tmp_path / "model.onnx"
    path.write_text("a page that said: file not found", encoding="utf8")
    card = replace(CARD, folder=tmp_path, weights={"fp32": Weights(path.name, *file_facts(path))})
    with pytest.raises(ModelUnusable, match=r"model\.onnx is no ONNX model"):
        Detector(card)


def test_a_card_with_other_classes_or_another_stride_is_refused() -> None:
    order = ("garbage_bin", "garbage", "overflow_bin")
    with pytest.raises(ModelUnusable, match=r"expected \{0: 'garbage_bin', 1: 'garbage'"):
        Detector(replace(CARD, classes=order))
    with pytest.raises(ModelUnusable, match="stride 32, expected 64"):
        Detector(replace(CARD, stride=64))
    with pytest.raises(ModelUnusable, match="head 'end2end' of the card"):
        Detector(replace(CARD, head="end2end"))


def test_boxes_are_drawn_on_a_copy(detector: Detector) -> None:
    image = pixels(JPEGS[0])
    before = image.copy()
    (found,) = detector.detect([image])
    drawn = draw(image, found, CARD.classes)
    assert np.array_equal(image, before)
    x1, y1 = (round(float(v)) for v in found.xyxy[0, :2])
    assert (drawn[y1 : y1 + 20, x1] != image[y1 : y1 + 20, x1]).any()
    assert np.array_equal(draw(image, Detections.empty(), CARD.classes), before)
