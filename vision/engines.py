"""Engines: the choice among them, and why the others were passed over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType

from models.card import Card
from vision.engine import FITTING, Engine, EngineUnavailable, Layout
from vision.engine_onnxruntime import OnnxRuntimeEngine
from vision.engine_openvino import OpenVinoEngine

AUTO = "auto"
CPUINFO = Path("/proc/cpuinfo")
EXACT = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})  # as Linux names them
Make = Callable[..., Engine]

ENGINES: Mapping[str, Make] = MappingProxyType(
    {  # the fastest first: auto takes the first that works
        "tensorrt": partial(OnnxRuntimeEngine, device="TensorRT"),
        "cuda": partial(OnnxRuntimeEngine, device="CUDA"),
        "openvino-int8": partial(OpenVinoEngine, precision="int8"),
        "openvino": partial(OpenVinoEngine, precision="fp32"),
        "onnxruntime": OnnxRuntimeEngine,
    }
)


@dataclass(frozen=True, slots=True)
class Tried:
    """One engine that was asked for this model: what came of it."""

    engine: str
    works: bool
    reason: str  # why not; empty when it works, or was not asked because a faster one does


def open_engine(card: Card, choice: str = AUTO, layout: Layout = FITTING) -> Engine:
    """The engine of that name for a model. Raises ModelUnusable for the model, EngineUnavailable for the engine."""
    if choice == AUTO:
        engine, tried = chosen(card, layout)
        if engine is None:
            raise EngineUnavailable("no engine runs here: " + "; ".join(f"{t.engine}: {t.reason}" for t in tried))
        return engine
    if choice not in ENGINES:
        raise EngineUnavailable(f"no engine {choice!r}; there are: {AUTO}, {', '.join(ENGINES)}")
    return _made(card, choice, layout)


def chosen(card: Card, layout: Layout = FITTING) -> tuple[Engine | None, list[Tried]]:
    """The fastest engine that works here, and what came of those before it."""
    tried: list[Tried] = []
    for name in ENGINES:
        try:
            if name == "openvino-int8" and not exact_int8():
                raise EngineUnavailable("this processor has no VNNI: its INT8 saturates, which costs a point of mAP50")
            engine = _made(card, name, layout)
        except EngineUnavailable as error:
            tried.append(Tried(name, works=False, reason=str(error)))
        else:
            return engine, [*tried, Tried(name, works=True, reason="")]
    return None, tried


@cache
def exact_int8(told: Path = CPUINFO) -> bool:
    """Whether products of INT8 are added up without loss: with AVX2 alone pairs of them are cut to 16 bits.

    Unknown processors, and those of other makes than x86, count as exact.
    """
    try:
        flags = next(line for line in told.read_text().splitlines() if line.startswith("flags")).split()
    except (OSError, StopIteration):
        return True
    return not EXACT.isdisjoint(flags)


def _made(card: Card, name: str, layout: Layout) -> Engine:
    if name == "openvino-int8" and "int8" not in card.weights:
        raise EngineUnavailable(f"model {card.name} has no INT8 file")
    return ENGINES[name](card, layout)
