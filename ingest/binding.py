"""The wire binding: frames and envelopes as Kafka records, after the CloudEvents Kafka binding 1.0, and back.

Frames go in binary mode (the value is the JPEG, attributes are headers), everything else in structured JSON mode.
When reading, unknown headers are ignored; a type or version that is not known here raises ValueError.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import quote

from ingest.envelope import Envelope, parse_envelope
from ingest.frame import Fix, Frame, frame_id, parse_rfc3339, rfc3339
from ingest.geo import latlon_from_offset
from ingest.jpeg import read_header
from ingest.plausible import check_fix, check_time
from ingest.record import Record
from ingest.topics import FRAMES

STRUCTURED = "application/cloudevents+json"
JPEG = "image/jpeg"
MAX_FIX_AGE_S = 2.0  # receivers tell once a second; over more the vehicle may have turned
CONTENT_TYPE = "content-type"
STRUCTURED_HEADERS = ((CONTENT_TYPE, STRUCTURED.encode()),)
CE = "ce_"
BROKEN = "\ufffd"  # the replacement character


@dataclass(frozen=True, slots=True)
class Before:
    """What a publisher says of the frame that it sent before, of the same camera: readers then wait for no other."""

    time: datetime | None = None  # its capture time
    none: bool = False  # True: there was none


def frame_record(frame: Frame, before: Before = Before()) -> Record:
    """A frame on topic `frames`."""
    fix = frame.fix
    width, height = frame.size_wh
    told = {
        CE + "specversion": "1.0",
        CE + "id": frame.id,
        CE + "source": f"/ingest/{quote(frame.vehicle)}",
        CE + "type": FRAMES.type,
        CE + "time": rfc3339(frame.time),
        CONTENT_TYPE: JPEG,
        CE + "vehicle": frame.vehicle,
        CE + "camera": frame.camera,
        CE + "lat": _text(fix.lat),
        CE + "lon": _text(fix.lon),
        CE + "speedmps": _text(fix.speed_mps),
        CE + "headingdeg": _text(fix.heading_deg),
        CE + "accuracym": _text(fix.accuracy_m),
        CE + "fixtime": rfc3339(fix.time),
        CE + "widthpx": str(width),
        CE + "heightpx": str(height),
        CE + "previoustime": None if before.time is None else rfc3339(before.time),
        CE + "first": "true" if before.none else None,
    }
    headers = tuple((name, value.encode()) for name, value in told.items() if value is not None)
    return Record(topic=FRAMES.name, key=frame.vehicle.encode(), value=frame.jpeg, headers=headers)


def parse_frame(record: Record, *, now: datetime) -> Frame:
    """The frame that a record holds, checked as the pictures of a drive are. Raises ValueError that says what is wrong.

    Of the picture only the header is read: whoever decodes it sees whether it is whole.

    Its id is derived here, whatever `ce_id` says: a producer that sends again then changes nothing. A fix up to
    MAX_FIX_AGE_S from the capture time is moved along its heading to it.
    """
    told = _attributes(record)
    _check_type(told, FRAMES.type)
    if told.get(CONTENT_TYPE, JPEG).split(";")[0].strip() != JPEG:
        raise ValueError(f"content-type is {told[CONTENT_TYPE]!r}, expected {JPEG!r}")
    vehicle, camera = _required(told, "vehicle"), _required(told, "camera")
    time = _time(told, "time")
    check_time(time, now)
    heading = _number(told, "headingdeg")
    fix = Fix(
        time=_time(told, "fixtime") if CE + "fixtime" in told else time,
        lat=_known(told, "lat"),
        lon=_known(told, "lon"),
        speed_mps=_number(told, "speedmps"),
        heading_deg=0.0 if heading == 360 else heading,
        accuracy_m=_number(told, "accuracym"),
    )
    check_fix(fix, now=now)
    return Frame(
        id=frame_id(vehicle, camera, time),
        vehicle=vehicle,
        camera=camera,
        time=time,
        fix=_moved_to(fix, time),
        jpeg=record.value,
        size_wh=read_header(record.value, whole=False),
        file=f"{record.topic}-{record.partition}@{record.offset}",
    )


def parse_before(record: Record) -> Before:
    """What a frame's publisher says of the frame before; nothing where it says nothing or what cannot be read."""
    told = (record.header(CE + "previoustime") or b"").decode(errors="replace")
    with suppress(ValueError, OverflowError):
        return Before(time=parse_rfc3339(told))
    return Before(none=record.header(CE + "first") == b"true")


