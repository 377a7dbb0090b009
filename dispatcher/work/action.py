"""Action: what an office did with a case, as the case engine hears of it. Kept among the inputs, in order of arrival.

The event that tells of it is stored with it, so that the engine has nothing to say: it learns what became of the case
and who has been told.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dispatcher.case import State
from ingest.envelope import Envelope
from ingest.frame import parse_rfc3339, rfc3339

ACTION_TYPE = "cn.jiexun.action.v1"
SOURCE = "/desk"
SAID = (State.OPEN, State.HANDLED, State.CLOSED, State.DISMISSED)  # what an office makes of a case


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One action. Ids are derived from the entry in the log of actions."""

    id: str
    case: str
    event: str
    at: datetime
    state: State | None  # what becomes of the case; None: it stays as it is
    recipients: tuple[str, ...]  # who is told
    into: str | None = None  # of a merge: the case that goes on with its sightings
    part: str | None = None  # of a split: the new case ...
    sightings: tuple[str, ...] = ()  # ... and what goes into it

    def envelope(self) -> Envelope:
        return Envelope(
            id=self.id,
            type=ACTION_TYPE,
            source=SOURCE,
            time=self.at,
            data={
                "id": self.id,
                "case": self.case,
                "event": self.event,
                "at": rfc3339(self.at),
                "state": None if self.state is None else str(self.state),
                "recipients": list(self.recipients),
            }
            | ({} if self.into is None else {"into": self.into})
            | ({} if self.part is None else {"part": self.part, "sightings": list(self.sightings)}),
        )


def parsed_action(envelope: Envelope) -> Action:
    """From `Action.envelope`. Raises ValueError for what is none."""
    return parse_action(envelope.data)


def parse_action(data: dict[str, Any]) -> Action:
    """Read `data` of an action. Raises ValueError naming the field that is wrong."""
    id, case, event = (_text(data, name) for name in ("id", "case", "event"))
    into, part = (None if data.get(name) is None else _text(data, name) for name in ("into", "part"))
    if into is not None and part is not None:
        raise ValueError("into and part: an action merges a case or splits it, never both")
    if into == case or part == case:
        raise ValueError(f"a case cannot go into itself: {case}")
    sightings = _texts(data, "sightings") if part is not None else ()
    if part is not None and not sightings:
        raise ValueError("sightings must name what goes into the part")
    return Action(
        id=id,
        case=case,
        event=event,
        at=_time(data.get("at")),
        state=_state(data),
        recipients=_texts(data, "recipients"),
        into=into,
        part=part,
        sightings=sightings,
    )


def _text(data: dict[str, Any], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} must be a non-empty text, got {value!r}")
    return value


def _texts(data: dict[str, Any], name: str) -> tuple[str, ...]:
    value = data.get(name)
    if not isinstance(value, list) or not all(isinstance(text, str) and text for text in value):
        raise ValueError(f"{name} must be a list of texts, got {value!r}")
    return tuple(value)


def _time(value: object) -> datetime:
    try:
        return parse_rfc3339(value if isinstance(value, str) else "")
    except (ValueError, OverflowError):
        raise ValueError(f"at must be a time with its zone, got {value!r}") from None


def _state(data: dict[str, Any]) -> State | None:
    value = data.get("state", "")
    if value is None:
        return None
    if value not in SAID:
        raise ValueError(f"state must be null or one of {', '.join(SAID)}, got {value!r}")
    return State(value)
