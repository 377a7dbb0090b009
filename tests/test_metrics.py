"""Metrics and probes, scraped over a real socket and read with Prometheus' own parser."""

from __future__ import annotations

import ast
import errno
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from ingest.record import Partition, Record
from ingest.watch import Unwatched, Watch
from jiexun.metrics import CountedEvidence, Metrics
from jiexun.probes import Health, Probes
from jiexun.reasons import CLASSES, OTHER, reason_class
from jiexun.settings import Settings
from jiexun.watching import Several, watching
from vision.pictures import FolderEvidence

ROOT = Path(__file__).parent.parent
NOW = datetime(2026, 11, 20, 8, 15, tzinfo=UTC)
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Scraped:
    """What a scrape says."""

    def __init__(self, text: str) -> None:
        self.families = list(text_string_to_metric_families(text))
        self._samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float | None:
        return self._samples.get((f"jiexun_{name}", frozenset(labels.items())))

    def labelled(self, name: str) -> list[dict[str, str]]:
        return [dict(labels) for found, labels in self._samples if found == f"jiexun_{name}"]


class Scraper:
    def __init__(self, metrics: Metrics, health: Health, port: int) -> None:
        self.metrics, self.health = metrics, health
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False)

    def scrape(self) -> Scraped:
        answer = self.client.get("/metrics")
        assert answer.status_code == 200
        return Scraped(answer.text)


@pytest.fixture
def ticking() -> list[float]:
    return [1000.0]


@pytest.fixture
def scraper(ticking: list[float]) -> Iterator[Scraper]:
    metrics = Metrics("worker", version="9.9", now=lambda: NOW)
    health = Health(stalled_s=300.0, clock=lambda: ticking[0])
    with Probes("127.0.0.1", 0, metrics.registry, health) as probes:
        scraper = Scraper(metrics, health, probes.port)
        yield scraper
        scraper.client.close()


def frame(offset: int = 0) -> Record:
    return Record(topic="frames", key=b"bus", value=b"jpeg", partition=1, offset=offset)


def event(topic: str, data: str) -> Record:
    return Record(topic=topic, key=b"k", value=f'{{"specversion":"1.0","data":{data}}}'.encode())


# What is counted


def test_a_fresh_process_says_what_it_is_and_nothing_else_happened(scraper: Scraper) -> None:
    scraped = scraper.scrape()
    (info,) = scraped.labelled("info")
    assert (info["role"], info["version"]) == ("worker", "9.9")
    for name in ("worked_total", "passes_total", "blocked", "evidence_paused", "capture_to_alert_seconds_count"):
        assert scraped.value(name) == 0, name
    assert {"process_resident_memory_bytes", "process_cpu_seconds"} <= {family.name for family in scraped.families}


def test_what_a_loop_tells_is_counted(scraper: Scraper) -> None:
    told = scraper.metrics
    told.read([frame(0), frame(1), event("passes", "{}")])
    told.batch(6, 8, 0.2)
    told.batch(8, 8, 0.3)
    told.queued(5, 2_250_000)
    told.sending(event("sightings", '{"kind":"overflow_bin"}'), frame())
    told.sending(event("sightings", '{"kind":"garbage"}'), frame())
    told.sending(event("sightings", '{"kind":"garbage"}'), frame())
    told.sending(event("passes", "{}"), None)
    told.sending(event("cases", '{"event":"opened"}'), None)
    told.rejected("frames", "the JPEG is truncated: its end marker is missing")
    told.rejected("frames", "the JPEG header is damaged at byte 17")
    told.repeated("frames")
    told.dropped("dark")
    told.told("opened", NOW - timedelta(seconds=7))
    scraped = scraper.scrape()
    expected = {
        ("read_total", "topic", "frames"): 2,
        ("read_total", "topic", "passes"): 1,
        ("dropped_total", "fault", "dark"): 1,
        ("sent_total", "topic", "sightings"): 3,
        ("sightings_total", "kind", "garbage"): 2,
        ("sightings_total", "kind", "overflow_bin"): 1,
        ("case_events_total", "event", "opened"): 1,
        ("alerts_total", "event", "opened"): 1,
        ("repeats_total", "topic", "frames"): 1,
    }
    assert {key: scraped.value(key[0], **{key[1]: key[2]}) for key in expected} == expected
    assert scraped.value("worked_total") == 14
    assert scraped.value("passes_total") == 1
    assert scraped.value("queue_records") == 5
    assert scraped.value("queue_bytes") == 2_250_000
    assert scraped.value("rejected_total", topic="frames", reason="picture") == 2


