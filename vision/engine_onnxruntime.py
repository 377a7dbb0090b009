"""ONNX Runtime: the engine for GPUs (TensorRT, CUDA), and for CPUs where OpenVINO does not run.

On a GPU a small net in front of the model turns canvases into the planes it wants, so that a quarter of the bytes
crosses the bus; both are bound to memory of the device. On a CPU the session reads planes made by numpy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from models.card import RGB_UNIT, Card
from vision.batch import BUCKETS, PIXELS, Canvas
from vision.engine import FITTING, EngineUnavailable, Layout, Raw, cores
from vision.jpeg_nvidia import NvJpegs
from vision.net import Net, read_net
from vision.on_device import PLACING, Codec, DeviceJpegs

PLANES = Path(__file__).parent / "planes.onnx"  # uint8 (N, H, W, 3) BGR to float (N, 3, H, W) RGB in 0-1
PROVIDERS = {"TensorRT": "TensorrtExecutionProvider", "CUDA": "CUDAExecutionProvider", "CPU": "CPUExecutionProvider"}
GPU_LANES = 2  # one session's pictures are decoded while the other's are computed


class OnnxRuntimeEngine:
    """A model on one device. Raises ModelUnusable, or EngineUnavailable when this machine lacks the device."""

    name = "onnxruntime"

    def __init__(
        self,
        card: Card,
        layout: Layout = FITTING,
        *,
        device: str = "CPU",
        bound: bool | None = None,
        codec: Codec | None = None,
    ) -> None:
        """`bound` (default: on a GPU) makes planes on the device; `codec` (default there: nvJPEG) decodes on it."""
        provider = PROVIDERS[device]
        if provider not in ort.get_available_providers():
            raise EngineUnavailable(f"this onnxruntime was built without {provider}: install onnxruntime-gpu instead")
        on_cpu = device == "CPU"
        self.device, self.precision = device, "fp32"
        self.lanes = layout.lanes or (cores() if on_cpu else GPU_LANES)
        self._shape_hw = card.shape_hw
        self._net = read_net(card, self.precision)
        self.buckets = self._net.buckets(layout.buckets or ((1,) if on_cpu else BUCKETS))
        self._bound = (not on_cpu if bound is None else bound) and card.pixels == RGB_UNIT  # PLANES knows no other
        self._options = [(provider, _options(device))]
        self._codec = codec
        self.codec_reason = ""  # why pictures are not decoded on the device, for `jiexun doctor`
        if codec is None and self._bound and not on_cpu:
            self._codec, self.codec_reason = _codec()
        self._threads = max((layout.threads or cores()) // self.lanes, 1) if on_cpu else 0
        self._shared = None if on_cpu else self._started()  # on a GPU sessions of this class share one of ONNX Runtime

    def session(self) -> BoundSession | PlainSession:
        started = self._shared or self._started()
        if self._bound:
            planes = ort.InferenceSession(PLANES, self._session_options(), providers=self._options)
            memory = "cpu" if self.device == "CPU" else "cuda"
            jpegs: DeviceJpegs | None = None
            if self._codec is not None:
                placing = ort.InferenceSession(PLACING, self._session_options(), providers=self._options)
                jpegs = DeviceJpegs(self._codec, placing, memory)
            return BoundSession(planes, started, self._net, max(self.buckets), self._shape_hw, memory, jpegs)
        return PlainSession(started, self._net, max(self.buckets), self._shape_hw)

    def _session_options(self) -> ort.SessionOptions:
        options = ort.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.log_severity_level = 3
        return options

    def _started(self) -> ort.InferenceSession:
        options = self._session_options()
        for name, size in zip(self._net.shape[2:], self._shape_hw, strict=True):
            if isinstance(name, str):
                options.add_free_dimension_override_by_name(name, size)
        if isinstance(self._net.shape[0], str) and len(self.buckets) == 1:
            options.add_free_dimension_override_by_name(self._net.shape[0], self.buckets[0])
        session = ort.InferenceSession(self._net.weights, options, providers=self._options)
        if session.get_providers()[0] != self._options[0][0]:  # offered, but it did not start: a driver is missing
            raise EngineUnavailable(
                f"{self._options[0][0]} does not start here: the driver or its libraries are missing"
            )
        return session


class PlainSession:
    """The session reads planes that numpy made."""

    jpegs: DeviceJpegs | None = None

    def __init__(self, session: ort.InferenceSession, net: Net, capacity: int, shape_hw: tuple[int, int]) -> None:
        self.canvas: Canvas = np.zeros((capacity, *shape_hw, 3), np.uint8)
        self._tensor = np.empty((capacity, 3, *shape_hw), np.float32)
        self._session, self._net, self._planes = session, net, PIXELS[net.pixels]

    def run(self, count: int) -> Raw:
        tensor = self._planes(self.canvas[:count], self._tensor[:count])
        raw: Raw = self._session.run([self._net.output], {self._net.input: tensor})[0]
        return raw


class BoundSession:
    """Canvas to the device, planes and net there, boxes back."""

    def __init__(
        self,
        planes: ort.InferenceSession,
        session: ort.InferenceSession,
        net: Net,
        capacity: int,
        shape_hw: tuple[int, int],
        memory: str,
        jpegs: DeviceJpegs | None,
    ) -> None:
        self.jpegs = jpegs
        self.canvas: Canvas = np.zeros((capacity, *shape_hw, 3), np.uint8)
        self._planes, self._session, self._net, self._memory = planes, session, net, memory
        self._between: dict[int, Any] = {}  # by count: the planes, in the device's memory
        self._shape_hw = shape_hw

    def run(self, count: int) -> Raw:
        between = self._room(count)
        if self.jpegs is None or self.jpegs.ready < count:
            self._from_canvas(count, between)
        if self.jpegs is not None:
            self.jpegs.place(between)
        second = self._session.io_binding()
        second.bind_ortvalue_input(self._net.input, between)
        second.bind_output(self._net.output, "cpu")
        self._session.run_with_iobinding(second)
        raw: Raw = second.copy_outputs_to_cpu()[0]
        return raw

    def _from_canvas(self, count: int, planes: Any) -> None:
        binding = self._planes.io_binding()
        binding.bind_cpu_input("canvas", self.canvas[:count])
        binding.bind_ortvalue_output("planes", planes)
        self._planes.run_with_iobinding(binding)
        binding.synchronize_outputs()

    def _room(self, count: int) -> Any:
        if count not in self._between:
            shape = (count, 3, *self._shape_hw)
            self._between[count] = ort.OrtValue.ortvalue_from_shape_and_type(shape, np.float32, self._memory, 0)
        return self._between[count]


def _codec() -> tuple[Codec | None, str]:
    """What decodes on the device, or why nothing does."""
    try:
        return NvJpegs(), ""
    except EngineUnavailable as error:
        return None, str(error)


def _options(device: str) -> dict[str, str]:
    """Settings of an execution provider that matter for throughput."""
    if device == "CUDA":
        return {"cudnn_conv_algo_search": "HEURISTIC"}  # EXHAUSTIVE costs 0.3-1.3 s for every batch shape
    if device == "TensorRT":
        cache = str(Path.home() / ".cache" / "jiexun" / "engines")  # building an engine takes minutes: it is kept
        options = {"trt_fp16_enable": "1"}
        options |= {"trt_engine_cache_enable": "1", "trt_engine_cache_path": cache}
        return options | {"trt_timing_cache_enable": "1", "trt_timing_cache_path": cache}
    return {}
