"""Case: one disorder at one place over time, however many vehicles saw it. CaseEvent: what happened to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

from ingest.envelope import dumps
from ingest.frame import parse_rfc3339, rfc3339
from vision.sighting import Covariance, Evidence, Pictured


class State(StrEnum):
    """Where the belief in a case stands. The steps of the office's own workflow are another field."""

    CANDIDATE = "candidate"  # seen, not yet believed
    OPEN = "open"  # believed and told
    HANDLED = "handled"  # an officer says it was cleared; the next passes check
    CLOSED = "closed"  # later looks saw it gone
    DISMISSED = "dismissed"  # never believed, or refused by an officer with a reason


OVER = frozenset({State.CLOSED, State.DISMISSED})

STATE_ZH = {
    State.CANDIDATE: "待核实",
    State.OPEN: "待处理",
    State.HANDLED: "已处置待核查",
    State.CLOSED: "已结案",
    State.DISMISSED: "不予立案",
}


@dataclass(frozen=True, slots=True)
class Share:
    """How probable it is that the thing lies in an area."""

    area: str  # code
    p: float

    def document(self) -> dict[str, Any]:
        return {"area": self.area, "p": self.p}


@dataclass(frozen=True, slots=True)
class Alert:
    """One case event told to one recipient. There is one per (case event, recipient), ever."""

    recipient: str  # area code
    event: str
    at: datetime  # envelope time up to which the decision had read

    def document(self) -> dict[str, Any]:
        return {"recipient": self.recipient, "event": self.event, "at": rfc3339(self.at)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One episode of one disorder at one place, as it stands now."""

    id: str
    kind: str
    matter: str  # 5-digit code of GB/T 47678.5-2026
    state: State
    lat: float  # WGS-84 degrees
    lon: float
    covariance_m2: Covariance
    probability: float  # belief that it is there now
    opened_at: datetime | None  # the look at which the belief crossed the upper threshold
    closed_at: datetime | None
    episode: int  # 1, then + 1 each time it came back
    previous: str | None  # the case of the episode before
    first_seen_at: datetime
    last_seen_at: datetime
    sightings: tuple[str, ...]  # ids
    passes: int  # how many passes saw it
    owners: tuple[Share, ...]  # most probable first; their sum is at most 1, the rest is unowned
    alerts: tuple[Alert, ...]
    confidence: float  # the best sighting's
    evidence: Pictured | None  # of the best sighting that has a picture, else why there is none
    merged_into: str | None = None  # the case that goes on with its sightings: they are one

    def document(self) -> dict[str, Any]:
        """The entry in `cases` of the JSON document."""
        evidence = None
        if self.evidence is not None:
            evidence = {
                "uri": self.evidence.uri,
                "sha256": self.evidence.sha256,
                "box_xyxy": list(self.evidence.box_xyxy) if self.evidence.box_xyxy else None,
                "missing": self.evidence.missing,
            }
        return {
            "id": self.id,
            "kind": self.kind,
            "matter": self.matter,
            "state": str(self.state),
            "lat": self.lat,
            "lon": self.lon,
            "covariance_m2": list(self.covariance_m2),
            "probability": self.probability,
            "opened_at": None if self.opened_at is None else rfc3339(self.opened_at),
            "closed_at": None if self.closed_at is None else rfc3339(self.closed_at),
            "episode": self.episode,
            "previous": self.previous,
            "first_seen_at": rfc3339(self.first_seen_at),
            "last_seen_at": rfc3339(self.last_seen_at),
            "sightings": list(self.sightings),
            "passes": self.passes,
            "owners": [share.document() for share in self.owners],
            "alerts": [alert.document() for alert in self.alerts],
            "confidence": self.confidence,
            "evidence": evidence,
        } | ({} if self.merged_into is None else {"merged_into": self.merged_into})


@dataclass(frozen=True, kw_only=True)  # no slots: its document is made once
class CaseEvent:
    """Something happened to a case. Append-only; the case is as it stood right after."""

    id: str  # the same on every replay: a hash of case and event (and what caused it)
    event: str  # as on topic `cases`; `suspected` and `dismissed` are of a candidate and stay in the store
    at: datetime
    case: Case
    recipients: tuple[str, ...]  # area codes this event is told to; empty for one that nobody needs to hear

    def document(self) -> dict[str, Any]:
        """`data` of the envelope on topic `cases`. The same one each time: nobody changes it."""
        return self._document

    @cached_property
    def text(self) -> str:
        """The document as one line of JSON: what is stored, projected and sent is one text."""
        return dumps(self._document)

    @cached_property
    def _document(self) -> dict[str, Any]:
        return self.case.document() | {"event": self.event}


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """A permanent object that is no violation (a bin): it anchors positions and is never pushed."""

    kind: str
    lat: float
    lon: float
    covariance_m2: Covariance
    sightings: tuple[str, ...]

    @property
    def key(self) -> str:
        """As what a store keeps it."""
        return self.sightings[0]

    def document(self) -> dict[str, Any]:
        """The entry in `objects` of the JSON document."""
        return {
            "kind": self.kind,
            "lat": self.lat,
            "lon": self.lon,
            "covariance_m2": list(self.covariance_m2),
            "sightings": list(self.sightings),
        }


def parsed_case(document: Mapping[str, Any]) -> Case:
    """The case that `Case.document` told of."""
    (ee, en, nn), evidence = document["covariance_m2"], document["evidence"]
    times = ("opened_at", "closed_at", "first_seen_at", "last_seen_at")
    made = {name: None if document[name] is None else parse_rfc3339(document[name]) for name in times} | {
        "state": State(document["state"]),
        "covariance_m2": (ee, en, nn),
        "sightings": tuple(document["sightings"]),
        "owners": tuple(Share(**share) for share in document["owners"]),
        "alerts": tuple(Alert(a["recipient"], a["event"], parse_rfc3339(a["at"])) for a in document["alerts"]),
        "evidence": None if evidence is None else _evidence(evidence),
    }
    said: dict[str, Any] = {field.name: document.get(field.name) for field in fields(Case)}
    return Case(**said | made)


def _evidence(document: Mapping[str, Any]) -> Evidence:
    box = document["box_xyxy"]
    left, top, right, bottom = box or (0, 0, 0, 0)
    return Evidence(
        uri=document["uri"],
        sha256=document["sha256"],
        box_xyxy=None if box is None else (left, top, right, bottom),
        missing=document["missing"],
    )
