"""What the joint engine tells beyond `dispatcher/case.py`: merged cases, and objects that keep their id."""

from __future__ import annotations

from dataclasses import dataclass

from dispatcher import case


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseEvent(case.CaseEvent):
    """Something happened to a case. Beyond the shipped events there are `merged`, `split` and `verified`."""

    into: str | None = None  # of `merged`: the case that goes on with its sightings and alerts, `merged_into` of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor(case.Anchor):
    """A permanent object that is no violation (a bin): it anchors positions and is never pushed.

    Without sightings it is one that turned out to be another, and is no longer there.
    """

    id: str  # the same however its sightings change

    @property
    def key(self) -> str:
        """As what a store keeps it."""
        return self.id
