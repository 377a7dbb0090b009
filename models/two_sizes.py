"""Two sizes: a net that looks at a picture, and at the same picture at three quarters of its size, as one ONNX file.

`python -m models.two_sizes models/streetscape-v1/model.onnx OUT.onnx`

At each size the net is a twin (models/twin.py). Of each look the best candidates are told, with what the other look
says of the same place: a box of the other that overlaps it by `SAME` is the same thing. Scores are averaged as logits;
what the other look did not see counts as `UNSEEN`. Boxes are averaged with the scores as weights. It is a weighted
boxes fusion (Solovyev et al. 2021, arXiv:1910.13302) before repeats are suppressed, in plain ONNX operators: the hot
path need not know. It costs three times one look, half as much again as a twin. Sides are multiples of 128.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, helper, numpy_helper

from models.twin import ancestors, in_order, rewrite, twinned

SMALLER, LARGER = "smaller/", "larger/"  # before the names of the second look, and of what the first tells
SCALE = 0.75  # of the sides; a multiple of 32 becomes one where it is a multiple of 128
STRIDE = 128
BEST = 250  # candidates of each look
SAME = 0.55  # overlap from which two boxes are one thing
UNSEEN = 0.01  # score of what the other look did not see
SURE = 1e-7  # scores are kept so far from 0 and 1


class _Graph:
    """Nodes being made: each method adds some and says what their result is called."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def __call__(self, kind: str, *inputs: str, **how: Any) -> str:
        name = f"both_sizes/{len(self.nodes)}/{kind}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **how))
        return name

    def constant(self, value: Any, kind: Any = np.float32) -> str:
        name = f"both_sizes/constant/{len(self.constants)}"
        values: NDArray[Any] = np.array(value, kind)
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def pair(self, kind: str, *inputs: str, **how: Any) -> tuple[str, str]:
        """As calling it, of a kind with two results."""
        name = self(kind, *inputs, **how)
        self.nodes[-1].output.append(f"{name}/second")
        return name, f"{name}/second"

    def whole(self, *value: int) -> str:
        """A list of whole numbers: axes, shapes."""
        return self.constant(value, np.int64)

    def split(self, what: str, sizes: Sequence[int]) -> list[str]:
        """Along axis 1."""
        names = [f"both_sizes/{len(self.nodes)}/part/{number}" for number in range(len(sizes))]
        self.nodes.append(helper.make_node("Split", [what, self.whole(*sizes)], names, name=names[0], axis=1))
        return names

    def unsqueezed(self, what: str, axis: int) -> str:
        return self("Unsqueeze", what, self.whole(axis))


