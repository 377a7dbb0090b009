"""Dispatcher: reads envelopes, lets the engine decide, and makes the decision durable before anybody hears of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
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


@dataclass(frozen=True, slots=True)
class Decided:
    """What an input changes; to be appended to the log before anybody hears of it."""

    input: Envelope  # kept under the id of what it says, which is what the engine knows repeats by
    events: list[CaseEvent]
    anchor: Anchor | None


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
        decided = self.decide(envelope, parsed(envelope))
        if decided is None:
            return []
        self._log.append([decided.input], decided.events, [] if decided.anchor is None else [decided.anchor])
        return decided.events

    def decide(self, envelope: Envelope, item: Sighting | Pass) -> Decided | None:
        """Let the engine take what an envelope carries; None for a repeat. The caller appends it to the log.

        Raises ValueError for what makes no sense; nothing is changed then.
        """
        repeats = self.engine.repeats
        events = self.engine.read(item, made_at=envelope.time)
        if self.engine.repeats > repeats:
            return None
        return Decided(replace(envelope, id=item.id), events, self.engine.object_with(item.id))
