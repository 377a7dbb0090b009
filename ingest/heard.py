"""Heard: why a Kafka client cannot connect. Its library says so in its log only, and raises a mere time-out."""

from __future__ import annotations

import logging
import re
import time

LATELY_S = 30.0
WHY = re.compile(r"Bootstrap connection to \S+ failed: (?P<why>.*?)(?: \(backoff.*)?")
VAGUE = ("socket disconnected", "Timeout")  # what also follows a refused login


class Heard(logging.Handler):
    """The last reason, kept for our own sentence."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._why = ""
        self._at = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        found = WHY.fullmatch(record.getMessage())
        if found and not (self.lately() and any(word in found["why"] for word in VAGUE)):
            self._why, self._at = found["why"], time.monotonic()

    def lately(self) -> str:
        """The reason, unless it is older than LATELY_S; empty without one."""
        return self._why if time.monotonic() - self._at < LATELY_S else ""


heard = Heard()
logging.getLogger("kafka.net.manager").addHandler(heard)
