"""What the joint engine tells beyond `dispatcher/case.py`: merged cases, and objects that keep their id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dispatcher import case
from vision.sighting import Covariance


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseEvent(case.CaseEvent):
    """Something happened to a case. Beyond the shipped events there are `merged`, `split` and `verified`."""

    into: str | None = None  # of `merged`: the case that goes on with its sightings and alerts

    def document(self) -> dict[str, Any]:
        """As the shipped event's, and `into` where there is one."""
        into = {} if self.into is None else {"into": self.into}
        return self.case.document() | {"event": self.event} | into


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """A permanent object that is no violation (a bin): it anchors positions and is never pushed.

    Without sightings it is one that turned out to be another, and is no longer there.
    """

    id: str  # the same however its sightings change
    kind: str
    lat: float
    lon: float
    covariance_m2: Covariance
    sightings: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """The entry in `objects` of the JSON document."""
        return {
            "kind": self.kind,
            "lat": self.lat,
            "lon": self.lon,
            "covariance_m2": list(self.covariance_m2),
            "sightings": list(self.sightings),
        }
