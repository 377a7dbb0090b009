"""The three processes on a real Kafka and a real S3 server, watched from outside: scraped, probed, traced."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from collector import Collector
from prometheus_client.parser import text_string_to_metric_families

from ingest.cluster import Cluster
from vision.s3 import S3Evidence, S3Login

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "datasets" / "sample"
JIEXUN = Path(sys.executable).with_name("jiexun")
LONG_S = 180.0


def scraped(port: int) -> dict[str, float]:
    """Each sample's name, with its labels as in the text; nothing while nobody answers."""
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False)
    except httpx.TransportError:
        return {}
    return {
        sample.name + "".join(f",{name}={value}" for name, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def awaited(port: int, done: Callable[[dict[str, float]], bool], process: subprocess.Popen[str]) -> dict[str, float]:
    """What a process says once `done` is true of it."""
    give_up = time.monotonic() + LONG_S
    while not done(found := scraped(port)):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < give_up, found
        time.sleep(0.2)
    return found


@contextmanager
def running(environment: dict[str, str], *words: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([JIEXUN, *words], env=environment, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


def test_a_drive_is_counted_and_traced_from_its_frames_to_its_alerts(
    cluster: Cluster, s3_endpoint: str, collector: Collector, tmp_path: Path, ports: Callable[[], int]
) -> None:
    bucket = f"s3://evidence/{cluster.prefix.strip('.')}"
    environment = os.environ | {
        "JIEXUN_DATA": str(tmp_path),
        "JIEXUN_KAFKA": cluster.servers,
        "JIEXUN_KAFKA_PREFIX": cluster.prefix,
        "JIEXUN_STORE": f"sqlite:///{tmp_path}/city.db",
        "JIEXUN_EVIDENCE": bucket,
        "JIEXUN_S3_ENDPOINT": s3_endpoint,
        "JIEXUN_S3_KEY": "jiexun",
        "JIEXUN_S3_SECRET": "jiexun-secret",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
        "NO_PROXY": "127.0.0.1",
    }
    published = subprocess.run(
        [JIEXUN, "publish", SAMPLE, "--every-m", "12"], env=environment, capture_output=True, text=True, check=False
    )
    assert published.returncode == 0, published.stderr
    at_worker, at_dispatcher = ports(), ports()
    with (
        running(environment, "worker", "--until-idle", "60", "--metrics-port", str(at_worker)) as worker,
        running(
            environment, "dispatch", "--areas", str(SAMPLE / "areas.geojson"), "--metrics-port", str(at_dispatcher)
        ) as dispatcher,
    ):
        told = awaited(at_dispatcher, lambda now: now.get("jiexun_alerts_total,event=opened", 0) >= 3, dispatcher)
        done = awaited(at_worker, lambda now: not any(lag(now)) and now["jiexun_queue_records"] == 0, worker)
        for port in (at_worker, at_dispatcher):
            assert httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).text == "ok\n"
        for process in (worker, dispatcher):
            process.send_signal(signal.SIGTERM)
            assert process.wait(LONG_S) == 0

    frames = done["jiexun_read_total,topic=frames"]
    assert frames == done["jiexun_worked_total"] > 10
    assert done["jiexun_assigned_partitions,topic=frames"] == 4
    sightings = sum(value for name, value in done.items() if name.startswith("jiexun_sightings_total"))
    assert sightings == done["jiexun_sent_total,topic=sightings"] >= 3
    assert told["jiexun_capture_to_alert_seconds_count"] >= 3
    assert told["jiexun_capture_to_alert_seconds_sum"] > 86_400  # the drive is of days ago

    store = S3Evidence.open(bucket, S3Login(endpoint=s3_endpoint, key="jiexun", secret="jiexun-secret"))
    kept = store._client.list_objects_v2(Bucket="evidence", Prefix=cluster.prefix.strip("."))["KeyCount"]
    assert kept >= done["jiexun_evidence_writes_total,outcome=kept"] >= 3  # a last sighting may have left since

    spans = {span.span_id: span for span in collector.spans()}
    told_of = {span.name for span in spans.values()}  # passes end later than this test
    assert told_of - {"send passes"} == {"send frames", "send sightings", "send cases", "send alerts"}
    alerts = [span for span in spans.values() if span.name == "send alerts"]
    assert len(alerts) >= 3
    for alert in alerts:
        caused = spans[alert.parent_span_id]
        assert caused.name in ("send sightings", "send passes")
        frame = spans[caused.parent_span_id]
        assert (frame.name, frame.parent_span_id) == ("send frames", b"")
        assert alert.trace_id == caused.trace_id == frame.trace_id


def lag(now: dict[str, float]) -> list[float]:
    return [value for name, value in now.items() if name.startswith("jiexun_lag_records")] or [1.0]
