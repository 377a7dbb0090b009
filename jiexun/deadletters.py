"""Dead letters of a bus: read, find one, send again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ingest.deadletter import DeadLetter, again, parse_dead_letter
from ingest.record import Bus
from ingest.topics import READ, REJECTED

ID = re.compile(r"(?P<topic>[a-z]+\.rejected)/(?P<partition>\d+)@(?P<offset>\d+)")


def read(bus: Bus, topic: str | None) -> Iterator[DeadLetter]:
    """All that were rejected from a topic, or from any, read one by one. Raises ValueError for another topic."""
    known = [entry.name for entry in READ]
    if topic is not None and topic.removesuffix(REJECTED) not in known:
        raise ValueError(f"nothing is rejected from topic {topic!r}: expected {', '.join(known)}")
    names = known if topic is None else [topic.removesuffix(REJECTED)]
    return (parse_dead_letter(record) for name in names for record in bus.scan(name + REJECTED))


def one(bus: Bus, id: str) -> DeadLetter:
    """The letter of that id. Raises ValueError when it is none, or expired."""
    found = ID.fullmatch(id)
    if found is None:
        raise ValueError(f"{id!r} is no id of a rejected record, such as frames.rejected/0@17")
    partition, offset = int(found["partition"]), int(found["offset"])
    record = next(bus.scan(found["topic"], partition, offset), None)
    if record is None or record.offset != offset:
        raise ValueError(f"there is no {id}: it never was, or has expired")
    return parse_dead_letter(record)


def replay(bus: Bus, letters: Iterable[DeadLetter]) -> list[str]:
    """Send letters to their topics again. Returns their ids when all are durable."""
    sent = []
    for letter in letters:
        bus.send(again(letter))
        sent.append(letter.id)
    bus.flush()
    return sent


def readable_headers(letter: DeadLetter) -> list[tuple[str, str]]:
    """The original's, as text."""
    return [(name, value.decode(errors="backslashreplace")) for name, value in letter.record.headers]
