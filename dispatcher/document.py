"""The JSON document that `demo`, `replay` and `cases replay` print (WIRE.md)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from ingest.rejected import Rejected


class Entry(Protocol):
    """What has an entry in the document."""

    def document(self) -> dict[str, Any]: ...


class Decides(Protocol):
    """A case engine: the shipped one, or another."""

    def cases(self) -> Sequence[Entry]: ...

    def objects(self) -> Sequence[Entry]: ...


def document(engine: Decides, rejected: Iterable[Rejected], **more: Mapping[str, Any] | list[Any]) -> dict[str, Any]:
    """Cases, objects and what was rejected; `more` adds optional members."""
    return {
        "cases": [case.document() for case in engine.cases()],
        "objects": [anchor.document() for anchor in engine.objects()],
        "rejected": [entry.document() for entry in rejected],
        **more,
    }


def one_line(doc: Mapping[str, Any]) -> str:
    """A document on one line, without NaN."""
    return json.dumps(doc, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
