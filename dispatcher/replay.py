"""Replay a .jsonl file of sightings and passes through the engine."""

from __future__ import annotations

from pathlib import Path

from dispatcher.dispatch import Dispatcher
from ingest.envelope import parse_envelope
from ingest.rejected import Rejected

LONGEST_LINE = 16 << 20  # bytes; a pass of ten minutes has some hundred kilobytes


def replay_lines(path: Path, dispatcher: Dispatcher) -> list[Rejected]:
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
