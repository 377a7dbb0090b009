"""Lanes: several detectors of one thread each, side by side. On a CPU the fastest way, and the steadiest.

One session that shares its threads out inside each layer waits for the slowest of them at every layer, and decoding
waits for the net. Lanes never wait for each other. A lane takes one picture at a time, so that a picture's scores do
not depend on the batch it happens to be in: replays and restarts see the very same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from models.card import Card
from vision.detections import Detections
from vision.detector import Detector, cores
from vision.jpeg import PictureUnreadable

GPU = "CUDAExecutionProvider"


class Lanes:
    """A released model on every core. Where there is a GPU, one detector with batches does better."""

    def __init__(self, card: Card, *, lanes: int | None = None) -> None:
        """Load the model once a lane; raises ModelUnusable."""
        detectors = [Detector(card, threads=1, buckets=(1,)) for _ in range(lanes or cores())]
        self.card = card
        self.provider = detectors[0].provider
        self._pool = ThreadPoolExecutor(len(detectors), thread_name_prefix="lane")
        self._free: SimpleQueue[Detector] = SimpleQueue()
        for detector in detectors:
            detector.warm_up()
            self._free.put(detector)

    def infer(self, tensors: Sequence[NDArray[np.float32]]) -> None:
        """The sessions alone, on ready tensors (1, 3, H, W): what the machine could do at most."""
        list(self._pool.map(self._bare, tensors))

    def detect_jpegs(self, jpegs: Sequence[bytes]) -> list[Detections | PictureUnreadable]:
        """As `Detector.detect_jpegs`, each picture for itself on whichever lane is free."""
        return list(self._pool.map(self._one, jpegs))

    def _one(self, jpeg: bytes) -> Detections | PictureUnreadable:
        with self._lane() as detector:
            (result,) = detector.detect_jpegs([jpeg])
            return result

    def _bare(self, tensor: NDArray[np.float32]) -> None:
        with self._lane() as detector:
            detector.infer(tensor)

    @contextmanager
    def _lane(self) -> Iterator[Detector]:
        detector = self._free.get()
        try:
            yield detector
        finally:
            self._free.put(detector)


def fastest(card: Card) -> Detector | Lanes:
    """The model as this machine runs it best, warm: batches on a GPU, lanes on a CPU. Raises ModelUnusable."""
    if GPU in onnxruntime.get_available_providers():
        detector = Detector(card)
        if detector.provider == GPU:  # a provider that is offered may still not start
            detector.warm_up()
            return detector
    return Lanes(card)
