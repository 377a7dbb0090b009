"""Replay a .jsonl file of sightings and passes through the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from ingest.envelope import Envelope, parse_envelope
from ingest.rejected import Rejected

LONGEST_LINE = 16 << 20  # bytes; a pass of ten minutes has some hundred kilobytes


class Reads(Protocol):
    """A dispatcher: it takes an envelope, or raises ValueError for one that makes no sense."""

    def read(self, envelope: Envelope) -> object: ...


def replay_lines(path: Path, dispatcher: Reads) -> list[Rejected]:
    """Read every line in order of arrival. What could not be read comes back with its line number."""
    rejected = []
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                if len(line) > LONGEST_LINE:
                    raise ValueError(f"line of {len(line):,} bytes: at most {LONGEST_LINE:,}")
                dispatcher.read(parse_envelope(line))
            except ValueError as error:
                rejected.append(Rejected(str(error), line=number))
    return rejected
