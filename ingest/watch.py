"""Watch: what a loop tells of itself while it runs. Metrics and traces implement it; nothing depends on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from ingest.record import Partition, Record


class Watch(Protocol):
    """Told from the loop's own thread; must return at once."""

    def turned(self) -> None:
        """The loop is alive. Called several times a second, also while it waits for something."""

    def assigned(self, partitions: frozenset[Partition]) -> None:
        """What this member reads now."""

    def blocked(self, reason: str | None) -> None:
        """It cannot go on, and why; None: it goes on."""

    def read(self, records: Sequence[Record]) -> None:
        """These came."""

    def queued(self, records: int, size_bytes: int) -> None:
        """So much was read and is not worked on yet."""

    def lag(self, lag: Mapping[Partition, int]) -> None:
        """How much is still to be read of each partition. The group's committed offsets lie farther back: see docs."""

    def batch(self, items: int, room: int, seconds: float) -> None:
        """One batch of `items` was worked on where `room` would have fit."""

    def sending(self, record: Record, cause: Record | None) -> Record:
        """A record is about to be sent because of another one. Returns it, perhaps with headers of a trace."""

    def rejected(self, topic: str, reason: str) -> None:
        """A record of `topic` could not be used."""

    def repeated(self, topic: str) -> None:
        """A record of `topic` was known already."""

    def dropped(self, fault: str) -> None:
        """A frame shows nothing (dark, covered, blurred): it was not looked at."""

    def told(self, event: str, captured_at: datetime) -> None:
        """An alert is durable on its topic; `captured_at`: when the picture or pass that caused it was taken."""


class Unwatched:
    """Nobody watches."""

    def turned(self) -> None: ...

    def assigned(self, partitions: frozenset[Partition]) -> None: ...

    def blocked(self, reason: str | None) -> None: ...

    def read(self, records: Sequence[Record]) -> None: ...

    def queued(self, records: int, size_bytes: int) -> None: ...

    def lag(self, lag: Mapping[Partition, int]) -> None: ...

    def batch(self, items: int, room: int, seconds: float) -> None: ...

    def sending(self, record: Record, cause: Record | None) -> Record:
        return record

    def rejected(self, topic: str, reason: str) -> None: ...

    def repeated(self, topic: str) -> None: ...

    def dropped(self, fault: str) -> None: ...

    def told(self, event: str, captured_at: datetime) -> None: ...
