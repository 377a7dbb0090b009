"""Traces: one picture's way from the vehicle to the alert, told to a collector of OpenTelemetry.

The context travels as W3C `traceparent`: in the header of that name of every record, as clients of other makes read it,
and as the CloudEvents extension (`ce_traceparent`, or the member `traceparent` of a JSON event).
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ingest.frame import frame_id, parse_rfc3339
from ingest.record import Record
from ingest.topics import FRAMES, PASSES, REJECTED, SIGHTINGS
from ingest.watch import Unwatched

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
REMEMBERED = 20_000  # records kept, without their pictures, until something is sent because of them
TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"


class Tracing(Unwatched):
    """A Watch that makes a span of every record sent: from when what caused it was read until it left."""

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer("jiexun")
        self._producer = trace.SpanKind.PRODUCER
        self._failed = trace.Status(trace.StatusCode.ERROR)
        self._within = trace.set_span_in_context
        self._context = TraceContextTextMapPropagator()
        self._known: OrderedDict[tuple[str, int, int] | str, tuple[Record, int]] = OrderedDict()

    def read(self, records: Sequence[Record]) -> None:
        now = time.time_ns()
        for record in records:
            known = (replace(record, value=b""), now)
            self._known[_place(record)] = known
            if record.topic == FRAMES.name:  # what it shows may leave seconds later
                self._known[_frame_told(record)] = known
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def sending(self, record: Record, cause: Record | None) -> Record:
        shown, begun = self._known.get(_frame_shown(record) or record.topic, (None, 0))
        cause = shown or cause
        if cause is None and record.topic != FRAMES.name:
            return record  # nobody's consequence, so on nobody's way
        now = time.time_ns()
        if shown is None:
            begun = now if cause is None else self._known.get(_place(cause), (cause, now))[1]
        span = self._tracer.start_span(
            f"send {record.topic}",
            context=None if cause is None else self._context.extract(_carried(cause)),
            kind=self._producer,
            start_time=begun,
            attributes=_attributes(record, cause),
        )
        dead = record.topic.endswith(REJECTED)
        if dead:
            span.set_status(self._failed)
        span.end()
        carrier: dict[str, str] = {}
        self._context.inject(carrier, self._within(span))
        return record if dead else carrying(record, carrier)  # a dead letter stays as it came

    def close(self) -> None:
        """Send what is left; waits for the collector as long as its own timeouts say."""
        self._provider.shutdown()


def open_tracing(role: str, version: str, environment: Mapping[str, str]) -> Tracing | None:
    """Tracing to the collector that the standard OTEL_* variables name; None, and nothing is loaded, without one."""
    if not any(environment.get(name) for name in ENDPOINTS):
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = {} if environment.get("OTEL_SERVICE_NAME") else {"service.name": f"jiexun-{role}"}
    provider = TracerProvider(resource=Resource.create({**named, "service.version": version}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider)


def carrying(record: Record, carrier: Mapping[str, str]) -> Record:
    """The record with the context in its headers, and in its CloudEvent."""
    names = (TRACEPARENT, TRACESTATE, f"ce_{TRACEPARENT}", f"ce_{TRACESTATE}")
    kept = [(name, value) for name, value in record.headers if name not in names]
    told = [(name, text.encode()) for name, text in carrier.items()]
    value = record.value
    if any(name == "ce_type" for name, _ in kept):  # binary mode: the value is the picture
        told += [(f"ce_{name}", text.encode()) for name, text in carrier.items()]
    else:
        event = json.loads(value)
        data = event.pop("data")
        text = json.dumps(event | carrier | {"data": data}, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        value = text.encode()
    return Record(topic=record.topic, key=record.key, value=value, headers=(*kept, *told))


def _place(record: Record) -> tuple[str, int, int]:
    return record.topic, record.partition, record.offset


def _frame_told(record: Record) -> str:
    """The id of a frame as the worker derives it, whatever its publisher calls it; a useless one without headers."""
    vehicle, camera, told = (
        (record.header(f"ce_{name}") or b"").decode("utf8", "replace") for name in ("vehicle", "camera", "time")
    )
    try:
        return frame_id(vehicle, camera, parse_rfc3339(told))
    except (ValueError, OverflowError):
        return ""


def _frame_shown(record: Record) -> str:
    """The id of the frame that a sighting rests on, or that a pass ended with; empty for other records."""
    if record.topic not in (SIGHTINGS.name, PASSES.name):
        return ""
    data = json.loads(record.value)["data"]
    return frame_id(data["vehicle"], data["camera"], parse_rfc3339(data.get("seen_at") or data["ended_at"]))


def _carried(record: Record) -> dict[str, str]:
    found = {name: record.header(name) for name in (TRACEPARENT, TRACESTATE)}
    return {name: value.decode("ascii", "replace") for name, value in found.items() if value is not None}


def _attributes(record: Record, cause: Record | None) -> dict[str, str | int]:
    named: dict[str, str | int] = {
        "messaging.system": "kafka",
        "messaging.operation.type": "send",
        "messaging.destination.name": record.topic,
        "messaging.kafka.message.key": (record.key or b"").decode("utf8", "replace"),
        "messaging.message.body.size": len(record.value),
    }
    if cause is not None:
        named |= {
            "jiexun.cause.topic": cause.topic,
            "jiexun.cause.partition": cause.partition,
            "jiexun.cause.offset": cause.offset,
        }
    return named
