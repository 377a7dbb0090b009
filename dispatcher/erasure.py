"""Erasure: what is left of a sighting or a pass when its vehicle is to be forgotten.

Left is what the case engine decides by: that something was seen, where the thing stands and when, and that somebody
looked at the spots where cases were. Gone are the names of vehicle and camera, the picture, and the way it drove. A
dispatcher that reads what is left comes to the same cases, so that nothing is told again. Ids stay: repeats of what
was erased must be known as such.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

import h3

from dispatcher.area import Areas
from dispatcher.engine import Engine
from dispatcher.place import Place
from dispatcher.places import INDEX_RESOLUTION
from ingest.envelope import Envelope
from ingest.frame import parse_rfc3339, rfc3339
from vision.sighting import PASS_TYPE, SIGHTING_TYPE, Pass

NOBODY = "erased"  # the name of vehicle and camera
SOURCE = "/vision/erased"
DAY = re.compile(r"\d{4}-\d\d-\d\d")
MARK = "erased"  # field of `data`: the day on which it was
SIGHTING_KEEPS = (
    "id", "pass", "kind", "matter", "confidence", "seen_at", "lat", "lon",
    "covariance_m2", "shared_covariance_m2", "frames", "model",
)  # fmt: skip
PASS_KEEPS = ("id", "model", "h3_resolution")


def erased(envelope: Envelope) -> bool:
    """Whether this is what was left of something."""
    return MARK in envelope.data


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What is to be erased: whatever meets all that is given."""

    vehicle: str | None = None
    within: Callable[[float, float], bool] | None = None  # by latitude and longitude
    before: datetime | None = None

    def takes(self, envelope: Envelope) -> bool:
        """Whether it takes a stored sighting or pass. Of a pass one spot within is enough."""
        data = envelope.data
        if envelope.type not in (SIGHTING_TYPE, PASS_TYPE):
            return False
        if self.vehicle is not None and data.get("vehicle") != self.vehicle:
            return False
        at = data["seen_at"] if envelope.type == SIGHTING_TYPE else data["ended_at"]
        if self.before is not None and parse_rfc3339(at) >= self.before:
            return False
        return self.within is None or self._within(envelope)

    def takes_report(self, lat: float, lon: float, at: datetime) -> bool:
        """Whether it takes a citizen's report of such a place and time. No vehicle made it."""
        if self.vehicle is not None or (self.before is not None and at >= self.before):
            return False
        return self.within is None or self.within(lat, lon)

    def _within(self, envelope: Envelope) -> bool:
        assert self.within is not None
        if envelope.type == SIGHTING_TYPE:
            return self.within(envelope.data["lat"], envelope.data["lon"])
        return any(self.within(*h3.cell_to_latlng(cell)) for cell in envelope.data["looked"])


def inside(areas: Areas, code: str) -> Callable[[float, float], bool]:
    """Whether a point lies in an area of any layer. Raises ValueError for a code that the areas do not have."""
    area = areas.get(code)
    if area is None:
        raise ValueError(f"the areas of this store have no {code}: `jiexun dispatch --areas` keeps them")

    @lru_cache(maxsize=200_000)  # passes look at the same cells again and again
    def holds(lat: float, lon: float) -> bool:
        return any(found.code == code for found in areas.covering(lat, lon))

    return holds


def left_of_sighting(envelope: Envelope, day: str) -> Envelope:
    """What stays of a sighting that is erased on a day."""
    return replace(envelope, source=SOURCE, data=left_of(envelope.data, day))


def left_of(data: Mapping[str, Any], day: str) -> dict[str, Any]:
    """The same of the `data` of a sighting."""
    kept: dict[str, Any] = {name: data.get(name) for name in SIGHTING_KEEPS}
    evidence = _evidence(data.get("evidence"), day)
    return kept | {"vehicle": NOBODY, "camera": NOBODY, "evidence": evidence, MARK: _marked(data, day)}


def left_of_pass(envelope: Envelope, spots: Collection[str], day: str) -> Envelope:
    """What stays of a pass: these of the cells that it looked at."""
    data = envelope.data
    looked = {cell: clear for cell, clear in data["looked"].items() if cell in spots}
    at = data["ended_at"] if looked else _midnight(data["ended_at"])
    kept: dict[str, Any] = {name: data.get(name) for name in PASS_KEEPS} | {
        "vehicle": NOBODY,
        "camera": NOBODY,
        "started_at": at,
        "ended_at": at,
        "looked": looked,
        "recall": data["recall"] if looked else {},
    }
    return replace(envelope, source=SOURCE, data=kept | {MARK: _marked(data, day)})


def spots(engine: Engine, item: Pass) -> set[str]:
    """The cells of a pass by which an engine judges, as it stands when it reads it."""
    return {cell for place in engine.places_in_view(item) for cell in _beside(item, place)}


def _beside(item: Pass, place: Place) -> set[str]:
    """The cells of a pass that say whether a place was in view, and how clearly."""
    resolution = item.h3_resolution
    lat, lon, _ = place.now.position
    wanted = set(h3.grid_disk(h3.latlng_to_cell(lat, lon, resolution), 1))
    if resolution > INDEX_RESOLUTION:
        wanted |= {cell for cell in item.looked if h3.cell_to_parent(cell, INDEX_RESOLUTION) in place.cells}
    else:
        wanted |= {h3.cell_to_parent(cell, resolution) for cell in place.cells}
    return wanted & item.looked.keys()


def _evidence(evidence: Any, day: str) -> dict[str, Any] | None:
    if not isinstance(evidence, dict):
        return None
    why = evidence.get("missing") if evidence.get("uri") is None else f"{MARK}: {day}"
    return {"uri": None, "sha256": None, "missing": why}


def _marked(data: Mapping[str, Any], day: str) -> str:
    """The day of the first time. A sender may have written anything there."""
    before = data.get(MARK)
    return before if isinstance(before, str) and DAY.fullmatch(before) else day


def _midnight(time: str) -> str:
    return rfc3339(parse_rfc3339(time).replace(hour=0, minute=0, second=0, microsecond=0))
