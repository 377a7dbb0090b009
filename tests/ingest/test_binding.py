"""Frames and envelopes as Kafka records: the bytes, what is read back, what is refused."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from ingest.binding import Before, event_record, frame_record, parse_before, parse_event, parse_frame
from ingest.deadletter import again, dead_letter, parse_dead_letter
from ingest.envelope import Envelope
from ingest.frame import Fix, Frame
from ingest.geo import distance_m
from ingest.mounting import mounting_headers
from ingest.record import Record
from ingest.topics import TOPICS

ROOT = Path(__file__).parents[2]
JPEG = (ROOT / "datasets/sample/0001.jpg").read_bytes()  # 640 x 480
TAKEN = datetime(2026, 11, 20, 8, 15, 2, 400_000, tzinfo=UTC)
NOW = TAKEN + timedelta(hours=1)
FRAME = Frame(
    id="7242fa3900fae1e135b7956f",
    vehicle="粤B-0417",
    camera="right",
    time=TAKEN,
    fix=Fix(time=TAKEN, lat=22.5401, lon=114.0532, speed_mps=5.2, heading_deg=91.0, accuracy_m=3.0),
    jpeg=JPEG,
    size_wh=(640, 480),
    file="0001.jpg",
)
GOLDEN = (
    ("ce_specversion", b"1.0"),
    ("ce_id", b"7242fa3900fae1e135b7956f"),
    ("ce_source", b"/ingest/%E7%B2%A4B-0417"),
    ("ce_type", b"cn.jiexun.frame.v1"),
    ("ce_time", b"2026-11-20T08:15:02.400Z"),
    ("content-type", b"image/jpeg"),
    ("ce_vehicle", b"\xe7\xb2\xa4B-0417"),
    ("ce_camera", b"right"),
    ("ce_lat", b"22.5401"),
    ("ce_lon", b"114.0532"),
    ("ce_speedmps", b"5.2"),
    ("ce_headingdeg", b"91.0"),
    ("ce_accuracym", b"3.0"),
    ("ce_fixtime", b"2026-11-20T08:15:02.400Z"),
    ("ce_widthpx", b"640"),
    ("ce_heightpx", b"480"),
)


def received(record: Record, **headers: bytes | None) -> Record:
    """As it comes from the broker, with other headers: None takes one away."""
    told = {**dict(record.headers), **{name.replace("content_type", "content-type"): v for name, v in headers.items()}}
    kept = tuple((name, value) for name, value in told.items() if value is not None)
    return replace(record, headers=kept, partition=3, offset=1042, timestamp=NOW)


def test_a_frame_on_the_wire_is_these_bytes() -> None:
    record = frame_record(FRAME)
    assert record.headers == GOLDEN
    assert (record.topic, record.key, record.value) == ("frames", b"\xe7\xb2\xa4B-0417", JPEG)


def test_its_id_is_the_hash_that_the_contract_names() -> None:
    text = "粤B-0417\x1fright\x1f2026-11-20T08:15:02.400Z"
    assert hashlib.sha256(text.encode()).hexdigest()[:24] == FRAME.id


@pytest.mark.parametrize(
    "fix",
    [
        FRAME.fix,
        Fix(time=TAKEN, lat=-33.123456789012345, lon=1e-05, speed_mps=0.0, heading_deg=None, accuracy_m=None),
        Fix(time=TAKEN, lat=0.1 + 0.2, lon=-179.99999999999997, speed_mps=None, heading_deg=359.99, accuracy_m=0.5),
    ],
)
def test_a_frame_is_read_back_to_the_last_digit(fix: Fix) -> None:
    frame = replace(FRAME, fix=fix)
    read = parse_frame(received(frame_record(frame)), now=NOW)
    assert read == replace(frame, file="frames-3@1042")


def test_headers_nobody_knows_change_nothing() -> None:
    record = received(frame_record(FRAME), ce_weather=b"\xff\xfe", traceparent=b"\xff", ce_subject=b"", ce_=b"x")
    assert parse_frame(record, now=NOW) == replace(FRAME, file="frames-3@1042")


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"ce_type": b"cn.jiexun.frame.v2"}, "type 'cn.jiexun.frame.v2' is not read here: expected cn.jiexun.frame.v1"),
        ({"ce_type": None}, "header ce_type is missing"),
        ({"ce_specversion": b"2.0"}, "specversion is '2.0'"),
        ({"ce_specversion": None}, "specversion is None"),
        ({"ce_id": b""}, "ce_id is missing"),
        ({"ce_source": None}, "ce_source is missing"),
        ({"content_type": b"image/png"}, "content-type is 'image/png'"),
        ({"ce_vehicle": None}, "ce_vehicle is missing"),
        ({"ce_vehicle": b"\xff"}, "ce_vehicle is not UTF-8"),
        ({"ce_camera": b""}, "ce_camera is missing"),
        ({"ce_time": None}, "ce_time is missing"),
        ({"ce_time": b"yesterday"}, "ce_time: "),
        ({"ce_time": b"2026-11-20T08:15:02.400"}, "no time zone"),
        ({"ce_time": b"2026-11-20T10:15:02.400Z"}, "in the future"),
        ({"ce_time": b"1999-11-20T10:15:02.400Z"}, "before the year 2000"),
        ({"ce_lat": None}, "ce_lat is missing"),
        ({"ce_lat": b"north"}, "ce_lat is no number: 'north'"),
        ({"ce_lat": b"nan"}, "ce_lat is no number"),
        ({"ce_lat": b"95"}, "latitude 95 is outside"),
        ({"ce_lat": b"0", "ce_lon": b"0"}, "without a fix"),
        ({"ce_speedmps": b"-1"}, "speed -1 m/s"),
        ({"ce_headingdeg": b"361"}, "heading 361"),
        ({"ce_accuracym": b"500"}, "accuracy 500 m"),
        ({"ce_fixtime": b"2026-11-20T08:15:05.000Z"}, "the fix is 2.6 s from the picture"),
    ],
)
def test_a_frame_that_makes_no_sense_is_refused(headers: dict[str, bytes | None], reason: str) -> None:
    assert parse_frame(received(frame_record(FRAME)), now=NOW)
    with pytest.raises(ValueError, match=reason):
        parse_frame(received(frame_record(FRAME), **headers), now=NOW)


@pytest.mark.parametrize(
    ("value", "reason"),
    [(b"", "empty"), (JPEG[:100], "cut short"), (b"\x89PNG\r\n", "a PNG"), (b"no picture", "not a JPEG")],
)
def test_a_picture_that_is_none_is_refused(value: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_frame(replace(received(frame_record(FRAME)), value=value), now=NOW)


def test_unknown_is_not_zero() -> None:
    missing = received(frame_record(FRAME), ce_speedmps=None, ce_headingdeg=b"", ce_accuracym=None, ce_fixtime=None)
    fix = parse_frame(missing, now=NOW).fix
    assert (fix.speed_mps, fix.heading_deg, fix.accuracy_m, fix.time) == (None, None, None, TAKEN)


def test_a_fix_of_a_second_before_is_moved_along_its_heading() -> None:
    early = received(frame_record(FRAME), ce_fixtime=b"2026-11-20T08:15:01.400Z", ce_headingdeg=b"90")
    fix = parse_frame(early, now=NOW).fix
    assert fix.time == TAKEN
    assert fix.lon > 114.0532
    assert fix.lat == pytest.approx(22.5401, abs=1e-9)
    assert distance_m(fix.lat, fix.lon, 22.5401, 114.0532) == pytest.approx(5.2, abs=0.01)  # 5.2 m/s for 1 s


def test_the_id_is_ours_whatever_the_sender_calls_it() -> None:
    other = received(frame_record(FRAME), ce_id=b"f81d4fae-7dec-11d0-a765-00a0c91e6bf6")
    assert parse_frame(other, now=NOW).id == FRAME.id


def test_the_same_instant_in_another_zone_is_the_same_frame() -> None:
    other = received(frame_record(FRAME), ce_time=b"2026-11-20T16:15:02.400+08:00")
    assert parse_frame(other, now=NOW).id == FRAME.id


@pytest.mark.parametrize("before", [Before(), Before(none=True), Before(time=TAKEN - timedelta(milliseconds=1400))])
def test_what_is_said_of_the_frame_before_is_read_back(before: Before) -> None:
    record = received(frame_record(FRAME, before))
    assert parse_before(record) == before
    assert parse_frame(record, now=NOW).id == FRAME.id


def test_nonsense_about_the_frame_before_says_nothing() -> None:
    record = received(frame_record(FRAME), ce_previoustime=b"soon", ce_first=b"maybe")
    assert parse_before(record) == Before()


ENVELOPE = Envelope(
    id="9d3f", type="cn.jiexun.sighting.v1", source="/vision/粤B-0417", time=NOW, data={"id": "9d3f", "kind": "garbage"}
)


def test_an_event_on_the_wire_is_these_bytes() -> None:
    record = event_record("sightings", "8641126d7ffffff", ENVELOPE)
    assert (record.topic, record.key) == ("sightings", b"8641126d7ffffff")
    assert record.headers == (("content-type", b"application/cloudevents+json"),)
    assert (
        record.value
        == (
            '{"specversion":"1.0","id":"9d3f","type":"cn.jiexun.sighting.v1","source":"/vision/粤B-0417",'
            '"time":"2026-11-20T09:15:02.400Z","datacontenttype":"application/json",'
            '"data":{"id":"9d3f","kind":"garbage"}}'
        ).encode()
    )
    assert parse_event(record) == ENVELOPE


def test_an_event_of_another_producer_may_name_its_charset_or_come_in_binary_mode() -> None:
    value = ENVELOPE.dumps().encode()
    named = (("content-type", b"application/cloudevents+json; charset=UTF-8"), ("traceparent", b"00-1"))
    assert parse_event(Record(topic="sightings", key=None, value=value, headers=named)) == ENVELOPE
    binary = (
        ("ce_specversion", b"1.0"),
        ("ce_id", b"9d3f"),
        ("ce_type", b"cn.jiexun.sighting.v1"),
        ("ce_source", "/vision/粤B-0417".encode()),
        ("ce_time", b"2026-11-20T09:15:02.400Z"),
        ("content-type", b"application/json"),
    )
    data = b'{"id": "9d3f", "kind": "garbage"}'
    assert parse_event(Record(topic="sightings", key=None, value=data, headers=binary)) == ENVELOPE


@pytest.mark.parametrize(
    ("headers", "value", "reason"),
    [
        ((), b"{}", "no CloudEvent: content-type is ''"),
        ((("content-type", b"application/json"),), b"{}", "no CloudEvent: content-type is 'application/json'"),
        ((("content-type", b"application/cloudevents+json"),), b"{", "not JSON"),
        ((("content-type", b"application/cloudevents+json"),), b"\xff", "not JSON"),
        ((("content-type", b"application/cloudevents+json"),), b"", "not JSON"),
        ((("content-type", b"application/cloudevents+json"),), b'{"specversion": "2.0"}', "specversion is '2.0'"),
        ((("ce_specversion", b"1.0"),), b'{"id": "x"}', "envelope lacks id"),
        ((("ce_specversion", b"1.0"),), b"\xff\xd8", "not JSON"),
    ],
)
def test_what_is_no_event_is_refused(headers: tuple[tuple[str, bytes], ...], value: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_event(Record(topic="sightings", key=None, value=value, headers=headers))


def test_the_headers_of_a_frame_fit_their_schema() -> None:
    schemas = [json.loads(path.read_text(encoding="utf8")) for path in (ROOT / "docs/schemas").glob("*.json")]
    registry: Registry[Any] = Registry().with_resources((s["$id"], Resource.from_contents(s)) for s in schemas)
    (schema,) = (s for s in schemas if s["$id"] == "urn:jiexun:schema:frame")
    validator = Draft202012Validator(schema, registry=registry)
    mounted = {"hfov_deg": 70.0, "height_m": 1.6, "pitch_deg": -2.0, "yaw_deg": 90.0, "roll_deg": 1.0}
    mounted |= {"k1": -0.1, "k2": 0.01, "pitch_sigma_deg": 0.2, "yaw_sigma_deg": 0.3, "ahead_m": 6.0, "right_m": -0.5}
    for before in (Before(), Before(none=True), Before(time=TAKEN)):
        headers = (*frame_record(FRAME, before).headers, *mounting_headers(mounted))
        told = {name: value.decode() for name, value in headers}
        assert [error.message for error in validator.iter_errors(told)] == []
        assert told.keys() <= schema["properties"].keys()
        for name in schema["required"]:
            assert list(validator.iter_errors({key: text for key, text in told.items() if key != name}))
        for wrong in ({"ce_type": "cn.jiexun.frame.v2"}, {"ce_lat": "north"}, {"ce_time": "2026-11-20T08:15:02Z"}):
            assert list(validator.iter_errors(told | wrong))


def test_a_dead_letter_keeps_the_record_and_says_what_was_wrong() -> None:
    record = replace(received(frame_record(FRAME)), value=JPEG[:5000])
    sent = dead_letter(record, "the JPEG is truncated: its end marker is missing", now=NOW)
    assert (sent.topic, sent.key, sent.value) == ("frames.rejected", record.key, JPEG[:5000])
    letter = parse_dead_letter(replace(sent, partition=0, offset=17, timestamp=NOW))
    assert letter.id == "frames.rejected/0@17"
    assert letter.reason == "the JPEG is truncated: its end marker is missing"
    assert (letter.topic, letter.partition, letter.offset, letter.at) == ("frames", 3, 1042, NOW)
    assert letter.tries == 1
    assert letter.record == Record(topic="frames", key=record.key, value=record.value, headers=record.headers)


def test_a_dead_letter_tried_again_in_vain_counts_its_tries() -> None:
    letter = parse_dead_letter(dead_letter(received(frame_record(FRAME)), "no camera", now=NOW))
    second = parse_dead_letter(dead_letter(replace(again(letter), partition=1, offset=5), "still none", now=NOW))
    assert (second.tries, second.reason, second.partition) == (2, "still none", 1)
    assert second.record == letter.record


def test_a_record_that_somebody_else_put_among_the_dead_is_shown_as_it_is() -> None:
    letter = parse_dead_letter(Record(topic="frames.rejected", key=None, value=b"x", partition=0, offset=1))
    assert (letter.reason, letter.partition, letter.tries, letter.at) == ("", -1, 1, None)


def test_the_largest_record_of_a_topic_fits_among_its_dead() -> None:
    for topic in TOPICS:
        if topic.name.endswith(".rejected"):
            continue
        headers = (("ce_id", b"x" * 1000),)
        empty = Record(topic=topic.name, key=b"k", value=b"", headers=headers, partition=10**6, offset=10**15)
        full = replace(empty, value=bytes(topic.max_message_bytes - empty.size))
        assert full.size == topic.max_message_bytes
        assert dead_letter(full, "因" * 5000, now=NOW).size <= topic.rejected.max_message_bytes
