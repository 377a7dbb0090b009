"""The commands `topics`, `publish` and `deadletter` on a real Kafka."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import kafka
import pytest
from kafka.admin import ConfigResource, ConfigResourceType

from ingest.binding import parse_before, parse_frame
from ingest.bus import KafkaBus
from ingest.cluster import Cluster
from ingest.deadletter import dead_letter
from ingest.frame import Frame, rfc3339
from ingest.record import Record

SAMPLE = Path(__file__).parents[2] / "datasets/sample"
Run = Callable[..., tuple[int, Any, str]]
TOPICS = {"frames", "sightings", "passes", "cases", "alerts", "progress"}
DEAD = {"frames.rejected", "sightings.rejected", "passes.rejected"}


@pytest.fixture
def kafka_run(run: Run, servers: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`jiexun …` with a prefix of this test's own."""
    monkeypatch.setenv("JIEXUN_KAFKA", servers)
    monkeypatch.setenv("JIEXUN_KAFKA_PREFIX", f"cli-{uuid.uuid4().hex[:6]}.")
    return run


@pytest.fixture
def at(kafka_run: Run, servers: str) -> Cluster:
    """Where those commands write, its topics made."""
    assert kafka_run("topics", "create", "--partitions", "4")[0] == 0
    return Cluster(servers=servers, prefix=os.environ["JIEXUN_KAFKA_PREFIX"])


def frames(cluster: Cluster) -> list[Frame]:
    with closing(KafkaBus(cluster)) as bus:
        return [parse_frame(record, now=datetime.now(UTC)) for record in bus.scan("frames")]


def test_topics_are_missing_then_made_then_as_they_should_be(kafka_run: Run) -> None:
    status, document, _ = kafka_run("topics", "check", "--json")
    assert status == 1
    assert all("missing" in entry["faults"][0] for entry in document["topics"])
    assert {entry["name"] for entry in document["topics"]} == TOPICS | DEAD
    status, _, said = kafka_run("topics", "create")
    assert status == 0
    assert "missing" not in said
    status, document, _ = kafka_run("topics", "check", "--json")
    assert status == 0
    assert all(entry["faults"] == [] for entry in document["topics"])
    partitions = {entry["name"]: entry["partitions"] for entry in document["topics"]}
    assert partitions["frames"] == 12
    assert partitions["sightings"] == partitions["passes"] == 6
    assert {partitions[name] for name in DEAD} == {1}
    assert kafka_run("topics", "create")[0] == 0  # again changes nothing


def test_a_topic_that_keeps_pictures_too_long_is_a_fault_and_is_mended(kafka_run: Run, at: Cluster) -> None:
    longer = {"retention.ms": str(400 * 3_600_000)}
    with closing(kafka.KafkaAdminClient(bootstrap_servers=at.servers)) as admin:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, f"{at.prefix}frames.rejected", longer)])
    give_up = time.monotonic() + 20
    faults: dict[str, list[str]] = {}
    while not faults and time.monotonic() < give_up:  # a moment passes before the broker knows it
        status, document, _ = kafka_run("topics", "check", "--json")
        faults = {entry["name"]: entry["faults"] for entry in document["topics"] if entry["faults"]}
    assert (status, faults) == (1, {"frames.rejected": ["retention.ms is 1440000000, should be 259200000"]})  # 72 h
    assert kafka_run("topics", "create")[0] == 0
    assert kafka_run("topics", "check")[0] == 0


