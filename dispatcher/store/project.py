"""From one event to the projections. Appending and rebuilding go through here, so they cannot differ."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from dispatcher.case import Share
from dispatcher.owner import recipients
from dispatcher.store import gone, maps, reports, seen_by, shelf, tables, tally
from dispatcher.store.bulk import insert_rows, rows_with, update_rows
from dispatcher.store.rows import Delivery, Document, StoredEvent
from ingest.envelope import dumps


def stored_event(row: Any) -> StoredEvent:
    """Read a row of `events`."""
    return StoredEvent(
        seq=row.seq,
        id=row.id,
        case=row.case,
        event=row.event,
        at=row.at,
        recipients=tuple(json.loads(row.recipients)),
        document=json.loads(row.document),
        text=row.document,
    )


@dataclass(slots=True)
class _Row:
    """A row of `cases` while the events of a batch bring it on."""

    first: int
    raised: int
    before: Any  # the row as it is stored; None for a new case
    updated: int = 0
    area: str | None = None
    document: Document = field(default_factory=dict)
    text: str = ""  # the document as JSON

    def take(self, event: StoredEvent) -> None:
        self.document, self.text = event.document, event.text
        self.area, self.updated = owner_area(self.document), event.seq
        if event.recipients:
            self.raised = event.seq

    def values(self, id: str) -> dict[str, Any]:
        document = self.document
        return {
            "id": id,
            "state": document["state"],
            "matter": document["matter"],
            "area": self.area,
            "opened_at": document["opened_at"],
            "raised": self.raised,
            "updated": self.updated,
            "document": _case_text(document, self.text),
        }


def project(connection: Connection, events: Sequence[StoredEvent]) -> None:
    """Bring the projections up to events that are new to them. How they are cut into batches makes no difference."""
    if not events:
        return
    rows = _rows(connection, list(dict.fromkeys(event.case for event in events)))
    told: dict[str, set[str]] = {}
    for event in events:
        row = rows.setdefault(event.case, _Row(first=event.seq, raised=event.seq, before=None))
        row.take(event)
        told.setdefault(event.case, set()).update(event.recipients)
        if event.event == "merged":  # who was told of the other case sees this one, and is not told again
            told[event.case].update(alert["recipient"] for alert in event.document["alerts"])
    for case, document in gone.without(connection, {case: row.document for case, row in rows.items()}).items():
        rows[case].document, rows[case].text = document, dumps(document)
    _keep(connection, rows)
    sights = seen_by.show(connection, told, {case: row.area for case, row in rows.items()})
    maps.place(connection, {event.case: event for event in events}, {case: row.first for case, row in rows.items()})
    reports.place(connection, events)
    seen_by.belong(connection, [(uri, event.case) for event in events if (uri := _picture(event))])
    shelf.place(connection, [_move(row, sights[case]) for case, row in rows.items()])
    tally.count(connection, [_tallied(row, sights[case]) for case, row in rows.items()])
    alerts = [_alert(event, recipient) for event in events for recipient in dict.fromkeys(event.recipients)]
    insert_rows(connection, tables.alerts, alerts)
    if alerts:
        tally.count_alerts(connection, [alert["recipient"] for alert in alerts])


def _rows(connection: Connection, cases: Sequence[str]) -> dict[str, _Row]:
    """Those that are stored."""
    c = tables.cases.c
    query = select(c.id, c.first, c.raised, c.state, c.matter, c.area, c.late_from)
    rows = rows_with(connection, query, c.id, cases)
    return {row.id: _Row(first=row.first, raised=row.raised, before=row) for row in rows}


def _keep(connection: Connection, rows: Mapping[str, _Row]) -> None:
    update_rows(connection, tables.cases, [r.values(id) for id, r in rows.items() if r.before is not None], ["id"])
    new = [row.values(id) | {"first": row.first} for id, row in rows.items() if row.before is None]
    insert_rows(connection, tables.cases, new)


def _move(row: _Row, sight: seen_by.Sight) -> shelf.Move:
    before = None if row.before is None else (row.before.raised, sight.before)
    late_from = None if row.before is None else row.before.late_from  # the work on a case says so, and no event
    return shelf.Move(before, shelf.Facts.of(row.document, row.raised, row.area, late_from), sight.after)


def _tallied(row: _Row, sight: seen_by.Sight) -> tuple[tally.Tallied | None, tally.Tallied]:
    was, document = row.before, row.document
    before = None if was is None else tally.Tallied(was.state, was.matter, was.area, sight.before)
    return before, tally.Tallied(document["state"], document["matter"], row.area, sight.after)


def _case_text(document: Document, text: str) -> str:
    """Of what an event says, what it says of the case: all but which event it was, which as a rule stands last."""
    end = f',"event":"{document["event"]}"}}'
    if text.endswith(end):
        return text[: -len(end)] + "}"
    return dumps({name: value for name, value in document.items() if name != "event"})


def _picture(event: StoredEvent) -> str | None:
    evidence: Document = event.document["evidence"] or {}
    return evidence.get("uri")


def owner_area(document: Document) -> str | None:
    """The area a case belongs to by the rule that chooses whom to tell; None when it is unowned."""
    shares = [Share(area=str(share["area"]), p=float(share["p"])) for share in document["owners"]]
    return next(iter(recipients(shares)), None)


def _alert(event: StoredEvent, recipient: str) -> dict[str, Any]:
    return {
        "event_id": event.id,
        "recipient": recipient,
        "seq": event.seq,
        "case": event.case,
        "event": event.event,
        "at": event.at,
        # The console reads this store: what is committed has arrived there. Other channels have to be waited for.
        "console": str(Delivery.DELIVERED),
    }
