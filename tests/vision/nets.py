"""Small nets that say what a test wants, as real ONNX files for the real runtimes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Shape = Sequence[int | str]
FREE: Shape = ("batch", 3, "height", "width")


def saying(
    path: Path, output: np.ndarray, *, read: Shape = FREE, meta: Mapping[str, str] | None = None, name: str = "images"
) -> Path:
    """A net that says `output` (rows, columns) of every picture, whatever it shows."""
    nodes = [
        helper.make_node("ReduceMean", [name], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Squeeze", ["mean", "last"], ["one"]),
        helper.make_node("Mul", ["one", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "told"], ["output0"]),
    ]
    constants = {
        "last": np.array([3], np.int64),
        "zero": np.array(0, np.float32),
        "told": np.asarray(output, np.float32)[None],
    }
    return _saved(path, nodes, constants, (name, read), (read[0], *output.shape), meta or {})


def seeing(path: Path, *, scale: float, meta: Mapping[str, str], read: Shape = FREE) -> Path:
    """A net that says one box with the mean of each plane, times `scale`, as the scores of three classes.

    Its output is that of a YOLOv8 of one anchor, or, when `meta` is empty, of a decoded YOLOX of 32 x 32 pixels.
    """
    box = np.array([16, 16, 8, 8], np.float32)
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["means"], axes=[2, 3], keepdims=1),
        helper.make_node("Mul", ["means", "scale"], ["scaled"]),
        helper.make_node("Squeeze", ["scaled", "last"], ["scores"]),  # (N, 3, 1)
    ]
    if meta:
        start, axis, output = box[None, :, None], 1, (read[0], 7, 1)
    else:
        cells = np.zeros((1, 21, 5), np.float32)
        cells[0, :, :4] = box
        cells[0, :, 4] = [1] + [0] * 20
        cells[0, 1:, 0] = 30
        start, axis, output = cells, 2, (read[0], 21, 8)
        nodes += [
            helper.make_node("Transpose", ["scores"], ["turned"], perm=[0, 2, 1]),
            helper.make_node("Mul", ["turned", "ones"], ["each"]),
        ]
    nodes += [
        helper.make_node("Slice", ["scores", "from", "to", "along"], ["first"]),
        helper.make_node("Mul", ["first", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "start"], ["boxes"]),
        helper.make_node("Concat", ["boxes", "scores" if meta else "each"], ["output0"], axis=axis),
    ]
    constants = {
        "scale": np.array(scale, np.float32),
        "last": np.array([3], np.int64),
        "ones": np.ones((1, 21, 1), np.float32),
        "from": np.array([0], np.int64),
        "to": np.array([1], np.int64),
        "along": np.array([1], np.int64),
        "zero": np.array(0, np.float32),
        "start": start,
    }
    return _saved(path, nodes, constants, ("images", read), output, meta)


def ultralytics(names: Sequence[str], **more: str) -> dict[str, str]:
    """Metadata as its exporter writes them."""
    known = {"names": str(dict(enumerate(names))), "stride": "32", "task": "detect", "end2end": "False"}
    return known | more


def _saved(
    path: Path,
    nodes: list[onnx.NodeProto],
    constants: Mapping[str, np.ndarray],
    read: tuple[str, Shape],
    output: Shape,
    meta: Mapping[str, str],
) -> Path:
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info(read[0], TensorProto.FLOAT, list(read[1]))],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, list(output))],
        [numpy_helper.from_array(value, name) for name, value in constants.items() if name in used],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, dict(meta))
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path
