"""Alerts of a street in Futian, and channels that they go through."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from dispatcher.alert import ALERT_TYPE, SOURCE
from dispatcher.case import Case, CaseEvent, Share, State
from dispatcher.channels.channel import Channel, Kind, Parcel, Progress
from dispatcher.channels.guard import Guard
from dispatcher.channels.sender import Sender
from dispatcher.store.rows import Letter
from dispatcher.store.store import Store
from ingest.envelope import Envelope
from ingest.frame import rfc3339
from vision.sighting import Evidence

NOON = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)  # noon in Shenzhen
WEST, EAST = "440304008901", "440304004902"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
LOOPBACK = Guard.parse("127.0.0.0/8")


def alert(event: CaseEvent, recipient: str, /, **more: Any) -> Letter:
    """As the dispatcher's loop writes it, with fields that an alert may have."""
    data = event.document() | {
        "case": event.case.id,
        "recipient": recipient,
        "recipient_name": {WEST: "彩田社区", EAST: "岗厦社区"}.get(recipient, recipient),
        "matter_zh": "垃圾箱满溢",
    }
    id = f"alert-{event.id}-{recipient}"
    envelope = Envelope(id=id, type=ALERT_TYPE, source=SOURCE, time=event.at, data=data | more)
    return Letter(id=id, topic="alerts", key=recipient, line=envelope.dumps())


def make_event(n: int, event: str = "opened", recipients: tuple[str, ...] = (WEST,)) -> CaseEvent:
    case = Case(
        id=f"case-{n}",
        kind="overflow_bin",
        matter="06042",
        state=State.OPEN,
        lat=22.5401,
        lon=114.0453,
        covariance_m2=(4.0, 0.0, 1.0),
        probability=0.9973,
        opened_at=NOON,
        closed_at=None,
        episode=1,
        previous=None,
        first_seen_at=NOON,
        last_seen_at=NOON,
        sightings=("s-1",),
        passes=2,
        owners=(Share(WEST, 0.97),),
        alerts=(),
        confidence=0.9,
        evidence=Evidence(uri="ab.jpg", sha256="ab", box_xyxy=None, missing=None),
    )
    return CaseEvent(id=f"case-{n}:{event}", event=event, at=NOON, case=case, recipients=recipients)


def tell(store: Store, *events: CaseEvent, **more: Any) -> None:
    """Append events with their alerts."""
    store.append((), events, letters=lambda event: [alert(event, to, **more) for to in event.recipients])


def make_channel(url: str, kind: Kind = Kind.WEBHOOK, **values: Any) -> Channel:
    id = secrets.token_hex(6)
    secret = SECRET if kind is Kind.WEBHOOK else ""
    given = {"name": id, "secret": secret, "created_at": rfc3339(NOON)} | values
    return Channel(id=id, kind=kind, url=url, **given)


def parcel_of(letter: Letter, seq: int = 1) -> Parcel:
    """As it waits."""
    at = rfc3339(NOON)
    return Parcel(
        seq=seq,
        alert=letter.id,
        channel="c",
        state=Progress.PENDING,
        attempts=0,
        created_at=at,
        next_at=at,
        ended_at="",
        error="",
        digest="",
        line=letter.line,
    )


def drive(sender: Sender, until: Callable[[], bool], patience_s: float = 20.0) -> None:
    """Let a sender turn until something is so."""
    give_up = time.monotonic() + patience_s
    while not until():
        assert time.monotonic() < give_up, "it did not come to that"
        if not sender.turn():
            time.sleep(0.005)
