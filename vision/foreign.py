"""Foreign: a YOLO detector that others made, as a card read from its own ONNX file.

Class names, stride and shape come from the metadata that ultralytics' exporters write; a YOLOX has none, so that names
come from a file. Which head it is, the shape of its output says; a YOLOX's own numbers say whether its boxes are
decoded. The net runs once, on a grey picture: what is no detector is refused here, with what was expected.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import onnxruntime as ort

from models.card import (
    UNMEASURED_THRESHOLD,
    Card,
    Measured,
    ModelUnusable,
    Weights,
    find_card,
)
from vision.families import FAMILIES, Family
from vision.heads import HEADS, Floats, ShapeHw, grid
from vision.net import NOT_A_MODEL, literal, opened

USUAL_SHAPE = (640, 640)  # where a file with free sides does not say
USUAL_STRIDE = 32
GREY = 114 / 255
UNMEASURED = Measured(
    threshold=UNMEASURED_THRESHOLD, slope=1.0, offset=0.0, recall=0.0
)  # seeing nothing proves nothing
LIMITS = ("Made elsewhere and not measured: thresholds are guessed, scores are no probabilities, recall is not known.",)


def open_card(model: str, *, family: str | None = None, names: Path | None = None) -> Card:
    """The card of a shipped model, or of an ONNX file when a path ending in .onnx is given. Raises ModelUnusable.

    `family`, a key of FAMILIES, and `names`, a file with a class a line, are for files that do not say.
    """
    if model.endswith(".onnx"):
        return foreign_card(Path(model), family=family, names=names)
    if family is not None or names is not None:
        raise ModelUnusable(f"family and class names can be told of an ONNX file only; {model!r} is a shipped model")
    return find_card(model)


def foreign_card(path: Path, *, family: str | None = None, names: Path | None = None) -> Card:
    """A card from the file's own metadata, one run of it, and what is told. Raises ModelUnusable."""
    try:
        weights = path.read_bytes()
    except OSError as error:
        raise ModelUnusable(f"model file {path} cannot be read ({error.strerror})") from None
    session = opened(weights, path)
    facts = session.get_modelmeta().custom_metadata_map
    _check_kind(path, session, facts)
    shape_hw = _shape(session.get_inputs()[0].shape, facts)
    raw = _first_run(path, session, shape_hw)
    known = _names(path, names, facts)
    classes = known if known is not None else _unnamed(path, raw)
    chosen = _family(path, raw, len(classes), shape_hw, family, facts)
    _check_numbers(path, raw, chosen.head)
    return Card(
        name=path.stem,
        folder=path.parent,
        weights=MappingProxyType({"fp32": Weights(path.name, hashlib.sha256(weights).hexdigest(), len(weights))}),
        head=chosen.head,
        pixels=chosen.pixels,
        stride=_stride(path, facts, shape_hw),
        shape_hw=shape_hw,
        classes=classes,
        measured=MappingProxyType(dict.fromkeys(classes, UNMEASURED)),
        metrics=MappingProxyType({}),
        licence=facts.get("license", "The file does not say."),
        data="The file does not say.",
        recipe=facts.get("description", "The file does not say."),
        intended_use="The file does not say.",
        limits=LIMITS,
        foreign=True,
    )


def _check_kind(path: Path, session: ort.InferenceSession, facts: Mapping[str, str]) -> None:
    """Refuse what cannot be a detector of boxes, before it runs."""
    faults = []
    if facts.get("task", "detect") != "detect":
        faults.append(f"its task is {facts['task']}, expected detect")
    if facts.get("head") == "RTDETRDecoder":
        faults.append("its head is RTDETRDecoder, expected a YOLO's")
    inputs, outputs = session.get_inputs(), session.get_outputs()
    usual = len(inputs) == 1 and len(inputs[0].shape) == 4 and inputs[0].shape[1] in (3, "channels", None)
    if not usual or inputs[0].type != "tensor(float)":
        told = ", ".join(f"{i.name} {_told(i.shape)} {i.type}" for i in inputs)
        faults.append(f"its inputs are {told or 'none'}, expected one (batch, 3, height, width) tensor(float)")
    if len(outputs) != 1 or outputs[0].type != "tensor(float)":
        told = ", ".join(f"{o.name} {_told(o.shape)} {o.type}" for o in outputs)
        faults.append(f"its outputs are {told}, expected one of 3 dimensions, tensor(float)")
    if faults:
        raise ModelUnusable(f"model file {path} is no YOLO detector: {'; '.join(faults)}")


def _shape(declared: Sequence[int | str | None], facts: Mapping[str, str]) -> ShapeHw:
    """Height and width of the input: fixed in the file, or as it was exported, or the usual."""
    stated = literal(facts.get("imgsz"))
    stated = (stated, stated) if isinstance(stated, int) else stated
    whole = isinstance(stated, list | tuple) and len(stated) == 2 and all(isinstance(s, int) and s > 0 for s in stated)
    sides = stated if whole else USUAL_SHAPE
    height, width = (d if isinstance(d, int) else s for d, s in zip(declared[2:], sides, strict=True))
    return height, width


