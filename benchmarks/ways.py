"""The ways that `benchmarks.hotpath` compares: each looks at the same JPEGs and says how many a second it managed."""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count, cycle, islice
from queue import SimpleQueue
from typing import Any

import cv2
import numpy as np

from models.card import Card
from vision.detector import Detector
from vision.engine import Engine, Layout, Session, cores
from vision.engines import ENGINES, chosen, open_engine
from vision.jpeg import JpegDecoder

PICTURES = 64  # a way and a turn: about half a second
SLOW_PICTURES = 16  # for ultralytics
TURNS = 3  # of the ways whose ratio must be told apart by a few hundredths: c and its rivals


@dataclass(frozen=True, slots=True)
class Way:
    """One way to look at pictures."""

    name: str
    pictures: int  # in a turn
    look: Callable[[int], None]  # at so many
    turns: int = 1  # in a round

    def fps(self) -> float:
        """Pictures a second of one turn."""
        start = time.perf_counter()
        self.look(self.pictures)
        return self.pictures / (time.perf_counter() - start)


@contextmanager
def ways(card: Card, jpegs: Sequence[bytes]) -> Iterator[tuple[list[Way], set[str]]]:
    """Every way that works here, warm, and a sentence for each that does not."""
    engine, _ = chosen(card)
    if engine is None:
        raise RuntimeError("no engine runs here: see `jiexun doctor`")
    detector = Detector(card, engine=engine)
    tried = [
        Way("c", PICTURES, partial(shipped, detector, jpegs), TURNS),
        Way("b", PICTURES, Bare(engine, cores(), None)),
        Way("d: a session a core, a thread each", PICTURES, Bare(engine, cores(), jpegs), TURNS),
        Way("d: a session a core, one thread more", PICTURES, Bare(engine, cores(), jpegs, extra=1), TURNS),
        Way("d: a session a lane, a thread each", PICTURES, Bare(engine, engine.lanes, jpegs), TURNS),
        Way("d: one session on all cores, decoding beside it", PICTURES, one_session(card, engine, jpegs)),
    ]
    tried += [Way(f"bare {n}", PICTURES // 2, Bare(other, other.lanes, None)) for n, other in _others(card, engine)]
    slow, notes = _ultralytics(card, jpegs)
    cv2.setNumThreads(1)  # ultralytics may have asked for more
    try:
        yield slow + tried, notes
    finally:
        detector.close()


def shipped(detector: Detector, jpegs: Sequence[bytes], pictures: int) -> None:
    """Bytes to detections."""
    detector.detect_jpegs([*islice(cycle(jpegs), pictures)])


class Bare:
    """Threads with a session each that do nothing but decode, unless pictures lie ready, and run the engine."""

    def __init__(
        self, engine: Engine, sessions: int, jpegs: Sequence[bytes] | None, *, extra: int = 0, batch: int = 1
    ) -> None:
        self._jpegs, self._batch = jpegs, batch
        self._shape_hw = engine.session().canvas.shape[1:3]
        self._threads = sessions + extra
        self._free: SimpleQueue[Session] = SimpleQueue()
        for _ in range(sessions):
            session = engine.session()
            session.canvas[:] = np.random.default_rng(0).integers(0, 256, session.canvas.shape, np.uint8)
            self._free.put(session)
        self._pool = ThreadPoolExecutor(self._threads, "bare")

    def __call__(self, pictures: int) -> None:
        numbers = count()
        list(self._pool.map(lambda _: self._work(numbers, pictures), range(self._threads)))

    def _work(self, numbers: Iterator[int], pictures: int) -> None:
        decode = JpegDecoder()
        while (number := next(numbers)) < pictures:
            if self._jpegs is not None:
                decode(self._jpegs[number % len(self._jpegs)], self._shape_hw)
            session = self._free.get()
            session.run(self._batch)
            self._free.put(session)


def one_session(card: Card, engine: Engine, jpegs: Sequence[bytes]) -> Bare:
    """One session that all cores compute together; threads decode for it meanwhile."""
    name = next(n for n in ENGINES if _is(n, engine))
    alone = open_engine(card, name, Layout(lanes=1, threads=cores()))
    return Bare(alone, 1, jpegs, extra=cores())


def _others(card: Card, engine: Engine) -> Iterator[tuple[str, Engine]]:
    """The engines that were not taken, for comparison."""
    for name in ("openvino", "onnxruntime"):
        if not _is(name, engine):
            yield name, open_engine(card, name)


def _is(name: str, engine: Engine) -> bool:
    return {
        "openvino-int8": ("openvino", "CPU", "int8"),
        "openvino": ("openvino", "CPU", "fp32"),
        "onnxruntime": ("onnxruntime", "CPU", "fp32"),
        "cuda": ("onnxruntime", "CUDA", "fp32"),
        "tensorrt": ("onnxruntime", "TensorRT", "fp32"),
    }[name] == (engine.name, engine.device, engine.precision)


def _ultralytics(card: Card, jpegs: Sequence[bytes]) -> tuple[list[Way], set[str]]:
    if importlib.util.find_spec("ultralytics") is None:
        return [], {"a1 and a2 were left out: ultralytics is not installed (.venv/bin/pip install -e '.[train]')"}
    os.environ.setdefault("YOLO_OFFLINE", "true")
    from ultralytics import YOLO

    def predict(model: Any, imgsz: Any, pictures: int) -> None:
        for jpeg in islice(cycle(jpegs), pictures):
            image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
            model.predict(image, imgsz=imgsz, rect=False, verbose=False, device="cpu")  # not cut to the picture

    square, wide = (YOLO(card.path, task="detect") for _ in range(2))
    return [
        Way("a1", SLOW_PICTURES, partial(predict, square, 640)),
        Way("a2", SLOW_PICTURES, partial(predict, wide, list(card.shape_hw))),
    ], set()
