"""The plate net as the second head's trunk, and the file that has both."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.plates.descent import Floats, Layers
from models.plates.head import CLIP, Head

CELL = 4  # pixels of the input
# feature maps of YOLOv8n, and how many of their cells side by side make one of the coarser map's
MAPS = {
    "/model.2/cv2/act/Mul_output_0": 1,
    "/model.4/cv2/act/Mul_output_0": 2,
    "/model.15/cv2/act/Mul_output_0": 2,
    "/model.12/cv2/act/Mul_output_0": 4,
}
FINEST = next(iter(MAPS))
OUT = "output0"
DOUBT = 0.08  # score from which the net's own boxes are no place to learn from
BELIEVED = 0.4, 0.6  # scores from which vision/plates.py believes in a plate in a vehicle, and elsewhere
MOST = 0.61  # of the second head: where the net itself finds a plate, its own box is the better one


class Net:
    """The net on one thread, with its feature maps."""

    def __init__(self, path: Path) -> None:
        model = onnx.load(path)
        model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in MAPS)
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        self._session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def __call__(self, image: NDArray[np.uint8]) -> tuple[Floats, Floats]:
        """Features (C, H/4, W/4) of a BGR picture whose sides are multiples of 32, and the net's own plates (N, 5)."""
        batch = (image[:, :, ::-1].transpose(2, 0, 1)[None] / 255).astype(np.float32)
        own, *maps = self._session.run(None, {self._session.get_inputs()[0].name: batch})
        finer = [np.repeat(np.repeat(a[0], n, 1), n, 2) for a, n in zip(maps, MAPS.values(), strict=True)]
        x, y, wide, high, score = own[0][:, own[0][4] >= DOUBT]
        boxes = np.stack([x - wide / 2, y - high / 2, x + wide / 2, y + high / 2, score], axis=1)
        return np.concatenate(finer), boxes


def with_head(net: Path, head: Head, out: Path, *, bodies: float, elsewhere: float) -> None:
    """Write the net with the second head's boxes beside its own, in the same output (batch, 5, boxes).

    The head's scores `bodies` and `elsewhere` become BELIEVED; above MOST there are none.
    """
    model = onnx.load(net)
    graph = model.graph
    for node in graph.node:
        node.output[:] = ["own" if name == OUT else name for name in node.output]
    low, high = (math.log(share / (1 - share)) for share in (bodies, elsewhere))
    low_as, high_as = (math.log(share / (1 - share)) for share in BELIEVED)
    slope = (high_as - low_as) / (high - low)
    constants: dict[str, Any] = {
        "second.scale": (1 / head.spread).reshape(1, -1, 1, 1).astype(np.float32),
        "second.shift": (-head.mean / head.spread).reshape(1, -1, 1, 1).astype(np.float32),
        "second.least": np.float32(-CLIP),
        "second.most": np.float32(CLIP),
        "second.slope": np.float32(slope),
        "second.bias": np.float32(low_as - slope * low),
        "second.surest": np.float32(MOST),
        "second.zero": np.float32(0),
        "second.longest": np.float32(5),
        "second.flat": np.array([0, 5, -1]),
        "second.half": np.float32(0.5),
    }
    for name, layers in (("here", head.here), ("sides", head.sides)):
        constants |= convolutions(f"second.{name}", layers)
    graph.initializer.extend(numpy_helper.from_array(np.asarray(a), name) for name, a in constants.items())
    graph.node.extend(nodes())
    onnx.checker.check_model(model)
    onnx.save(model, out)


def convolutions(name: str, layers: Layers) -> dict[str, Any]:
    """Two layers as convolutions of one cell."""
    return {
        f"{name}.w1": layers[0].T[:, :, None, None].copy(),
        f"{name}.b1": layers[1],
        f"{name}.w2": layers[2].T[:, :, None, None].copy(),
        f"{name}.b2": layers[3],
    }


def nodes() -> list[onnx.NodeProto]:
    """From the feature maps and the net's own boxes to all boxes."""
    made: list[onnx.NodeProto] = []

    def op(kind: str, inputs: list[str], output: str, **how: Any) -> str:
        made.append(helper.make_node(kind, inputs, [f"second.{output}"], name=f"second/{output}", **how))
        return f"second.{output}"

    def finer(name: str, times: int) -> str:
        if times == 1:
            return name
        scales = numpy_helper.from_array(np.array([1, 1, times, times], np.float32))
        factor = op("Constant", [], f"times{name}", value=scales)
        how = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
        return op("Resize", [name, "", factor], f"finer{name}", **how)

    def layered(name: str) -> str:
        hidden = op("Conv", [x, f"second.{name}.w1", f"second.{name}.b1"], f"{name}.hidden")
        active = op("Relu", [hidden], f"{name}.active")
        return op("Conv", [active, f"second.{name}.w2", f"second.{name}.b2"], f"{name}.out")

    def along(axis: int, name: str) -> str:
        """The middles of the cells along an axis, as of the map's shape."""
        size = op("Shape", [FINEST], f"{name}.size", start=axis, end=axis + 1)
        scalar = op("Squeeze", [size], f"{name}.count")
        zero, one, cell, half = (
            op("Constant", [], f"{name}.{key}", value=numpy_helper.from_array(np.array(v)))
            for key, v in (
                ("from", np.int64(0)),
                ("step", np.int64(1)),
                ("cell", np.float32(CELL)),
                ("mid", np.float32(CELL / 2)),
            )
        )
        row = op("Cast", [op("Range", [zero, scalar, one], f"{name}.range")], f"{name}.float", to=TensorProto.FLOAT)
        places = op("Add", [op("Mul", [row, cell], f"{name}.scaled"), half], f"{name}.middle")
        shape = np.array([1, 1, 1, -1] if axis == 3 else [1, 1, -1, 1])
        return op("Reshape", [places, op("Constant", [], f"{name}.to", value=numpy_helper.from_array(shape))], name)

    maps = op("Concat", [finer(name, times) for name, times in MAPS.items()], "maps", axis=1)
    spread = op("Add", [op("Mul", [maps, "second.scale"], "scaled"), "second.shift"], "standard")
    x = op("Clip", [spread, "second.least", "second.most"], "x")
    logit = op("Add", [op("Mul", [layered("here"), "second.slope"], "steep"), "second.bias"], "logit")
    score = op("Min", [op("Sigmoid", [logit], "sigmoid"), "second.surest"], "score")
    logs = op("Clip", [layered("sides"), "second.zero", "second.longest"], "logs")
    sides = ["second.left", "second.up", "second.right", "second.down"]
    made.append(helper.make_node("Split", [op("Exp", [logs], "distances")], sides, name="second/split", axis=1))
    middles = []
    for axis, (before, after) in ((3, ("left", "right")), (2, ("up", "down"))):
        gap = op("Sub", [f"second.{after}", f"second.{before}"], f"{after}.gap")
        middles.append(
            op("Add", [along(axis, f"axis{axis}"), op("Mul", [gap, "second.half"], f"{after}.move")], f"{after}.at")
        )
    wide, high = op("Add", [sides[0], sides[2]], "wide"), op("Add", [sides[1], sides[3]], "high")
    boxes = op("Concat", [*middles, wide, high, score], "grid", axis=1)
    flat = op("Reshape", [boxes, "second.flat"], "boxes")
    made.append(helper.make_node("Concat", ["own", flat], [OUT], name="second/all", axis=2))
    return made
