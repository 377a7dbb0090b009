"""Detector: JPEG bytes or pictures in, boxes out. The hot path."""

from __future__ import annotations

import ast
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from models.card import Card, ModelUnusable, load_weights
from vision.batch import BUCKETS, Batch, portions
from vision.detections import Detections
from vision.jpeg import Image, PictureUnreadable, Placed, decode_jpeg
from vision.letterbox import Letterbox
from vision.postprocess import HEADS, detections

PROVIDERS: tuple[tuple[str, dict[str, str]], ...] = (  # the first that this machine offers comes first
    ("CUDAExecutionProvider", {"cudnn_conv_algo_search": "HEURISTIC"}),  # EXHAUSTIVE costs 0.3-1.3 s a batch shape
    ("CPUExecutionProvider", {}),
)
NOT_A_MODEL = (ort_errors.InvalidProtobuf, ort_errors.InvalidGraph, ort_errors.Fail, ort_errors.InvalidArgument)

Decode = Callable[[bytes, tuple[int, int]], Placed]


class Detector:
    """A released model, loaded, checked against its card and warm. One call at a time."""

    def __init__(self, card: Card, *, threads: int | None = None, buckets: tuple[int, ...] = BUCKETS) -> None:
        """Load the model; raises ModelUnusable. `threads` are used for decoding and inside the session: all cores."""
        self.card = card
        self.classes = card.classes
        threads = threads or cores()
        self._session = _session(card, threads)
        self.provider: str = self._session.get_providers()[0]
        self._input: str = self._session.get_inputs()[0].name
        self._buckets = buckets
        self._batch = Batch(max(buckets), card.shape_hw)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")

    def warm_up(self) -> None:
        """Run every batch size once, so that no frame pays for the first time."""
        for bucket in self._buckets:
            self.infer(np.zeros((bucket, 3, *self.card.shape_hw), np.float32))

    def detect(self, images: Sequence[Image], *, floor: float | None = None) -> list[Detections]:
        """Boxes in pictures (H, W, 3), BGR, of any size; scores above the card's thresholds, or above `floor`."""
        shape = self.card.shape_hw
        placed = [(image, Letterbox.fit((image.shape[1], image.shape[0]), shape)) for image in images]
        return self.detect_placed(placed, floor=floor)

    def detect_jpegs(
        self, jpegs: Sequence[bytes], *, floor: float | None = None
    ) -> list[Detections | PictureUnreadable]:
        """As `detect`, from bytes; in the place of a picture that does not decode stands why. The others go on."""
        results: list[Detections | PictureUnreadable] = []
        for start in range(0, len(jpegs), self._batch.capacity):
            read = self.read(jpegs[start : start + self._batch.capacity])
            whole = [one for one in read if not isinstance(one, PictureUnreadable)]
            found = iter(self.detect_placed(whole, floor=floor))
            results += [one if isinstance(one, PictureUnreadable) else next(found) for one in read]
        return results

    def read(self, pictures: Sequence[bytes], *, decode: Decode = decode_jpeg) -> list[Placed | PictureUnreadable]:
        """Decode pictures on all threads, no larger than the input needs."""
        return list(self._pool.map(lambda data: _outcome(decode, data, self.card.shape_hw), pictures))

    def detect_placed(self, pictures: Sequence[Placed], *, floor: float | None = None) -> list[Detections]:
        """As `detect`, of what `read` gave; boxes are in the pixels of each picture's source."""
        floors = self.card.thresholds if floor is None else (floor,) * len(self.classes)
        found: list[Detections] = []
        for size in portions(len(pictures), self._buckets):
            images, letterboxes = zip(*pictures[len(found) : len(found) + size], strict=True)
            list(self._pool.map(self._batch.fill, range(size), images, letterboxes))
            raw = self.infer(self._batch.tensor(size))
            found += detections(raw, letterboxes, np.array(floors, np.float32), self.card.head)
        return found

    def infer(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        """The session alone: (N, 3, H, W) RGB in 0–1 to the model's raw output."""
        return np.asarray(self._session.run(None, {self._input: tensor})[0])


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _outcome(decode: Decode, data: bytes, shape_hw: tuple[int, int]) -> Placed | PictureUnreadable:
    try:
        return decode(data, shape_hw)
    except PictureUnreadable as error:
        return error


def _session(card: Card, threads: int) -> ort.InferenceSession:
    weights = load_weights(card)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors; a provider that is not there is seen in `provider`
    offered = ort.get_available_providers()
    try:
        session = ort.InferenceSession(weights, options, providers=[p for p in PROVIDERS if p[0] in offered])
    except NOT_A_MODEL as error:
        raise ModelUnusable(f"model file {card.path} is no ONNX model that this version reads: {error}") from None
    faults = list(_faults(card, session))
    if faults:
        raise ModelUnusable(f"model file {card.path} is not what its card says: {'; '.join(faults)}")
    return session


def _faults(card: Card, session: ort.InferenceSession) -> Iterator[str]:
    """Where a model differs from its card: class names and stride (as ultralytics writes them), head, shapes."""
    facts = session.get_modelmeta().custom_metadata_map
    expected = dict(enumerate(card.classes))
    if _literal(facts.get("names")) != expected:
        yield f"class names {facts.get('names', 'missing')}, expected {expected}"
    if _literal(facts.get("stride")) != card.stride:
        yield f"stride {facts.get('stride', 'missing')}, expected {card.stride}"
    if card.head not in HEADS:
        yield f"head {card.head!r} of the card, known are {', '.join(HEADS)}"
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type != "tensor(float)":
        yield f"inputs {[(i.shape, i.type) for i in inputs]}, expected one float (batch, 3, height, width)"
    rows = 4 + len(card.classes)
    if len(outputs) != 1 or len(outputs[0].shape) != 3 or outputs[0].shape[1] != rows:
        yield f"outputs {[o.shape for o in outputs]}, expected one (batch, {rows}, anchors)"
    if any(side % card.stride for side in card.shape_hw):
        yield f"shape {card.shape_hw} of the card is no multiple of the stride"


def _literal(text: str | None) -> Any:
    try:
        return None if text is None else ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return None
