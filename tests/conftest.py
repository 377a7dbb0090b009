"""The sample drive, and drives made from it, run through the real command."""

from __future__ import annotations

import csv
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from browsing import chromium, screenshots  # noqa: F401  # fixtures
from compiled import compiled_once  # noqa: F401  # fixtures
from hypothesis import settings
from keys import PRIVACY_KEY
from postgres import (  # noqa: F401  # fixtures
    empty_url,
    postgresql,
    postgresql_tables,
    sqlite_tables,
    store_url,
)
from typer.testing import CliRunner

from jiexun.cli import app

# Commands that tests start keep their bytecode, whatever the environment says: compiling it anew takes a second of each
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

settings.register_profile("jiexun", deadline=None)  # a machine that is busy proves nothing about an example
settings.load_profile("jiexun")

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "datasets" / "sample"
COLUMNS = ("file", "time", "lat", "lon", "speed_mps", "heading_deg", "accuracy_m", "vehicle", "camera")
Row = dict[str, str]
ALONE = ("streams", "benchmarks")  # folders


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what wants the cores to itself: clients of a broker that do not get their turn are taken for dead."""
    for item in items:
        if item.path.parent.name in ALONE:
            item.add_marker("alone")


@pytest.fixture
def sample_rows() -> list[Row]:
    """Each test's own: some change them."""
    with (SAMPLE / "frames.csv").open(encoding="utf8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def made_drive(tmp_path: Path) -> Callable[[list[Row]], Path]:
    """A drive folder of rows whose pictures are the sample's."""

    def made(rows: list[Row], *, areas: bool = True) -> Path:
        folder = tmp_path / "drive"
        folder.mkdir()
        for name in {row["file"] for row in rows}:
            if (SAMPLE / name).is_file():
                shutil.copy(SAMPLE / name, folder / name)
        shutil.copy(SAMPLE / "cameras.toml", folder)
        if areas:
            shutil.copy(SAMPLE / "areas.geojson", folder)
        with (folder / "frames.csv").open("w", encoding="utf8", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        return folder

    return made


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, Any, str]]:
    """`jiexun …` in this process: (exit status, the JSON document if there is one, standard error)."""
    monkeypatch.setenv("JIEXUN_DATA", str(tmp_path / "results"))

    def run(*arguments: str | Path) -> tuple[int, Any, str]:
        result = CliRunner().invoke(app, [str(a) for a in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        lines = result.stdout.splitlines()
        document = json.loads(lines[0]) if len(lines) == 1 else None
        return result.exit_code, document, result.stderr

    return run


@dataclass(frozen=True, slots=True)
class SampleRun:
    """What `jiexun replay datasets/sample --json` made: its document, what it said, and the folder with all it left."""

    document: dict[str, Any]
    errors: str
    folder: Path

    def copied_store(self, to: Path) -> str:
        """A store as the run left it, of the test's own."""
        shutil.copy(self.folder / "city.db", to)
        return f"sqlite:///{to}"


@pytest.fixture(scope="session")
def sample_run(tmp_path_factory: pytest.TempPathFactory) -> SampleRun:
    """The sample drive replayed, once for all tests that only look at what came of it. None of them may change it."""
    folder = tmp_path_factory.mktemp("sample-run")
    words = ("replay", SAMPLE, "--json", "--store", f"sqlite:///{folder / 'city.db'}", "--evidence", folder / "proof")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JIEXUN_DATA", str(folder / "results"))
        patch.setenv("JIEXUN_PRIVACY_KEY", PRIVACY_KEY)
        result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.stderr
    return SampleRun(json.loads(result.stdout), result.stderr, folder)


def unused_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def free_port() -> int:
    return unused_port()


@pytest.fixture
def ports() -> Callable[[], int]:
    """Gives an unused port at each call."""
    return unused_port


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real S3 server with the empty bucket `evidence`. Skips where none can be had; where it could, CI fails."""
    data = tmp_path_factory.mktemp("s3")
    command = [ROOT / "scripts/s3", "start", "--data", data, "--port", str(unused_port())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = f"NO REAL S3 SERVER, NOT TESTED: {done.stderr.strip()}"
        can_be_had = any(map(shutil.which, ("go", "versitygw")))
        pytest.fail(reason) if os.environ.get("CI") and can_be_had else pytest.skip(reason)
    yield done.stdout.splitlines()[-1]
    subprocess.run([ROOT / "scripts/s3", "stop", "--data", data], check=True)
