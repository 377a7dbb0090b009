"""Evidence: the best picture of a sighting, with faces made unrecognisable before it is written or sent."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from threading import local

import cv2
import numpy as np

from ingest.frame import Frame
from vision.engine import cores
from vision.pictures import EvidenceStore
from vision.privacy import FaceBlur, PrivacyUnavailable, encode_evidence
from vision.sighting import Evidence, Pictured

KNOWN = 64  # frames whose picture is known: several things may be shown best by the same one


class EvidenceMaker:
    """Decode, blur, encode, store. When any of it cannot be done no picture is kept, and the evidence says why.

    Looking for faces takes longer than looking for disorder: it is done by a thread a core, from the call on. Storing,
    which may have to wait for the store, is done by whoever first asks the evidence what it is. One thread calls and
    asks.
    """

    def __init__(self, store: EvidenceStore, blur: Callable[[], FaceBlur], pool: Executor | None = None) -> None:
        self._store = store
        self._load = blur
        self._pool = pool or ThreadPoolExecutor(cores(), "evidence")
        self._own = local()  # of each thread: its face detector, which no two may use at once
        self._known: dict[str, _Picture] = {}  # by frame id
        self.stored = 0
        self.failures: dict[str, int] = {}  # reason -> count

    def __call__(self, frame: Frame, box_xyxy: tuple[float, float, float, float]) -> Pictured:
        """The evidence, in the making. Ask it what it is before the process ends: until then nothing is stored."""
        if frame.id not in self._known:
            while len(self._known) >= KNOWN:
                self._known.pop(next(iter(self._known)))
            self._known[frame.id] = _Picture(self._pool.submit(self._made, frame.jpeg, frame.id))
        return _Late(self, self._known[frame.id], box_xyxy)

    def told(self, picture: _Picture, box_xyxy: tuple[float, float, float, float]) -> Evidence:
        """What became of a picture, with a box of its frame."""
        try:
            jpeg, scale = picture.made.result()
            if picture.name is None:
                picture.name = self._store.put(jpeg)
                self.stored += 1
        except PrivacyUnavailable as error:
            return self._missing(f"privacy-unavailable: {error}")
        except OSError as error:
            return self._missing(f"not-stored: {error.strerror or error}")
        x1, y1, x2, y2 = (round(v * scale) for v in box_xyxy)
        sha256 = hashlib.sha256(jpeg).hexdigest()
        return Evidence(uri=picture.name, sha256=sha256, box_xyxy=(max(0, x1), max(0, y1), x2, y2))

    def _made(self, data: bytes, frame_id: str) -> tuple[bytes, float]:
        """The JPEG to be stored, and its scale."""
        if not hasattr(self._own, "blur"):
            self._own.blur = self._load()
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if image is None or image.dtype != np.uint8:
            raise OSError("the picture no longer decodes")
        blur: FaceBlur = self._own.blur
        blurred, _ = blur.blur(np.asarray(image, np.uint8), frame_id)
        return encode_evidence(blurred)

    def _missing(self, reason: str) -> Evidence:
        self.failures[reason] = self.failures.get(reason, 0) + 1
        return Evidence(uri=None, sha256=None, box_xyxy=None, missing=reason)


class _Picture:
    """A frame's picture: being made, then stored under a name."""

    __slots__ = ("made", "name")

    def __init__(self, made: Future[tuple[bytes, float]]) -> None:
        self.made = made
        self.name: str | None = None


class _Late:
    """Evidence that is made while the sighting is on its way; asking waits."""

    __slots__ = ("_ask", "_told")

    def __init__(self, maker: EvidenceMaker, picture: _Picture, box_xyxy: tuple[float, float, float, float]) -> None:
        self._ask: Callable[[], Evidence] = lambda: maker.told(picture, box_xyxy)
        self._told: Evidence | None = None

    def _now(self) -> Evidence:
        if self._told is None:
            self._told = self._ask()
        return self._told

    @property
    def uri(self) -> str | None:
        return self._now().uri

    @property
    def sha256(self) -> str | None:
        return self._now().sha256

    @property
    def box_xyxy(self) -> tuple[int, int, int, int] | None:
        return self._now().box_xyxy

    @property
    def missing(self) -> str | None:
        return self._now().missing
