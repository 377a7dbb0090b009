"""INT8 weights on processors that add products in 16 bits."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper

from models.card import find_card
from vision.saturation import PAIR, rounded, worst_pair


def pmaddubsw(activations: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sums of products of neighbours, cut to 16 bits, as the processor does it."""
    products = activations.astype(np.int64) * weights.astype(np.int64)
    return np.clip(products[0::2] + products[1::2], -32768, 32767).astype(np.int64)


@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 9), st.sampled_from([1, 3])),
    seed=st.integers(0, 2**32 - 1),
    spread=st.sampled_from([1e-6, 1.0, 1e3]),
)
def test_no_activations_saturate_and_weights_stay_within_a_step(
    shape: tuple[int, int, int], seed: int, spread: float
) -> None:
    rng = np.random.default_rng(seed)
    weights = spread * rng.standard_t(2, (shape[0], shape[1], shape[2], shape[2]))
    steps, size = rounded(weights)
    assert (worst_pair(steps) <= PAIR).all()
    assert np.abs(weights - steps * size[:, None, None, None]).max(axis=(1, 2, 3)) == pytest.approx(
        np.zeros(len(size)), abs=float((size * 0.501).max())
    )
    column = np.pad(steps[0, :, 0, 0], (0, shape[1] % 2))
    for activations in (np.full(len(column), 255), rng.integers(0, 256, len(column))):
        assert pmaddubsw(activations, column).sum() == activations @ column.astype(np.int64)


def test_a_channel_of_nothing_stays_nothing() -> None:
    steps, size = rounded(np.zeros((2, 3, 1, 1)))
    assert not steps.any()
    assert (size > 0).all()


def test_a_lone_weight_keeps_eight_bits_and_a_pair_of_them_seven() -> None:
    lone, _ = rounded(np.array([1.0, 0.0]).reshape(1, 2, 1, 1))
    pair, _ = rounded(np.array([1.0, 1.0]).reshape(1, 2, 1, 1))
    assert lone.ravel().tolist() == [127, 0]
    assert pair.ravel().tolist() == [64, 64]


def test_the_shipped_file_saturates_nowhere() -> None:
    graph = onnx.load(find_card("streetscape-v1").path_of("int8")).graph
    weights = [
        numpy_helper.to_array(tensor) for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.INT8
    ]
    kernels = [tensor for tensor in weights if tensor.ndim == 4]
    assert len(kernels) > 50
    assert max(float(worst_pair(tensor).max()) for tensor in kernels) <= PAIR
