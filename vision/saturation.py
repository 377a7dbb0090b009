"""INT8 weights that no processor adds up wrongly.

Without VNNI (AVX2, SSE) an x86 processor multiplies unsigned activations by signed weights with `vpmaddubsw`, which
adds the products of two neighbouring input channels in 16 bits and cuts what does not fit (Intel 64 and IA-32
Architectures Software Developer's Manual, PMADDUBSW). With activations up to 255 it always fits when the weights of
like sign in a pair add up to at most 128. The usual remedy, 7 bits for all weights, halves the resolution of each
channel; here a channel's step grows only as far as its own worst pair asks.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

PAIR = 128  # 128 * 255 = 32,640; 16 bits hold 32,767
GROWTH = 1.004  # of a channel's step, until its worst pair fits: half a unit of the largest weight

Floats = NDArray[np.float64]


def rounded(weights: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Weights (O, I, H, W) in steps of a size a channel: the steps, as int8, and their size (O,)."""
    size = np.abs(weights).reshape(len(weights), -1).max(axis=1) / 127
    size[size == 0] = 1.0
    steps = np.rint(weights / size[:, None, None, None])
    while (wide := worst_pair(steps) > PAIR).any():
        size[wide] *= GROWTH
        steps[wide] = np.rint(weights[wide] / size[wide, None, None, None])
    return steps.astype(np.int8), size


def worst_pair(steps: NDArray[np.floating | np.integer]) -> Floats:
    """The largest sum, in absolute value, of like-signed weights of neighbouring input channels: (O,)."""
    odd = steps.shape[1] % 2
    pairs = np.pad(steps.astype(np.float64), ((0, 0), (0, odd), (0, 0), (0, 0))).reshape(
        len(steps), -1, 2, *steps.shape[2:]
    )
    above, below = np.maximum(pairs, 0).sum(axis=2), np.maximum(-pairs, 0).sum(axis=2)
    worst: Floats = np.maximum(above, below).reshape(len(steps), -1).max(axis=1)
    return worst


def refit(made: onnx.ModelProto, weights: dict[str, NDArray[np.float32]]) -> int:
    """Round the weights of each quantised convolution anew, in place, and its bias with them; how many there were.

    `weights`: the float ones, by the name of the initializer that onnxruntime's quantiser added `_quantized` to.
    """
    tensors = {tensor.name: tensor for tensor in made.graph.initializer}
    sources = {name: node for node in made.graph.node for name in node.output}
    count = 0
    for node in made.graph.node:
        given = sources.get(node.input[1]) if node.op_type == "Conv" else None
        if given is None or given.op_type != "DequantizeLinear":
            continue
        steps, size = rounded(weights[given.input[0].removesuffix("_quantized")].astype(np.float64))
        before = _floats(tensors[given.input[1]])
        _put(tensors[given.input[0]], steps)
        _put(tensors[given.input[1]], size.astype(np.float32))
        bias = sources.get(node.input[2]) if len(node.input) > 2 else None
        if bias is not None:  # its step is the activation's times the weights', as integer kernels want it
            old = _floats(tensors[bias.input[1]])
            new = old * size / before
            _put(tensors[bias.input[0]], np.rint(_floats(tensors[bias.input[0]]) * old / new).astype(np.int32))
            _put(tensors[bias.input[1]], new.astype(np.float32))
        count += 1
    return count


def _floats(tensor: onnx.TensorProto) -> Floats:
    return np.asarray(numpy_helper.to_array(tensor), np.float64)


def _put(tensor: onnx.TensorProto, value: NDArray[np.generic]) -> None:
    tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
