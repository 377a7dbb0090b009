"""Command: what a person decides about cases. Read like any other input, so that a replay comes to the same cases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MERGE_TYPE = "cn.jiexun.command.merge.v1"
SPLIT_TYPE = "cn.jiexun.command.split.v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """Two cases are one: `other` goes on in `case`."""

    id: str
    case: str
    other: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Some sightings of a case are of something else."""

    id: str
    case: str
    sightings: tuple[str, ...]
    by: str


def parse_merge(data: dict[str, Any]) -> Merge:
    """Read `data` of a merge. Raises ValueError naming the field that is wrong."""
    id, case, other, by = (_text(data, name) for name in ("id", "case", "other", "by"))
    return Merge(id=id, case=case, other=other, by=by)


def parse_split(data: dict[str, Any]) -> Split:
    """Read `data` of a split. Raises ValueError naming the field that is wrong."""
    sightings = data.get("sightings")
    if not isinstance(sightings, list) or not sightings or not all(isinstance(s, str) for s in sightings):
        raise ValueError(f"sightings must be a non-empty list of ids, got {sightings!r}")
    id, case, by = (_text(data, name) for name in ("id", "case", "by"))
    return Split(id=id, case=case, sightings=tuple(dict.fromkeys(sightings)), by=by)


def _text(data: dict[str, Any], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} must be a non-empty text, got {value!r}")
    return value
