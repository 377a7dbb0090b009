"""On device: JPEGs that are decoded and letterboxed where the net computes, so that no pixel crosses the bus.

A codec decodes whole pictures into the device's memory; `placing.onnx` puts each where the net reads it. The host's way
(`vision.jpeg`, `vision.letterbox`) stays for what the codec cannot read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import onnxruntime as ort

from vision.jpeg import shrunk_by
from vision.letterbox import Letterbox

PLACING = Path(__file__).parent / "placing.onnx"


class Decoded(NamedTuple):
    """One picture in the device's memory: uint8 (H, W, 3), RGB, rows without padding."""

    pointer: int
    shape: tuple[int, int, int]
    owner: object  # keeps the memory


class Codec(Protocol):
    """Decodes JPEGs on a device, a batch at a time; None in the place of one that it cannot. Done when it returns."""

    def __call__(self, jpegs: Sequence[bytes]) -> list[Decoded | None]: ...


class DeviceJpegs:
    """The pictures of one session's batch, on their way to the net. `want` may be called from several threads."""

    def __init__(self, codec: Codec, placing: ort.InferenceSession, memory: str) -> None:
        self._codec, self._placing, self._memory = codec, placing, memory
        self._wanted: dict[int, tuple[bytes, Letterbox]] = {}
        self._ready: dict[int, tuple[Decoded, Letterbox]] = {}

    def want(self, slot: int, jpeg: bytes, letterbox: Letterbox) -> None:
        """Decode this picture, upright as it is stored, with the next batch."""
        self._wanted[slot] = jpeg, letterbox

    def decode(self) -> list[int]:
        """Decode what is wanted. Returns the slots whose picture the codec cannot read."""
        slots = sorted(self._wanted)
        found = self._codec([self._wanted[slot][0] for slot in slots]) if slots else []
        size = {slot: self._wanted[slot][1].source_wh for slot in slots}
        fits = {s: one for s, one in zip(slots, found, strict=True) if one and one.shape == (*size[s][::-1], 3)}
        self._ready = {slot: (one, self._wanted[slot][1]) for slot, one in fits.items()}
        self._wanted = {}
        return [slot for slot in slots if slot not in fits]

    @property
    def ready(self) -> int:
        """How many pictures of the batch are decoded here."""
        return len(self._ready)

    def place(self, planes: ort.OrtValue) -> None:
        """Letterbox what was decoded into `planes` (N, 3, H, W), each into its slot."""
        ready, self._ready = self._ready, {}
        _, channels, rows, columns = planes.shape()
        step = 4 * channels * rows * columns
        for slot, (picture, letterbox) in ready.items():
            binding = self._placing.io_binding()
            binding.bind_input("picture", self._memory, 0, np.uint8, picture.shape, picture.pointer)
            for name, value in _sizes(letterbox, (rows, columns)).items():
                binding.bind_cpu_input(name, np.array(value, np.int64))
            there = planes.data_ptr() + slot * step
            binding.bind_output("planes", self._memory, 0, np.float32, (1, channels, rows, columns), there)
            self._placing.run_with_iobinding(binding)
            binding.synchronize_outputs()


def _sizes(letterbox: Letterbox, shape_hw: tuple[int, int]) -> dict[str, Any]:
    """What placing.onnx is told of one picture."""
    factor = shrunk_by(letterbox)
    (width, height), (inner_w, inner_h) = letterbox.source_wh, letterbox.inner_wh
    rows, columns = height // factor, width // factor
    below, right = shape_hw[0] - letterbox.top - inner_h, shape_hw[1] - letterbox.left - inner_w
    return {
        "whole": (rows * factor, columns * factor),
        "blocks": (rows, factor, columns, factor, 3),
        "inner": (1, 3, inner_h, inner_w),
        "pads": (0, 0, letterbox.top, letterbox.left, 0, 0, below, right),
    }
