"""Evaluate: how good the shipped models are on labelled pictures, through the hot path that ships."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ingest.rejected import Rejected
from models.card import Card, ModelUnusable, shipped_models
from vision.dataset import Dataset, LabelUnreadable, read_boxes, read_dataset
from vision.detections import Detections
from vision.detector import Detector
from vision.engines import AUTO
from vision.jpeg import PictureUnreadable, Placed, decode_picture
from vision.metrics import Truth, joined, metrics
from vision.postprocess import MAX_DETECTIONS

FLOOR = 0.001  # of scores; as ultralytics' validation
AT_ONCE = 8  # pictures

Progress = Callable[[int, int], None]  # pictures done, pictures in all


@dataclass(frozen=True, slots=True)
class Looked:
    """One labelled picture, looked at. Labels are the class numbers of the data set; pixels those of the picture."""

    file: str
    found: Detections  # best first
    truth: Truth


@dataclass(frozen=True, slots=True)
class Witness:
    """A detector, and the classes of the data set that it answers for: its own class number -> theirs."""

    detector: Detector
    classes: Mapping[int, int]

    def __call__(self, found: Detections) -> Detections:
        """Its detections of these classes, with the data set's class numbers."""
        theirs = np.full(len(self.detector.classes), -1, np.int64)
        theirs[list(self.classes)] = list(self.classes.values())
        label = theirs[found.label]
        return Detections(found.xyxy, found.score, label)[label >= 0]


def evaluate(
    data: Path,
    *,
    split: str = "test",
    model: Card | None = None,
    engine: str = AUTO,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The JSON document of `jiexun evaluate`. Raises DataUnreadable or ModelUnusable; bad pictures are listed in it.

    Every shipped model that knows one of the classes runs, or `model` alone; where two know a class, the first by
    name answers for it. A class with ground truth that none knows has an AP of 0.
    """
    dataset = read_dataset(data, split)
    witnesses = summon(dataset, [model] if model is not None else shipped_models(), engine)
    looked: list[Looked] = []
    rejected: list[Rejected] = []
    for one in look(witnesses, dataset):
        (looked if isinstance(one, Looked) else rejected).append(one)  # type: ignore[arg-type]  # the lists part by type
        if progress is not None:
            progress(len(looked) + len(rejected), len(dataset.pictures))
    known = {theirs for witness in witnesses for theirs in witness.classes.values()}
    return {
        "model": " + ".join(witness.detector.card.name for witness in witnesses),
        "models": [witness.detector.version for witness in witnesses],
        "engines": [witness.detector.provider for witness in witnesses],
        "split": split,
        **document(looked, dataset.names),
        "unknown_classes": [name for label, name in sorted(dataset.names.items()) if label not in known],
        "rejected": [one.document() for one in rejected],
    }


def summon(dataset: Dataset, cards: Sequence[Card], engine: str = AUTO) -> list[Witness]:
    """Load the models that know one of the classes, by name. Raises ModelUnusable when none does."""
    free = {name: label for label, name in dataset.names.items()}
    witnesses = []
    for card in cards:
        classes = {own: free.pop(name) for own, name in enumerate(card.classes) if name in free}
        if classes:
            witnesses.append(Witness(Detector(card, engine=engine), classes))
    if not witnesses:
        models = "; ".join(f"{card.name} knows {', '.join(card.classes)}" for card in cards) or "there is no model"
        raise ModelUnusable(f"no model knows a class of {dataset.yaml} ({', '.join(dataset.names.values())}): {models}")
    return witnesses


def look(witnesses: Sequence[Witness], dataset: Dataset) -> Iterator[Looked | Rejected]:
    """Every picture of the split in turn; one that cannot be used, or whose labels cannot, is a value."""
    for start in range(0, len(dataset.pictures), AT_ONCE):
        read = [_read(path, dataset) for path in dataset.pictures[start : start + AT_ONCE]]
        found = [_found(witness, [one[0] for one in read if not isinstance(one, Rejected)]) for witness in witnesses]
        answers = iter(zip(*found, strict=True))
        for path, one in zip(dataset.pictures[start:], read, strict=False):
            file = _name(path, dataset)
            yield one if isinstance(one, Rejected) else _looked(file, one[1], next(answers))


def document(looked: Sequence[Looked], names: Mapping[int, str]) -> dict[str, Any]:
    """The numbers: map50, map50_95 and by class; null where there is no ground truth at all."""
    result = metrics([one.found for one in looked], [one.truth for one in looked])
    classes = {}
    for k, label in enumerate(result.label.tolist()):
        classes[names[label]] = {
            "ap50": float(result.ap[k, 0]),
            "ap50_95": float(result.ap[k].mean()),
            "precision": float(result.precision[k]),
            "recall": float(result.recall[k]),
            "images": sum(bool((one.truth.label == label).any()) for one in looked),
            "boxes": int(result.boxes[k]),
        }
    return {
        "images": len(looked),
        "boxes": int(result.boxes.sum()),
        "map50": float(result.ap[:, 0].mean()) if classes else None,
        "map50_95": float(result.ap.mean()) if classes else None,
        "score": result.score,  # where precision and recall are read: best F1 over the classes
        "ap50": {name: row["ap50"] for name, row in classes.items()},
        "classes": classes,
    }


Picture = tuple[bytes, tuple[Any, Any]]  # bytes, and the boxes (fractions) with their class numbers


def _read(path: Path, dataset: Dataset) -> Picture | Rejected:
    try:
        return path.read_bytes(), read_boxes(path, dataset.names)
    except OSError as error:
        return Rejected(f"the picture cannot be read: {error.strerror}", file=_name(path, dataset))
    except LabelUnreadable as error:
        return Rejected(str(error), file=_name(path, dataset))


Answer = tuple[Detections, tuple[int, int]]  # what was found, and the picture's size in pixels


def _found(witness: Witness, pictures: list[bytes]) -> list[Answer | PictureUnreadable]:
    """What one detector finds in each picture."""
    read = [_decoded(picture, witness.detector.card.shape_hw) for picture in pictures]
    placed = [one for one in read if not isinstance(one, PictureUnreadable)]
    found = iter(witness.detector.detect_placed(placed, floor=FLOOR))
    return [one if isinstance(one, PictureUnreadable) else (witness(next(found)), one[1].source_wh) for one in read]


def _decoded(picture: bytes, shape_hw: tuple[int, int]) -> Placed | PictureUnreadable:
    try:
        return decode_picture(picture, shape_hw)
    except PictureUnreadable as error:
        return error


def _looked(file: str, boxes: tuple[Any, Any], answers: tuple[Answer | PictureUnreadable, ...]) -> Looked | Rejected:
    parts = []
    for answer in answers:
        if isinstance(answer, PictureUnreadable):
            return Rejected(str(answer), file=file)
        found, size_wh = answer
        parts.append(found)
    together = joined(parts)
    best = np.argsort(-together.score, kind="stable")[: MAX_DETECTIONS * len(parts)]
    xyxy = boxes[0] * np.array(size_wh * 2, np.float32)
    return Looked(file, together[best], Truth(xyxy, boxes[1]))


def _name(path: Path, dataset: Dataset) -> str:
    folder = dataset.yaml.parent
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()
