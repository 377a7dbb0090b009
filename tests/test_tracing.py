"""Traces over the records: what a collector receives when a picture becomes an alert."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.bindings import kafka as sdk
from cloudevents.core.formats.json import JSONFormat
from collector import Collector
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from ingest.binding import event_record, frame_record, parse_event, parse_frame
from ingest.envelope import Envelope
from ingest.frame import Fix, Frame, frame_id
from ingest.record import Record
from jiexun.tracing import Tracing, carrying, open_tracing

ROOT = Path(__file__).parent.parent
NOW = datetime(2026, 11, 20, 8, 15, 2, 400_000, tzinfo=UTC)
# The example of https://www.w3.org/TR/trace-context/#traceparent-header
W3C = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    collector = Collector()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield collector
    collector.close()


def opened(role: str, collector: Collector) -> Tracing:
    tracing = open_tracing(role, "9.9", {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint})
    assert tracing is not None
    return tracing


JPEG = (ROOT / "datasets/sample/0021.jpg").read_bytes()
SHOWN = Frame(
    id=frame_id("bus-0417", "right", NOW),
    vehicle="bus-0417",
    camera="right",
    time=NOW,
    fix=Fix(time=NOW, lat=22.54, lon=114.05, speed_mps=5.0, heading_deg=90.0, accuracy_m=3.0),
    jpeg=JPEG,
    size_wh=(640, 480),
    file="0021.jpg",
)
FRAME = frame_record(SHOWN)
SIGHTING = Envelope(
    id="s1",
    type="cn.jiexun.sighting.v1",
    source="/vision/bus-0417",
    time=NOW,
    data={
        "id": "s1",
        "kind": "garbage",
        "vehicle": "bus-0417",
        "camera": "right",
        "seen_at": "2026-11-20T08:15:02.400Z",
    },
)
PASS = replace(
    SIGHTING,
    type="cn.jiexun.pass.v1",
    data={"vehicle": "bus-0417", "camera": "right", "ended_at": "2026-11-20T08:15:02.400Z"},
)
ALERT = Envelope(id="a1", type="cn.jiexun.alert.v1", source="/dispatcher", time=NOW, data={"case": "街巡"})


def arrived(record: Record, offset: int) -> Record:
    """The record as a consumer reads it."""
    return replace(record, partition=0, offset=offset)


def traceparent(record: Record) -> str:
    found = record.header("traceparent")
    assert found is not None
    return found.decode()


def way(collector: Collector) -> tuple[Record, Record, Record]:
    """A frame is published, worked and dispatched, by three processes."""
    publisher, worker, dispatcher = (opened(role, collector) for role in ("publish", "worker", "dispatch"))
    frame = arrived(publisher.sending(FRAME, None), 7)
    worker.read([frame])
    sighting = arrived(worker.sending(event_record("sightings", "place", SIGHTING), frame), 3)
    dispatcher.read([sighting])
    alert = dispatcher.sending(event_record("alerts", "440304001003", ALERT), sighting)
    for tracing in (publisher, worker, dispatcher):
        tracing.close()
    return frame, sighting, alert


def test_one_trace_leads_from_the_frame_to_the_alert(collector: Collector) -> None:
    frame, sighting, alert = way(collector)
    spans = {span.name: span for span in collector.spans()}
    assert set(spans) == {"send frames", "send sightings", "send alerts"}
    assert {span.trace_id for span in spans.values()} == {spans["send frames"].trace_id}
    assert spans["send frames"].parent_span_id == b""
    assert spans["send sightings"].parent_span_id == spans["send frames"].span_id
    assert spans["send alerts"].parent_span_id == spans["send sightings"].span_id
    assert all(span.kind == Span.SPAN_KIND_PRODUCER for span in spans.values())
    for record, name in ((frame, "send frames"), (sighting, "send sightings"), (alert, "send alerts")):
        span = spans[name]
        version, trace, parent, flags = traceparent(record).split("-")
        assert (version, trace, parent) == ("00", span.trace_id.hex(), span.span_id.hex())
        assert int(flags, 16) & 1  # sampled
    assert {resource["service.name"] for resource in collector.resources()} == {
        "jiexun-publish",
        "jiexun-worker",
        "jiexun-dispatch",
    }


def test_a_span_lasts_from_when_its_cause_was_read_until_it_left(collector: Collector) -> None:
    worker = opened("worker", collector)
    frame = arrived(carrying(FRAME, {"traceparent": W3C}), 7)
    worker.read([frame])
    worker.sending(event_record("sightings", "place", SIGHTING), frame)
    worker.sending(event_record("alerts", "area", ALERT), arrived(frame, 8))  # never read: lasts no time
    worker.close()
    first, second = collector.spans()
    assert first.end_time_unix_nano > first.start_time_unix_nano
    assert second.end_time_unix_nano >= second.start_time_unix_nano >= first.start_time_unix_nano
    attributes = {pair.key: pair.value for pair in first.attributes}
    assert attributes["messaging.system"].string_value == "kafka"
    assert attributes["jiexun.cause.offset"].int_value == 7


def test_a_sighting_is_on_the_way_of_the_frame_that_shows_it_whenever_it_leaves(collector: Collector) -> None:
    """It leaves when its thing is out of view: because of a later frame, or of none."""
    worker = opened("worker", collector)
    later = replace(frame_record(replace(SHOWN, time=NOW + timedelta(seconds=2))), partition=0, offset=8)
    worker.read([arrived(carrying(FRAME, {"traceparent": W3C}), 7), later])
    for cause in (later, None):
        sent = worker.sending(event_record("sightings", "place", SIGHTING), cause)
        assert traceparent(sent).split("-")[1] == W3C.split("-")[1]
    passed = worker.sending(event_record("passes", "place", PASS), None)
    assert traceparent(passed).split("-")[1] == W3C.split("-")[1]
    worker.close()
    assert {span.parent_span_id.hex() for span in collector.spans()} == {W3C.split("-")[2]}


def test_the_context_of_a_foreign_producer_is_taken_up(collector: Collector) -> None:
    worker = opened("worker", collector)
    foreign = replace(FRAME, headers=(*FRAME.headers, ("traceparent", W3C.encode())))
    sent = worker.sending(event_record("sightings", "place", SIGHTING), arrived(foreign, 1))
    worker.close()
    (span,) = collector.spans()
    assert span.trace_id.hex() == W3C.split("-")[1]
    assert span.parent_span_id.hex() == W3C.split("-")[2]
    assert traceparent(sent).startswith(W3C[:36])


def test_a_producer_that_chose_not_to_be_traced_is_not(collector: Collector) -> None:
    worker = opened("worker", collector)
    unsampled = W3C[:-2] + "00"
    foreign = arrived(carrying(FRAME, {"traceparent": unsampled}), 1)
    sent = worker.sending(event_record("sightings", "place", SIGHTING), foreign)
    worker.close()
    assert collector.spans() == []
    assert traceparent(sent).endswith("-00")


@pytest.mark.parametrize("broken", ["", "nonsense", "00-0-0-01", "ÿ"])
def test_a_broken_context_begins_a_trace_of_its_own(collector: Collector, broken: str) -> None:
    worker = opened("worker", collector)
    foreign = replace(FRAME, headers=(*FRAME.headers, ("traceparent", broken.encode("latin1"))))
    worker.sending(event_record("sightings", "place", SIGHTING), arrived(foreign, 1))
    worker.close()
    (span,) = collector.spans()
    assert span.parent_span_id == b""


def test_a_dead_letter_is_an_error_and_keeps_the_headers_it_came_with(collector: Collector) -> None:
    worker = opened("worker", collector)
    foreign = arrived(carrying(FRAME, {"traceparent": W3C}), 1)
    letter = replace(foreign, topic="frames.rejected", headers=(*foreign.headers, ("reason", b"dark")))
    assert worker.sending(letter, foreign) is letter
    worker.close()
    (span,) = collector.spans()
    assert (span.name, span.status.code) == ("send frames.rejected", Status.STATUS_CODE_ERROR)


def test_what_nothing_caused_is_on_nobodys_way(collector: Collector) -> None:
    worker = opened("worker", collector)
    progress = event_record("progress", "bus/right", replace(SIGHTING, type="cn.jiexun.progress.v1"))
    assert worker.sending(progress, None) is progress
    worker.close()
    assert collector.spans() == []


# On the wire


@pytest.mark.parametrize("state", [{}, {"tracestate": "congo=t61rcWkgMzE"}])
def test_a_frame_that_carries_a_context_is_the_same_frame(state: dict[str, str]) -> None:
    carried = carrying(FRAME, {"traceparent": W3C} | state)
    assert parse_frame(carried, now=NOW) == parse_frame(FRAME, now=NOW)
    assert carried.value == JPEG
    again = carrying(carried, {"traceparent": W3C})
    assert [name for name, _ in again.headers].count("traceparent") == 1
    assert again.header("ce_traceparent") == W3C.encode()


def test_an_event_that_carries_a_context_is_the_same_event() -> None:
    plain = event_record("alerts", "440304001003", ALERT)
    carried = carrying(plain, {"traceparent": W3C})
    assert parse_event(carried) == ALERT
    assert json.loads(carried.value) == json.loads(plain.value) | {"traceparent": W3C}
    assert "街巡" in carried.value.decode()


def test_the_official_sdk_reads_the_extension_in_both_modes() -> None:
    """CloudEvents' distributed tracing extension: an attribute `traceparent`."""
    frame = message(carrying(FRAME, {"traceparent": W3C}))
    assert sdk.from_binary(frame, JSONFormat()).get_extension("traceparent") == W3C
    alert = message(carrying(event_record("alerts", "440304001003", ALERT), {"traceparent": W3C}))
    read = sdk.from_structured(alert, JSONFormat())
    assert read.get_extension("traceparent") == W3C
    assert read.get_data() == ALERT.data


def message(record: Record) -> Any:
    return sdk.KafkaMessage(headers=dict(record.headers), key=record.key, value=record.value)


# Without a collector


def test_without_a_collector_there_is_no_tracing_and_nothing_of_it_is_loaded() -> None:
    program = """if True:
        import sys
        from jiexun.settings import Settings
        from jiexun.watching import watching
        with watching(Settings(), "worker", environment={}) as process:
            process.watch.turned()
        print(sorted(name for name in sys.modules if name.startswith("opentelemetry")))
    """
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_collector_that_is_away_loses_traces_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    endpoint = f"http://127.0.0.1:{free_port}"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    tracing = open_tracing("publish", "9.9", {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint})
    assert tracing is not None
    sent = tracing.sending(FRAME, None)
    assert sent.value == JPEG
    tracing.close()