def test_a_batch_that_is_three_quarters_full_lies_under_that_mark(scraper: Scraper) -> None:
    scraper.metrics.batch(6, 8, 0.2)
    scraped = scraper.scrape()
    assert scraped.value("batch_fill_ratio_bucket", le="0.625") == 0
    assert scraped.value("batch_fill_ratio_bucket", le="0.75") == 1
    assert scraped.value("batch_seconds_sum") == pytest.approx(0.2)


def test_capture_to_alert_is_measured_from_the_time_of_the_picture(scraper: Scraper) -> None:
    """Not from when we read it: a vehicle that was offline for two hours is two hours late."""
    scraper.metrics.told("opened", NOW - timedelta(hours=2))
    scraper.metrics.told("opened", NOW - timedelta(seconds=3))
    scraped = scraper.scrape()
    assert scraped.value("capture_to_alert_seconds_sum") == pytest.approx(7203)
    assert scraped.value("capture_to_alert_seconds_bucket", le="5.0") == 1
    assert scraped.value("capture_to_alert_seconds_bucket", le="3600.0") == 1
    assert scraped.value("capture_to_alert_seconds_bucket", le="7200.0") == 2


def test_lag_is_told_of_the_partitions_that_are_ours_and_of_no_others(scraper: Scraper) -> None:
    ours, theirs = Partition("frames", 1), Partition("frames", 2)
    scraper.metrics.assigned(frozenset({ours, theirs}))
    scraper.metrics.lag({ours: 12, theirs: 30})
    scraped = scraper.scrape()
    assert scraped.value("lag_records", topic="frames", partition="2") == 30
    assert scraped.value("assigned_partitions", topic="frames") == 2
    scraper.metrics.assigned(frozenset({ours}))
    scraper.metrics.lag({ours: 11, theirs: 29})  # an answer from before
    scraped = scraper.scrape()
    assert scraped.labelled("lag_records") == [{"topic": "frames", "partition": "1"}]
    assert scraped.value("lag_records", topic="frames", partition="1") == 11
    scraper.metrics.assigned(frozenset())
    scraped = scraper.scrape()
    assert scraped.labelled("lag_records") == []
    assert scraped.value("assigned_partitions", topic="frames") == 0


class Full:
    """A store whose disk is full."""

    def put(self, jpeg: bytes) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    def get(self, name: str) -> bytes | None:
        return None


def test_evidence_that_cannot_be_kept_is_counted_and_paused_until_it_can(scraper: Scraper, tmp_path: Path) -> None:
    full = CountedEvidence(Full(), scraper.metrics)
    with pytest.raises(OSError, match="No space left"):
        full.put(b"jpeg")
    scraped = scraper.scrape()
    assert scraped.value("evidence_writes_total", outcome="failed") == 1
    assert scraped.value("evidence_paused") == 1
    name = CountedEvidence(FolderEvidence(tmp_path), scraper.metrics).put(b"jpeg")
    assert (tmp_path / name).read_bytes() == b"jpeg"
    scraped = scraper.scrape()
    assert scraped.value("evidence_writes_total", outcome="kept") == 1
    assert scraped.value("evidence_paused") == 0
    assert scraped.value("evidence_write_seconds_count") == 1


def test_a_scraper_that_asks_for_openmetrics_gets_it(scraper: Scraper) -> None:
    scraper.metrics.repeated("frames")
    answer = scraper.client.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert "jiexun_repeats" in {family.name for family in openmetrics_families(answer.text)}


# Probes


def test_a_process_is_alive_from_its_start_and_ready_when_it_has_its_place(scraper: Scraper) -> None:
    assert scraper.client.get("/healthz").status_code == 200
    answer = scraper.client.get("/readyz")
    assert (answer.status_code, answer.text) == (503, "waits for: its place in the group\n")
    scraper.health.assigned(frozenset())  # more workers than partitions: it stands by
    assert scraper.client.get("/readyz").status_code == 200


def test_a_process_that_waits_is_alive_and_not_ready_and_says_for_what(scraper: Scraper) -> None:
    scraper.health.assigned(frozenset({Partition("frames", 0)}))
    scraper.health.blocked("No space left on device: /evidence")
    assert scraper.client.get("/healthz").status_code == 200
    answer = scraper.client.get("/readyz")
    assert (answer.status_code, answer.text) == (503, "waits for: No space left on device: /evidence\n")
    scraper.health.blocked(None)
    assert scraper.client.get("/readyz").text == "ok\n"


def test_a_loop_that_no_longer_turns_is_dead(scraper: Scraper, ticking: list[float]) -> None:
    scraper.health.assigned(frozenset())
    scraper.health.turned()
    ticking[0] += 300
    assert scraper.client.get("/healthz").status_code == 200
    ticking[0] += 1
    for path in ("/healthz", "/readyz"):
        answer = scraper.client.get(path)
        assert (answer.status_code, answer.text) == (503, "the loop has not turned for 301 s\n")
    scraper.health.turned()
    assert scraper.client.get("/healthz").status_code == 200


