"""The command `deliver`: alerts go from the store through the channels to people and machines."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated

import typer
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from dispatcher.channels.channel import Channel, Kind, Progress
from dispatcher.channels.courier import Courier
from dispatcher.channels.guard import Guard
from dispatcher.channels.sender import GIVE_UP, Sender
from dispatcher.store.database import explained_failures
from dispatcher.store.lease import Lease, Right
from dispatcher.store.store import Store
from ingest.frame import parse_rfc3339
from ingest.watch import Watch
from jiexun.options import MetricsPort, StoreUrl, explained
from jiexun.report import console
from jiexun.streams import STAND_BY_S, default_store, stopping
from jiexun.watching import watching

POST_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)
DELAY_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 3600.0, 21_600.0, 86_400.0)


def deliver(
    store: StoreUrl = None,
    until_idle: Annotated[
        float | None,
        typer.Option("--until-idle", min=0.2, help="End when nothing waits and nothing came for so many seconds."),
    ] = None,
    give_up_hours: Annotated[
        float, typer.Option("--give-up-hours", min=0.01, help="What could not be delivered for so long has failed.")
    ] = GIVE_UP.total_seconds() / 3600,
    metrics_port: MetricsPort = None,
) -> None:
    """Deliver: alerts in the store go through the channels that `jiexun channels` made, each once.

    One process delivers for a store; a second one waits, and takes over when the first is gone. SIGTERM ends it when
    what is under way has come back.

    Examples:

        jiexun deliver --store sqlite:///city.db

        jiexun deliver --store postgresql://jiexun@db/jiexun --metrics-port 9466
    """
    with (
        explained() as settings,
        explained_failures(),
        Store.open(store or settings.store or default_store(settings)) as opened,
        watching(settings, "deliver", port=metrics_port) as process,
    ):
        guard = Guard.parse(settings.channels_allow)
        stop = threading.Event()
        heard = DeliveryMetrics(process.metrics.registry, process.watch)
        process.metrics.registry.register(StoredDeliveries(opened, _now))
        with stopping(stop.set):
            lease = _lease(opened, process.watch, stop)
            if lease is None:
                return
            with Courier(guard, _now) as courier:
                give_up = timedelta(hours=give_up_hours)
                sender = Sender(opened, lease, courier.post, now=_now, heard=heard, give_up=give_up)
                left = sender.recover()
                console.print(
                    f"deliver: {len(opened.channels.all())} channels" + (f"; {left} were left" if left else "")
                )
                sender.run(stop, until_idle)
        lease.release()
        console.print("deliver: stopped" if stop.is_set() else "deliver: done")


def _lease(store: Store, watch: Watch, stop: threading.Event) -> Lease | None:
    """The right to send, waited for; None when the process is to end first."""
    lease = store.lease(Right.SEND)
    if lease is None:
        console.print("another process delivers for this store; standing by")
    while lease is None:
        watch.turned()
        watch.blocked("another process delivers for this store")
        if stop.wait(STAND_BY_S):
            return None
        lease = store.lease(Right.SEND)
    watch.blocked(None)
    return lease


_now: Callable[[], datetime] = partial(datetime.now, UTC)


class DeliveryMetrics:
    """What the sender does, counted by kind of channel: channels come and go, kinds stay."""

    def __init__(self, registry: CollectorRegistry, watch: Watch) -> None:
        self._watch = watch
        self._attempts = Counter(
            "jiexun_delivery_attempts", "Messages sent, by what became of them", ["kind", "outcome"], registry=registry
        )
        self._alerts = Counter(
            "jiexun_delivery_alerts", "Alerts that came to their end, by how", ["kind", "state"], registry=registry
        )
        self._seconds = Histogram(
            "jiexun_delivery_seconds", "Time of one attempt", ["kind"], registry=registry, buckets=POST_S
        )
        self._delay_s = Histogram(
            "jiexun_event_to_delivery_seconds",
            "From the event's commit until its alert was delivered",
            ["kind"],
            registry=registry,
            buckets=DELAY_S,
        )
        for kind in Kind:
            for outcome in ("delivered", "again", "refused", "unknown", "gone"):
                self._attempts.labels(kind, outcome)

    def turned(self) -> None:
        self._watch.turned()

    def attempted(self, channel: Channel, outcome: str, parcels: int, seconds: float) -> None:
        self._attempts.labels(channel.kind, outcome).inc()
        self._seconds.labels(channel.kind).observe(seconds)

    def ended(self, channel: Channel, state: Progress, parcels: int, delay_s: float) -> None:
        self._alerts.labels(channel.kind, state).inc(parcels)
        if state in (Progress.DELIVERED, Progress.DIGESTED):
            self._delay_s.labels(channel.kind).observe(delay_s)


class StoredDeliveries(Collector):
    """The deliveries of a store by channel and state, counted when somebody scrapes."""

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now

    def collect(self) -> Iterator[GaugeMetricFamily]:
        channels = self._store.channels.all()
        known = {channel.id: channel for channel in channels}
        counts = [count for count in self._store.deliveries.counts() if count.channel in known]
        told = self._family()
        waits = GaugeMetricFamily(
            "jiexun_delivery_oldest_pending_seconds", "Age of the oldest alert that waits", labels=["channel"]
        )
        for count in counts:
            channel = known[count.channel]
            told.add_metric([channel.name, channel.kind, count.state], count.n)
            if count.oldest:
                waits.add_metric([channel.name], max(0.0, (self._now() - parse_rfc3339(count.oldest)).total_seconds()))
        yield told
        yield waits
        failures = GaugeMetricFamily(
            "jiexun_channel_failures", "Attempts in a row that did not get through", labels=["channel"]
        )
        stopped = GaugeMetricFamily(
            "jiexun_channel_stopped", "1: nothing is sent until a person acts", labels=["channel"]
        )
        for channel in channels:
            failures.add_metric([channel.name], channel.failures)
            stopped.add_metric([channel.name], float(bool(channel.stopped)))
        yield failures
        yield stopped

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Names without asking the store."""
        yield self._family()

    @staticmethod
    def _family() -> GaugeMetricFamily:
        labels = ["channel", "kind", "state"]
        return GaugeMetricFamily("jiexun_deliveries", "Alerts on channels, by how far they came", labels=labels)
