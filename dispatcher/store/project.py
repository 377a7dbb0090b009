"""From one event to the projections. Appending and rebuilding go through here, so they cannot differ."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, insert, update

from dispatcher.case import Share
from dispatcher.owner import recipients
from dispatcher.store import maps, seen_by, tables
from dispatcher.store.rows import Delivery, Document, StoredEvent


def dumps(value: Any) -> str:
    """JSON in one line. Floats come back exactly as they were; NaN raises ValueError."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


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
    )


def project(connection: Connection, event: StoredEvent) -> None:
    """Bring `cases`, `alerts` and what others see of them up to an event that is new to them."""
    document = {name: value for name, value in event.document.items() if name != "event"}
    values = {
        "state": document["state"],
        "matter": document["matter"],
        "area": owner_area(document),
        "opened_at": document["opened_at"],
        "updated": event.seq,
        "document": dumps(document),
    }
    known = update(tables.cases).where(tables.cases.c.id == event.case)
    raised = {"raised": event.seq} if event.recipients else {}
    if not connection.execute(known.values(values | raised)).rowcount:
        first = {"id": event.case, "first": event.seq, "raised": event.seq}
        connection.execute(insert(tables.cases).values(first | values))
    seen_by.project(connection, event, values["area"])
    maps.place(connection, event)
    for recipient in dict.fromkeys(event.recipients):
        connection.execute(insert(tables.alerts).values(_alert(event, recipient)))


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
