"""Other people's clients read us: librdkafka takes every record of every topic, the CloudEvents SDK parses each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event
from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from ingest.binding import parse_before, parse_frame
from ingest.bus import KafkaBus
from ingest.cluster import Cluster
from ingest.clusterwide import make_topics
from ingest.deadletter import dead_letter
from ingest.frame import parse_rfc3339
from ingest.record import Record
from ingest.topics import TOPICS
from vision.progress import Progress
from vision.reel import Span

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "datasets/sample"
EVENTS = ("sightings", "passes", "cases", "alerts", "progress")
NOW = parse_rfc3339("2026-11-20T10:00:00Z")


@pytest.fixture(scope="module")
def driven(servers: str, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """A Kafka in which the sample drive was published, worked on and dispatched, by the real commands."""
    cluster = Cluster(servers=servers, prefix=f"foreign-{uuid.uuid4().hex[:8]}.")
    make_topics(cluster, TOPICS)
    folder = tmp_path_factory.mktemp("driven")
    environment = os.environ | {
        "JIEXUN_KAFKA": servers,
        "JIEXUN_KAFKA_PREFIX": cluster.prefix,
        "JIEXUN_DATA": str(folder),
        "JIEXUN_STORE": f"sqlite:///{folder / 'city.db'}",
    }
    for words in (
        ("publish", str(SAMPLE)),
        ("worker", "--until-idle", "2", "--evidence", str(folder / "evidence")),
        ("dispatch", "--until-idle", "2", "--areas", str(SAMPLE / "areas.geojson")),
    ):
        command = [sys.executable, "-m", "jiexun.cli", *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    _reject(cluster)
    return cluster


def _reject(cluster: Cluster) -> None:
    """A rejected frame and sighting; and a camera's progress, which a worker writes only when it has to."""
    with closing(KafkaBus(cluster)) as bus:
        frame = next(bus.scan("frames"))
        sighting = next(bus.scan("sightings"))
        bus.send(dead_letter(frame, "camera 'right' is not described", now=NOW))
        bus.send(dead_letter(sighting, "matter '06031' is no code of matters.csv", now=NOW))
        over = Span(NOW, NOW, 17)
        bus.send(Progress(vehicle="bus-0417", camera="right", partition=3, over=(over,)).record(NOW))
        bus.flush()


def everything(cluster: Cluster, topic: str) -> Iterator[Message]:
    """All that a topic holds, by librdkafka."""
    consumer = Consumer({"bootstrap.servers": cluster.servers, "group.id": "foreign", "enable.auto.commit": False})
    name = cluster.prefix + topic
    try:
        for number in consumer.list_topics(name).topics[name].partitions:
            begin, end = consumer.get_watermark_offsets(TopicPartition(name, number))
            consumer.assign([TopicPartition(name, number, begin)])
            for _ in range(begin, end):
                message = consumer.poll(20)
                assert message is not None
                if message.error():
                    raise KafkaException(message.error())
                yield message
    finally:
        consumer.close()


def parsed(message: Message) -> BaseCloudEvent:
    """By the SDK, which knows nothing of us."""
    headers = dict(message.headers() or [])
    value = message.value()
    assert value is not None
    return from_kafka_event(KafkaMessage(headers=headers, key=message.key(), value=value))


def test_every_frame_is_an_event_whose_data_is_the_picture(driven: Cluster) -> None:
    files = {path.read_bytes() for path in SAMPLE.glob("*.jpg")}
    events = [parsed(message) for message in everything(driven, "frames")]
    assert len(events) == 53  # of 70: the others say nothing new
    for event in events:
        assert event.get_type() == "cn.jiexun.frame.v1"
        assert event.get_datacontenttype() == "image/jpeg"
        assert event.get_data() in files
        assert event.get_extension("partitionkey") == event.get_extension("vehicle") == "bus-0417"
        assert 22.5 < float(event.get_extension("lat")) < 22.6
        assert event.get_time() == parse_rfc3339(event.get_extension("fixtime"))
    assert len({event.get_id() for event in events}) == 53


