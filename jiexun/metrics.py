"""Metrics: what a process says of itself to Prometheus. docs/operations.md says which to watch, and why."""

from __future__ import annotations

import json
import platform
import time
from collections import Counter as Tally
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from ingest.record import Partition, Record
from ingest.topics import CASES, PASSES, SIGHTINGS
from ingest.watch import Unwatched
from jiexun.reasons import reason_class
from vision.pictures import EvidenceStore

FILL = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0)
BATCH_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
WRITE_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
# A car sends every few seconds, a parked pass ends after minutes, a vehicle without network comes hours late.
CAPTURE_TO_ALERT_S = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 86400.0)


class Metrics(Unwatched):
    """A Watch that counts, in a registry of its own. Counting costs microseconds; scraping is another thread's work."""

    def __init__(
        self, role: str, *, version: str = "", now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.registry = registry = CollectorRegistry()
        self._now = now
        self._reading: frozenset[Partition] = frozenset()
        ProcessCollector(registry=registry)
        info = Gauge("jiexun_info", "Always 1; what runs", ["role", "version", "python"], registry=registry)
        info.labels(role, version, platform.python_version()).set(1)

        def counter(name: str, help: str, *labels: str) -> Counter:
            return Counter(f"jiexun_{name}", help, labels, registry=registry)

        def gauge(name: str, help: str, *labels: str) -> Gauge:
            return Gauge(f"jiexun_{name}", help, labels, registry=registry)

        def histogram(name: str, help: str, buckets: Sequence[float]) -> Histogram:
            return Histogram(f"jiexun_{name}", help, registry=registry, buckets=buckets)

        self._read = counter("read", "Records read", "topic")
        self._worked = counter("worked", "Records worked on: frames of a worker, sightings and passes of a dispatcher")
        self._sent = counter("sent", "Records sent", "topic")
        self._rejected = counter("rejected", "Records that could not be used", "topic", "reason")
        self._repeats = counter("repeats", "Records that were known already", "topic")
        self._dropped = counter("dropped", "Frames that show nothing, by fault: dark, covered, blurred", "fault")
        self._sightings = counter("sightings", "Sightings sent", "kind")
        self._passes = counter("passes", "Passes sent")
        self._case_events = counter("case_events", "Events of cases sent", "event")
        self._alerts = counter("alerts", "Alerts that are durable on their topic", "event")
        self._alert_s = histogram(
            "capture_to_alert_seconds", "From the capture that caused an alert until it was sent", CAPTURE_TO_ALERT_S
        )
        self._batch_s = histogram("batch_seconds", "Time of a batch", BATCH_S)
        self._fill = histogram("batch_fill_ratio", "How full a batch was", FILL)
        self._queue = gauge("queue_records", "Read and not yet worked on")
        self._queue_bytes = gauge("queue_bytes", "Bytes of what was read and not yet worked on")
        self._lag = gauge(
            "lag_records", "Still to be read of the partitions that this process reads", "topic", "partition"
        )
        self._partitions = gauge("assigned_partitions", "Partitions that this process reads", "topic")
        self._turned = gauge("last_turn_timestamp_seconds", "When the loop last turned, Unix time")
        self._blocked = gauge("blocked", "1 while the process waits for a broker or a store, and reads nothing")
        self._blocked.set(0)
        self._put = counter("evidence_writes", "Evidence pictures by what became of them", "outcome")
        self._put_s = histogram("evidence_write_seconds", "Time to keep a picture", WRITE_S)
        self._paused = gauge("evidence_paused", "1 since a picture could not be kept, until one can")
        self._paused.set(0)
        for outcome in ("kept", "failed"):
            self._put.labels(outcome)

    # What a loop tells

    def turned(self) -> None:
        self._turned.set_to_current_time()

    def assigned(self, partitions: frozenset[Partition]) -> None:
        for lost in self._reading - partitions:
            self._lag.remove(*map(str, lost))
        for place in partitions - self._reading:
            self._lag.labels(*map(str, place))
        for topic in {place.topic for place in self._reading | partitions}:
            self._partitions.labels(topic).set(sum(place.topic == topic for place in partitions))
        self._reading = partitions

    def blocked(self, reason: str | None) -> None:
        self._blocked.set(reason is not None)

    def read(self, records: Sequence[Record]) -> None:
        for topic, n in Tally(record.topic for record in records).items():
            self._read.labels(topic).inc(n)

    def queued(self, records: int, size_bytes: int) -> None:
        self._queue.set(records)
        self._queue_bytes.set(size_bytes)

    def lag(self, lag: Mapping[Partition, int]) -> None:
        for place, records in lag.items():
            if place in self._reading:
                self._lag.labels(*map(str, place)).set(records)

    def batch(self, items: int, room: int, seconds: float) -> None:
        self._worked.inc(items)
        self._fill.observe(items / room)
        self._batch_s.observe(seconds)

    def sending(self, record: Record, cause: Record | None) -> Record:
        self._sent.labels(record.topic).inc()
        if record.topic == SIGHTINGS.name:
            self._sightings.labels(json.loads(record.value)["data"]["kind"]).inc()
        elif record.topic == PASSES.name:
            self._passes.inc()
        elif record.topic == CASES.name:
            self._case_events.labels(json.loads(record.value)["data"]["event"]).inc()
        return record

    def rejected(self, topic: str, reason: str) -> None:
        self._rejected.labels(topic, reason_class(reason)).inc()

    def repeated(self, topic: str) -> None:
        self._repeats.labels(topic).inc()

    def dropped(self, fault: str) -> None:
        self._dropped.labels(fault).inc()

    def told(self, event: str, captured_at: datetime) -> None:
        self._alerts.labels(event).inc()
        self._alert_s.observe((self._now() - captured_at).total_seconds())

    # What an evidence store does

    def kept(self, seconds: float) -> None:
        self._put.labels("kept").inc()
        self._put_s.observe(seconds)
        self._paused.set(0)

    def not_kept(self) -> None:
        self._put.labels("failed").inc()
        self._paused.set(1)


class CountedEvidence:
    """A store whose writes are counted."""

    def __init__(self, store: EvidenceStore, metrics: Metrics, clock: Callable[[], float] = time.perf_counter) -> None:
        self._store = store
        self._metrics = metrics
        self._clock = clock

    def __str__(self) -> str:
        return str(self._store)

    def put(self, jpeg: bytes) -> str:
        before = self._clock()
        try:
            name = self._store.put(jpeg)
        except OSError:
            self._metrics.not_kept()
            raise
        self._metrics.kept(self._clock() - before)
        return name

    def get(self, name: str) -> bytes | None:
        return self._store.get(name)
