"""The processes of a run: workers and a dispatcher on a real broker, started again when they end, as services are."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Self

from ingest.bus import KafkaBus
from ingest.cluster import Cluster
from ingest.clusterwide import make_topics
from ingest.record import Record, Retry
from ingest.topics import TOPICS

SESSION_S = 6.0  # the shortest that Kafka allows: a killed worker's frames are dealt to others after it
DISPATCHER = "dispatcher"
STOP_S = 60.0
MOST_RESTARTS = 20
QUIET_S = 3.0  # no alert for so long after the last decision: none will come


class Crew:
    """Workers by name, and a dispatcher, on topics of their own. `folder` holds store, evidence and logs."""

    def __init__(
        self,
        servers: str,
        prefix: str,
        folder: Path,
        areas: Path,
        *,
        workers: Iterable[str] = ("worker-1",),
        partitions: int = 4,
        max_poll_s: float = 300.0,
    ) -> None:
        self.cluster = Cluster(servers=servers, prefix=prefix)
        self.folder = folder
        self.workers = tuple(workers)
        self.evidence = folder / "evidence"
        self.restarts = 0  # of processes that ended by themselves
        self._areas = areas
        self._partitions = partitions
        self._max_poll_s = max_poll_s
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._said_before: dict[str, int] = {}  # bytes of a log before its process was last started

    def __enter__(self) -> Self:
        self.evidence.mkdir(parents=True, exist_ok=True)
        few = [topic if topic.partitions == 1 else replace(topic, partitions=self._partitions) for topic in TOPICS]
        make_topics(self.cluster, few)
        for name in self.names:
            self.start(name)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running.values():
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()
        self._running.clear()

    @property
    def names(self) -> tuple[str, ...]:
        return (DISPATCHER, *self.workers)

    def start(self, name: str) -> None:
        """Start a process; what it says goes to its log."""
        words = ["dispatch", "--areas", str(self._areas)] if name == DISPATCHER else ["worker"]
        with self._log(name).open("ab") as log:
            self._said_before[name] = log.tell()
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", "jiexun.cli", *words], env=self._environment(), stdout=log, stderr=log
            )

    def pid(self, name: str) -> int:
        return self._running[name].pid

    def kill(self, name: str) -> None:
        """SIGKILL, and start it again."""
        process = self._running.pop(name)
        process.kill()
        process.wait()
        self.start(name)

    def restart(self, name: str) -> None:
        """SIGTERM, wait for its end, and start it again. Raises RuntimeError when it does not end well."""
        self.stop(name)
        self.start(name)

    def stop(self, name: str) -> None:
        """SIGTERM, and wait for its end. Raises RuntimeError when it does not end well."""
        process = self._running.pop(name)
        process.terminate()
        try:
            status = process.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise RuntimeError(f"{name} did not end within {STOP_S:g} s of SIGTERM") from None
        if status == -signal.SIGTERM and not self._log(name).read_bytes()[self._said_before[name] :]:
            return  # it was told before it could listen, and had begun nothing
        if status:
            said = self.said(name)[-2000:].replace(str(self.folder), "")  # results are kept: no path of a machine
            raise RuntimeError(f"{name} ended with status {status} on SIGTERM: {said}")

    def freeze(self, name: str, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after a while."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(pid, signal.SIGCONT)

    def look_after(self) -> None:
        """Start again what ended by itself. Raises RuntimeError for what keeps ending."""
        for name, process in list(self._running.items()):
            if process.poll() is not None and self._running.get(name) is process:
                self.restarts += 1
                if self.restarts > MOST_RESTARTS:
                    raise RuntimeError(f"{name} keeps ending: {self.said(name)[-1000:]}")
                self.start(name)
                time.sleep(1.0)

    def said(self, name: str) -> str:
        """A process's log."""
        return self._log(name).read_text(errors="replace")

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def dispatched(self) -> set[str]:
        """Ids of the sightings and passes that are in the store."""
        if not self.database.is_file():
            return set()
        try:
            with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=10.0)) as connection:
                return {id for (id,) in connection.execute("SELECT id FROM inputs")}
        except sqlite3.OperationalError:  # the dispatcher has not made its tables yet
            return set()

    def settle(self, expected: set[str], *, patience_s: float) -> bool:
        """Wait until all of these are dispatched. False when that takes too long."""
        give_up = time.monotonic() + patience_s
        while expected - self.dispatched():
            self.look_after()
            if time.monotonic() > give_up:
                return False
            time.sleep(0.2)
        return True

    def rest(self) -> None:
        """Wait until nothing more is decided."""
        before, since = self.dispatched(), time.monotonic()
        while time.monotonic() - since < QUIET_S:
            time.sleep(0.2)
            self.look_after()
            now = self.dispatched()
            if now != before:
                before, since = now, time.monotonic()

    @property
    def database(self) -> Path:
        return self.folder / "jiexun.db"

    @property
    def store(self) -> str:
        return f"sqlite:///{self.database}"

    def _environment(self) -> dict[str, str]:
        own = {
            "JIEXUN_DATA": str(self.folder / "data"),
            "JIEXUN_EVIDENCE": str(self.evidence),
            "JIEXUN_KAFKA": self.cluster.servers,
            "JIEXUN_KAFKA_PREFIX": self.cluster.prefix,
            "JIEXUN_KAFKA_SESSION_S": str(SESSION_S),
            "JIEXUN_KAFKA_MAX_POLL_S": str(self._max_poll_s),
            "JIEXUN_STORE": self.store,
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith("JIEXUN_")}
        return kept | own


def send_all(bus: KafkaBus, records: Iterable[Record]) -> None:
    """Send, and wait until all is durable, however long the broker is away."""
    for record in records:
        _insist(partial(bus.send, record))
    _insist(bus.flush)


def _insist(call: Callable[[], None]) -> None:
    while True:
        try:
            return call()
        except Retry as refusal:
            time.sleep(refusal.retry_after_s)
