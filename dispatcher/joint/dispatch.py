"""Dispatcher of the joint engine: reads envelopes and lets the engine decide, without a store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dispatcher.case import CaseEvent
from dispatcher.joint.command import MERGE_TYPE, SPLIT_TYPE, parse_merge, parse_split
from dispatcher.joint.engine import Engine, Input
from dispatcher.work.action import ACTION_TYPE, parse_action
from ingest.envelope import Envelope
from vision.sighting import PASS_TYPE, SIGHTING_TYPE, parse_pass, parse_sighting

PARSERS: Mapping[str, Callable[[dict[str, Any]], Input]] = {
    SIGHTING_TYPE: parse_sighting,
    PASS_TYPE: parse_pass,
    MERGE_TYPE: parse_merge,
    SPLIT_TYPE: parse_split,
    ACTION_TYPE: parse_action,
}


def parsed(envelope: Envelope) -> Input:
    """What an envelope carries. Raises ValueError for another type, an unknown major version or a wrong field."""
    parser = PARSERS.get(envelope.type)
    if parser is None:
        raise ValueError(f"type {envelope.type!r} is not read here: expected one of {', '.join(PARSERS)}")
    return parser(envelope.data)


class Dispatcher:
    """An engine that takes envelopes."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def read(self, envelope: Envelope) -> list[CaseEvent]:
        """Take one envelope. Raises ValueError for one that makes no sense; nothing is changed then."""
        return list(self.engine.read(parsed(envelope), made_at=envelope.time))
