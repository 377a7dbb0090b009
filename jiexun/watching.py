"""Watching: metrics, probes and traces of one process, as its settings say."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version

from ingest.record import Partition, Record
from ingest.watch import Unwatched, Watch
from jiexun.metrics import CountedEvidence, Metrics
from jiexun.probes import Health, Probes
from jiexun.report import console
from jiexun.settings import Settings
from jiexun.tracing import open_tracing
from vision.pictures import EvidenceStore


class Several:
    """Several Watches as one. A record about to be sent goes through all, in order."""

    def __init__(self, watches: Sequence[Watch]) -> None:
        self._watches = watches

    def turned(self) -> None:
        for watch in self._watches:
            watch.turned()

    def assigned(self, partitions: frozenset[Partition]) -> None:
        for watch in self._watches:
            watch.assigned(partitions)

    def blocked(self, reason: str | None) -> None:
        for watch in self._watches:
            watch.blocked(reason)

    def read(self, records: Sequence[Record]) -> None:
        for watch in self._watches:
            watch.read(records)

    def queued(self, records: int, size_bytes: int) -> None:
        for watch in self._watches:
            watch.queued(records, size_bytes)

    def lag(self, lag: Mapping[Partition, int]) -> None:
        for watch in self._watches:
            watch.lag(lag)

    def batch(self, items: int, room: int, seconds: float) -> None:
        for watch in self._watches:
            watch.batch(items, room, seconds)

    def sending(self, record: Record, cause: Record | None) -> Record:
        for watch in self._watches:
            record = watch.sending(record, cause)
        return record

    def rejected(self, topic: str, reason: str) -> None:
        for watch in self._watches:
            watch.rejected(topic, reason)

    def dropped(self, fault: str) -> None:
        for watch in self._watches:
            watch.dropped(fault)

    def repeated(self, topic: str) -> None:
        for watch in self._watches:
            watch.repeated(topic)

    def told(self, event: str, captured_at: datetime) -> None:
        for watch in self._watches:
            watch.told(event, captured_at)


@dataclass(frozen=True, slots=True)
class Watching:
    """What a command gives its loop, and its evidence store."""

    watch: Watch
    metrics: Metrics

    def counted(self, store: EvidenceStore) -> EvidenceStore:
        """The store, its writes counted."""
        return CountedEvidence(store, self.metrics)


@contextmanager
def traced(role: str, environment: Mapping[str, str]) -> Iterator[Watch]:
    """Traces alone, for a command that ends by itself."""
    tracing = open_tracing(role, version("jiexun"), environment)
    try:
        yield tracing or Unwatched()
    finally:
        if tracing:
            tracing.close()


@contextmanager
def watching(
    settings: Settings,
    role: str,
    *,
    port: int | None = None,
    loop: bool = True,
    check: Callable[[], str | None] = lambda: None,
    environment: Mapping[str, str] = os.environ,
) -> Iterator[Watching]:
    """Watch a process while the block runs: counted always, served on `port` (else the setting's) when that is not 0,
    traced when the standard OTEL_* variables name a collector. `loop` and `check` are those of Health."""
    release = version("jiexun")
    metrics = Metrics(role, version=release)
    health = Health(loop=loop, stalled_s=settings.kafka_max_poll_s, check=check)
    watches: list[Watch] = [metrics, health]
    port = settings.metrics_port if port is None else port
    with ExitStack() as open_things:
        if tracing := open_tracing(role, release, environment):
            watches.append(tracing)
            open_things.callback(tracing.close)
        if port:
            probes = open_things.enter_context(Probes(settings.metrics_host, port, metrics.registry, health))
            console.print(f"metrics: http://{settings.metrics_host}:{probes.port}/metrics")
        yield Watching(Several(watches), metrics)
