"""Engine: a net, loaded, on the hardware that runs it. What the hot path needs to know of one is here.

An engine reads canvases: letterboxed pictures, uint8 (N, H, W, 3), BGR (`vision.batch`). What the net itself wants of
them is the engine's business, and done where it computes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from vision.batch import Canvas

if TYPE_CHECKING:
    from vision.on_device import DeviceJpegs  # and with it ONNX Runtime, for a name

Raw = NDArray[np.float32]  # (N, …): what the net says, an entry a picture


class Session(Protocol):
    """One way through an engine, for one thread. Sessions of an engine run side by side."""

    canvas: Canvas  # of the engine's largest bucket: pictures are put here ...
    jpegs: DeviceJpegs | None  # ... or here, where the device decodes

    def run(self, count: int) -> Raw:
        """The net on the first `count` pictures of the canvas, `count` a bucket. The next run overwrites the result."""
        ...


class Engine(Protocol):
    """A released model in one precision on one kind of hardware."""

    name: str  # of the runtime: "openvino", "onnxruntime"
    device: str  # "CPU", "CUDA", "TensorRT"
    precision: str  # of the model file: a key of `Card.weights`
    lanes: int  # sessions side by side that suit this hardware
    buckets: tuple[int, ...]  # batch sizes, smallest first

    def session(self) -> Session: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How an engine is laid out on the machine; what is None suits the hardware."""

    lanes: int | None = None  # sessions side by side
    threads: int | None = None  # that compute, all lanes together
    buckets: tuple[int, ...] | None = None  # batch sizes


FITTING = Layout()


class EngineUnavailable(RuntimeError):
    """The engine does not run here: not installed, no such hardware, or not made for this model. The message says."""


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
