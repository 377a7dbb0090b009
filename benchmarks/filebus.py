"""A bus in files, for one dispatcher: a topic is a file to which records are appended, and outlives whoever is killed.

Not Kafka and no stand-in for it elsewhere: `bench faults` runs on a real broker. Here the dispatcher must start again
within milliseconds, fifty times.
"""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from ingest.record import Change, Partition, Record


class FileBus:
    """See `ingest.record.Bus`. Every topic has one partition."""

    def __init__(self, folder: Path, read: Collection[str] = ()) -> None:
        self._folder = folder
        self._places = frozenset(Partition(topic, 0) for topic in read)
        self._at = {place: self._committed().get(place.topic, 0) for place in self._places}  # bytes
        self._changes = [Change(gained=self._places)] if read else []
        self._waiting: dict[str, list[bytes]] = {}

    def poll(self, max_records: int, wait_s: float) -> list[Record]:
        give_up = time.monotonic() + wait_s
        while True:
            found = [record for place in sorted(self._places) for record in self._read(place, max_records)]
            if found or time.monotonic() >= give_up:
                return found
            time.sleep(0.01)

    def changes(self) -> list[Change]:
        changes, self._changes = self._changes, []
        return changes

    def assignment(self) -> frozenset[Partition]:
        return self._places

    def send(self, record: Record) -> None:
        self._waiting.setdefault(record.topic, []).append(_line(record))

    def flush(self, wait_s: float = 30.0) -> None:
        """In the page cache, which a kill does not touch, in one write: nothing is left half written."""
        for topic, lines in self._waiting.items():
            handle = os.open(self._file(topic), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(handle, b"".join(lines))
            finally:
                os.close(handle)
        self._waiting.clear()

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        committed = self._committed() | {place.topic: offset for place, offset in offsets.items()}
        beside = self._folder / "committed.new"
        beside.write_text(json.dumps(committed))
        beside.rename(self._folder / "committed")

    def pause(self, partitions: Collection[Partition]) -> None: ...

    def resume(self, partitions: Collection[Partition]) -> None: ...

    def lag(self) -> dict[Partition, int]:
        """In bytes: what matters is whether it is none."""
        return {place: self._size(place.topic) - at for place, at in self._at.items()}

    def scan(self, topic: str, partition: int | None = None, offset: int = 0) -> Iterator[Record]:
        if self._size(topic):
            with self._file(topic).open("rb") as file:
                while (line := file.readline()).endswith(b"\n"):
                    yield _record(topic, line, file.tell())

    def close(self) -> None: ...

    def _read(self, place: Partition, most: int) -> list[Record]:
        if self._size(place.topic) <= self._at[place]:
            return []
        found: list[Record] = []
        with self._file(place.topic).open("rb") as file:
            file.seek(self._at[place])
            while len(found) < most and (line := file.readline()).endswith(b"\n"):
                found.append(_record(place.topic, line, file.tell()))
                self._at[place] = file.tell()
        return found

    def _committed(self) -> dict[str, int]:
        file = self._folder / "committed"
        known: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
        return known

    def _file(self, topic: str) -> Path:
        return self._folder / f"{topic}.topic"

    def _size(self, topic: str) -> int:
        file = self._file(topic)
        return file.stat().st_size if file.exists() else 0


def _line(record: Record) -> bytes:
    headers = [[name, base64.b64encode(value).decode()] for name, value in record.headers]
    key = None if record.key is None else base64.b64encode(record.key).decode()
    return json.dumps([key, base64.b64encode(record.value).decode(), headers]).encode() + b"\n"


def _record(topic: str, line: bytes, tell: int) -> Record:
    key, value, headers = json.loads(line)
    return Record(
        topic=topic,
        key=None if key is None else base64.b64decode(key),
        value=base64.b64decode(value),
        headers=tuple((name, base64.b64decode(text)) for name, text in headers),
        partition=0,
        offset=tell - 1,  # so that the offset after it is where the next one begins
        timestamp=datetime.now(UTC),
    )
