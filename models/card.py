"""Card: what is known about a released model, and its weights, checked.

A released model is a folder `models/<name>/`: the file, `card.toml` (written by hand) and `measured.toml` (written by
`python -m vision.calibrate`: thresholds, calibration, recall, metrics). Facts of a model live there, not in settings.
"""

from __future__ import annotations

import hashlib
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

MODELS = Path(__file__).parent
PRECISIONS = ("fp32", "int8")
RGB_UNIT, BGR_BYTE = "rgb-unit", "bgr-byte"
UNMEASURED_THRESHOLD = 0.25


class ModelUnusable(RuntimeError):
    """A model's card or file is missing, damaged or not what it claims to be. The message says which and what to do."""


@dataclass(frozen=True, slots=True)
class Weights:
    """One file of a model: the same net in one precision."""

    file: str  # relative to the model's folder
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured for one class of a model, on pictures that training never saw."""

    threshold: float  # raw scores above it are reported; best F1
    slope: float  # of the calibration: p = sigmoid(slope * logit(score) + offset)
    offset: float
    recall: float  # of things in clear view, at that threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A released model, as card.toml and measured.toml tell it."""

    name: str
    folder: Path
    weights: Mapping[str, Weights]  # by precision: "fp32" always, "int8" where it was quantised
    head: str  # what the output means: a key of `vision.heads.HEADS`
    stride: int  # pixels
    shape_hw: tuple[int, int]  # input, pixels
    classes: tuple[str, ...]  # in the order of the model's output
    measured: Mapping[str, Measured]  # by class
    metrics: Mapping[str, Any]  # tables by split
    licence: str
    data: str
    recipe: str
    intended_use: str
    limits: tuple[str, ...]
    pixels: str = RGB_UNIT  # of the input: red, green, blue in 0–1; or BGR_BYTE: blue, green, red in 0–255
    foreign: bool = False  # read from a file that others made (`vision.foreign`): no one wrote or measured it

    @property
    def path(self) -> Path:
        """The float model file."""
        return self.path_of("fp32")

    @property
    def version(self) -> str:
        """The release: "streetscape-v1@sha256:…" of the float file."""
        return self.version_of("fp32")

    def path_of(self, precision: str) -> Path:
        """The model file in that precision."""
        return self.folder / self.weights[precision].file

    def version_of(self, precision: str) -> str:
        """What sightings and passes carry as `model`: name and sha256 of the file that looked."""
        return f"{self.name}@sha256:{self.weights[precision].sha256}"

    @property
    def thresholds(self) -> tuple[float, ...]:
        """By class, in the order of `classes`."""
        return tuple(self.measured[kind].threshold for kind in self.classes)

    @property
    def recall(self) -> dict[str, float]:
        """By class: what passes carry."""
        return {kind: self.measured[kind].recall for kind in self.classes}

    def calibrated(self, kind: str, score: float) -> float:
        """The probability that a detection of raw `score` (0–1) shows a thing of `kind`."""
        known = self.measured[kind]
        score = min(max(score, 1e-6), 1.0 - 1e-6)
        return 1.0 / (1.0 + math.exp(-(known.slope * math.log(score / (1.0 - score)) + known.offset)))


def find_card(name: str, *, root: Path = MODELS) -> Card:
    """The card of a shipped model, by its name or the short one. Raises ModelUnusable, listing those there are."""
    names = _names(root)
    short = {_short(root / one): one for one in names if _short(root / one)}
    if name not in names and name not in short:
        raise ModelUnusable(f"no model {name!r} in {root}; there are: {', '.join([*names, *short]) or 'none'}")
    return read_card(root / short.get(name, name))


def shipped_models(*, root: Path = MODELS) -> list[Card]:
    """The cards of all detectors that ship, by name: where two know a class, the first has it."""
    return [read_card(root / name) for name in _names(root)]


