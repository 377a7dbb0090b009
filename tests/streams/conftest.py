"""A real Kafka for the tests: the one that JIEXUN_KAFKA names, else one that scripts/kafka starts for the session."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ingest.bus import KafkaBus
from ingest.cluster import Cluster
from ingest.clusterwide import make_topics
from ingest.memory import MemoryBroker, MemoryBus
from ingest.record import Bus
from ingest.topics import TOPICS

SCRIPT = Path(__file__).parents[2] / "scripts" / "kafka"
LACKS = (": install ", "Maven could not fetch")  # anything else that scripts/kafka says is a fault
PARTITIONS = 4
SMALL = [topic if topic.partitions == 1 else replace(topic, partitions=PARTITIONS) for topic in TOPICS]


class Brokers:
    """A cluster of scripts/kafka in a folder of its own."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.servers = ""

    def do(self, *words: str) -> str:
        """Run a command of the script; its last line."""
        done = subprocess.run([SCRIPT, *words, "--data", self.data], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"scripts/kafka {' '.join(words)}: {done.stderr.strip()}")
        return (done.stdout.splitlines() or [""])[-1]

    def start(self, *words: str) -> Brokers:
        try:
            self.servers = self.do("start", *(() if "--port" in words else ("--port", "0")), *words)
        except RuntimeError as error:
            if not any(lack in str(error) for lack in LACKS):
                raise
            missing(str(error))
        return self


def missing(why: str) -> None:
    """No Kafka can be had: the test is skipped, and in CI that is a failure."""
    text = f"NO REAL KAFKA, NOT TESTED: {why}"
    if os.environ.get("CI"):
        pytest.fail(text)
    pytest.skip(text)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap servers of the session's Kafka."""
    given = os.environ.get("JIEXUN_KAFKA")
    if given:
        yield given
        return
    brokers = Brokers(tmp_path_factory.mktemp("kafka"))
    try:
        yield brokers.start().servers
    finally:
        if (brokers.data / "cluster.json").exists():
            brokers.do("stop")


@pytest.fixture
def brokers(tmp_path: Path) -> Iterator[Brokers]:
    """A cluster of the test's own, to be killed and restarted; `start` it."""
    own = Brokers(tmp_path / "kafka")
    yield own
    if (own.data / "cluster.json").exists():
        own.do("stop")


@pytest.fixture
def cluster(servers: str) -> Cluster:
    """The session's Kafka with topics of this test's own, of 4 partitions each."""
    fresh = Cluster(servers=servers, prefix=f"test-{uuid.uuid4().hex[:12]}.")
    make_topics(fresh, SMALL)
    return fresh


@pytest.fixture(params=["memory", "kafka"])
def bus(request: pytest.FixtureRequest) -> Iterator[Callable[..., Bus]]:
    """Makes buses that meet at one broker and are closed at the end: in memory, and on a real Kafka."""
    make: Callable[..., Bus]
    if request.param == "memory":
        make = partial(MemoryBus, MemoryBroker(SMALL))
    else:
        make = partial(KafkaBus, request.getfixturevalue("cluster"))
    opened: list[Bus] = []

    def open_bus(**given: Any) -> Bus:
        opened.append(make(**given))
        return opened[-1]

    yield open_bus
    for each in opened:
        each.close()
