"""Settings: read once from the environment, passed as arguments. Every field has a default that works on a laptop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

PREFIX = "JIEXUN_"
CHINA = ZoneInfo("Asia/Shanghai")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One process's settings. The environment variable of a field is JIEXUN_ and its name in capitals."""

    data: Path = Path("jiexun-data")  # where runs keep their store, evidence and rejected inputs
    model: str = "streetscape-v1"
    engine: str = "auto"  # what runs the model: see `jiexun doctor`
    timezone: ZoneInfo = CHINA  # of camera clocks that do not say
    every_m: float = 4.0  # one frame per so many metres of travel
    batch: int = 32  # frames a detector call: a few for every lane
    host: str = "127.0.0.1"
    port: int = 8000


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Settings from JIEXUN_* variables. Raises ValueError that names the variable."""
    values: dict[str, Any] = {}
    for field in fields(Settings):
        text = environment.get(PREFIX + field.name.upper())
        if text is not None and text != "":
            values[field.name] = _read(field.name, text)
    return Settings(**values)


def _read(name: str, text: str) -> Any:
    try:
        match name:
            case "data":
                return Path(text)
            case "timezone":
                return ZoneInfo(text)
            case "every_m":
                return float(text)
            case "batch" | "port":
                return int(text)
            case _:
                return text
    except (ValueError, ZoneInfoNotFoundError) as error:
        raise ValueError(f"{PREFIX}{name.upper()}={text!r}: {error}") from None
