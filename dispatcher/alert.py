"""Case events and alerts on the wire: what topics `cases` and `alerts` carry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from dispatcher.case import CaseEvent
from dispatcher.store.rows import Letter
from ingest.envelope import Envelope
from ingest.frame import derived_id, rfc3339
from ingest.topics import ALERTS, CASES
from models.taxonomy import Taxonomy

SOURCE = "/dispatcher"
ALERT_TYPE = "cn.jiexun.alert.v1"
INSIDE = frozenset({"suspected", "dismissed", "merged"})  # while they are of candidates they are for the page alone

# For the store alone: a report changed nothing, and belongs to this case; what a case that was merged or split came to
KEPT = frozenset({"reported", "judged"})


class Named(Protocol):
    """What knows the names of offices; `dispatcher.area.Areas` is one."""

    def name(self, code: str) -> str: ...


def case_envelope(event: CaseEvent) -> Envelope | None:
    """For topic `cases` (key: case id); None for an event that stays inside. Repeats have the same id and bytes."""
    if event.event in KEPT or (event.event in INSIDE and event.case.opened_at is None):
        return None
    return Envelope(
        id=event.id,
        type=f"cn.jiexun.case.{event.event}.v1",
        source=SOURCE,
        time=event.at,
        data=event.document(),
    )


def alert_envelopes(
    event: CaseEvent, areas: Named, taxonomy: Taxonomy, due_at: str | None = None
) -> Iterator[tuple[str, Envelope]]:
    """For topic `alerts`: (recipient, which is the key; envelope), one for each that the event is told to.

    `due_at` is by when an office must have it handled, where that is known. Ids are derived from event and recipient,
    so that a repeat is known to whoever reads it.
    """
    for recipient in event.recipients:
        yield (
            recipient,
            Envelope(
                id=derived_id("alert", event.id, recipient),
                type=ALERT_TYPE,
                source=SOURCE,
                time=event.at,
                data=_said(event, recipient, areas, taxonomy) | ({} if due_at is None else {"due_at": due_at}),
            ),
        )


def letters(event: CaseEvent, areas: Named, taxonomy: Taxonomy, due_at: str | None = None) -> Iterator[Letter]:
    """What the world is told of an event, for the outbox: on topic `cases`, and on `alerts` for each recipient."""
    envelope = case_envelope(event)
    if envelope is not None:
        yield Letter(id=envelope.id, topic=CASES.name, key=event.case.id, line=envelope.dumps(event.text))
    for recipient, told in alert_envelopes(event, areas, taxonomy, due_at):
        yield Letter(id=told.id, topic=ALERTS.name, key=recipient, line=told.dumps())


def _said(event: CaseEvent, recipient: str, areas: Named, taxonomy: Taxonomy) -> dict[str, Any]:
    """What an officer needs to see: what, where, how sure, whose, and the picture."""
    case = event.case
    matter = taxonomy.by_code[case.matter]
    told = event.document()
    return {
        "case": case.id,
        "event": event.event,
        "recipient": recipient,
        "recipient_name": areas.name(recipient),
        "at": rfc3339(event.at),
        "matter_zh": matter.name,
        "matter_en": matter.name_en,
        "also_told": [other for other in event.recipients if other != recipient],
        **{name: told[name] for name in _OF_THE_CASE},
    }


_OF_THE_CASE = (
    "kind",
    "matter",
    "state",
    "lat",
    "lon",
    "covariance_m2",
    "probability",
    "first_seen_at",
    "last_seen_at",
    "opened_at",
    "closed_at",
    "episode",
    "previous",
    "owners",
    "passes",
    "evidence",
)
