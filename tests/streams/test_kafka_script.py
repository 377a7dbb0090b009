"""scripts/kafka: what it prints, that clusters keep apart, what it says when something is missing."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from traffic import drain, insist, record, values

from ingest.bus import KafkaBus
from ingest.cluster import Cluster
from ingest.clusterwide import found_topics, make_topics
from ingest.topics import FRAMES

SCRIPT = Path(__file__).parents[2] / "scripts" / "kafka"


def ask(*words: str | Path, path: str | None = None) -> tuple[int, str, str]:
    environment = os.environ | ({} if path is None else {"PATH": path})
    command = [sys.executable, SCRIPT, *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    return done.returncode, done.stdout, done.stderr


def test_three_nodes_outlive_the_loss_of_one(brokers: Any) -> None:
    brokers.start("--nodes", "3")
    cluster = Cluster(servers=brokers.servers, answer_s=15.0)
    assert len(brokers.servers.split(",")) == 3
    make_topics(cluster, [FRAMES])
    assert found_topics(cluster)["frames"].replicas == 3
    bus = KafkaBus(cluster, read=["frames"], group="g")
    brokers.do("kill", "2")
    for n in range(30):
        insist(partial(bus.send, record(n, key=b"%d" % n)))
    insist(bus.flush)
    assert values(drain(bus, 30)) == list(range(30))
    bus.close()
    assert "node 3" in brokers.do("status")
    brokers.do("restart", "2")
    with pytest.raises(RuntimeError, match="there is no node 4: this cluster has 3"):
        brokers.do("kill", "4")


def test_the_data_outlives_a_stop_and_another_cluster_is_left_alone(brokers: Any, servers: str) -> None:
    brokers.start()
    assert brokers.servers != servers
    make_topics(Cluster(servers=brokers.servers), [FRAMES])
    before = brokers.servers
    brokers.do("stop")
    with socket.socket() as sock:
        assert sock.connect_ex(("127.0.0.1", int(before.split(":")[1]))) != 0
    assert found_topics(Cluster(servers=servers, prefix="nothing-of-this-name.")) == {}  # the session's still answers
    brokers.start()
    assert brokers.servers == before
    assert found_topics(Cluster(servers=before))["frames"].partitions == 12
    brokers.start()  # runs already
    assert brokers.servers == before


@pytest.mark.parametrize("words", [["stop"], ["kill", "1"], ["restart", "1"], ["status"]], ids=str)
def test_a_folder_without_a_cluster_is_said_to_be_one(tmp_path: Path, words: list[str]) -> None:
    status, told, said = ask(*words, "--data", tmp_path)
    assert (status, told) == (1, "")
    assert said == f"kafka: no cluster in {tmp_path}: run 'start' first, or name its folder with --data\n"


def test_without_java_it_says_what_to_install(tmp_path: Path) -> None:
    status, told, said = ask("start", "--data", tmp_path / "data", path=str(tmp_path))
    assert (status, told) == (1, "")
    assert said == "kafka: 'java' is not on the PATH: install Java 17 or newer (Debian: openjdk-17-jre-headless)\n"


def test_an_old_java_is_refused(tmp_path: Path) -> None:
    (tmp_path / "java").write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    (tmp_path / "java").chmod(0o755)
    status, _, said = ask("start", "--data", tmp_path / "data", path=f"{tmp_path}:/bin")
    assert (status, said) == (1, "kafka: java is 11.0.2: install Java 17 or newer (Debian: openjdk-17-jre-headless)\n")


def test_a_port_in_use_is_said_to_be_and_leaves_no_folder(tmp_path: Path, servers: str) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = sock.getsockname()[1]
        status, told, said = ask("start", "--port", str(port), "--data", tmp_path / "data")
    assert (status, told) == (1, "")
    assert f"port {port} is in use: start with another --port" in said
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(("ci", "outcome"), [("", "1 skipped"), ("true", "1 error")])
def test_tests_without_any_kafka_are_skipped_loudly_and_fail_in_ci(tmp_path: Path, ci: str, outcome: str) -> None:
    one = "tests/streams/test_bus.py::test_nothing_there_gives_nothing[kafka]"
    (tmp_path / "python3").symlink_to(sys.executable)  # and nothing else
    environment = {"PATH": str(tmp_path), "CI": ci, "HOME": str(tmp_path)}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", one]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=SCRIPT.parents[1])
    assert outcome in done.stdout
    assert "NO REAL KAFKA, NOT TESTED" in done.stdout
    assert "'java' is not on the PATH: install Java 17 or newer" in done.stdout
