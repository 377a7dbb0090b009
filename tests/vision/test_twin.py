"""The variant that looks at a picture and at its mirror image, in one graph."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from scipy.special import logit as logit_of

from models.card import MODELS, find_card
from models.twin import twinned
from vision.detector import Detector
from vision.engines import open_engine

SAMPLE = Path(__file__).parents[2] / "datasets" / "sample"
SHAPE = (96, 160)


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {model.graph.input[0].name: x})[0])


def mirrored(raw: np.ndarray) -> np.ndarray:
    """A raw output (1, 7, cells) as it would be of the mirrored picture."""
    height, width = SHAPE
    parts, start = [], 0
    for stride in (8, 16, 32):
        rows, columns = height // stride, width // stride
        level = raw[0, :, start : start + rows * columns].reshape(7, rows, columns)[:, :, ::-1].copy()
        level[0] = width - level[0]
        parts.append(level.reshape(7, -1))
        start += rows * columns
    return np.concatenate(parts, axis=1)[None]


def picture() -> np.ndarray:
    image = cv2.resize(cv2.imread(str(SAMPLE / "0021.jpg")), SHAPE[::-1], interpolation=cv2.INTER_AREA)
    return (image[:, :, ::-1].transpose(2, 0, 1)[None] / 255).astype(np.float32)


@pytest.mark.parametrize("file", ["model.onnx", "model.int8.onnx"])
def test_scores_of_both_looks_are_averaged_as_logits_and_boxes_lie_between(file: str) -> None:
    model = onnx.load(MODELS / "streetscape-v1" / file)
    x = picture()
    one, other = run(model, x), mirrored(run(model, np.ascontiguousarray(x[..., ::-1])))
    both = run(twinned(model), x)
    logit = [logit_of(np.clip(raw[:, 4:], 1e-7, 1 - 1e-7)) for raw in (one, other)]
    np.testing.assert_allclose(both[:, 4:], 1 / (1 + np.exp(-sum(logit) / 2)), atol=1e-4)
    sides = [
        np.concatenate([raw[:, :2] - raw[:, 2:4] / 2, raw[:, :2] + raw[:, 2:4] / 2], 1) for raw in (one, other, both)
    ]
    assert (sides[2] >= np.minimum(sides[0], sides[1]) - 0.01).all()
    assert (sides[2] <= np.maximum(sides[0], sides[1]) + 0.01).all()


def test_a_picture_and_its_mirror_image_show_the_accurate_variant_the_same() -> None:
    model = twinned(onnx.load(MODELS / "streetscape-v1" / "model.onnx"))
    x = picture()
    np.testing.assert_allclose(run(model, x), mirrored(run(model, np.ascontiguousarray(x[..., ::-1]))), atol=2e-3)


def test_another_head_is_refused() -> None:
    model = onnx.load(MODELS / "streetscape-v1" / "model.onnx")
    for tensor in [*model.graph.initializer, *model.graph.node]:
        if isinstance(tensor, onnx.NodeProto):
            tensor.input[:] = [name.replace("cv3.", "cv9.") for name in tensor.input]
    with pytest.raises(ValueError, match="YOLO26 is expected"):
        twinned(model)


def test_accurate_is_a_model_by_its_short_name_and_finds_the_garbage_of_the_sample() -> None:
    card = find_card("accurate")
    assert (card.name, card.shape_hw, card.stride) == ("streetscape-v1-accurate", (512, 896), 128)
    assert find_card("streetscape-v1-accurate").version == card.version
    detector = Detector(card, engine=open_engine(card, "auto"))
    (found,) = detector.detect_jpegs([(SAMPLE / "0021.jpg").read_bytes()])
    (plain,) = Detector(find_card("streetscape-v1")).detect_jpegs([(SAMPLE / "0021.jpg").read_bytes()])
    assert not isinstance(found, ValueError)
    assert not isinstance(plain, ValueError)
    assert set(found.label.tolist()) >= set(plain.label.tolist())
    detector.close()
