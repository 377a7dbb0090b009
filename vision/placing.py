"""Placing: writes placing.onnx, the small net that letterboxes a whole decoded picture on the device.

`python -m vision.placing` (needs `onnx`: the dev and train extras). uint8 (H, W, 3) RGB becomes float (1, 3, h, w) RGB
in 0–1 with grey bars, as a canvas of the host becomes by `vision.letterbox` and `vision.planes`: blocks of pixels are
averaged, as a decoder of the host does that reads at a half, a quarter or an eighth, and the rest is linear.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from vision.batch import TO_UNIT
from vision.letterbox import GREY

OUT = Path(__file__).with_suffix(".onnx")


def placing() -> onnx.ModelProto:
    """The net. `blocks` is (rows, factor, columns, factor, 3), `inner` (1, 3, h, w), `pads` as Pad wants them."""
    nodes = [
        helper.make_node("Slice", ["picture", "origin", "whole"], ["even"]),
        helper.make_node("Reshape", ["even", "blocks"], ["blocked"]),
        helper.make_node("Cast", ["blocked"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats", "within"], ["reduced"], keepdims=0),
        helper.make_node("Transpose", ["reduced"], ["stacked"], perm=[2, 0, 1]),
        helper.make_node("Unsqueeze", ["stacked", "first"], ["one"]),
        helper.make_node(
            "Resize", ["one", "", "", "inner"], ["resized"], mode="linear", coordinate_transformation_mode="half_pixel"
        ),
        helper.make_node("Pad", ["resized", "pads", "grey"], ["padded"]),
        helper.make_node("Mul", ["padded", "to_unit"], ["planes"]),
    ]
    sizes = [("whole", 2), ("blocks", 5), ("inner", 4), ("pads", 8)]
    graph = helper.make_graph(
        nodes,
        "placing",
        [
            helper.make_tensor_value_info("picture", TensorProto.UINT8, ["height", "width", 3]),
            *(helper.make_tensor_value_info(name, TensorProto.INT64, [size]) for name, size in sizes),
        ],
        [helper.make_tensor_value_info("planes", TensorProto.FLOAT, [1, 3, "rows", "columns"])],
        [
            numpy_helper.from_array(np.array([0, 0], np.int64), "origin"),
            numpy_helper.from_array(np.array([1, 3], np.int64), "within"),
            numpy_helper.from_array(np.array([0], np.int64), "first"),
            numpy_helper.from_array(np.array(GREY, np.float32), "grey"),
            numpy_helper.from_array(np.array(TO_UNIT, np.float32), "to_unit"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


if __name__ == "__main__":
    onnx.save(placing(), OUT)
    print(OUT.name)