def test_where_there_is_no_loop_a_check_says_what_is_wrong() -> None:
    wrong: list[str] = []
    health = Health(loop=False, check=lambda: wrong[0] if wrong else None)
    assert (health.dead(), health.unready()) == (None, None)
    wrong.append("the store does not answer")
    assert (health.dead(), health.unready()) == (None, "the store does not answer")


@pytest.mark.parametrize("path", ["/", "/metrics/", "/metricsx", "/nothing"])
def test_nothing_else_is_served(scraper: Scraper, path: str) -> None:
    answer = scraper.client.get(path)
    assert answer.status_code == 404
    assert "Python" not in answer.headers["server"]


def test_a_port_that_is_taken_is_an_error_at_once(scraper: Scraper) -> None:
    with pytest.raises(OSError, match="in use"):
        Probes("127.0.0.1", scraper.client.base_url.port or 0, scraper.metrics.registry, scraper.health)


# Reasons


def sentences() -> Iterator[tuple[str, str]]:
    """(file, a refusal with a value in each gap) of whatever refuses records of a topic."""
    for file in (
        "ingest/binding",
        "ingest/envelope",
        "ingest/jpeg",
        "ingest/plausible",
        "vision/sighting",
        "vision/worker",
        "dispatcher/engine",
        "dispatcher/dispatch",
    ):
        for node in ast.walk(ast.parse((ROOT / f"{file}.py").read_text(encoding="utf8"))):
            raised = node.exc if isinstance(node, ast.Raise) else node
            if not isinstance(raised, ast.Call) or not isinstance(raised.func, ast.Name) or not raised.args:
                continue
            if raised.func.id in ("ValueError", "Rejected") and isinstance(
                raised.args[0], ast.Constant | ast.JoinedStr
            ):
                yield file, _filled(raised.args[0])


def _filled(text: ast.Constant | ast.JoinedStr) -> str:
    parts = text.values if isinstance(text, ast.JoinedStr) else [text]
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "xyz" for part in parts)


SENTENCES = sorted(set(sentences()))


def test_the_refusals_are_found() -> None:
    assert len(SENTENCES) > 30


@pytest.mark.parametrize(("file", "reason"), SENTENCES)
def test_every_refusal_has_a_class(file: str, reason: str) -> None:
    assert reason_class(reason) != OTHER, file


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("the JPEG is truncated: its end marker is missing", "picture"),
        ("the file is empty (zero bytes)", "picture"),
        ("time 2030-01-01T00:00:00.000Z is in the future: it is 2026-11-20T08:15:00.000Z now", "time"),
        ("position (0, 0) is what a receiver says without a fix", "position"),
        ("lat 91 is outside ±90", "position"),
        ("the fix is 3.1 s from the picture, more than 2", "position"),
        ("header ce_vehicle is missing", "envelope"),
        ("not JSON: Expecting value: line 1 column 1 (char 0)", "envelope"),
        ("type 'cn.jiexun.frame.v2' is not read here: expected cn.jiexun.frame.v1", "type"),
        ("camera 'rear' is not described: cameras.toml or the defaults know front, left, right", "camera"),
        ("matter '06031' is no code of matters.csv", "matter"),
        ("confidence must be a number from 0 to 1, got 7", "field"),
        ("the moon is in the wrong house", OTHER),
    ],
)
def test_a_reason_falls_into_its_class(reason: str, expected: str) -> None:
    assert reason_class(reason) == expected
    assert expected in CLASSES


def test_an_attacker_makes_no_new_labels() -> None:
    reasons = [f"type 'x{n}' is not read here: expected cn.jiexun.frame.v1" for n in range(1000)]
    assert {reason_class(reason) for reason in reasons} == {"type"}


# Together


def test_what_watches_a_process_is_a_watch() -> None:
    watches: list[Watch] = [Metrics("worker"), Health(), Unwatched()]
    several: Watch = Several(watches)
    record = frame()
    assert several.sending(record, None) is record
    several.turned()
    several.assigned(frozenset())
    several.blocked(None)
    several.told("opened", NOW)


def test_a_command_serves_its_metrics_on_the_port_that_is_named(free_port: int) -> None:
    settings = Settings(metrics_port=1)  # the option goes before the setting
    with watching(settings, "dispatch", port=free_port, environment={}) as process:
        process.watch.assigned(frozenset({Partition("sightings", 0)}))
        base = f"http://127.0.0.1:{free_port}"
        assert httpx.get(f"{base}/readyz", trust_env=False).text == "ok\n"
        scraped = Scraped(httpx.get(f"{base}/metrics", trust_env=False).text)
        assert scraped.value("assigned_partitions", topic="sightings") == 1
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{base}/healthz", trust_env=False)
