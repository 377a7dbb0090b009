"""The sample drive, and drives made from it, run through the real command."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from jiexun.cli import app

SAMPLE = Path(__file__).parent.parent / "datasets" / "sample"
COLUMNS = ("file", "time", "lat", "lon", "speed_mps", "heading_deg", "accuracy_m", "vehicle", "camera")
Row = dict[str, str]


@pytest.fixture(scope="session")
def sample_rows() -> list[Row]:
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
