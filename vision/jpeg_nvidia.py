"""JPEG decoding on NVIDIA cards: nvJPEG, and the decoder of its own that some cards have, by way of nvImageCodec."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from vision.engine import EngineUnavailable
from vision.on_device import Decoded

TRIAL_WH = (64, 48)
RUNTIMES = ("libcudart.so.13", "libcudart.so.12")


class NvJpegs:
    """A `Codec`. Raises EngineUnavailable where it does not decode a picture of its own right."""

    def __init__(self) -> None:
        try:
            from nvidia import nvimgcodec  # not on this path without requirements/cuda.txt
        except ImportError as error:
            raise EngineUnavailable(f"nvImageCodec is not installed: {error}") from None
        self._library: Any = nvimgcodec
        self._runtime = _runtime()
        try:
            self._decoder = nvimgcodec.Decoder(device_id=0)
            self._params = nvimgcodec.DecodeParams(
                apply_exif_orientation=False, sample_format=nvimgcodec.SampleFormat.I_RGB
            )
            self._try()
        except (RuntimeError, TypeError, AttributeError) as error:
            raise EngineUnavailable(f"nvImageCodec does not work here: {error}") from None

    def __call__(self, jpegs: Sequence[bytes]) -> list[Decoded | None]:
        streams = [self._library.CodeStream(jpeg) for jpeg in jpegs]
        images = self._decoder.decode(streams, params=self._params)
        self._runtime.cudaDeviceSynchronize()  # the net computes on a stream of its own, which does not wait for this
        return [None if image is None else _decoded(image) for image in images]

    def _try(self) -> None:
        """Decode one picture, and look whether it came out right."""
        across = np.linspace(40, 220, TRIAL_WH[0])[None, :, None] * np.ones((TRIAL_WH[1], 1, 1))
        picture = (across * (1.0, 0.7, 0.4)).astype(np.uint8)
        jpeg = cv2.imencode(".jpg", picture)[1]
        image = self._decoder.decode([self._library.CodeStream(jpeg.tobytes())], params=self._params)[0]
        if image is None:
            raise RuntimeError("a trial picture does not decode")
        host = np.asarray(image.cpu())
        wanted = cv2.cvtColor(np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR)), cv2.COLOR_BGR2RGB)
        if host.shape != wanted.shape or np.abs(host.astype(int) - wanted).max() > 8:
            raise RuntimeError("a trial picture decodes to other pixels")


def _decoded(image: Any) -> Decoded | None:
    """None for a picture whose rows are padded: it would be read askew."""
    told = image.__cuda_array_interface__
    height, width, channels = told["shape"]
    if channels != 3 or told.get("strides") not in (None, (3 * width, 3, 1)):
        return None
    return Decoded(told["data"][0], (height, width, channels), image)


def _runtime() -> Any:
    for name in RUNTIMES:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise EngineUnavailable(f"no CUDA runtime: {' or '.join(RUNTIMES)}")
