"""Snapshot: what the joint engine knows, in the store, so that the next dispatcher starts from there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

from dispatcher.joint.live import Live
from dispatcher.joint.memory import RESTING, Part
from dispatcher.store.store import Store
from dispatcher.store.work import input_lines
from ingest.envelope import parse_envelope
from vision.sighting import Pass, parse_pass

FORMAT = "joint-1"  # raised when the engine decides otherwise: then the inputs are read again


class Snapshot:
    """Of one engine in one store. Cases that rest are written once; of the rest what has changed."""

    changes = 0  # it is kept by inputs alone: to know what has changed, all in memory is looked at

    def __init__(self, engine: Live, store: Store) -> None:
        self._engine = engine
        self._store = store
        areas = hashlib.sha256((store.areas() or "").encode()).hexdigest()
        self._mark = f"{FORMAT}-{areas[:24]}"
        self._texts: dict[Part, int] = {}  # hash of each part in memory, as kept

    def recall(self) -> int:
        """Bring the fresh engine there. Returns the number of the last input in it; 0 when there is none."""
        wanted: list[str] = []

        def take(about: dict[str, Any], parts: Iterable[tuple[Part, Any]]) -> None:
            self._engine.recall(about, self._noted(parts))
            wanted.extend(about["passes"])

        seq = self._store.recall(self._mark, take)
        if seq is None:
            return 0
        self._engine.know_passes(self._passes(wanted))
        return seq

    def _noted(self, parts: Iterable[tuple[Part, str]]) -> Iterator[tuple[Part, str]]:
        """What is kept: of that, what is gone when it is kept next must go there too."""
        for part, text in parts:
            if part[0] != RESTING:
                self._texts[part] = hash(text)
            yield part, text

    def _passes(self, ids: list[str]) -> Iterator[Pass]:
        with self._store.reading() as connection:
            lines = input_lines(connection, ids)
        for id in ids:
            yield parse_pass(parse_envelope(lines[id]).data)

    def amend(self, seq: int) -> None:
        """Keep what has changed, up to an input."""
        self._store.amend_snapshot(self._mark, self._engine.about(), self._engine.changed(self._texts), seq)