@pytest.mark.parametrize("topic", EVENTS)
def test_every_event_is_one_and_fits_its_schema(driven: Cluster, topic: str) -> None:
    schemas = [json.loads(path.read_text(encoding="utf8")) for path in (ROOT / "docs/schemas").glob("*.json")]
    registry: Registry[Any] = Registry().with_resources((s["$id"], Resource.from_contents(s)) for s in schemas)
    (schema,) = (s for s in schemas if s["$id"] == "urn:jiexun:schema:envelope")
    validator = Draft202012Validator(schema, registry=registry)
    singular = {"passes": "pass"}.get(topic, topic.removesuffix("s") if topic != "progress" else topic)
    messages = list(everything(driven, topic))
    assert messages
    for message in messages:
        event = parsed(message)
        value = message.value()
        assert value is not None
        assert event.get_type().startswith(f"cn.jiexun.{singular}.")
        assert event.get_datacontenttype() == "application/json"
        assert event.get_data() == json.loads(value)["data"]
        assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(json.loads(value))] == []


def test_alerts_are_keyed_by_recipient_and_told_once(driven: Cluster) -> None:
    told = [(message.key(), json.loads(message.value() or b"")["data"]) for message in everything(driven, "alerts")]
    assert told
    assert all(key == data["recipient"].encode() for key, data in told)
    assert all(data["matter_zh"] and data["recipient_name"] != data["recipient"] for _, data in told)
    once = {(data["case"], data["event"], data["recipient"]) for _, data in told}
    assert len(once) == len(told)


@pytest.mark.parametrize("topic", ["frames", "sightings"])
def test_a_rejected_record_is_still_the_event_it_was(driven: Cluster, topic: str) -> None:
    (message,) = everything(driven, f"{topic}.rejected")
    headers = dict(message.headers() or [])
    assert headers["rejected-reason"]
    assert headers["rejected-topic"] == topic.encode()
    event = parsed(message)
    assert event.get_type() == f"cn.jiexun.{topic.removesuffix('s')}.v1"
    assert event.get_data() == parsed(next(everything(driven, topic))).get_data()


def test_a_frame_that_librdkafka_sends_is_read_as_ours(cluster: Cluster) -> None:
    picture = (SAMPLE / "0001.jpg").read_bytes()
    headers = {
        "ce_specversion": "1.0",
        "ce_id": str(uuid.uuid4()),
        "ce_source": "urn:dashcam:4711",
        "ce_type": "cn.jiexun.frame.v1",
        "ce_time": "2026-11-20T16:15:02.400+08:00",
        "content-type": "image/jpeg",
        "ce_vehicle": "粤B·D4711",
        "ce_camera": "front",
        "ce_lat": "22.5401",
        "ce_lon": "114.0532",
        "ce_fixtime": "2026-11-20T08:15:02.400Z",
        "ce_firmware": "3.1",
    }
    producer = Producer({"bootstrap.servers": cluster.servers, "message.max.bytes": 9_000_000, "acks": "all"})
    producer.produce(f"{cluster.prefix}frames", key="粤B·D4711".encode(), value=picture, headers=headers)
    assert producer.flush(20) == 0
    with closing(KafkaBus(cluster)) as bus:
        (record,) = bus.scan("frames")
    frame = parse_frame(record, now=NOW)
    assert (frame.vehicle, frame.camera, frame.jpeg, frame.size_wh) == ("粤B·D4711", "front", picture, (640, 480))
    assert frame.time == parse_rfc3339("2026-11-20T08:15:02.400Z")
    assert (frame.fix.lat, frame.fix.lon, frame.fix.heading_deg) == (22.5401, 114.0532, None)
    assert (parse_before(record).time, parse_before(record).none) == (None, False)


def test_a_tombstone_or_a_record_without_key_harms_nobody(cluster: Cluster) -> None:
    producer = Producer({"bootstrap.servers": cluster.servers})
    producer.produce(f"{cluster.prefix}sightings", key=b"k", value=None)
    producer.produce(f"{cluster.prefix}sightings", value=b"{}", headers=[("a", None), ("a", b"1")])
    assert producer.flush(20) == 0
    with closing(KafkaBus(cluster)) as bus:
        found = sorted(bus.scan("sightings"), key=lambda record: record.value)
    assert [(r.key, r.value, r.headers) for r in found] == [(b"k", b"", ()), (None, b"{}", (("a", b""), ("a", b"1")))]
    assert all(isinstance(record, Record) for record in found)
