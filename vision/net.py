"""Net: a model file, read and compared with its card before any engine compiles it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from models.card import Card, ModelUnusable, load_weights
from vision.batch import PIXELS
from vision.heads import HEADS

NOT_A_MODEL = (
    ort_errors.InvalidProtobuf,
    ort_errors.InvalidGraph,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)

Shape = tuple[int | str | None, ...]  # a name or None where a dimension is free


@dataclass(frozen=True, slots=True)
class Net:
    """A model file that is what its card says."""

    weights: bytes
    input: str
    shape: Shape  # of the input: (batch, 3, height, width)
    output: str
    pixels: str  # what the input's numbers are: as `Card.pixels`

    @property
    def batch(self) -> int | None:
        """The one batch size that the file takes; None when it takes any."""
        return self.shape[0] if isinstance(self.shape[0], int) else None

    def buckets(self, wanted: Sequence[int]) -> tuple[int, ...]:
        """Batch sizes, smallest first: those wanted, or the only one that the file takes."""
        return tuple(sorted(wanted)) if self.batch is None else (self.batch,)


def read_net(card: Card, precision: str = "fp32") -> Net:
    """Read a model's file. Raises ModelUnusable when it is missing, damaged or not what the card says."""
    weights, where = load_weights(card, precision), card.path_of(precision)
    session = opened(weights, where)
    differences = list(_differences(card, session))
    if differences:
        raise ModelUnusable(f"model file {where} is not what its card says: {'; '.join(differences)}")
    (read,) = session.get_inputs()
    output = session.get_outputs()[0].name
    return Net(weights=weights, input=read.name, shape=tuple(read.shape), output=output, pixels=card.pixels)


def opened(weights: bytes, where: Path) -> ort.InferenceSession:
    """A session that is only looked at: nothing is optimised. Raises ModelUnusable, naming the file."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        return ort.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
    except NOT_A_MODEL as error:
        raise ModelUnusable(f"model file {where} is no ONNX model that this version reads: {error}") from None


def _differences(card: Card, session: ort.InferenceSession) -> Iterator[str]:
    """Where a model differs from its card: class names and stride (as ultralytics writes them), head, shapes."""
    if not card.foreign:
        yield from _other_names(card, session.get_modelmeta().custom_metadata_map)
    if card.pixels not in PIXELS:
        yield f"pixels {card.pixels!r} of the card, known are {', '.join(PIXELS)}"
    height, width = card.shape_hw
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or inputs[0].type != "tensor(float)" or not _fits(inputs[0].shape, (None, 3, height, width)):
        yield f"inputs {[(i.shape, i.type) for i in inputs]}, expected one float (batch, 3, {height}, {width})"
    if card.head not in HEADS:
        yield f"head {card.head!r} of the card, known are {', '.join(HEADS)}"
    elif len(outputs) != 1 or not HEADS[card.head].fits(outputs[0].shape, len(card.classes)):
        yield f"outputs {[o.shape for o in outputs]}, expected one {HEADS[card.head].told(len(card.classes))}"
    if any(side % card.stride for side in card.shape_hw):
        yield f"shape {card.shape_hw} of the card is no multiple of the stride"


def _other_names(card: Card, facts: Mapping[str, str]) -> Iterator[str]:
    expected = dict(enumerate(card.classes))
    if literal(facts.get("names")) != expected:
        yield f"class names {facts.get('names', 'missing')}, expected {expected}"
    if literal(facts.get("stride")) != card.stride:
        yield f"stride {facts.get('stride', 'missing')}, expected {card.stride}"


def _fits(shape: list[Any], expected: tuple[int | None, ...]) -> bool:
    """Whether a shape with free dimensions (a name, or None) can be the expected one."""
    return len(shape) == len(expected) and all(
        want is None or not isinstance(have, int) or have == want for have, want in zip(shape, expected, strict=True)
    )


def literal(text: str | None) -> Any:
    """The Python value that a model's metadata holds as text; None when it is none."""
    try:
        return None if text is None else ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):  # the last two: nested beyond reason
        return None