@pytest.mark.parametrize("words", [["topics", "check"], ["publish", str(SAMPLE)], ["deadletter", "list"]])
def test_without_a_broker_a_sentence_says_so(run: Run, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.delenv("JIEXUN_KAFKA", raising=False)
    status, _, said = run(*words)
    assert status == 1
    assert "no Kafka is named: set JIEXUN_KAFKA or --kafka" in said


def test_a_published_drive_is_the_drive_that_is_replayed(kafka_run: Run, at: Cluster, sample_rows: list[Any]) -> None:
    status, document, _ = kafka_run("publish", SAMPLE, "--json")
    assert status == 0
    assert (document["frames"], document["left_out"], document["vehicles"]) == (53, 17, 1)
    told = {row["time"]: row for row in sample_rows}
    found = frames(at)
    assert len(found) == 53
    for frame in found:
        row = told[rfc3339(frame.time)]
        assert (frame.vehicle, frame.camera) == (row["vehicle"], row["camera"])
        assert (frame.fix.lat, frame.fix.lon) == (float(row["lat"]), float(row["lon"]))
        assert frame.jpeg == (SAMPLE / row["file"]).read_bytes()
    with closing(KafkaBus(at)) as bus:
        before = [parse_before(record) for record in bus.scan("frames")]
    times = sorted(frame.time for frame in found)
    assert before[0].none
    assert [one.time for one in before[1:]] == times[:-1]


def test_a_video_along_its_track_is_published_too(kafka_run: Run, at: Cluster, tmp_path: Path) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "bus.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 1.0, (640, 480))
    for name in sorted(SAMPLE.glob("*.jpg"))[:10]:
        writer.write(cv2.imread(str(name)))
    writer.release()
    points = "".join(  # 5 m a second northward
        f'<trkpt lat="{22.5355 + n * 5 / 110_741:.7f}" lon="114.06"><time>2026-11-20T08:00:0{n}Z</time></trkpt>'
        for n in range(10)
    )
    gpx = f'<gpx version="1.1" xmlns="http://www.topografix.com/GPX/1/1"><trk><trkseg>{points}</trkseg></trk></gpx>'
    (tmp_path / "bus.gpx").write_text(gpx)
    track = tmp_path / "bus.gpx"
    words = ("publish", tmp_path / "bus.mp4", "--track", track, "--camera", "right", "--vehicles", "2", "--json")
    status, document, _ = kafka_run(*words)
    assert (status, document["frames"], document["vehicles"]) == (0, 20, 2)
    found = [frame for frame in frames(at) if frame.vehicle == "vehicle-1"]
    assert [rfc3339(frame.time) for frame in found] == [f"2026-11-20T08:00:0{n}.000Z" for n in range(10)]
    assert {(frame.camera, frame.size_wh) for frame in found} == {("right", (640, 480))}


def test_bad_rows_and_pictures_are_told_and_the_rest_is_sent(
    kafka_run: Run, at: Cluster, made_drive: Callable[..., Path], sample_rows: list[dict[str, str]]
) -> None:
    folder = made_drive([*sample_rows[:4], sample_rows[4] | {"file": "gone.jpg"}, sample_rows[5] | {"lat": "95"}])
    (folder / sample_rows[0]["file"]).write_bytes(b"no picture")
    status, document, said = kafka_run("publish", folder, "--every-m", "0", "--json")
    assert status == 0
    assert document["frames"] == 3 == len(frames(at))
    reasons = {entry["file"]: entry["reason"] for entry in document["rejected"]}
    assert reasons.keys() == {"0001.jpg", "gone.jpg", sample_rows[5]["file"]}
    assert "missing" in reasons["gone.jpg"]
    assert "3 rejected" in said


def test_a_picture_larger_than_the_topic_takes_is_told(
    kafka_run: Run, at: Cluster, made_drive: Callable[..., Path], sample_rows: list[dict[str, str]]
) -> None:
    folder = made_drive(sample_rows[:3])
    with (folder / sample_rows[1]["file"]).open("ab") as file:
        file.write(bytes(9 << 20))  # what stands behind the end marker is nobody's business, but it counts
    status, document, _ = kafka_run("publish", folder, "--every-m", "0", "--json")
    assert (status, document["frames"]) == (0, 2)
    (rejected,) = document["rejected"]
    assert rejected["file"] == sample_rows[1]["file"]
    assert "topic frames takes up to 8388608" in rejected["reason"]
    with closing(KafkaBus(at)) as bus:
        last = list(bus.scan("frames"))[-1]
    assert parse_before(last).time == frames(at)[0].time  # the one that was sent before


def test_a_rejected_frame_is_listed_shown_and_sent_again(kafka_run: Run, at: Cluster, tmp_path: Path) -> None:
    picture = (SAMPLE / "0001.jpg").read_bytes()
    headers = (("ce_type", b"cn.jiexun.frame.v1"), ("ce_vehicle", "粤B-0417".encode()))
    one = Record(topic="frames", key=b"k", value=picture, headers=headers, partition=2, offset=17)
    now = datetime(2026, 11, 20, 8, 15, tzinfo=UTC)
    with closing(KafkaBus(at)) as bus:
        bus.send(dead_letter(one, "camera 'rear' is not described", now=now))
        bus.send(dead_letter(replace(one, value=b"\xff\xd8", offset=18), "the JPEG is truncated", now=now))
        bus.send(dead_letter(Record(topic="passes", key=b"p", value=b"{", offset=1, partition=0), "not JSON", now=now))
        bus.flush()
    status, document, _ = kafka_run("deadletter", "list", "--json")
    assert status == 0
    listed = {letter["id"]: letter for letter in document["deadletters"]}
    assert listed.keys() == {"frames.rejected/0@0", "frames.rejected/0@1", "passes.rejected/0@0"}
    assert listed["frames.rejected/0@0"] == {
        "id": "frames.rejected/0@0",
        "topic": "frames",
        "partition": 2,
        "offset": 17,
        "at": "2026-11-20T08:15:00.000Z",
        "key": "k",
        "bytes": len(picture),
        "tries": 1,
        "reason": "camera 'rear' is not described",
    }
    assert len(kafka_run("deadletter", "list", "passes", "--json")[1]["deadletters"]) == 1

    saved = tmp_path / "picture.jpg"
    status, document, _ = kafka_run("deadletter", "show", "frames.rejected/0@0", "--save", saved, "--json")
    assert status == 0
    assert document["headers"] == [["ce_type", "cn.jiexun.frame.v1"], ["ce_vehicle", "粤B-0417"]]
    assert saved.read_bytes() == picture
    said = kafka_run("deadletter", "show", "passes.rejected/0@0")[2]
    assert "not JSON" in said

    status, document, _ = kafka_run("deadletter", "replay", "--topic", "frames", "--reason", "rear", "--json")
    assert (status, document) == (0, {"replayed": ["frames.rejected/0@0"]})
    status, document, _ = kafka_run("deadletter", "replay", "frames.rejected/0@1", "--json")
    assert document == {"replayed": ["frames.rejected/0@1"]}
    with closing(KafkaBus(at)) as bus:
        sent = sorted(bus.scan("frames"), key=lambda record: -len(record.value))
    assert [(record.key, record.value) for record in sent] == [(b"k", picture), (b"k", b"\xff\xd8")]
    assert sent[0].headers[: len(headers)] == headers


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["list", "alerts"], "nothing is rejected from topic 'alerts': expected frames, sightings, passes"),
        (["show", "17"], "'17' is no id of a rejected record, such as frames.rejected/0@17"),
        (["show", "frames.rejected/0@17"], "there is no frames.rejected/0@17: it never was, or has expired"),
        (["show", "frames.rejected/9@0"], "there is no frames.rejected/9@0"),
        (["replay"], "name records by id, or a --topic"),
        (["replay", "frames.rejected/0@0", "--topic", "frames"], "name records by id, or a --topic"),
    ],
    ids=str,
)
def test_what_is_not_there_is_said_not_to_be(kafka_run: Run, at: Cluster, words: list[str], message: str) -> None:
    status, _, said = kafka_run("deadletter", *words)
    assert status == 1
    assert message in " ".join(said.split())


def test_a_folder_that_is_none_is_said_not_to_be(kafka_run: Run, at: Cluster, tmp_path: Path) -> None:
    shutil.copy(SAMPLE / "0001.jpg", tmp_path / "film.mp4")
    assert "a video needs --track" in kafka_run("publish", tmp_path / "film.mp4")[2]
    assert kafka_run("publish", tmp_path / "nothing")[0] == 1
