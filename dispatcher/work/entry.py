"""Entry: one action in the append-only log, chained to the one before by SHA-256 over canonical JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from dispatcher.work.step import Act
from ingest.frame import parse_rfc3339, rfc3339

START = "0" * 64  # what the first entry names as the one before
Details = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Who did what with which case, when and why, and everything that was decided with it."""

    seq: int  # 1, 2, 3 … without a gap
    case: str
    act: Act
    actor: str  # "user:li", "key:…", "local", "system"
    name: str  # of the actor, for people
    at: datetime
    reason: str | None
    details: Details  # what the work is made from: office, deadline, …
    event: str | None  # id of the case event that tells of it, or that caused it
    key: str | None = None  # Idempotency-Key of the request
    asked: str | None = None  # hash of what was asked for under that key
    prev: str = START
    hash: str = ""

    def document(self) -> dict[str, Any]:
        """What is hashed: everything but the hash."""
        return {
            "seq": self.seq,
            "case": self.case,
            "act": str(self.act),
            "actor": self.actor,
            "name": self.name,
            "at": rfc3339(self.at),
            "reason": self.reason,
            "details": dict(self.details),
            "event": self.event,
            "key": self.key,
            "asked": self.asked,
            "prev": self.prev,
        }

    def sealed(self) -> Entry:
        """With its hash."""
        return replace(self, hash=digest(canonical(self.document())))


def canonical(value: Any) -> str:
    """JSON in one way only: keys in order, no spaces, no escapes that are not needed, no NaN."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def parsed_entry(text: str, hash: str) -> Entry:
    """An entry from its canonical JSON. Raises ValueError or KeyError for what is none."""
    doc = json.loads(text)
    return Entry(**(doc | {"act": Act(doc["act"]), "at": parse_rfc3339(doc["at"]), "hash": hash}))


@dataclass(frozen=True, slots=True)
class Kept:
    """A row of the log as it lies in the database."""

    seq: int
    case: str
    act: str
    actor: str
    at: str
    event: str | None
    key: str | None
    document: str
    hash: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a walk over the log found."""

    entries: int  # that were read, up to a broken one
    head: str  # hash of the last good entry: note it elsewhere, and a log cut short is noticed too
    broken: int | None = None  # seq of the first entry that is not as it was written
    why: str | None = None

    def document(self) -> dict[str, Any]:
        found = {"entries": self.entries, "head": self.head}
        return found | {"ok": self.broken is None, "broken": self.broken, "why": self.why}


def verified(rows: Iterable[Kept]) -> Verdict:
    """Walk the log from its start; stops at the first entry that is broken."""
    head, count = START, 0
    for row in rows:
        why = _fault(row, count + 1, head)
        if why is not None:
            return Verdict(count, head, row.seq, why)
        head, count = row.hash, count + 1
    return Verdict(count, head)


def _fault(row: Kept, expected: int, head: str) -> str | None:
    if row.seq != expected:
        return f"entry {expected} is missing"
    if digest(row.document) != row.hash:
        return "its text is not what was hashed"
    try:
        doc = json.loads(row.document)
        if doc["prev"] != head:
            return "it does not follow the entry before"
        columns = {name: doc[name] for name in ("seq", "case", "act", "actor", "at", "event", "key")}
    except (ValueError, KeyError, TypeError):
        return "its text is no entry"
    for name, value in columns.items():
        if getattr(row, name) != value:
            return f"column {name!r} is not what the entry says"
    return None
