"""Nets that are compiled once in a test run, however many detectors are made of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from vision.engine_openvino import OpenVinoEngine


@pytest.fixture(scope="session", autouse=True)
def compiled_once() -> Iterator[None]:
    """Compiling takes longer than what most tests look at. What runs is OpenVINO's own net, as the engine compiled it.

    A net that does not compile is tried again each time.
    """
    compiled: dict[tuple[Any, ...], Any] = {}
    compile_net = OpenVinoEngine._compiled

    def once(engine: OpenVinoEngine, core: Any, net: Any, bucket: int) -> Any:
        key = (net.weights, net.pixels, bucket, engine._shape_hw, engine.lanes, engine._threads)
        if key not in compiled:
            compiled[key] = compile_net(engine, core, net, bucket)
        return compiled[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OpenVinoEngine, "_compiled", once)
        yield