def _first_run(path: Path, session: ort.InferenceSession, shape_hw: ShapeHw) -> Floats:
    """What the net says of a grey picture: (…, …) of one picture."""
    (read,) = session.get_inputs()
    batch = read.shape[0] if isinstance(read.shape[0], int) else 1
    grey = np.full((batch, 3, *shape_hw), GREY, np.float32)
    try:
        (raw,) = session.run(None, {read.name: grey})
    except NOT_A_MODEL as error:
        raise ModelUnusable(f"model file {path} does not run on an input of {_told(grey.shape)}: {error}") from None
    if raw.ndim != 3 or len(raw) != batch:
        raise ModelUnusable(
            f"model file {path} is no YOLO detector: its output is {_told(raw.shape)}, {_expected(None)}"
        )
    return np.asarray(raw[0], np.float32)


def _names(path: Path, names: Path | None, facts: Mapping[str, str]) -> tuple[str, ...] | None:
    """Class names by number, from the file that was given or the metadata; None when neither says."""
    if names is not None:
        try:
            lines = names.read_text(encoding="utf8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ModelUnusable(f"class names {names} cannot be read: {error}") from None
        known: Any = [line.strip() for line in lines if line.strip()]
    elif "names" in facts:
        known = literal(facts["names"])
        if isinstance(known, dict):
            in_order = sorted(known.items(), key=lambda item: int(item[0]) if str(item[0]).isdecimal() else -1)
            numbers = [str(number) for number, _ in in_order]
            known = [name for _, name in in_order] if numbers == [str(i) for i in range(len(numbers))] else None
    else:
        return None
    if not isinstance(known, list) or not known or not all(isinstance(n, str) and n for n in known):
        where = names or f"in the metadata of {path}"
        raise ModelUnusable(f"class names {where}: expected a name for each of the numbers 0, 1, 2, …")
    return tuple(known)


def _unnamed(path: Path, raw: Floats) -> tuple[str, ...]:
    first, second = raw.shape
    count = (
        "" if second == 6 else f"; by its output it has {min(first - 4, second - 5) if first < second else second - 5}"
    )
    raise ModelUnusable(f"model file {path} does not name its classes{count}: give a file with a name a line (--names)")


def _family(
    path: Path, raw: Floats, classes: int, shape_hw: ShapeHw, told: str | None, facts: Mapping[str, str]
) -> Family:
    """The family that was told, or that the output shows. Raises ModelUnusable."""
    if told is not None and told not in FAMILIES:
        raise ModelUnusable(f"no family {told!r}; there are: {', '.join(FAMILIES)}")
    names = [told] if told is not None else _candidates(raw, shape_hw, facts)
    for family in (FAMILIES[name] for name in names):
        fits = HEADS[family.head].fits((1, *raw.shape), classes)
        if fits and (family.head != "grid-objectness" or _one_a_cell(raw, shape_hw)):
            return family
    raise ModelUnusable(
        f"model file {path} is no YOLO detector of {classes} classes: its output is {_told((1, *raw.shape))}, "
        f"{_expected(classes, told)}"
    )


def _candidates(raw: Floats, shape_hw: ShapeHw, facts: Mapping[str, str]) -> Sequence[str]:
    """Families by what sets them apart, likeliest first. One class and six columns may be two of them."""
    if "task" in facts:  # ultralytics: never objectness
        return ("yolov10", "yolov8") if facts.get("end2end") == "True" else ("yolov8", "yolov10")
    if not _one_a_cell(raw, shape_hw):
        return ("yolov8", "yolov5", "yolov10") if len(raw) > 1000 else ("yolov8", "yolov10", "yolov5")
    decoded = raw[:, 0].max() > shape_hw[1] / 2  # boxes on the right; in cells from their own they are near 0
    return ("yolov8", "yolox-decoded" if decoded else "yolox", "yolov10")


def _one_a_cell(raw: Floats, shape_hw: ShapeHw) -> bool:
    """Whether there is one anchor a cell, as YOLOX has; yolov5 has three."""
    try:
        grid(shape_hw, len(raw))
    except ValueError:
        return False
    return True


def _check_numbers(path: Path, raw: Floats, head: str) -> None:
    """Refuse an output that has the shape but not the numbers: exported without its last layer, or broken."""
    scores = {"xywh-scores": raw[4:], "xyxy-score-class": raw[:, 4:5]}.get(head, raw[:, 4:])
    low, high = float(scores.min()), float(scores.max())
    if not -1e-3 <= low <= high <= 1 + 1e-3:  # false also for what is no number
        raise ModelUnusable(
            f"model file {path} is no YOLO detector ({head}): its scores are {low:.3g} to {high:.3g}, expected 0 to 1"
        )


def _stride(path: Path, facts: Mapping[str, str], shape_hw: ShapeHw) -> int:
    stated = literal(facts.get("stride")) if "stride" in facts else USUAL_STRIDE
    if not isinstance(stated, int | float) or stated < 1 or any(side % stated for side in shape_hw):
        stride = facts.get("stride", USUAL_STRIDE)
        raise ModelUnusable(
            f"model file {path}: its input is {_told(shape_hw)}, expected multiples of its stride, {stride}"
        )
    return int(stated)


def _expected(classes: int | None, family: str | None = None) -> str:
    """Which outputs would be read, for people."""
    names = [family] if family is not None else list(FAMILIES)
    shapes = {FAMILIES[name].head: name for name in names}
    if classes is None:
        return "expected 3 dimensions: a YOLO's boxes"
    return "expected " + " or ".join(f"{HEADS[head].told(classes)} ({name})" for head, name in shapes.items())


def _told(shape: Sequence[int | str | None]) -> str:
    return "(" + ", ".join("any" if side is None else str(side) for side in shape) + ")"
