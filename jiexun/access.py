"""Access: the console's requests and the cases it shows, counted for Prometheus."""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from fastapi import FastAPI
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dispatcher.store.database import StoreUnavailable, explained_failures
from dispatcher.store.rows import Summary
from dispatcher.store.store import Store

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
STREAM = "/api/events"  # open for hours: its duration says nothing


def count_access(app: FastAPI, store: Store, registry: CollectorRegistry) -> None:
    """Count what `app` answers, and what the store holds."""
    app.add_middleware(Counted, metrics=RequestMetrics(registry))
    registry.register(StoredCases(lambda: store.summary(datetime.now(UTC))))


def answering(store: Store) -> Callable[[], str | None]:
    """A check of readiness: what is wrong with the store, or None."""

    def check() -> str | None:
        try:
            with explained_failures():
                store.last_event()
        except StoreUnavailable as error:
            return str(error)
        return None

    return check


class RequestMetrics:
    """What an HTTP server counts, in a registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "jiexun_http_requests", "Requests answered", ["method", "route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "jiexun_http_seconds", "Time to answer a request", ["route"], registry=registry, buckets=SECONDS
        )
        self.streams = Gauge("jiexun_http_event_streams", "Pages that listen for events now", registry=registry)


class Counted:
    """ASGI middleware that counts. Routes are named by their template, whatever is asked for."""

    def __init__(self, app: ASGIApp, metrics: RequestMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        before = time.perf_counter()
        streaming = scope["path"] == STREAM
        self._metrics.streams.inc(streaming)
        try:
            await self._app(scope, receive, counted)
        finally:
            self._metrics.streams.dec(streaming)
            route = _route(scope)
            self._metrics.requests.labels(_method(scope), route, str(status)).inc()
            if not streaming:
                self._metrics.seconds.labels(route).observe(time.perf_counter() - before)


class StoredCases(Collector):
    """The cases of a store by state and matter, counted when somebody scrapes."""

    def __init__(self, summary: Callable[[], Summary]) -> None:
        self._summary = summary

    def collect(self) -> Iterator[GaugeMetricFamily]:
        found = self._summary()
        tally: Tally[tuple[str, str]] = Tally()
        for count in found.counts:
            tally[count.state, count.matter] += count.n
        cases = GaugeMetricFamily("jiexun_cases", "Cases in the store", labels=["state", "matter"])
        for labels, n in sorted(tally.items()):
            cases.add_metric(labels, n)
        yield cases
        counts: tuple[tuple[str, str, int | None], ...] = (
            ("alerts", "Alerts in the store", found.alerts),
            ("inputs", "Sightings and passes in the store", found.inputs),
            ("rejected", "Rejected inputs in the store", found.rejected),
        )
        for name, help, number in counts:
            yield GaugeMetricFamily(f"jiexun_stored_{name}", help, value=number or 0)

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Names without asking the store."""
        yield GaugeMetricFamily("jiexun_cases", "Cases in the store")


def _route(scope: Scope) -> str:
    route = scope.get("route")
    if route is not None:
        return str(getattr(route, "path", "other"))
    return "/console" if scope["path"].startswith("/console/") else "other"


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE") else "other"
