"""The variant that looks at a picture at two sizes, in one graph."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from scipy.special import expit
from scipy.special import logit as logit_of

from models.card import MODELS
from models.twin import twinned
from models.two_sizes import SAME, UNSEEN, two_sizes
from vision.postprocess import iou_matrix

SAMPLE = Path(__file__).parents[2] / "datasets" / "sample"
SHAPE = (128, 256)


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return onnx.load(MODELS / "streetscape-v1" / "model.onnx")


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {model.graph.input[0].name: x})[0])


def pictures() -> np.ndarray:
    images = [cv2.resize(cv2.imread(str(SAMPLE / f"{n:04}.jpg")), SHAPE[::-1]) for n in (1, 21)]
    return (np.stack(images)[..., ::-1].transpose(0, 3, 1, 2) / 255).astype(np.float32)


def corners(raw: np.ndarray) -> np.ndarray:
    return np.concatenate([raw[:2] - raw[2:4] / 2, raw[:2] + raw[2:4] / 2]).T


def test_what_both_sizes_say_of_a_place_is_averaged_and_what_one_did_not_see_counts_little(
    model: onnx.ModelProto,
) -> None:
    x = pictures()
    both = run(two_sizes(model), x)
    assert both.shape == (2, 7, 500)
    smaller = np.stack([cv2.resize(image.transpose(1, 2, 0), (192, 96)).transpose(2, 0, 1) for image in x])
    twin = twinned(model)
    looks = [run(twin, x), run(twin, smaller) * np.array([4 / 3] * 4 + [1] * 3, np.float32)[:, None]]
    for number in range(2):
        raws = [look[number] for look in looks]
        raws = [raw[:, np.argsort(-raw[4:].max(axis=0), kind="stable")[:250]] for raw in raws]
        same = iou_matrix(corners(raws[0]), corners(raws[1])) > SAME
        for own, other, overlap, got in (
            (raws[0], raws[1], same, both[number][:, :250]),
            (raws[1], raws[0], same.T, both[number][:, 250:]),
        ):
            seen = np.maximum((other[4:, None, :] * overlap[None]).max(axis=2), UNSEEN)
            expected = expit((logit_of(np.clip(own[4:], 1e-7, 1)) + logit_of(seen)) / 2)
            sure = own[4:].max(axis=0) > 0.02  # of the others the order is a matter of rounding
            np.testing.assert_allclose(got[4:, sure], expected[:, sure], atol=2e-3)
            alone = sure & ~overlap.any(axis=1)
            np.testing.assert_allclose(got[:4, alone], own[:4, alone], atol=0.05)
    assert (both[1, 4:] > 0.3).any(), "a picture that shows something was asked for"


def test_the_same_picture_twice_in_a_batch_is_seen_the_same(model: onnx.ModelProto) -> None:
    one = pictures()[1:]
    told = run(two_sizes(model), np.repeat(one, 2, axis=0))
    np.testing.assert_allclose(told[0], told[1], atol=1e-4)
