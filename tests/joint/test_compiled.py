"""Compiled, the engine decides what it decides interpreted; and nothing runs that was compiled of other sources."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import dispatcher
from benchmarks.fleet_messages import Size, build, write
from dispatcher import compiled
from dispatcher.joint import COMPILED

TINY = Size(days=0.5, bins=60, disorders=30, posters=2, vehicles=6, trips_a_day=4.0)
ROOT = Path(dispatcher.__file__).parents[1]
COUNT = "import dispatcher.joint as joint; print(joint.COMPILED, len(joint.__path__))"


def run(*words: str, interpreted: bool = False, at: Path = ROOT) -> str:
    """What a Python says that finds the packages of a folder."""
    env = {name: value for name, value in os.environ.items() if name != compiled.SWITCH}
    if interpreted:
        env[compiled.SWITCH] = "1"
    command = [sys.executable, "-c", *words]
    return subprocess.run(command, cwd=at, env=env, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def machine_code() -> None:
    """In CI, and wherever there is a C compiler, what runs is compiled."""
    if not COMPILED:
        why = "not compiled of these sources: scripts/compile does it where there is a C compiler"
        pytest.fail(why) if os.environ.get("CI") or shutil.which("cc") else pytest.skip(why)


@pytest.mark.usefixtures("machine_code")
def test_it_decides_the_same_either_way(tmp_path: Path) -> None:
    messages, truth, areas = build(11, TINY, processes=1)
    write(tmp_path, messages, truth, areas)
    words = ["from jiexun.start import main; main()", "cases", "replay", str(tmp_path / "world.jsonl")]
    words += ["--areas", str(tmp_path / "areas.geojson"), "--json"]
    said = run(*words)
    assert '"opened"' in said
    assert run(*words, interpreted=True) == said


def test_what_was_compiled_of_other_sources_is_left_alone(tmp_path: Path) -> None:
    copy = tmp_path / "dispatcher"
    shutil.copytree(ROOT / "dispatcher", copy, ignore=shutil.ignore_patterns("__pycache__", "api", "store", "console"))
    assert run(COUNT, at=tmp_path).split() == (["True", "2"] if COMPILED else ["False", "1"])
    with (copy / "joint" / "thing.py").open("a", encoding="utf8") as file:
        file.write("\n")
    assert run(COUNT, at=tmp_path).split() == ["False", "1"]
    assert run(COUNT, interpreted=True).split() == ["False", "1"]
