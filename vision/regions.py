"""Regions that nobody may recognise: what finders of them have in common, and how one fails."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from models.card import MODELS, ModelUnusable, checked_bytes

PRIVACY = MODELS / "privacy"
MARGIN = 0.35  # what is covered reaches beyond its box by about this fraction of its size: hair, ears, chin
EVIDENCE_PX = 1280  # longest side of stored evidence

Floats = NDArray[np.float32]
Image = NDArray[np.uint8]  # (H, W, 3), BGR
Boxes = NDArray[np.float32]  # (N, 4) x1, y1, x2, y2 in pixels


class PrivacyUnavailable(RuntimeError):
    """Faces and plates could not be looked for, so the picture must not be kept. The message says why."""


class Finder(Protocol):
    """Finds regions that nobody may recognise. They are covered with MARGIN around them."""

    def __call__(self, image: Image) -> Boxes:
        """One box per region. Raises PrivacyUnavailable."""
        ...


def fitted(image: Image, longest_px: int = EVIDENCE_PX) -> tuple[Image, float]:
    """The picture at the size it is stored in, and the scale that took it there: stored px = picture px * scale."""
    scale = min(1.0, longest_px / max(image.shape[:2]))
    if scale == 1.0:
        return image, scale
    size_wh = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), np.uint8), scale


def released(folder: Path, what: str) -> tuple[dict[str, Any], bytes]:
    """The card of a folder and the bytes of the model it names. Raises PrivacyUnavailable."""
    try:
        card = tomllib.loads((folder / "card.toml").read_text(encoding="utf8"))
        return card, checked_bytes(folder / card["file"], sha256=card["sha256"], size_bytes=card["size_bytes"])
    except (OSError, ValueError, KeyError, ModelUnusable) as error:
        raise PrivacyUnavailable(f"the {what} does not load: {error}") from error


class Net:
    """A model on one thread of the processor. Raises PrivacyUnavailable when it does not load or run."""

    def __init__(self, data: bytes, what: str) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1  # evidence is made by a thread a core
        options.log_severity_level = 3
        self._what = what
        try:
            self._session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's own exceptions have no common base but this
            raise PrivacyUnavailable(f"the {what} does not load: {error}") from error
        self._input = self._session.get_inputs()[0].name

    def run(self, batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        try:
            return [np.asarray(out, np.float32) for out in self._session.run(None, {self._input: batch})]
        except Exception as error:  # as above: whatever it is, the picture is not kept
            raise PrivacyUnavailable(f"the {self._what} does not run: {error}") from error
