"""OpenVINO: the engine for CPUs. It computes activation functions inside convolutions, also INT8 ones.

One compiled net with a stream a core: each stream runs one picture at a time in a thread of its own. (Two nets of one
thread each would share a core.) Letterboxed pictures go in as they are; that they become planes of RGB in 0–1 is part
of the compiled net.
"""

from __future__ import annotations

import numpy as np
import openvino as ov
from openvino.preprocess import ColorFormat, PrePostProcessor

from models.card import RGB_UNIT, Card
from vision.batch import Canvas
from vision.engine import FITTING, EngineUnavailable, Layout, Raw, cores
from vision.net import Net, read_net
from vision.on_device import DeviceJpegs


class OpenVinoEngine:
    """A model on all cores. Raises ModelUnusable, or EngineUnavailable where OpenVINO has no CPU plugin."""

    name = "openvino"
    device = "CPU"

    def __init__(self, card: Card, layout: Layout = FITTING, *, precision: str = "int8") -> None:
        net = read_net(card, precision)
        self.precision = precision
        self.lanes = layout.lanes or cores() + 2  # more than streams: they decode while those compute
        self.buckets = net.buckets(layout.buckets or (1,))
        self._threads = layout.threads or cores()
        self._shape_hw = card.shape_hw
        core = ov.Core()
        if "CPU" not in core.available_devices:
            raise EngineUnavailable("OpenVINO finds no CPU plugin: is the package whole?")
        try:
            self._nets = {bucket: self._compiled(core, net, bucket) for bucket in self.buckets}
        except RuntimeError as error:  # what ONNX Runtime reads, OpenVINO need not
            raise EngineUnavailable(f"OpenVINO does not read {card.path_of(precision)}: {error}") from None

    def session(self) -> OpenVinoSession:
        return OpenVinoSession(self._nets, self._shape_hw)

    def _compiled(self, core: ov.Core, net: Net, bucket: int) -> ov.CompiledModel:
        steps = PrePostProcessor(core.read_model(net.weights))
        steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
        steps.input().tensor().set_color_format(ColorFormat.BGR)
        steps.input().model().set_layout(ov.Layout("NCHW"))
        planes = steps.input().preprocess().convert_element_type(ov.Type.f32)
        if net.pixels == RGB_UNIT:
            planes.convert_color(ColorFormat.RGB).scale(255.0)
        model = steps.build()
        model.reshape([bucket, *self._shape_hw, 3])
        options = {
            "NUM_STREAMS": min(self.lanes, self._threads),
            "INFERENCE_NUM_THREADS": self._threads,
            "ENABLE_CPU_PINNING": False,  # decoding must find a free core
            "INFERENCE_PRECISION_HINT": "f32",  # of what is not INT8: bf16 is no faster without AMX, and less exact
        }
        return core.compile_model(model, "CPU", options)


class OpenVinoSession:
    """Requests that read the canvas where it lies and write where it was agreed: nothing is copied."""

    jpegs: DeviceJpegs | None = None

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
