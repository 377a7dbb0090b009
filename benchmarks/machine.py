"""What figures belong to: machine, versions, date, commit; and what a process costs, as /proc says it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from jiexun.doctor import processor
from models.card import Card
from vision.engine import cores
from vision.engines import chosen

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
TICKS = os.sysconf("SC_CLK_TCK")
PACKAGES = ("openvino", "onnxruntime", "onnxruntime-gpu", "opencv-python", "simplejpeg", "ultralytics")


def machine(card: Card | None = None) -> dict[str, Any]:
    """For the JSON document of a benchmark; with a model also which engine runs it here."""
    facts: dict[str, Any] = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "processor": processor(),
        "cores": cores(),
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name)) is not None},
        "commit": commit(),
    }
    if card is not None:
        engine, _ = chosen(card)
        facts["engine"] = "none" if engine is None else f"{engine.name} {engine.device} {engine.precision}"
        facts["model"] = card.version if engine is None else card.version_of(engine.precision)
    return facts


def rss_mb() -> float:
    """Resident memory of this process. From /proc: Linux."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def where() -> dict[str, Any]:
    """Machine, day and commit."""
    return {
        "machine": processor(),
        "cores": cores(),
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit(),
    }


def commit() -> str:
    """Of the code that was measured; "-dirty" when it is not quite that."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def cpu_s(pid: int) -> float:
    """Processor time a process took until now, seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss_bytes(pid: int) -> int:
    """Memory a process holds now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def read_result(name: str) -> dict[str, Any]:
    """A result that was kept in benchmarks/results. Raises FileNotFoundError."""
    document: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return document
