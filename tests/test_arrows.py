"""The arrows: who may import whom, and where heavy or particular libraries may appear."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ORDER = ("ingest", "models", "vision", "dispatcher", "jiexun")  # each may import itself and those before it
TRAINING = {
    "models/paste.py",
    "models/polish.py",
    "models/train.py",
    "models/export.py",
    *(f"models/plates/{name}.py" for name in ("cells", "drawn", "learn", "net")),
    *(f"models/stalls/{name}.py" for name in ("blend", "compose", "features", "net", "real", "tune")),
}


def imports() -> Iterator[tuple[str, str]]:
    """(file, module) of every import in the packages and benchmarks, those inside functions too."""
    for package in (*ORDER, "benchmarks"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
                if isinstance(node, ast.Import):
                    yield from ((str(path.relative_to(ROOT)), name.name) for name in node.names)
                elif isinstance(node, ast.ImportFrom):
                    assert node.level == 0, f"{path}: relative import"
                    names = [f"{node.module}.{name.name}" for name in node.names]
                    yield from ((str(path.relative_to(ROOT)), name) for name in names)


FOUND = list(imports())


def importers(library: str) -> set[str]:
    return {file for file, module in FOUND if module.split(".")[0] == library}


def test_imports_point_upstream_only() -> None:
    rank = {package: i for i, package in enumerate(ORDER)}
    own = [(file, module) for file, module in FOUND if module.split(".")[0] in ORDER and not file.startswith("bench")]
    assert len(own) > 100  # the walk found the code
    wrong = [(file, m) for file, m in own if rank[m.split(".")[0]] > rank[file.split("/")[0]]]
    assert wrong == []


def test_of_vision_the_dispatcher_imports_only_sightings() -> None:
    found = {m for file, m in FOUND if file.startswith("dispatcher/") and m.startswith("vision")}
    assert found
    assert all(module.startswith("vision.sighting.") for module in found)


@pytest.mark.parametrize("library", ["onnxruntime", "cv2"])
def test_the_dispatcher_does_without_the_vision_libraries(library: str) -> None:
    users = importers(library)
    assert any(file.startswith("vision/") for file in users)
    assert not any(file.startswith(("dispatcher/", "models/")) for file in users - TRAINING)


MEASURED_BESIDE = {"benchmarks/ways.py"}  # imports ultralytics where it is installed, to be compared with it


@pytest.mark.parametrize("library", ["torch", "ultralytics"])
def test_only_training_imports_what_training_needs(library: str) -> None:
    assert importers(library) <= TRAINING | MEASURED_BESIDE


SCHEMAS = [f"dispatcher/api/{name}schemas.py" for name in ("", "work_", "office_")]


@pytest.mark.parametrize(
    ("library", "places"),
    [
        ("kafka", ("ingest/bus.py", "ingest/clusterwide.py", "ingest/receive.py")),
        ("pydantic", ("dispatcher/api/asked.py", *SCHEMAS)),
        ("sqlalchemy", ("dispatcher/store/", "benchmarks/stocked.py")),
        ("typer", ("jiexun/", "benchmarks/")),
    ],
)
def test_a_particular_library_stays_in_its_place(library: str, places: tuple[str, ...]) -> None:
    assert [file for file in importers(library) if not file.startswith(places)] == []


def test_a_dispatcher_process_loads_no_vision_library() -> None:
    program = """if True:
        import sys, dispatcher.engine, dispatcher.api.app, dispatcher.api.serve, dispatcher.replay
        heavy = {"onnxruntime", "cv2", "torch", "ultralytics", "jiexun"}
        vision = {name for name in sys.modules if name.startswith("vision.")}
        print(sorted(heavy & set(sys.modules)), sorted(vision))
    """
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] ['vision.sighting']"


def loaded_by(program: str, libraries: set[str]) -> set[str]:
    """Which of the libraries a Python loads that runs the program and nothing else."""
    code = f"import sys; {program}; print(*({libraries} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_no_command_loads_what_training_needs() -> None:
    program = "import jiexun.cli; dict(jiexun.cli.COMMANDS)"
    libraries = {"torch", "ultralytics", "onnx", "sqlalchemy", "onnxruntime"}
    assert loaded_by(program, libraries) == {"sqlalchemy", "onnxruntime"}  # all commands were loaded


@pytest.mark.parametrize(
    ("command", "spared"),
    [
        ("publish", {"sqlalchemy", "fastapi", "onnxruntime", "openvino"}),
        ("worker", {"sqlalchemy", "fastapi"}),
        ("dispatch", {"fastapi", "onnxruntime", "openvino"}),
        ("deliver", {"fastapi", "onnxruntime", "openvino"}),
    ],
)
def test_a_command_starts_without_the_libraries_of_others(command: str, spared: set[str]) -> None:
    assert loaded_by(f"import jiexun.cli; jiexun.cli.COMMANDS[{command!r}]", spared) == set()
