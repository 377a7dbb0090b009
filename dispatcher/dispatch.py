"""Dispatcher: reads envelopes, lets the engine decide, and makes the decision durable before anybody hears of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from dispatcher.case import Anchor, Case, CaseEvent
from dispatcher.store.rows import Letter
from dispatcher.work.action import ACTION_TYPE, Action, parsed_action
from dispatcher.work.rules import RULES_TYPE, Rules
from ingest.envelope import Envelope, parse_envelope
from vision.sighting import PASS_TYPE, SIGHTING_TYPE, Pass, Sighting, parse_pass, parse_sighting

REMEMBERED = 20_000  # inputs whose repeats an engine beside a store knows; the store knows all


Letters = Callable[[CaseEvent], Iterable[Letter]]  # what the world is told of an event


class CaseEngine(Protocol):
    """What decides: sightings and passes in, case events out. Pure and deterministic."""

    rules: Rules
    repeats: int

    def read(self, item: Sighting | Pass, *, made_at: datetime) -> list[CaseEvent]:
        """Take one sighting or pass. Raises ValueError for one that makes no sense; nothing is changed then."""

    def act(self, action: Action) -> None:
        """Take what an office did with a case; its event is told already."""

    def judged(self) -> list[CaseEvent]:
        """What followed from actions; told once. After a start it may be what was told before, under the same ids."""

    def cases(self) -> Sequence[Case]:
        """Every case, oldest first."""

    def objects(self) -> Sequence[Anchor]:
        """The permanent objects, in the order they were first seen."""

    def objects_of(self, sighting_id: str) -> list[Anchor]:
        """The object that the sighting read last belongs to, if any; without sightings those that are no more."""


class Log(Protocol):
    """Where decisions become durable. `dispatcher.store.Store`, or a fake in memory."""

    def append(
        self, inputs: Sequence[Envelope], events: Sequence[CaseEvent], anchors: Sequence[Anchor], letters: Letters, /
    ) -> object: ...

    def turn(self, after: int) -> AbstractContextManager[list[str]]:
        """While the block lasts nobody else writes. Gives the inputs that are stored after a number."""

    def last_input(self) -> int:
        """The number of the last input stored."""


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
    anchors: list[Anchor]


class Dispatcher:
    """Engine and log, kept in step."""

    def __init__(self, engine: CaseEngine, log: Log, letters: Letters = lambda _: ()) -> None:
        """`letters`: of what follows from what offices did, which the engine hears of only afterwards."""
        self.engine = engine
        self._log = log
        self._letters = letters
        self.seq = 0  # of the last stored input that the engine knows

    def recover(self, lines: Iterable[str]) -> None:
        """Bring a fresh engine to where the log's inputs (JSON lines) left the last one. Nothing is told again."""
        self.seq = self._log.last_input()  # what comes while we read is read again in the first turn, as a repeat
        for line in lines:
            self._know(line)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """What the block decides, it decides on all that is stored, and while nobody else writes.

        Offices act while vehicles drive: an action that was stored by another process is taken before the next sighting
        is judged, and so lies before it also when the inputs are read again.
        """
        with self._log.turn(self.seq) as others:
            repeats = self.engine.repeats
            for line in others:
                self._know(line)
            self.engine.repeats = repeats
            judged = self.engine.judged()  # all that is stored is known here, so that none of it is out of date
            if judged:
                self._log.append([], judged, (), self._letters)
            yield
            self.seq = self._log.last_input()

    def _know(self, line: str) -> None:
        """Take a stored input. What follows from it is stored already."""
        envelope = parse_envelope(line)
        if envelope.type == ACTION_TYPE:
            self.engine.act(parsed_action(envelope))
        elif envelope.type == RULES_TYPE:
            self.engine.rules = Rules.of(envelope.data["pages"])
        else:
            self.engine.read(parsed(envelope), made_at=envelope.time)

    def read(self, envelope: Envelope) -> list[CaseEvent]:
        """Take one envelope. Raises ValueError for one that makes no sense; nothing is stored then."""
        item = parsed(envelope)
        with self.turn():
            decided = self.decide(envelope, item)
            if decided is None:
                return []
            self._log.append([decided.input], decided.events, decided.anchors, lambda _: ())
        return decided.events

    def decide(self, envelope: Envelope, item: Sighting | Pass) -> Decided | None:
        """Let the engine take what an envelope carries; None for a repeat. The caller appends it to the log.

        Raises ValueError for what makes no sense; nothing is changed then.
        """
        kept = envelope if envelope.id == item.id else replace(envelope, id=item.id)
        _ = kept.line  # what cannot be written down again is refused before the engine knows of it
        repeats = self.engine.repeats
        events = self.engine.read(item, made_at=envelope.time)
        if self.engine.repeats > repeats:
            return None
        return Decided(kept, events, self.engine.objects_of(item.id))
