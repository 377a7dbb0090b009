"""Record, and the Bus that carries records: what Kafka (`ingest.bus`) and memory (`ingest.memory`) have in common."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

OVERHEAD_BYTES = 128  # of a batch of one record, over what it says: batch header 61, then lengths and offsets


class Partition(NamedTuple):
    """One ordered part of a topic. The topic is named without the prefix that the broker knows it by."""

    topic: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One message. One that is to be sent has no partition, offset or time yet: the broker gives them."""

    topic: str
    key: bytes | None  # records of one key stay in order; None: anywhere
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()  # names may repeat
    partition: int = -1
    offset: int = -1
    timestamp: datetime | None = None  # aware, UTC: when the broker took it

    @property
    def place(self) -> Partition:
        return Partition(self.topic, self.partition)

    @property
    def size(self) -> int:
        """Bytes it takes in a request, at most."""
        named = sum(len(name.encode()) + len(value) + 10 for name, value in self.headers)
        return len(self.key or b"") + len(self.value) + named + OVERHEAD_BYTES

    def header(self, name: str) -> bytes | None:
        """The last header of that name, as Kafka clients read it."""
        return next((value for key, value in reversed(self.headers) if key == name), None)


@dataclass(frozen=True, slots=True)
class Change:
    """What the group gave to this member and took from it. Partitions it keeps are in neither, and go on."""

    gained: frozenset[Partition] = frozenset()  # read from the committed offset
    lost: frozenset[Partition] = frozenset()  # somebody else reads them from the committed offset


class Retry(RuntimeError):
    """Not now, and nothing is lost: make the same call again after `retry_after_s`."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class BrokerAway(Retry):
    """No broker answers, or not in time."""


class Full(Retry):
    """As many bytes wait for the broker's word as may."""


class Rebalancing(Retry):
    """The group is being dealt again: what was read since the last commit may come again, here or elsewhere."""


class Refused(RuntimeError):
    """The broker will not do this, however often it is asked: no right, a wrong login, a damaged log."""


class TooLarge(ValueError):
    """A record larger than its topic takes. It was not sent; others are not concerned."""


class NoTopic(LookupError):
    """The broker has no such topic."""


class Bus(Protocol):
    """Topics to read as a member of a group, and to write. One thread uses it.

    At least once: read, work, `send`, `flush`, then `commit`. Any call but `close` may raise Retry.
    """

    def poll(self, max_records: int, wait_s: float) -> list[Record]:
        """At least one record, waited for up to `wait_s`, or none. In order within each partition.

        Look at `changes` afterwards, before these records: partitions are given and taken only in here.
        """

    def changes(self) -> list[Change]:
        """What the polls since the last call gave and took, in order."""

    def assignment(self) -> frozenset[Partition]:
        """What this member reads."""

    def send(self, record: Record) -> None:
        """Begin to send; `flush` tells whether it arrived. Raises Full, TooLarge or NoTopic, then nothing was begun."""

    def flush(self, wait_s: float = 30.0) -> None:
        """Return when everything sent is durable. Raises Retry otherwise; what is not acknowledged is kept, and sent
        again when needed: call it again."""

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Where reading would go on after a restart: the next offset of each partition, which may lie behind what was
        read. Partitions that were lost are left out."""

    def pause(self, partitions: Collection[Partition]) -> None:
        """Read no more from these, staying a member. Lost ones are left out. `poll` must still be called."""

    def resume(self, partitions: Collection[Partition]) -> None:
        """Go on where `pause` stopped."""

    def lag(self) -> dict[Partition, int]:
        """How many records of each partition of `assignment` are still to be read, by the broker's own word."""

    def scan(self, topic: str, partition: int | None = None, offset: int = 0) -> Iterator[Record]:
        """Every record that a topic holds now, partition by partition, or of one partition from an offset on.

        Asks no group and commits nothing. Raises NoTopic.
        """

    def close(self) -> None:
        """Leave the group at once. What was not flushed may be lost."""
