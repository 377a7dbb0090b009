"""The bus in memory: what Kafka does, in one process, for embedded use and for tests. Forgets everything at the end."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from ingest.record import BrokerAway, Change, Full, NoTopic, Partition, Rebalancing, Record, TooLarge
from ingest.topics import TOPICS, Topic

RETRY_S = 0.05


class MemoryBroker:
    """Topics, and the groups that read them. Buses of one broker meet there. For one thread."""

    def __init__(self, topics: Iterable[Topic] = TOPICS) -> None:
        self.limits = {topic.name: topic.max_message_bytes for topic in topics}
        self.logs: dict[Partition, list[Record]] = {
            Partition(topic.name, n): [] for topic in topics for n in range(topic.partitions)
        }
        self._places = {topic: [place for place in self.logs if place.topic == topic] for topic in self.limits}
        self.members: dict[str, list[MemoryBus]] = {}
        self.generations: dict[str, int] = {}
        self.committed: dict[tuple[str, Partition], int] = {}
        self.answers = True  # False: as if no broker could be reached

    def partitions(self, topic: str) -> list[Partition]:
        """Of a topic, by number. Raises NoTopic."""
        try:
            return self._places[topic]
        except KeyError:
            raise NoTopic(f"there is no topic {topic}") from None

    def share(self, group: str, member: MemoryBus) -> frozenset[Partition]:
        """A member's part: of each topic a range, as Kafka's range assignor deals."""
        dealt: set[Partition] = set()
        for topic in member.topics:
            readers = [other for other in self.members[group] if topic in other.topics]
            every, at = self.partitions(topic), readers.index(member)
            each, more = divmod(len(every), len(readers))
            begin = at * each + min(at, more)
            dealt.update(every[begin : begin + each + (at < more)])
        return frozenset(dealt)

    def regroup(self, group: str) -> None:
        self.generations[group] = self.generations.get(group, 0) + 1

    def check(self) -> None:
        if not self.answers:
            raise BrokerAway("the broker in memory does not answer", RETRY_S)


class MemoryBus:
    """A Bus over a MemoryBroker. What is sent arrives with `flush`."""

    def __init__(
        self, broker: MemoryBroker, *, read: Collection[str] = (), group: str = "", max_in_flight: int = 32 << 20
    ) -> None:
        self.topics = tuple(read)
        self._broker = broker
        self._group = group
        self._generation = -1
        self._positions: dict[Partition, int] = {}
        self._paused: set[Partition] = set()
        self._changes: list[Change] = []
        self._waiting: deque[Record] = deque()
        self._waiting_bytes = 0
        self._max_in_flight = max_in_flight
        if read:
            for topic in read:
                broker.partitions(topic)
            broker.members.setdefault(group, []).append(self)
            broker.regroup(group)

    def poll(self, max_records: int, wait_s: float) -> list[Record]:
        """See Bus. Does not wait: nobody else runs meanwhile."""
        self._broker.check()
        self._join()
        found: list[Record] = []
        for place in sorted(self._positions.keys() - self._paused):
            at, log = self._positions[place], self._broker.logs[place]
            records = log[at : at + max_records - len(found)]
            self._positions[place] += len(records)
            found += records
        return found

    def changes(self) -> list[Change]:
        changes, self._changes = self._changes, []
        return changes

    def assignment(self) -> frozenset[Partition]:
        return frozenset(self._positions)

    def send(self, record: Record) -> None:
        self._broker.partitions(record.topic)
        limit, size = self._broker.limits[record.topic], record.size
        if size > limit:
            raise TooLarge(f"a record of {size} bytes: topic {record.topic} takes up to {limit}")
        if self._waiting and size + self._waiting_bytes > self._max_in_flight:
            if not self._broker.answers:
                raise Full(f"{len(self._waiting)} records wait for the broker", RETRY_S)
            self.flush()
        self._waiting.append(record)
        self._waiting_bytes += size

    def flush(self, wait_s: float = 30.0) -> None:
        self._broker.check()
        while self._waiting:
            record = self._waiting.popleft()
            places = self._broker.partitions(record.topic)
            place = places[zlib.crc32(record.key or b"") % len(places)]
            log = self._broker.logs[place]
            log.append(replace(record, partition=place.number, offset=len(log), timestamp=datetime.now(UTC)))
        self._waiting_bytes = 0

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        self._broker.check()
        if self._generation != self._broker.generations.get(self._group):
            raise Rebalancing("the group is being dealt again", 0.0)
        for place, offset in offsets.items():
            if place in self._positions:
                self._broker.committed[self._group, place] = offset

    def pause(self, partitions: Collection[Partition]) -> None:
        self._paused |= self._positions.keys() & set(partitions)

    def resume(self, partitions: Collection[Partition]) -> None:
        self._paused -= set(partitions)

    def lag(self) -> dict[Partition, int]:
        self._broker.check()
        return {place: len(self._broker.logs[place]) - at for place, at in self._positions.items()}

    def scan(self, topic: str, partition: int | None = None, offset: int = 0) -> Iterator[Record]:
        self._broker.check()
        places = [place for place in self._broker.partitions(topic) if partition in (None, place.number)]
        return iter([record for place in places for record in self._broker.logs[place][offset:]])

    def close(self) -> None:
        members = self._broker.members.get(self._group, [])
        if self in members:
            members.remove(self)
            self._broker.regroup(self._group)
        self._positions.clear()

    def _join(self) -> None:
        """Take the share that the group's last dealing gave."""
        generation = self._broker.generations.get(self._group)
        if not self.topics or generation == self._generation or generation is None:
            return
        self._generation = generation
        share = self._broker.share(self._group, self)
        gained, lost = share - self._positions.keys(), self._positions.keys() - share
        for place in lost:
            del self._positions[place]
        for place in gained:
            self._positions[place] = self._broker.committed.get((self._group, place), 0)
        self._paused -= lost
        if gained or lost:
            self._changes.append(Change(gained=gained, lost=frozenset(lost)))