def event_record(topic: str, key: str, envelope: Envelope) -> Record:
    """An envelope on a topic, in structured mode."""
    return line_record(topic, key, envelope.dumps())


def line_record(topic: str, key: str, line: str) -> Record:
    """An envelope that is written already, as one line of JSON, on a topic."""
    return Record(topic=topic, key=key.encode(), value=line.encode(), headers=STRUCTURED_HEADERS)


def parse_event(record: Record) -> Envelope:
    """The envelope that a record holds, in structured or in binary mode. Raises ValueError that says what is wrong."""
    content_type = (record.header(CONTENT_TYPE) or b"").decode(errors="replace")
    if content_type.split(";")[0].strip().lower() == STRUCTURED:
        return parse_envelope(record.value)
    told = _attributes(record)
    if CE + "specversion" not in told:
        raise ValueError(f"no CloudEvent: content-type is {content_type!r}, expected {STRUCTURED!r}")
    try:
        data = json.loads(record.value)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from None
    attributes = {name.removeprefix(CE): value for name, value in told.items() if name.startswith(CE)}
    return parse_envelope(json.dumps(attributes | {"data": data}, ensure_ascii=False))


def _attributes(record: Record) -> dict[str, str]:
    """Headers by name, of repeated ones the last. Where one is not UTF-8, BROKEN stands."""
    return {
        name: value.decode(errors="replace")
        for name, value in record.headers
        if name.startswith(CE) or name == CONTENT_TYPE
    }


def _check_type(told: Mapping[str, str], expected: str) -> None:
    if CE + "type" not in told:
        raise ValueError("no CloudEvent: header ce_type is missing")
    if told.get(CE + "specversion") != "1.0":
        raise ValueError(f"specversion is {told.get(CE + 'specversion')!r}, expected '1.0'")
    if told[CE + "type"] != expected:
        raise ValueError(f"type {told[CE + 'type']!r} is not read here: expected {expected}")
    for name in ("id", "source"):
        _required(told, name)


def _required(told: Mapping[str, str], name: str) -> str:
    value = told.get(CE + name, "")
    if not value:
        raise ValueError(f"header ce_{name} is missing")
    if BROKEN in value:
        raise ValueError(f"header ce_{name} is not UTF-8")
    return value


def _time(told: Mapping[str, str], name: str) -> datetime:
    try:
        return parse_rfc3339(_required(told, name))
    except (ValueError, OverflowError) as error:
        raise ValueError(f"ce_{name}: {error}") from None


def _known(told: Mapping[str, str], name: str) -> float:
    _required(told, name)
    value = _number(told, name)
    assert value is not None
    return value


def _number(told: Mapping[str, str], name: str) -> float | None:
    """None for a header that is missing or empty: unknown is not zero."""
    text = told.get(CE + name, "").strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"header ce_{name} is no number: {text[:40]!r}") from None
    if not math.isfinite(value):
        raise ValueError(f"header ce_{name} is no number: {text[:40]!r}")
    return value


def _text(value: float | None) -> str | None:
    return None if value is None else repr(value)  # the shortest text that reads back as the same number


def _moved_to(fix: Fix, time: datetime) -> Fix:
    """The fix at another time close by, along its heading. Raises ValueError beyond MAX_FIX_AGE_S."""
    age_s = (time - fix.time).total_seconds()
    if abs(age_s) > MAX_FIX_AGE_S:
        raise ValueError(f"the fix is {abs(age_s):.1f} s from the picture, more than {MAX_FIX_AGE_S:g}")
    if not fix.speed_mps or fix.heading_deg is None:
        return replace(fix, time=time)
    course = math.radians(fix.heading_deg)
    way_m = fix.speed_mps * age_s
    lat, lon = latlon_from_offset(fix.lat, fix.lon, way_m * math.sin(course), way_m * math.cos(course))
    return fix if age_s == 0 else replace(fix, time=time, lat=lat, lon=lon)
