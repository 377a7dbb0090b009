"""Evidence: the best picture of a sighting, with faces made unrecognisable before it is written or sent."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import cv2
import numpy as np

from ingest.frame import Frame
from vision.pictures import EvidenceStore
from vision.privacy import FaceBlur, PrivacyUnavailable, encode_evidence
from vision.sighting import Evidence


class EvidenceMaker:
    """Decode, blur, encode, store. When any of it cannot be done no picture is kept, and the evidence says why."""

    def __init__(self, store: EvidenceStore, blur: Callable[[], FaceBlur]) -> None:
        self._store = store
        self._load = blur
        self._blur: FaceBlur | None = None
        self._done: dict[str, tuple[str, str, float]] = {}  # frame id -> name, sha256, scale; the last few frames
        self.stored = 0
        self.failures: dict[str, int] = {}  # reason -> count

    def __call__(self, frame: Frame, box_xyxy: tuple[float, float, float, float]) -> Evidence:
        try:
            name, sha256, scale = self._done.get(frame.id) or self._keep(frame)
        except PrivacyUnavailable as error:
            return self._missing(f"privacy-unavailable: {error}")
        except OSError as error:
            return self._missing(f"not-stored: {error.strerror or error}")
        x1, y1, x2, y2 = (round(v * scale) for v in box_xyxy)
        return Evidence(uri=name, sha256=sha256, box_xyxy=(max(0, x1), max(0, y1), x2, y2))

    def _keep(self, frame: Frame) -> tuple[str, str, float]:
        if self._blur is None:
            self._blur = self._load()
        image = cv2.imdecode(np.frombuffer(frame.jpeg, np.uint8), cv2.IMREAD_COLOR)
        if image is None or image.dtype != np.uint8:
            raise OSError("the picture no longer decodes")
        blurred, _ = self._blur.blur(np.asarray(image, np.uint8), frame.id)
        jpeg, scale = encode_evidence(blurred)
        name = self._store.put(jpeg)
        self.stored += 1
        while len(self._done) >= 16:
            self._done.pop(next(iter(self._done)))
        self._done[frame.id] = (name, hashlib.sha256(jpeg).hexdigest(), scale)
        return self._done[frame.id]

    def _missing(self, reason: str) -> Evidence:
        self.failures[reason] = self.failures.get(reason, 0) + 1
        return Evidence(uri=None, sha256=None, box_xyxy=None, missing=reason)
