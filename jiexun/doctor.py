"""Command `doctor`: what is installed, what works, what is missing and how to get it."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import sqlite3
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import onnxruntime
import typer
from rich.markup import escape
from rich.table import Table

from dispatcher.document import one_line
from dispatcher.store.database import POSTGRESQL, StoreUnavailable, looked_at
from jiexun.live import SAMPLE
from jiexun.options import Json, explained
from jiexun.privacy import gate
from jiexun.report import console
from jiexun.settings import Settings
from models.card import ModelUnusable, shipped_models
from vision.engine import cores
from vision.engine_onnxruntime import OnnxRuntimeEngine
from vision.engines import chosen
from vision.privacy import PrivacyUnavailable

RUNTIME = ("numpy", "opencv-python", "onnxruntime", "fastapi", "uvicorn", "sqlalchemy", "shapely", "h3", "scipy")
TRAINING = ("ultralytics", "torch", "onnx")


def doctor(json: Json = False) -> None:
    """Say what is installed, which execution providers work, what is missing and how to get it.

    Examples:

        jiexun doctor
    """
    with explained() as settings:
        report = doctor_report(settings)
        print(one_line(report)) if json else print_doctor(report)
        if not report["ok"]:
            raise typer.Exit(1)


def doctor_report(settings: Settings) -> dict[str, Any]:
    """Every check with its outcome; `ok` is False when the demo could not run."""
    checks = [
        _check("python", sys.version_info >= (3, 11), platform.python_version(), "install Python 3.11 or newer"),
        *(_package(name, required=True) for name in RUNTIME),
        _opencv(),
        *_models(),
        _privacy(settings),
        _writable(settings.data),
        *_store(settings),
        _check("sample drive", (SAMPLE / "frames.csv").is_file(), str(SAMPLE), "run from a clone of the project"),
        *(_package(name, required=False) for name in TRAINING),
        _program("chromium", "browser tests: apt-get install chromium fonts-noto-cjk"),
    ]
    return {
        "ok": all(check["ok"] for check in checks if check["required"]),
        "version": _version("jiexun") or "not installed",
        "machine": {"cores": cores(), "system": platform.platform(), "processor": processor()},
        "providers": onnxruntime.get_available_providers(),
        "sqlite": sqlite3.sqlite_version,
        "checks": checks,
    }


def print_doctor(report: dict[str, Any]) -> None:
    """The report as a table, on standard error."""
    machine = report["machine"]
    console.print(
        f"Jiexun {report['version']} · {machine['cores']} cores · {machine['processor']} · {machine['system']}"
    )
    console.print(f"execution providers of onnxruntime: {', '.join(report['providers'])}")
    table = Table(header_style="bold")
    for heading in ("", "what", "found", "how to get it"):
        table.add_column(heading, overflow="fold")
    for check in report["checks"]:
        mark = "[green]✓[/]" if check["ok"] else "[red]✗[/]" if check["required"] else "[dim]–[/]"
        table.add_row(mark, check["name"], check["found"], "" if check["ok"] else escape(check["remedy"]))
    console.print(table)
    console.print("ready" if report["ok"] else "[red]something that Jiexun needs is missing[/]")


def _check(name: str, ok: bool, found: str, remedy: str, *, required: bool = True) -> dict[str, Any]:
    return {"name": name, "ok": ok, "required": required, "found": found, "remedy": remedy}


def _package(name: str, *, required: bool) -> dict[str, Any]:
    found = _version(name)
    remedy = "make install" if required else "for training only: .venv/bin/pip install -e '.[train]' (several GB)"
    return _check(name, found is not None, found or "not installed", remedy, required=required)


def _opencv() -> dict[str, Any]:
    try:
        importlib.import_module("cv2")
    except ImportError as error:
        return _check("import cv2", False, str(error), "apt-get install libgl1 libglib2.0-0 libxcb1")
    return _check("import cv2", True, "works", "")


def _models() -> list[dict[str, Any]]:
    try:
        cards = shipped_models()
    except ModelUnusable as error:
        return [_check("models", False, str(error), "put the released files back")]
    checks = []
    for card in cards:
        try:
            engine, tried = chosen(card)
        except ModelUnusable as error:
            checks.append(_check(f"model {card.name}", False, str(error), "put the released file back"))
            continue
        found = ", ".join(card.classes)
        checks.append(_check(f"model {card.name}", engine is not None, found, "no engine runs here: see below"))
        if isinstance(engine, OnnxRuntimeEngine) and engine.device != "CPU":
            why = engine.codec_reason
            checks.append(_check("JPEGs on the card", not why, "nvJPEG" if not why else "no", why, required=False))
        for one in tried:
            name = f"engine {one.engine}"
            checks.append(
                _check(name, one.works, "auto takes it" if one.works else "passed over", one.reason, required=False)
            )
    return checks


def _privacy(settings: Settings) -> dict[str, Any]:
    try:
        gate(settings)()
    except PrivacyUnavailable as error:
        remedy = "without it no evidence picture is stored: put models/privacy back, or set the key"
        return _check("privacy gate", False, str(error), remedy)
    return _check("privacy gate", True, "faces, heads and plates are covered", "")


def _writable(folder: Path) -> dict[str, Any]:
    place = next(path for path in (folder, *folder.resolve().parents) if path.exists())
    ok = place.is_dir() and os.access(place, os.W_OK)
    return _check("results folder", ok, str(folder), "set JIEXUN_DATA to a folder that can be written")


def _store(settings: Settings) -> list[dict[str, Any]]:
    """Of a store in PostgreSQL: whether it answers, and whether GIS programs can open it."""
    if not settings.store.startswith(POSTGRESQL):
        return []
    try:
        found = looked_at(settings.store)
    except StoreUnavailable as error:
        return [_check("store", False, str(error), "start the server, or see JIEXUN_STORE")]
    has = (
        "views cases_geo, areas_geo" if found.views else f"PostGIS {found.installed or found.offered or 'is not there'}"
    )
    return [
        _check("store", True, "answers", ""),
        _check("views for GIS", found.views, has, f"{found.lacks}; nothing else needs it", required=False),
    ]


def _program(name: str, remedy: str) -> dict[str, Any]:
    found = shutil.which(name)
    return _check(name, found is not None, found or "not found", remedy, required=False)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def processor() -> str:
    """The processor's name, as far as the machine tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
