"""A real Kafka for a benchmark: scripts/kafka, and what its processes cost."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Self

from benchmarks.machine import cpu_s

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "kafka"


class Broker:
    """A cluster of its own, gone with its data at the end. Raises FileNotFoundError or RuntimeError that helps."""

    def __init__(self, *, nodes: int = 1) -> None:
        self.nodes = nodes
        self._folder = tempfile.TemporaryDirectory(prefix="jiexun-kafka-")
        self.servers = ""

    def __enter__(self) -> Self:
        try:
            said = self._run("start", "--nodes", str(self.nodes), "--port", "0")
        except BaseException:
            self._folder.cleanup()
            raise
        self.servers = said.strip().splitlines()[-1]
        return self

    def __exit__(self, *_: object) -> None:
        self._run("stop")
        self._folder.cleanup()

    def kill(self, node: int) -> None:
        """End a node as a power cut would."""
        self._run("kill", str(node))

    def restart(self, node: int) -> None:
        """Start a node again; returns when it is in service."""
        self._run("restart", str(node))

    def cpu_s(self) -> float:
        """Processor time of all nodes until now."""
        return sum(cpu_s(int(file.read_text())) for file in Path(self._folder.name).glob("node-*/pid"))

    def log(self, node: int) -> str:
        """What a node said."""
        return (Path(self._folder.name) / f"node-{node}" / "server.log").read_text(errors="replace")

    def _run(self, command: str, *words: str) -> str:
        asked = [str(SCRIPT), command, *words, "--data", self._folder.name]
        done = subprocess.run(asked, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"scripts/kafka {command}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout
