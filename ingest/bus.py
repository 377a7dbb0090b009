"""KafkaBus: a Bus over Apache Kafka. With `ingest.clusterwide` and `ingest.receive` all that imports kafka.

Follows what was measured with kafka-python 3.0: `flush` there tells of no failure, `send` there never waits, a record
too large for the broker spoils the producer, and a lost connection is tried again only after up to 30 s.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import kafka
from kafka import errors
from kafka.coordinator.assignors.range import RangePartitionAssignor

from ingest.cluster import Cluster
from ingest.clusterwide import found_by, login, open_admin, said_as_ours
from ingest.inflight import RETRY_S, InFlight
from ingest.receive import install
from ingest.record import (
    OVERHEAD_BYTES,
    BrokerAway,
    Change,
    NoTopic,
    Partition,
    Record,
    TooLarge,
)
from ingest.topics import BY_NAME, MIB, TOPICS

install()

MAX_IN_FLIGHT = 32 * MIB  # bytes sent and not yet acknowledged
FETCH_BYTES = 4 * MIB  # of each partition and request; a larger record still comes, alone
FETCH_ALL_BYTES = 32 * MIB
FETCH_AT_LEAST = MIB  # a request waits for so much, two or three frames ...
FETCH_WAIT_MS = 100  # ... but no longer: requests cost both sides more than the bytes do
LINGER_MS = 5  # small records of one turn of a loop go in one request; a flush sends them at once
CHECK_S = 5.0  # how often a member looks whether it is one
HEARTBEAT_MS = 500  # a member hears this soon that the group is dealt again


class KafkaBus:
    """A Bus over a cluster. Joins `group` to read the topics of `read`; sends through an idempotent producer.

    Raises BrokerAway when no broker answers, NoTopic for one that is not there. Names of topics and of the group are
    given without the cluster's prefix.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        read: Collection[str] = (),
        group: str = "",
        max_in_flight: int = MAX_IN_FLIGHT,
        client: str = "jiexun",
    ) -> None:
        self._cluster = cluster
        self._client = client
        self._producer: Any = None
        self._in_flight = InFlight(self._begin, _wait, limit=max_in_flight)
        self._limits: dict[str, int] = {}
        self._listener = _Listener(cluster.prefix)
        self._consumer: Any = None
        self._read, self._group = tuple(read), cluster.prefix + group
        self._opened_s = self._checked_s = time.monotonic()
        if read:
            self._consumer = self._open_consumer(group=self._group)
            self._check_topics(read)
            self._subscribe(self._consumer)

    # Reading

    def poll(self, max_records: int, wait_s: float) -> list[Record]:
        if time.monotonic() - self._checked_s >= CHECK_S:
            self._stay_member()
        with self._asked():
            found = self._consumer.poll(timeout_ms=round(wait_s * 1000), max_records=max_records)
        return [self._record(message) for messages in found.values() for message in messages]

    def _stay_member(self) -> None:
        """Join the group anew when this member has been silent for longer than any rebalance takes.

        On a machine with far too much to do kafka-python 3.0 can lose its heartbeat: the group drops the member, which
        polls on, reads nothing, and never notices.
        """
        now = self._checked_s = time.monotonic()
        told = self._consumer.metrics()["consumer-coordinator-metrics"]["last-heartbeat-seconds-ago"]
        if min(told, now - self._opened_s) < self._cluster.session_s + self._cluster.max_poll_s:
            return
        joining = self._open_consumer(group=self._group)
        self._subscribe(joining)
        silent, self._consumer, self._opened_s = self._consumer, joining, now
        self._listener.on_partitions_lost(())
        silent.close(autocommit=False, timeout_ms=2000)

    def _subscribe(self, consumer: Any) -> None:
        consumer.subscribe([self._cluster.prefix + topic for topic in self._read], listener=self._listener)

    def changes(self) -> list[Change]:
        return self._listener.drain()

    def assignment(self) -> frozenset[Partition]:
        return frozenset(map(self._place, self._consumer.assignment()))

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        held = self.assignment()
        ours = {
            self._named(place): kafka.OffsetAndMetadata(offset, "", -1)
            for place, offset in offsets.items()
            if place in held
        }
        if ours:
            with self._asked():
                self._consumer.commit(ours, timeout_ms=self._answer_ms)

    def pause(self, partitions: Collection[Partition]) -> None:
        self._consumer.pause(*map(self._named, self.assignment() & set(partitions)))

    def resume(self, partitions: Collection[Partition]) -> None:
        self._consumer.resume(*map(self._named, self.assignment() & set(partitions)))

    def lag(self) -> dict[Partition, int]:
        places = self.assignment()
        with self._asked():
            ends = self._consumer.end_offsets(list(map(self._named, places)), timeout_ms=self._answer_ms)
            at = {tp: self._consumer.position(tp, timeout_ms=self._answer_ms) for tp in ends}
        return {self._place(tp): end - at[tp] for tp, end in ends.items()}

    def scan(self, topic: str, partition: int | None = None, offset: int = 0) -> Iterator[Record]:
        with self._asked():
            reader = self._open_consumer(group=None)
        try:
            with self._asked():
                numbers = reader.partitions_for_topic(self._cluster.prefix + topic)
                if not numbers:
                    raise _no_topic(topic)
                numbers = sorted(numbers) if partition is None else numbers & {partition}
                parts = [self._named(Partition(topic, number)) for number in numbers]
                begins, ends = reader.beginning_offsets(parts), reader.end_offsets(parts)
            for part in parts:
                yield from self._scan_part(reader, part, max(offset, begins[part]), ends[part])
        finally:
            reader.close()

    def _scan_part(self, reader: Any, part: Any, at: int, end: int) -> Iterator[Record]:
        reader.assign([part])
        reader.seek(part, at)
        give_up = time.monotonic() + self._cluster.answer_s
        while at < end:
            with self._asked():
                found = reader.poll(timeout_ms=1000, max_records=100).get(part, [])
                at = reader.position(part)
            if not found and time.monotonic() > give_up:
                raise BrokerAway(f"{part.topic}-{part.partition} cannot be read at offset {at}", RETRY_S)
            if found:
                give_up = time.monotonic() + self._cluster.answer_s
            yield from (self._record(message) for message in found if message.offset < end)

    # Sending

    def send(self, record: Record) -> None:
        limit = self._limit(record.topic)
        if record.size > limit:
            raise TooLarge(f"a record of {record.size} bytes: topic {record.topic} takes up to {limit}")
        self._in_flight.send(record, self._cluster.answer_s)

    def flush(self, wait_s: float = 30.0) -> None:
        self._in_flight.flush(wait_s)

    def close(self) -> None:
        if self._consumer is not None:
            self._consumer.close(autocommit=False, timeout_ms=2000)
        if self._producer is not None:
            with suppress(errors.KafkaTimeoutError):  # what was not flushed is not promised
                self._producer.close(timeout=2)
        self._consumer = self._producer = None

    def _begin(self, record: Record) -> Any:
        with self._asked():
            if self._producer is None:
                self._producer = kafka.KafkaProducer(
                    **login(self._cluster, self._client),
                    max_request_size=max(topic.max_message_bytes for topic in TOPICS) + OVERHEAD_BYTES,
                    max_block_ms=self._answer_ms,
                    linger_ms=LINGER_MS,
                )
            return self._producer.send(
                self._cluster.prefix + record.topic,
                key=record.key,
                value=record.value,
                headers=list(record.headers),
            )

    def _limit(self, topic: str) -> int:
        """The most bytes a record of a topic may have: more than the broker takes would spoil the producer."""
        if topic not in self._limits:
            with self._asked(), open_admin(self._cluster, self._client) as admin:
                self._limits = {
                    name: min(int(seen.config.get("max.message.bytes", most)), most)  # it may not be ours to know
                    for name, seen in found_by(admin, self._cluster).items()
                    if (most := BY_NAME[name].max_message_bytes)
                }
        try:
            return self._limits[topic]
        except KeyError:
            raise _no_topic(topic) from None

    # Both

    def _open_consumer(self, group: str | None) -> Any:
        with self._asked():
            return kafka.KafkaConsumer(
                **login(self._cluster, self._client),
                group_id=group,
                auto_offset_reset="earliest",
                enable_auto_commit=False,
                allow_auto_create_topics=False,
                partition_assignment_strategy=(RangePartitionAssignor,),
                session_timeout_ms=round(self._cluster.session_s * 1000),
                heartbeat_interval_ms=HEARTBEAT_MS,
                max_poll_interval_ms=round(self._cluster.max_poll_s * 1000),
                max_partition_fetch_bytes=FETCH_BYTES,
                fetch_max_bytes=FETCH_ALL_BYTES,
                fetch_min_bytes=FETCH_AT_LEAST,
                fetch_max_wait_ms=FETCH_WAIT_MS,
            )

    @property
    def _answer_ms(self) -> int:
        return round(self._cluster.answer_s * 1000)

    def _named(self, place: Partition) -> kafka.TopicPartition:
        return kafka.TopicPartition(self._cluster.prefix + place.topic, place.number)

    def _place(self, part: Any) -> Partition:
        return Partition(part.topic.removeprefix(self._cluster.prefix), part.partition)

    def _record(self, message: Any) -> Record:
        return Record(
            topic=message.topic.removeprefix(self._cluster.prefix),
            key=message.key,
            value=message.value or b"",
            headers=tuple((name, value or b"") for name, value in message.headers),
            partition=message.partition,
            offset=message.offset,
            timestamp=datetime.fromtimestamp(message.timestamp / 1000, UTC),
        )

    @contextmanager
    def _asked(self) -> Iterator[None]:
        with said_as_ours(self._cluster):
            yield

    def _check_topics(self, topics: Iterable[str]) -> None:
        for topic in topics:
            with self._asked():
                if not self._consumer.partitions_for_topic(self._cluster.prefix + topic):
                    self.close()
                    raise _no_topic(topic)


