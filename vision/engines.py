"""Engines: the choice among them, and why the others were passed over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from models.card import Card
from vision.engine import FITTING, Engine, EngineUnavailable, Layout
from vision.engine_onnxruntime import OnnxRuntimeEngine
from vision.engine_openvino import OpenVinoEngine

AUTO = "auto"
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
            engine = _made(card, name, layout)
        except EngineUnavailable as error:
            tried.append(Tried(name, works=False, reason=str(error)))
        else:
            return engine, [*tried, Tried(name, works=True, reason="")]
    return None, tried


def _made(card: Card, name: str, layout: Layout) -> Engine:
    if name == "openvino-int8" and "int8" not in card.weights:
        raise EngineUnavailable(f"model {card.name} has no INT8 file")
    return ENGINES[name](card, layout)