def read_card(folder: Path, *, unmeasured: bool = False) -> Card:
    """Read a model's card. Raises ModelUnusable. `unmeasured` takes neutral numbers: for measuring them."""
    doc = _toml(folder / "card.toml")
    try:
        height, width = doc["shape_hw"]
        classes = tuple(doc["classes"])
        known: dict[str, Measured] = {}
        metrics: dict[str, Any] = {}
        if not unmeasured:
            known, metrics = read_measured(
                folder, {name: doc[name]["sha256"] for name in PRECISIONS if name in doc}, classes
            )
        return Card(
            folder=folder,
            weights=MappingProxyType({name: _weights(doc[name]) for name in PRECISIONS if name in doc}),
            shape_hw=(int(height), int(width)),
            classes=classes,
            measured=MappingProxyType(known or dict.fromkeys(classes, Measured(UNMEASURED_THRESHOLD, 1.0, 0.0, 1.0))),
            metrics=MappingProxyType(metrics),
            limits=tuple(doc["limits"]),
            **{name: doc[name] for name in ("name", "head", "stride")},
            **{name: doc[name].strip() for name in ("licence", "data", "recipe", "intended_use")},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelUnusable(f"{folder / 'card.toml'} lacks or garbles {error}") from error


def load_weights(card: Card, precision: str = "fp32") -> bytes:
    """The bytes of a model file, compared with the card's sha256. Raises ModelUnusable, saying what to do."""
    if precision not in card.weights:
        raise ModelUnusable(f"model {card.name} has no {precision} file; it has {', '.join(card.weights)}")
    weights = card.weights[precision]
    return checked_bytes(card.path_of(precision), sha256=weights.sha256, size_bytes=weights.size_bytes)


def checked_bytes(path: Path, *, sha256: str, size_bytes: int) -> bytes:
    """The bytes of a released file. Raises ModelUnusable when it is missing, cut short or altered."""
    remedy = "put the released file back (`git checkout -- models` in a clone, or install Jiexun again)"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelUnusable(f"model file {path} cannot be read ({error.strerror}): {remedy}") from None
    if len(data) < size_bytes:
        raise ModelUnusable(f"model file {path} is cut short, {len(data):,} of {size_bytes:,} bytes: {remedy}")
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise ModelUnusable(f"model file {path} is not the one released: sha256 {found}, card {sha256}: {remedy}")
    return data


def file_facts(path: Path) -> tuple[str, int]:
    """(sha256, size in bytes) of a model file, for its card."""
    data = path.read_bytes()
    return hashlib.sha256(data).hexdigest(), len(data)


def restamp(folder: Path) -> bool:
    """Write sha256 and size of the model files now there into card.toml; True when that changed it."""
    path = folder / "card.toml"
    before = text = path.read_text(encoding="utf8")
    doc = _toml(path)
    for precision in (name for name in PRECISIONS if name in doc):
        sha256, size_bytes = file_facts(folder / doc[precision]["file"])
        start = text.index(f"[{precision}]")
        table = re.sub(r'(?m)^sha256 = ".*"$', f'sha256 = "{sha256}"', text[start:], count=1)
        text = text[:start] + re.sub(r"(?m)^size_bytes = .*$", f"size_bytes = {size_bytes}", table, count=1)
    if text != before:
        path.write_text(text, encoding="utf8")
    return text != before


def _weights(table: Mapping[str, Any]) -> Weights:
    return Weights(file=str(table["file"]), sha256=str(table["sha256"]), size_bytes=int(table["size_bytes"]))


def _short(folder: Path) -> str:
    return str(_toml(folder / "card.toml").get("short", ""))


def _names(root: Path) -> list[str]:
    return sorted(p.parent.name for p in root.glob("*/card.toml") if _toml(p).get("task") == "detect")


def read_measured(
    folder: Path, sha256: Mapping[str, str], classes: tuple[str, ...]
) -> tuple[dict[str, Measured], dict[str, Any]]:
    """By class, and tables by split. Raises ModelUnusable when measured.toml is of other files, or lacks a class."""
    path = folder / "measured.toml"
    doc = _toml(path)
    remedy = f"run `python -m vision.calibrate --data DIR --model {folder.name}`"
    if doc.get("sha256") != sha256:
        raise ModelUnusable(f"{path} was measured on another model file than card.toml names: {remedy}")
    missing = [kind for kind in classes if kind not in doc.get("class", {})]
    if missing:
        raise ModelUnusable(f"{path} says nothing of {', '.join(missing)}: {remedy}")
    numbers = {kind: doc["class"][kind] for kind in classes}
    known = {k: Measured(n["threshold"], n["slope"], n["offset"], n["recall"]) for k, n in numbers.items()}
    return known, doc.get("metrics", {})


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf8"))
    except OSError as error:
        raise ModelUnusable(f"{path} cannot be read ({error.strerror}): a released model needs one") from None
    except ValueError as error:  # not TOML, or not UTF-8
        raise ModelUnusable(f"{path} is no TOML: {error}") from None