def two_sizes(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of the model that looks at two sizes. Raises ValueError when the head is another."""
    out = twinned(model)
    graph, make = out.graph, _Graph()
    picture, told = graph.input[0].name, graph.output[0].name
    classes = graph.output[0].type.tensor_type.shape.dim[1].dim_value - 4
    small = make("Resize", picture, "", make.constant([1, 1, SCALE, SCALE]), mode="linear")
    again = ancestors(graph, [told])
    smaller = {name: SMALLER + name for node in again for name in node.output} | {picture: small}
    nodes = [_copied(node, {told: LARGER + told}) for node in graph.node]
    nodes += [_copied(node, smaller) for node in again]
    back = make.constant([[[1 / SCALE]] * 4 + [[1.0]] * classes])  # (1, 4 + classes, 1): to pixels of the input
    looks = _best(make, LARGER + told, classes), _best(make, make("Mul", SMALLER + told, back), classes)
    agreed = [_agreed(make, *looks), _agreed(make, *looks[::-1])]
    make.nodes.append(helper.make_node("Concat", agreed, [told], name=told, axis=2))
    graph.initializer.extend(make.constants)
    known = {picture, *(tensor.name for tensor in graph.initializer)}
    ordered = in_order([*nodes, *make.nodes], known)
    del graph.node[:]
    graph.node.extend(ordered)
    facts = {entry.key: entry.value for entry in out.metadata_props} | {"stride": str(STRIDE)}
    helper.set_model_props(out, facts)
    return out


@dataclass(frozen=True, slots=True)
class _Look:
    """Names of what one look tells of its best candidates, in pixels of the input."""

    low: str  # (batch, 2, BEST): left and top
    high: str  # right and bottom
    scores: str  # (batch, classes, BEST)
    surest: str  # (batch, 1, BEST): the highest of the classes


def _best(make: _Graph, told: str, classes: int) -> _Look:
    """The best candidates of a raw output (batch, 4 + classes, anchors)."""
    _, scores = make.split(told, [4, classes])
    surest = make("ReduceMax", scores, make.whole(1), keepdims=1)
    _, place = make.pair("TopK", surest, make.whole(BEST), axis=2)
    every = make("Expand", place, make.whole(1, 4 + classes, 1))
    best = make("GatherElements", told, every, axis=2)
    centre, size, scores = make.split(best, [2, 2, classes])
    half = make("Mul", size, make.constant(0.5))
    surest = make("ReduceMax", scores, make.whole(1), keepdims=1)
    return _Look(make("Sub", centre, half), make("Add", centre, half), scores, surest)


def _agreed(make: _Graph, one: _Look, other: _Look) -> str:
    """(batch, 4 + classes, BEST): the candidates of one look with what the other says of the same places."""
    same = make("Cast", _overlapping(make, one, other), to=onnx.TensorProto.FLOAT)  # (batch, 1, BEST, BEST)
    there = make("Mul", make.unsqueezed(other.scores, 2), same)
    seen = make("ReduceMax", there, make.whole(3), keepdims=0)
    logits = make("Add", _logit(make, one.scores), _logit(make, make("Max", seen, make.constant(UNSEEN))))
    scores = make("Sigmoid", make("Mul", logits, make.constant(0.5)))
    there = make("Mul", make.unsqueezed(other.surest, 2), same)
    weight = make("ReduceMax", there, make.whole(3), keepdims=0)
    which = make("Expand", make("ArgMax", there, axis=3, keepdims=0), make.whole(1, 2, 1))
    weights = make("Add", one.surest, weight)
    corners = []
    for own, others in ((one.low, other.low), (one.high, other.high)):
        theirs = make("Mul", make("GatherElements", others, which, axis=2), weight)
        corners.append(make("Div", make("Add", make("Mul", own, one.surest), theirs), weights))
    low, high = corners
    centre = make("Mul", make("Add", low, high), make.constant(0.5))
    return make("Concat", centre, make("Sub", high, low), scores, axis=1)


def _overlapping(make: _Graph, one: _Look, other: _Look) -> str:
    """(batch, 1, BEST, BEST): whether two boxes are one thing."""
    sides = make(
        "Sub",
        make("Min", make.unsqueezed(one.high, 3), make.unsqueezed(other.high, 2)),
        make("Max", make.unsqueezed(one.low, 3), make.unsqueezed(other.low, 2)),
    )
    common = make("ReduceProd", make("Relu", sides), make.whole(1), keepdims=1)
    areas = [make("ReduceProd", make("Sub", look.high, look.low), make.whole(1), keepdims=1) for look in (one, other)]
    both = make("Sub", make("Add", make.unsqueezed(areas[0], 3), make.unsqueezed(areas[1], 2)), common)
    return make("Greater", common, make("Mul", both, make.constant(SAME)))


def _logit(make: _Graph, scores: str) -> str:
    kept = make("Clip", scores, make.constant(SURE), make.constant(1 - SURE))
    return make("Sub", make("Log", kept), make("Log", make("Sub", make.constant(1), kept)))


def _copied(node: NodeProto, names: Mapping[str, str]) -> NodeProto:
    """The node with some of what it reads and makes called otherwise."""
    copy = NodeProto()
    copy.CopyFrom(node)
    copy.name = names.get(node.output[0], node.name)
    copy.input[:] = [names.get(name, name) for name in node.input]
    copy.output[:] = [names.get(name, name) for name in node.output]
    return copy


if __name__ == "__main__":
    rewrite(__doc__, two_sizes)
