"""Engines: the choice among them, and why the others were passed over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

from models.card import Card
from vision.engine import Engine, EngineUnavailable
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


def open_engine(
    card: Card, choice: str = AUTO, *, lanes: int | None = None, buckets: tuple[int, ...] | None = None
) -> Engine:
    """The engine of that name for a model. Raises ModelUnusable for the model, EngineUnavailable for the engine."""
    if choice == AUTO:
        engine, tried = chosen(card, lanes=lanes, buckets=buckets)
        if engine is None:
            raise EngineUnavailable("no engine runs here: " + "; ".join(f"{t.engine}: {t.reason}" for t in tried))
        return engine
    if choice not in ENGINES:
        raise EngineUnavailable(f"no engine {choice!r}; there are: {AUTO}, {', '.join(ENGINES)}")
    return _made(card, choice, lanes, buckets)


def chosen(
    card: Card, *, lanes: int | None = None, buckets: tuple[int, ...] | None = None
) -> tuple[Engine | None, list[Tried]]:
    """The fastest engine that works here, and what came of those before it."""
    tried: list[Tried] = []
    for name in ENGINES:
        try:
            engine = _made(card, name, lanes, buckets)
        except EngineUnavailable as error:
            tried.append(Tried(name, works=False, reason=str(error)))
        else:
            return engine, [*tried, Tried(name, works=True, reason="")]
    return None, tried


def engine_cache() -> Path:
    """Where compiled engines are kept between starts."""
    return Path.home() / ".cache" / "jiexun" / "engines"


def _made(card: Card, name: str, lanes: int | None, buckets: tuple[int, ...] | None) -> Engine:
    if name == "openvino-int8" and "int8" not in card.weights:
        raise EngineUnavailable(f"model {card.name} has no INT8 file")
    options: dict[str, object] = {"lanes": lanes}
    if buckets is not None:
        options["buckets"] = buckets
    if name == "tensorrt":
        options["cache"] = engine_cache()
    return ENGINES[name](card, **options)
