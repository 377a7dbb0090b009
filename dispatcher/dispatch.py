"""Dispatcher: reads envelopes, lets the engine decide, and makes the decision durable before anybody hears of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from dispatcher.case import Anchor, CaseEvent
from dispatcher.engine import Engine
from ingest.envelope import Envelope, parse_envelope
from vision.sighting import PASS_TYPE, SIGHTING_TYPE, Pass, Sighting, parse_pass, parse_sighting


class Log(Protocol):
    """Where decisions become durable. `dispatcher.store.Store`, or a fake in memory."""

    def append(
        self, inputs: Sequence[Envelope], events: Sequence[CaseEvent], anchors: Sequence[Anchor] = ()
    ) -> object: ...


def parsed(envelope: Envelope) -> Sighting | Pass:
    """What an envelope carries. Raises ValueError for another type, an unknown major version or a wrong field."""
    if envelope.type == SIGHTING_TYPE:
        return parse_sighting(envelope.data)
    if envelope.type == PASS_TYPE:
        return parse_pass(envelope.data)
    raise ValueError(f"type {envelope.type!r} is not read here: expected {SIGHTING_TYPE} or {PASS_TYPE}")


class Dispatcher:
    """Engine and log, kept in step."""

    def __init__(self, engine: Engine, log: Log) -> None:
        self.engine = engine
        self._log = log

    def recover(self, lines: Iterable[str]) -> None:
        """Bring a fresh engine to where the log's inputs (JSON lines) left the last one. Nothing is told again."""
        for envelope in map(parse_envelope, lines):
            self.engine.read(parsed(envelope), made_at=envelope.time)

    def read(self, envelope: Envelope) -> list[CaseEvent]:
        """Take one envelope. Raises ValueError for one that makes no sense; nothing is stored then."""
        item = parsed(envelope)
        repeats = self.engine.repeats
        events = self.engine.read(item, made_at=envelope.time)
        if self.engine.repeats > repeats:
            return []
        anchor = self.engine.object_with(item.id)
        # Kept under the id of what it says, which is what the engine knows repeats by.
        self._log.append([replace(envelope, id=item.id)], events, [] if anchor is None else [anchor])
        return events
