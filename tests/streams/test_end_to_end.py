"""The sample drive through a real Kafka, by the commands that people run, as processes that are killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from keys import PRIVACY_KEY

from ingest.binding import parse_event
from ingest.bus import KafkaBus
from ingest.cluster import Cluster

SAMPLE = Path(__file__).parents[2] / "datasets" / "sample"
JIEXUN = Path(sys.executable).with_name("jiexun")
Told = tuple[str, str, str]


class Crew:
    """Processes of one test, on its own topics."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self.store = f"sqlite:///{folder / 'city.db'}"
        self._environment = os.environ | {
            "JIEXUN_KAFKA": cluster.servers,
            "JIEXUN_KAFKA_PREFIX": cluster.prefix,
            "JIEXUN_KAFKA_SESSION_S": "6",
            "JIEXUN_DATA": str(folder),
            "JIEXUN_STORE": self.store,
            "JIEXUN_PRIVACY_KEY": PRIVACY_KEY,
        }
        self._running: list[subprocess.Popen[str]] = []
        self._logs: dict[int, Path] = {}

    def start(self, *words: object) -> subprocess.Popen[str]:
        command = [str(JIEXUN), *map(str, words)]
        path = self.folder / f"{words[0]}-{len(self._running)}.log"
        with path.open("w") as log:
            process = subprocess.Popen(command, env=self._environment, stdout=subprocess.PIPE, stderr=log, text=True)
        self._running.append(process)
        self._logs[process.pid] = path
        return process

    def await_loop(self, process: subprocess.Popen[str], seconds: float = 60.0) -> None:
        """Until its log says what it reads: from then on it minds SIGTERM."""
        log = self._logs[process.pid]
        end = time.monotonic() + seconds
        while "reads" not in log.read_text() and process.poll() is None:
            assert time.monotonic() < end, self.said()
            time.sleep(0.1)

    def run(self, *words: object, seconds: float = 180.0) -> str:
        """A command to its end; what it printed."""
        process = self.start(*words)
        out, _ = process.communicate(timeout=seconds)
        assert process.returncode == 0, self.said()
        return out

    def said(self) -> str:
        return "\n".join(f"{path.name}:\n{path.read_text()}" for path in sorted(self.folder.glob("*.log")))

    def on(self, topic: str) -> list[dict[str, Any]]:
        bus = KafkaBus(self.cluster)
        try:
            return [parse_event(record).data for record in bus.scan(topic)]
        finally:
            bus.close()

    def told(self) -> list[Told]:
        return [(data["case"], data["event"], data["recipient"]) for data in self.on("alerts")]

    def close(self) -> None:
        for process in self._running:
            if process.poll() is None:
                process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()


@pytest.fixture
def crew(cluster: Cluster, tmp_path: Path) -> Iterator[Crew]:
    made = Crew(cluster, tmp_path)
    yield made
    made.close()


@pytest.fixture
def replayed(sample_run: Any) -> dict[str, Any]:
    """What one process makes of the sample drive."""
    found: dict[str, Any] = sample_run.document
    return found


def cases(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By id, but for the times at which envelopes were made."""
    return {
        case["id"]: case | {"alerts": sorted((a["event"], a["recipient"]) for a in case["alerts"])}
        for case in document["cases"]
    }


def told(document: dict[str, Any]) -> list[Told]:
    return [(case["id"], a["event"], a["recipient"]) for case in document["cases"] for a in case["alerts"]]


def test_the_sample_drive_through_kafka_gives_the_very_cases_and_alerts_of_a_replay(
    crew: Crew, replayed: dict[str, Any]
) -> None:
    crew.run("publish", SAMPLE)
    crew.run("worker", "--until-idle", 4)
    out = crew.run("dispatch", "--areas", SAMPLE / "areas.geojson", "--until-idle", 4, "--json")
    document = json.loads(out)
    assert len(out.splitlines()) == 1
    assert cases(document) == cases(replayed)
    assert document["objects"] == replayed["objects"]
    assert Counter(crew.told()) == Counter(told(replayed))
    assert len(told(replayed)) > 5
    for case in document["cases"]:  # and the pictures are there
        assert (crew.folder / "evidence" / case["evidence"]["uri"]).is_file()
    out = crew.run("dispatch", "--until-idle", 2, "--json")  # the store kept the areas; nothing is told again
    assert cases(json.loads(out)) == cases(replayed)
    assert Counter(crew.told()) == Counter(told(replayed))


def test_workers_and_dispatchers_that_are_killed_tell_the_same_once(crew: Crew, replayed: dict[str, Any]) -> None:
    """The drive comes at twelve times its speed; every few seconds one of three processes gets SIGKILL."""
    rng = random.Random(6)
    areas = ("--areas", SAMPLE / "areas.geojson")
    publisher = crew.start("publish", SAMPLE, "--speed", "12")
    running = {"one": crew.start("worker"), "two": crew.start("worker"), "dispatch": crew.start("dispatch", *areas)}
    killed = 0
    while killed < 6:
        time.sleep(rng.uniform(1.0, 5.0))
        name = rng.choice(sorted(running))
        running[name].kill()
        running[name].wait()
        killed += 1
        running[name] = crew.start("dispatch", *areas) if name == "dispatch" else crew.start("worker")
    assert publisher.wait(timeout=120) == 0, crew.said()
    for process in running.values():  # a rolling restart, and then everything to its end
        crew.await_loop(process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0, crew.said()
    crew.run("worker", "--until-idle", 6)
    document = json.loads(crew.run("dispatch", "--until-idle", 6, "--json"))
    assert cases(document) == cases(replayed)
    assert Counter(crew.told()) == Counter(told(replayed))


def test_a_second_dispatcher_waits_and_takes_over_when_the_first_is_killed(crew: Crew) -> None:
    first = crew.start("dispatch")
    wait_for(crew, 0, "cases are known")
    second = crew.start("dispatch")
    wait_for(crew, 1, "standing by")
    first.kill()
    first.wait()
    wait_for(crew, 1, "cases are known")
    second.send_signal(signal.SIGTERM)
    assert second.wait(timeout=30) == 0


def wait_for(crew: Crew, number: int, text: str, seconds: float = 60.0) -> None:
    """Until a process said something."""
    path = crew.folder / f"dispatch-{number}.log"
    give_up = time.monotonic() + seconds
    while text not in path.read_text():
        assert time.monotonic() < give_up, crew.said()
        time.sleep(0.1)


def test_the_joint_engine_decides_in_the_stream_and_tells_once_however_often_it_is_killed(crew: Crew) -> None:
    crew.run("publish", SAMPLE)
    crew.run("worker", "--until-idle", 4)
    first = ("dispatch", "--engine", "joint", "--areas", SAMPLE / "areas.geojson")
    for wait_s in (0.0, 0.3, 1.0):
        process = crew.start(*first)
        crew.await_loop(process)
        time.sleep(wait_s)
        process.kill()
        process.wait()
    document = json.loads(crew.run("dispatch", "--until-idle", 4, "--json"))  # a store keeps its engine
    assert Counter(crew.told()) == Counter(told(document))
    assert len(told(document)) > 3
    again = json.loads(crew.run("dispatch", "--engine", "joint", "--until-idle", 2, "--json"))
    assert again == document
    assert Counter(crew.told()) == Counter(told(document))
    other = crew.start("dispatch", "--engine", "shipped", "--until-idle", 2)
    assert other.wait(timeout=60) != 0
    assert "the joint engine decides" in crew.said()
