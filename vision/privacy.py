"""Privacy: faces are made unrecognisable before a picture is stored or leaves the process.

What cannot be blurred is not kept: all that goes wrong here is PrivacyUnavailable, and the caller stores nothing.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from models.card import MODELS, ModelUnusable, checked_bytes
from vision.detections import Detections
from vision.postprocess import suppressed

PRIVACY = MODELS / "privacy"
KEY = b"jiexun evidence"  # not secret: what makes the mosaic irreversible is the averaging, the noise comes on top
MARGIN = 0.25  # a face reaches beyond its box by about this fraction of its size: hair, ears, chin
BLOCKS = 4  # across the longer side of an enlarged box, not three across the face itself: too few to tell who it is
NOISE = 20.0  # 1 sigma, grey levels, added to each block's mean
SMALL_PX = 1280  # pictures up to this long are searched at double size too: faces down to about 8 pixels
SAME = 0.3  # overlap from which two boxes are one face
EVIDENCE_PX = 1280  # longest side of stored evidence
QUALITY = 85

Image = NDArray[np.uint8]  # (H, W, 3), BGR
Boxes = NDArray[np.float32]  # (N, 4) x1, y1, x2, y2 in pixels


class PrivacyUnavailable(RuntimeError):
    """Faces could not be looked for, so the picture must not be kept. The message says why."""


class Finder(Protocol):
    """Finds regions that nobody may recognise: faces today, licence plates later."""

    def __call__(self, image: Image) -> Boxes:
        """One box per region. Raises PrivacyUnavailable."""
        ...


class FaceFinder:
    """YuNet, at full size and, for small pictures, at double size."""

    def __init__(self, folder: Path = PRIVACY) -> None:
        """Load the model that the folder's card.toml names; raises PrivacyUnavailable."""
        try:
            card = tomllib.loads((folder / "card.toml").read_text(encoding="utf8"))
            data = checked_bytes(folder / card["file"], sha256=card["sha256"], size_bytes=card["size_bytes"])
            model = np.frombuffer(data, np.uint8)
            self._net = _net(model, float(card["score"]))
        except (OSError, ValueError, KeyError, ModelUnusable, cv2.error) as error:
            raise PrivacyUnavailable(f"the face detector does not load: {error}") from error

    def __call__(self, image: Image) -> Boxes:
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            # OpenCV would run on some of these and find nobody
            raise PrivacyUnavailable(f"no picture of 8-bit BGR pixels, but {image.dtype} {image.shape}")
        found = self._faces(image)
        if max(image.shape[:2]) <= SMALL_PX:
            double = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
            found = np.vstack([found, self._faces(np.asarray(double, np.uint8)) * (0.5, 0.5, 0.5, 0.5, 1.0)])
        boxes, score = found[:, :4].astype(np.float32), found[:, 4].astype(np.float32)
        return suppressed(Detections(boxes, score, np.zeros(len(found), np.int64)), SAME).xyxy

    def _faces(self, image: Image) -> NDArray[np.float64]:
        """(N, 5): x1, y1, x2, y2 and score."""
        try:
            self._net.setInputSize((image.shape[1], image.shape[0]))
            _, rows = self._net.detect(image)
        except cv2.error as error:
            raise PrivacyUnavailable(f"the face detector does not run: {error.err}") from error
        if rows is None:
            return np.zeros((0, 5))
        rows = np.asarray(rows, np.float64)  # x, y, w, h, 10 landmark coordinates, score
        return np.column_stack([rows[:, :2], rows[:, :2] + rows[:, 2:4], rows[:, 14]])


def _net(model: NDArray[np.uint8], score: float) -> cv2.FaceDetectorYN:
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(
        cv2.utils.logging.LOG_LEVEL_ERROR
    )  # OpenCV 5 warns at every load of a target it lacks
    try:
        return cv2.FaceDetectorYN.create("onnx", model, np.zeros(0, np.uint8), (320, 320), score)
    finally:
        cv2.utils.logging.setLogLevel(level)


class FaceBlur:
    """Finds regions by any number of finders and covers them with a mosaic."""

    def __init__(self, finders: Sequence[Finder] | None = None, *, key: bytes = KEY) -> None:
        """Faces alone, unless finders are given. Raises PrivacyUnavailable. `key` seeds the noise of the mosaic."""
        self._finders = tuple(finders) if finders is not None else (FaceFinder(),)
        self._key = key

    def blur(self, image: Image, frame_id: str) -> tuple[Image, int]:
        """A copy without recognisable faces, and how many regions were covered. The same bytes for the same frame.

        Raises PrivacyUnavailable.
        """
        boxes = np.vstack([np.zeros((0, 4), np.float32), *(find(image) for find in self._finders)])
        digest = hashlib.blake2b(frame_id.encode(), key=self._key, digest_size=16).digest()
        noise = np.random.Generator(np.random.PCG64(int.from_bytes(digest, "big")))
        out = image.copy()
        for box in boxes:
            mosaic(out, enlarged(box, image.shape[:2]), noise)
        return out, len(boxes)


def enlarged(box: Boxes, shape_hw: Sequence[int]) -> tuple[int, int, int, int]:
    """One box with MARGIN added on each side, in whole pixels inside the picture."""
    x1, y1, x2, y2 = (float(v) for v in box)
    dx, dy = MARGIN * (x2 - x1), MARGIN * (y2 - y1)
    left, top = max(0, int(np.floor(x1 - dx))), max(0, int(np.floor(y1 - dy)))
    return left, top, min(shape_hw[1], int(np.ceil(x2 + dx))), min(shape_hw[0], int(np.ceil(y2 + dy)))


def mosaic(image: Image, box: tuple[int, int, int, int], noise: np.random.Generator) -> None:
    """Replace a region, in place, by a few blocks of its mean colours, each shifted at random.

    Nothing finer than a block is left, which no filter can bring back (a Gaussian blur can be undone).
    """
    x1, y1, x2, y2 = box
    region = image[y1:y2, x1:x2]
    if region.size == 0:
        return
    block = max(1, -(-max(region.shape[:2]) // BLOCKS))
    grid_wh = (-(-region.shape[1] // block), -(-region.shape[0] // block))
    means = cv2.resize(region, grid_wh, interpolation=cv2.INTER_AREA).astype(np.float64)
    shifted = np.clip(np.rint(means + noise.normal(0.0, NOISE, means.shape)), 0, 255).astype(np.uint8)
    size_wh = (region.shape[1], region.shape[0])
    region[:] = cv2.resize(shifted, size_wh, interpolation=cv2.INTER_NEAREST)


def encode_evidence(image: Image, *, longest_px: int = EVIDENCE_PX, quality: int = QUALITY) -> tuple[bytes, float]:
    """A JPEG without EXIF whose longest side is at most `longest_px`, and its scale: evidence px = picture px * scale.

    Blur first. Raises PrivacyUnavailable when the picture cannot be encoded.
    """
    scale = min(1.0, longest_px / max(image.shape[:2]))
    if scale < 1.0:
        size_wh = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        image = np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise PrivacyUnavailable("the picture cannot be encoded")
    return data.tobytes(), scale
