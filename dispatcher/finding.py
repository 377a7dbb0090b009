"""Finding: one thing that is to be said about an areas file."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """What sort of thing it is. The first four cost an area, or all of them."""

    EMPTY = "empty"
    DROPPED = "dropped"
    DUPLICATE = "duplicate-code"
    LEFT_OUT = "other-layer"
    CROSSES = "self-intersection"
    OVERLAP = "overlap"
    GAP = "gap"
    OUTSIDE = "outside-parent"
    PARENT = "unknown-parent"
    CODE = "code"
    NAME = "name"
    DATUM = "datum"


COSTLY = frozenset({Fault.EMPTY, Fault.DROPPED, Fault.DUPLICATE})


@dataclass(frozen=True, slots=True)
class Finding:
    """For a person: `text` is a sentence. For a program: `fault`."""

    fault: Fault
    text: str

    def document(self) -> dict[str, str]:
        return {"fault": str(self.fault), "text": self.text}
