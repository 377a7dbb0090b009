"""Cameras file: fields of one camera are put into a cameras.toml; everything else in it stays as a person wrote it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from vision.camera import Camera, read_cameras

ALWAYS = ("hfov_deg", "height_m", "pitch_deg", "yaw_deg")  # what a new camera's table says in any case
HEADER = re.compile(r"^\s*\[(.+)\]\s*(#.*)?$")
BARE = re.compile(r"^[A-Za-z0-9_-]+$")


def write_fields(path: Path, camera: str, fields: Mapping[str, float], declared: Camera) -> None:
    """Set fields of a camera in the file; a camera without a table gets one, from how it is declared so far.

    Raises ValueError, the file untouched, when it is written in a way that is not edited here.
    """
    before = path.read_text(encoding="utf-8-sig") if path.is_file() else ""
    after = edited(before, camera, fields, declared)
    fresh = path.with_name(f".{path.name}.new")
    try:
        fresh.write_text(after, encoding="utf-8")
        read_cameras(fresh)  # in range, or it is not put in place
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def edited(text: str, camera: str, fields: Mapping[str, float], declared: Camera) -> str:
    """The text of a cameras.toml with fields of a camera set. Raises ValueError when that cannot be done safely."""
    old = tomllib.loads(text)
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if _names(line, camera)), None)
    if start is None:
        wanted = {name: getattr(declared, name) for name in ALWAYS} | dict(fields)
        lines += [*([""] if lines else []), f"[{_key(camera)}]", *(f"{name} = {wanted[name]}" for name in wanted)]
    else:
        wanted = dict(fields)
        lines = _with_table(lines, start, fields)
    out = "\n".join(lines) + "\n"
    try:
        same = tomllib.loads(out) == old | {camera: old.get(camera, {}) | wanted}
    except tomllib.TOMLDecodeError:
        same = False
    if not same:
        told = ", ".join(f"{name} = {value}" for name, value in fields.items())
        raise ValueError(
            f"cameras.toml is written in a way that is not edited here: put in by hand, for {camera}: {told}"
        )
    return out


def _with_table(lines: list[str], start: int, fields: Mapping[str, float]) -> list[str]:
    """The lines with the table that begins at `start` changed; comments behind a value stay."""
    end = next((i for i in range(start + 1, len(lines)) if HEADER.match(lines[i])), len(lines))
    table, missing = lines[start:end], dict(fields)
    for i, line in enumerate(table):
        found = re.match(r"^(\s*)([A-Za-z0-9_]+)(\s*=\s*)([^#]*?)(\s*#.*)?$", line)
        if found and found[2] in missing:
            table[i] = f"{found[1]}{found[2]}{found[3]}{missing.pop(found[2])}{found[5] or ''}"
    last = max(i for i, line in enumerate(table) if line.strip() and not line.lstrip().startswith("#"))
    table[last + 1 : last + 1] = [f"{name} = {value}" for name, value in missing.items()]
    return lines[:start] + table + lines[end:]


def _names(line: str, camera: str) -> bool:
    found = HEADER.match(line)
    return bool(found) and found is not None and found[1].strip() in (camera, f'"{camera}"', f"'{camera}'")


def _key(camera: str) -> str:
    if BARE.match(camera):
        return camera
    escaped = camera.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
