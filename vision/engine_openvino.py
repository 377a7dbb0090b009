"""OpenVINO: the engine for CPUs. It computes activation functions inside convolutions, also INT8 ones.

One compiled net with a stream a core: each stream runs one picture at a time in a thread of its own. (Two nets of one
thread each would share a core.) Letterboxed pictures go in as they are; that they become planes of RGB in 0–1 is part
of the compiled net.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino as ov
from openvino.preprocess import ColorFormat, PrePostProcessor

from models.card import Card
from vision.batch import Canvas
from vision.engine import EngineUnavailable, Raw, cores
from vision.net import read_net


class OpenVinoEngine:
    """A model on all cores. Raises ModelUnusable, or EngineUnavailable where OpenVINO has no CPU plugin."""

    name = "openvino"
    device = "CPU"

    def __init__(
        self,
        card: Card,
        *,
        precision: str = "int8",
        lanes: int | None = None,
        buckets: tuple[int, ...] = (1,),
        cache: Path | None = None,
    ) -> None:
        """`cache` is a folder where compiled nets are kept: a later start is faster."""
        net = read_net(card, precision)
        self.precision, self.lanes, self.buckets = precision, lanes or cores(), tuple(sorted(buckets))
        self._shape_hw = card.shape_hw
        core = ov.Core()
        if "CPU" not in core.available_devices:
            raise EngineUnavailable("OpenVINO finds no CPU plugin: is the package whole?")
        if cache is not None:
            core.set_property({"CACHE_DIR": str(cache)})
        self._nets = {bucket: self._compiled(core, net.weights, bucket) for bucket in self.buckets}

    def session(self) -> OpenVinoSession:
        return OpenVinoSession(self._nets, self._shape_hw)

    def _compiled(self, core: ov.Core, weights: bytes, bucket: int) -> ov.CompiledModel:
        steps = PrePostProcessor(core.read_model(weights))
        steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
        steps.input().tensor().set_color_format(ColorFormat.BGR)
        steps.input().model().set_layout(ov.Layout("NCHW"))
        steps.input().preprocess().convert_element_type(ov.Type.f32).convert_color(ColorFormat.RGB).scale(255.0)
        model = steps.build()
        model.reshape([bucket, *self._shape_hw, 3])
        options = {
            "NUM_STREAMS": self.lanes,
            "INFERENCE_NUM_THREADS": self.lanes,
            "ENABLE_CPU_PINNING": False,  # decoding must find a free core
            "INFERENCE_PRECISION_HINT": "f32",  # of what is not INT8: bf16 is no faster without AMX, and less exact
        }
        return core.compile_model(model, "CPU", options)


class OpenVinoSession:
    """Requests that read the canvas where it lies and write where it was agreed: nothing is copied."""

    def __init__(self, nets: dict[int, ov.CompiledModel], shape_hw: tuple[int, int]) -> None:
        self.canvas: Canvas = np.zeros((max(nets), *shape_hw, 3), np.uint8)
        self._requests = {}
        for bucket, net in nets.items():
            request = net.create_infer_request()
            request.set_input_tensor(ov.Tensor(self.canvas[:bucket], shared_memory=True))
            self._requests[bucket] = (request, request.get_output_tensor())

    def run(self, count: int) -> Raw:
        request, output = self._requests[count]
        request.start_async()
        request.wait()
        raw: Raw = output.data
        return raw
