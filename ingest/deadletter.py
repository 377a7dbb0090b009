"""Dead letters: records that could not be used, kept on `<topic>.rejected` as they came, with the reason.

The value, key and headers are the original's; what happened to it is in headers of our own.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from ingest.frame import parse_rfc3339, rfc3339
from ingest.record import Record
from ingest.topics import REJECTED

OURS = "rejected-"
MAX_REASON = 1000  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A rejected record as it lies on its topic."""

    id: str  # "frames.rejected/0@17": where it lies
    reason: str
    topic: str  # where it was read
    partition: int
    offset: int
    at: datetime | None  # when it was rejected
    tries: int  # how often it was: 2 after one replay in vain
    record: Record  # as it came, to be sent again; its own partition and offset are not in it


def dead_letter(record: Record, reason: str, *, now: datetime) -> Record:
    """The record to send for one that was rejected: a little larger, see topics.REJECTED_MORE_BYTES."""
    tries = _number(record, "tries", 0) + 1
    told = {
        "reason": reason[:MAX_REASON],
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "at": rfc3339(now),
        "tries": str(tries),
    }
    ours = tuple((OURS + name, value.encode("utf8", "replace")) for name, value in told.items())
    return Record(topic=record.topic + REJECTED, key=record.key, value=record.value, headers=_original(record) + ours)


def parse_dead_letter(record: Record) -> DeadLetter:
    """What a record of a `.rejected` topic tells. One that others put there has an empty reason and no place."""
    topic = record.topic.removesuffix(REJECTED)
    at = record.timestamp  # close, when ours cannot be read
    with suppress(ValueError):
        at = parse_rfc3339(_text(record, "at"))
    return DeadLetter(
        id=f"{record.topic}/{record.partition}@{record.offset}",
        reason=_text(record, "reason"),
        topic=topic,
        partition=_number(record, "partition", -1),
        offset=_number(record, "offset", -1),
        at=at,
        tries=_number(record, "tries", 1),
        record=Record(topic=topic, key=record.key, value=record.value, headers=_original(record)),
    )


def again(letter: DeadLetter) -> Record:
    """The record to send for another try; it remembers how many there were."""
    tries = (OURS + "tries", str(letter.tries).encode())
    return replace(letter.record, headers=(*letter.record.headers, tries))


def _original(record: Record) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, value) for name, value in record.headers if not name.startswith(OURS))


def _text(record: Record, name: str) -> str:
    return (record.header(OURS + name) or b"").decode(errors="replace")


def _number(record: Record, name: str, default: int) -> int:
    text = _text(record, name)
    return int(text) if text.isdecimal() else default
