"""Twin: a net that looks at a picture and at its mirror image, as one ONNX file.

`python -m models.twin models/streetscape-v1/model.onnx OUT.onnx`

Test-time augmentation inside the graph, so that the hot path need not know: the layers are there twice and share their
weights, the second set sees the picture mirrored. Before boxes are decoded its maps are mirrored back (left and right
distances change places), scores of both are averaged as logits, box sides with the scores as weights. It costs twice
the time; float and INT8 files alike. The head must tell four distances a cell (YOLO26: reg_max 1).
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.version_converter
from numpy.typing import NDArray
from onnx import NodeProto, helper, numpy_helper

MIRRORED = "mirrored/"  # before every name of the second set
BACKWARDS = np.iinfo(np.int64).min  # an end beyond the first column, for a slice that runs backwards


def twinned(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of the model with the second set. Raises ValueError when the head is another."""
    out = onnx.ModelProto()
    out.CopyFrom(model)
    if out.opset_import[0].version < 18:  # since then axes to reduce are an input
        out = onnx.version_converter.convert_version(out, 18)
    graph = out.graph
    heads = head_convolutions(graph.node)
    again = ancestors(graph, [node.output[0] for level in heads for node in level])
    picture = graph.input[0].name
    names = {name: MIRRORED + name for node in again for name in node.output} | {picture: MIRRORED + picture}
    added = [_columns_reversed(picture, MIRRORED + picture)]
    for node in again:
        twin = NodeProto()
        twin.CopyFrom(node)
        twin.name = MIRRORED + node.name
        twin.input[:] = [names.get(name, name) for name in node.input]
        twin.output[:] = [names[name] for name in node.output]
        added.append(twin)
    renamed: dict[str, str] = {}
    for box, score in heads:
        added += _merged(box.output[0], score.output[0])
        renamed |= {name: f"both/{name}" for name in (box.output[0], score.output[0])}
    fixed = [NodeProto.FromString(node.SerializeToString()) for node in graph.node]
    for node in fixed:
        node.input[:] = [renamed.get(name, name) for name in node.input]
    graph.initializer.extend(_constants())
    ordered = in_order([*fixed, *added], {picture, *(tensor.name for tensor in graph.initializer)})
    del graph.node[:]
    graph.node.extend(ordered)
    del graph.value_info[:]
    return out


def head_convolutions(nodes: Iterable[NodeProto]) -> list[tuple[NodeProto, NodeProto]]:
    """Of every level, the convolutions that say box sides and scores. Raises ValueError where they are not found."""
    last: dict[tuple[str, int], NodeProto] = {}
    for node in nodes:
        named = (
            re.fullmatch(r"model\.\d+\.(cv2|cv3)\.(\d)\.2\.weight", node.input[1]) if node.op_type == "Conv" else None
        )
        if named:
            last[named[1], int(named[2])] = node
    if sorted(last) != [(part, level) for part in ("cv2", "cv3") for level in range(3)]:
        raise ValueError(f"the head of ultralytics' YOLO26 is expected, three levels; found: {sorted(last)}")
    return [(last["cv2", level], last["cv3", level]) for level in range(3)]


def _merged(box: str, score: str) -> list[NodeProto]:
    """The nodes that make `both/box` and `both/score` of the maps of the two sets."""
    at = f"both/of/{box}/"
    sets = []
    nodes = []
    for one in ("", MIRRORED):
        sides, logits = one + box, one + score
        if one:
            nodes += [
                _columns_reversed(sides, at + "back"),
                helper.make_node("Gather", [at + "back", "twin/swapped"], [at + "sides"], axis=1),
                _columns_reversed(logits, at + "logits"),
            ]
            sides, logits = at + "sides", at + "logits"
        nodes += [
            helper.make_node("Sigmoid", [logits], [at + one + "p"]),
            helper.make_node("ReduceMax", [at + one + "p", "twin/channels"], [at + one + "weight"], keepdims=1),
            helper.make_node("Mul", [sides, at + one + "weight"], [at + one + "weighted"]),
        ]
        sets.append((at + one, logits))
    (first, logits), (second, other) = sets
    return [
        *nodes,
        helper.make_node("Add", [first + "weighted", second + "weighted"], [at + "sum"]),
        helper.make_node("Add", [first + "weight", second + "weight"], [at + "weights"]),
        helper.make_node("Div", [at + "sum", at + "weights"], [f"both/{box}"]),
        helper.make_node("Add", [logits, other], [at + "logits/sum"]),
        helper.make_node("Mul", [at + "logits/sum", "twin/half"], [f"both/{score}"]),
    ]


def _columns_reversed(source: str, out: str) -> NodeProto:
    return helper.make_node("Slice", [source, "twin/last", "twin/before", "twin/columns", "twin/back"], [out])


def _constants() -> list[onnx.TensorProto]:
    values: dict[str, NDArray[Any]] = {
        "last": np.array([-1], np.int64),
        "before": np.array([BACKWARDS], np.int64),
        "columns": np.array([3], np.int64),
        "channels": np.array([1], np.int64),
        "back": np.array([-1], np.int64),
        "swapped": np.array([2, 1, 0, 3], np.int64),  # left, top, right, bottom
        "half": np.array(0.5, np.float32),
    }
    return [numpy_helper.from_array(value, f"twin/{name}") for name, value in values.items()]


def ancestors(graph: onnx.GraphProto, wanted: list[str]) -> list[NodeProto]:
    """The nodes that depend on the picture and that these tensors depend on, in the graph's order."""
    by_output = {name: node for node in graph.node for name in node.output}
    needed, to_visit = set(), list(wanted)
    while to_visit:
        node = by_output.get(to_visit.pop())
        if node is not None and node.output[0] not in needed:
            needed.add(node.output[0])
            to_visit += node.input
    seen = {graph.input[0].name}
    out = []
    for node in graph.node:  # in order: what it reads comes before it
        if seen.intersection(node.input):
            seen.update(node.output)
            if node.output[0] in needed:
                out.append(node)
    return out


def in_order(nodes: list[NodeProto], known: set[str]) -> list[NodeProto]:
    """In an order in which everything is made before it is read."""
    out: list[NodeProto] = []
    left = nodes
    while left:
        later = []
        for node in left:
            if known.issuperset(name for name in node.input if name):
                out.append(node)
                known.update(node.output)
            else:
                later.append(node)
        if len(later) == len(left):
            raise ValueError(f"the graph has a circle, or reads what nobody makes: {later[0].name}")
        left = later
    return out


def rewrite(doc: str | None, change: Callable[[onnx.ModelProto], onnx.ModelProto]) -> None:
    """The command of a module that makes one ONNX file of another: reads both names, checks what it writes."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    model = change(onnx.load(args.model))
    onnx.checker.check_model(model)
    onnx.save(model, args.out)
    print(f"{args.out} ({args.out.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    rewrite(__doc__, twinned)
