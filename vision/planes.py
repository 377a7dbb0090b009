"""Planes: writes planes.onnx, the small net that makes a model's input out of a canvas on the device.

`python -m vision.planes` (needs `onnx`: the dev and train extras). uint8 (N, H, W, 3) BGR becomes float (N, 3, H, W)
RGB in 0–1, the same numbers as `vision.batch.unit_planes`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from vision.batch import TO_UNIT

OUT = Path(__file__).with_suffix(".onnx")


def planes() -> onnx.ModelProto:
    """The net."""
    nodes = [
        helper.make_node("Gather", ["canvas", "rgb"], ["turned"], axis=3),
        helper.make_node("Transpose", ["turned"], ["stacked"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["stacked"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["floats", "to_unit"], ["planes"]),
    ]
    graph = helper.make_graph(
        nodes,
        "planes",
        [helper.make_tensor_value_info("canvas", TensorProto.UINT8, ["batch", "height", "width", 3])],
        [helper.make_tensor_value_info("planes", TensorProto.FLOAT, ["batch", 3, "height", "width"])],
        [
            numpy_helper.from_array(np.array([2, 1, 0], np.int64), "rgb"),
            numpy_helper.from_array(np.array(TO_UNIT, np.float32), "to_unit"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


if __name__ == "__main__":
    onnx.save(planes(), OUT)
    print(OUT.name)
