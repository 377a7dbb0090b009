"""Privacy: faces, heads and plates are made unrecognisable before a picture is stored or leaves the process.

What cannot be blurred is not kept: all that goes wrong here is PrivacyUnavailable, and the caller stores nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import cv2
import numpy as np

from vision.bystanders import StreetFinder
from vision.faces import FaceFinder as FaceFinder
from vision.regions import EVIDENCE_PX, MARGIN, Boxes, Finder, Image, fitted
from vision.regions import PrivacyUnavailable as PrivacyUnavailable

KEY = b"jiexun evidence"  # not secret: what makes the mosaic irreversible is the averaging, the noise comes on top
BLOCKS = 4  # across the longer side of an enlarged box, not three across the face itself: too few to tell who it is
NOISE = 20.0  # 1 sigma, grey levels, added to each block's mean
QUALITY = 85


class FaceBlur:
    """Finds regions by any number of finders and covers them with a mosaic."""

    def __init__(self, finders: Sequence[Finder] | None = None, *, key: bytes = KEY) -> None:
        """Faces, heads and plates, unless finders are given. `key` seeds the noise. Raises PrivacyUnavailable."""
        self._finders = tuple(finders) if finders is not None else (StreetFinder(),)
        self._key = hashlib.blake2b(key, digest_size=32).digest()  # keys of any length

    def blur(self, image: Image, frame_id: str) -> tuple[Image, int]:
        """A copy without recognisable faces and plates, and how many regions were covered; the same bytes each time.

        Raises PrivacyUnavailable.
        """
        regions = self.regions(image)
        digest = hashlib.blake2b(frame_id.encode(), key=self._key, digest_size=16).digest()
        noise = np.random.Generator(np.random.PCG64(int.from_bytes(digest, "big")))
        out = image.copy()
        for region in regions:
            mosaic(out, region, noise)
        return out, len(regions)

    def regions(self, image: Image) -> list[tuple[int, int, int, int]]:
        """What is covered: x1, y1, x2, y2 of each region, in whole pixels. Raises PrivacyUnavailable."""
        return [enlarged(box, image.shape[:2]) for find in self._finders for box in find(image)]


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
    stored, scale = fitted(image, longest_px)
    done, data = cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise PrivacyUnavailable("the picture cannot be encoded")
    return data.tobytes(), scale
