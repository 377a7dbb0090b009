"""Action: what an office did with a case, as the case engine hears of it. Kept among the inputs, in order of arrival.

The event that tells of it is stored with it, so that the engine has nothing to say: it learns what became of the case
and who has been told.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dispatcher.case import State
from ingest.envelope import Envelope
from ingest.frame import parse_rfc3339, rfc3339

ACTION_TYPE = "cn.jiexun.action.v1"
SOURCE = "/desk"


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
    """From `Action.envelope`. Raises ValueError or KeyError for what is none."""
    data = envelope.data
    return Action(
        id=data["id"],
        case=data["case"],
        event=data["event"],
        at=parse_rfc3339(data["at"]),
        state=None if data["state"] is None else State(data["state"]),
        recipients=tuple(data["recipients"]),
        into=data.get("into"),
        part=data.get("part"),
        sightings=tuple(data.get("sightings", ())),
    )
