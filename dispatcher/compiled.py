"""Compiled: makes and finds machine code of the joint engine's modules. The source stays plain typed Python.

`python -m dispatcher.compiled` translates them with mypyc (https://mypyc.readthedocs.io) and a C compiler into a folder
beside them, together with a digest of what they were made from. Where that is not what the sources say now, or nothing
was compiled, the engine runs as any Python does: it decides the same, and takes several times as long.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import sysconfig
import tempfile
from importlib.metadata import version
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

SWITCH = "JIEXUN_INTERPRETED"  # set to anything: what is compiled is left alone
PACKAGE = "dispatcher/joint"
GROUP = "jiexun_joint"  # mypyc puts all modules into one library of this name
BUILT = "built"
DIGEST = "digest"
# They only carry data, or inherit from what is not compiled.
PLAIN = frozenset({"__init__", "case", "command", "dispatch", "live", "snapshot"})
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX") or ".so"


def use(path: list[str]) -> bool:
    """Let a package, by its `__path__`, import compiled modules where they are of these very sources."""
    folder = Path(path[0])
    built = folder / BUILT
    if os.environ.get(SWITCH) or not _current(folder):
        return False
    name = f"{GROUP}__mypyc"
    spec = spec_from_file_location(name, built / f"{name}{SUFFIX}")
    if spec is None or spec.loader is None:
        return False
    sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
    path.insert(0, str(built / PACKAGE))
    return True


def build(root: Path) -> None:
    """Compile the modules under a folder that holds `dispatcher/`, unless that was done.

    Raises ImportError without mypy, and what setuptools raises without a C compiler or Python's headers.
    """
    folder = root / PACKAGE
    if _current(folder):
        return
    from mypyc.build import mypycify
    from setuptools import setup  # type: ignore[import-untyped]  # no stubs, and only who compiles has it

    os.chdir(root)
    modules = [f"{PACKAGE}/{module.name}" for module in _sources(folder) if module.stem not in PLAIN]
    with tempfile.TemporaryDirectory() as scratch:
        flags = [
            "--config-file=",
            f"--cache-dir={scratch}/cache",
            "--follow-imports=silent",
            "--ignore-missing-imports",
        ]
        where = f"{scratch}/c"
        extensions = mypycify([*flags, *modules], group_name=GROUP, target_dir=where, opt_level="3", debug_level="0")
        steps = ["--quiet", "build_ext", f"--build-lib={scratch}/lib", f"--build-temp={scratch}/objects"]
        setup(name=GROUP, packages=[], py_modules=[], ext_modules=extensions, script_args=steps)
        (Path(scratch) / "lib" / DIGEST).write_text(_digest(folder))
        shutil.rmtree(folder / BUILT, ignore_errors=True)
        shutil.copytree(Path(scratch) / "lib", folder / BUILT)


def _current(folder: Path) -> bool:
    try:
        return (folder / BUILT / DIGEST).read_text() == _digest(folder)
    except OSError:
        return False


def _digest(folder: Path) -> str:
    """Of the sources, and of the Python and the run-time library that the result is for."""
    digest = hashlib.sha256(f"{SUFFIX} {version('librt')}".encode())
    for module in _sources(folder):
        digest.update(f"{module.name}\0{hashlib.sha256(module.read_bytes()).hexdigest()}\0".encode())
    return digest.hexdigest()


def _sources(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.py"))


def main() -> int:
    """Compile; with `--check` only tell by the exit status whether that was done."""
    root = Path(__file__).resolve().parent.parent
    if "--check" in sys.argv[1:]:
        return 0 if _current(root / PACKAGE) else 1
    build(root)
    return 0


if __name__ == "__main__":
    sys.exit(main())
