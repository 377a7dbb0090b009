"""scripts/s3: what a person does with it, and an outage as a worker meets it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jiexun.metrics import CountedEvidence, Metrics
from vision.pictures import EvidenceUnavailable, PatientEvidence
from vision.s3 import S3Evidence, S3Login

SCRIPT = Path(__file__).parent.parent / "scripts" / "s3"
Script = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def script(tmp_path: Path, s3_endpoint: str) -> Iterator[Script]:
    """The script, on a server of the test's own. That the session has one says that one can be had."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([SCRIPT, *words, "--data", tmp_path / "s3"], capture_output=True, text=True, check=False)

    yield run
    run("stop")


def opened(endpoint: str) -> S3Evidence:
    return S3Evidence.open("s3://evidence", S3Login(endpoint=endpoint, key="jiexun", secret="jiexun-secret"))


def test_starting_twice_is_starting_once_and_stopping_keeps_what_is_there(script: Script, free_port: int) -> None:
    endpoint = f"http://127.0.0.1:{free_port}"
    for _ in range(2):
        started = script("start", "--port", str(free_port))
        assert (started.returncode, started.stdout.splitlines()[-1]) == (0, endpoint), started.stderr
    name = opened(endpoint).put(b"jpeg")
    for _ in range(2):
        assert script("stop").returncode == 0
    with pytest.raises(EvidenceUnavailable):
        opened(endpoint)
    assert script("start", "--port", str(free_port)).returncode == 0
    assert opened(endpoint).get(name) == b"jpeg"


def test_a_port_that_somebody_has_is_said(script: Script, s3_endpoint: str) -> None:
    port = s3_endpoint.rpartition(":")[2]
    started = script("start", "--port", port)
    assert started.returncode == 1
    assert f"port {port} is in use" in started.stderr
    assert "Traceback" not in started.stderr


def test_a_server_that_is_away_is_waited_for_and_nothing_is_skipped(script: Script, free_port: int) -> None:
    endpoint = f"http://127.0.0.1:{free_port}"
    assert script("start", "--port", str(free_port)).returncode == 0
    metrics = Metrics("worker")
    counted = CountedEvidence(opened(endpoint), metrics)
    counted.put(b"before")
    assert script("stop").returncode == 0
    paused: list[float | None] = []

    def wait(error: OSError) -> None:
        assert "s3://evidence" in str(error)
        paused.append(metrics.registry.get_sample_value("jiexun_evidence_paused"))
        if len(paused) == 2:
            assert script("start", "--port", str(free_port)).returncode == 0

    name = PatientEvidence(counted, wait).put(b"meanwhile")
    assert paused == [1, 1]
    assert metrics.registry.get_sample_value("jiexun_evidence_paused") == 0
    assert opened(endpoint).get(name) == b"meanwhile"
