"""Ticker: looks at the desk's clocks once a second, in a thread beside the server."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Self

from dispatcher.store.database import StoreUnavailable, explained_failures

logger = logging.getLogger(__name__)
EVERY_S = 1.0


class Ticker:
    """Runs while the block does. A database that does not answer is asked again; anything else ends the thread."""

    def __init__(
        self, tick: Callable[[datetime], object], now: Callable[[], datetime], every_s: float = EVERY_S
    ) -> None:
        self._tick, self._now, self._every_s = tick, now, every_s
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="desk", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                with explained_failures():
                    self._tick(self._now())
            except StoreUnavailable as error:
                logger.warning("the desk's clocks wait: %s", error)
            self._ending.wait(self._every_s)