def _wait(future: Any, wait_s: float) -> None:
    with suppress(errors.KafkaError):  # whoever waits looks at the future afterwards
        future.get(timeout=wait_s)


class _Listener(kafka.ConsumerRebalanceListener):  # type: ignore[misc]  # kafka has no types
    """Keeps what the group said, for the loop to take. Called on the consumer's own thread."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._held: frozenset[Partition] = frozenset()
        self._changes: deque[Change] = deque()

    def on_partitions_revoked(self, revoked: Collection[Any]) -> None:
        """The group is dealt again: only the new deal, which `on_partitions_assigned` tells, says what is lost."""

    def on_partitions_assigned(self, assigned: Collection[Any]) -> None:
        self._now(frozenset(Partition(part.topic.removeprefix(self._prefix), part.partition) for part in assigned))

    def on_partitions_lost(self, lost: Collection[Any]) -> None:
        self._now(frozenset())

    def drain(self) -> list[Change]:
        return [self._changes.popleft() for _ in range(len(self._changes))]

    def _now(self, held: frozenset[Partition]) -> None:
        if held != self._held:
            self._changes.append(Change(gained=held - self._held, lost=self._held - held))
        self._held = held


def _no_topic(topic: str) -> NoTopic:
    return NoTopic(f"Kafka has no topic {topic}: `jiexun topics create` makes it")
