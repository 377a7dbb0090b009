"""Rejected: an input that could not be used, and why. Bad data is a value; it never stops a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Rejected:
    """A picture, row or line that was refused. Listed in the summary, kept for inspection."""

    reason: str  # one sentence, for people
    file: str | None = None  # a picture of a drive, relative to it
    row: int | None = None  # line of frames.csv, counted from 1 with the header
    line: int | None = None  # line of a .jsonl file, counted from 1

    def document(self) -> dict[str, Any]:
        """The entry in `rejected` of the JSON document."""
        where = {"file": self.file, "row": self.row, "line": self.line}
        return {name: value for name, value in where.items() if value is not None} | {"reason": self.reason}
