"""Sighting and Pass: what leaves the vision side. WIRE.md gives their JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import h3

from ingest.envelope import Envelope
from ingest.frame import parse_rfc3339, rfc3339

SIGHTING_TYPE = "cn.jiexun.sighting.v1"
PASS_TYPE = "cn.jiexun.pass.v1"  # nosec B105
H3_RESOLUTIONS = (10, 15)  # cells of 15,000 m² to 0.9 m²: coarser ones say nothing of a place
MAX_SIGMA_M = 1000.0  # a position vaguer than this names no place

Covariance = tuple[float, float, float]  # m²: east-east, east-north, north-north


class Pictured(Protocol):
    """The best picture of a sighting, faces made unrecognisable, and the box of the thing in it.

    Asking may take as long as the picture takes to be made and kept.
    """

    @property
    def uri(self) -> str | None:
        """Relative to the evidence folder; None when nothing could be stored."""

    @property
    def sha256(self) -> str | None: ...

    @property
    def box_xyxy(self) -> tuple[int, int, int, int] | None:
        """In pixels of that picture."""

    @property
    def missing(self) -> str | None:
        """Why there is no picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Evidence that is made, or known to be missing."""

    uri: str | None
    sha256: str | None
    box_xyxy: tuple[int, int, int, int] | None
    missing: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One physical thing seen by one vehicle in one pass. Travels on topic `sightings`."""

    id: str
    pass_id: str
    vehicle: str
    camera: str
    kind: str  # class name of the model: an open set
    matter: str | None  # 5-digit code of GB/T 47678.5-2026; None for an object that is no violation
    confidence: float  # calibrated probability that the thing is there
    seen_at: datetime
    lat: float  # WGS-84 degrees
    lon: float
    covariance_m2: Covariance  # total
    shared_covariance_m2: Covariance  # the part all sightings of the pass within some hundred metres have in common
    frames: int  # how many frames showed it
    model: str  # "streetscape-v1@sha256:…"
    evidence: Pictured | None = None

    def document(self) -> dict[str, Any]:
        """`data` of the envelope."""
        evidence: dict[str, Any] | None = None
        if self.evidence is not None:
            evidence = {"uri": self.evidence.uri, "sha256": self.evidence.sha256}
            if self.evidence.box_xyxy is not None:
                evidence["box_xyxy"] = list(self.evidence.box_xyxy)
            if self.evidence.missing is not None:
                evidence["missing"] = self.evidence.missing
        return {
            "id": self.id,
            "pass": self.pass_id,
            "vehicle": self.vehicle,
            "camera": self.camera,
            "kind": self.kind,
            "matter": self.matter,
            "confidence": self.confidence,
            "seen_at": rfc3339(self.seen_at),
            "lat": self.lat,
            "lon": self.lon,
            "covariance_m2": list(self.covariance_m2),
            "shared_covariance_m2": list(self.shared_covariance_m2),
            "frames": self.frames,
            "model": self.model,
            "evidence": evidence,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One camera of one vehicle on one stretch of street, whether or not it saw anything. Topic `passes`."""

    id: str
    vehicle: str
    camera: str
    started_at: datetime
    ended_at: datetime
    model: str
    h3_resolution: int
    looked: dict[str, float]  # H3 cell -> probability that it was in clear view
    recall: dict[str, float]  # kind -> probability that the model reports a thing in clear view

    def document(self) -> dict[str, Any]:
        """`data` of the envelope."""
        return {
            "id": self.id,
            "vehicle": self.vehicle,
            "camera": self.camera,
            "started_at": rfc3339(self.started_at),
            "ended_at": rfc3339(self.ended_at),
            "model": self.model,
            "h3_resolution": self.h3_resolution,
            "looked": self.looked,
            "recall": self.recall,
        }


def enveloped(item: Sighting | Pass, *, made_at: datetime) -> Envelope:
    """Put a sighting or pass in its envelope; `made_at` is the producer's clock."""
    kind = SIGHTING_TYPE if isinstance(item, Sighting) else PASS_TYPE
    return Envelope(id=item.id, type=kind, source=f"/vision/{item.vehicle}", time=made_at, data=item.document())


def parse_sighting(data: dict[str, Any]) -> Sighting:
    """Read `data` of a sighting. Raises ValueError naming the field that is wrong. Unknown fields are ignored."""
    evidence = data.get("evidence")
    return Sighting(
        id=_text(data, "id"),
        pass_id=_text(data, "pass"),
        vehicle=_text(data, "vehicle"),
        camera=_text(data, "camera"),
        kind=_text(data, "kind"),
        matter=None if data.get("matter") is None else _text(data, "matter"),
        confidence=_number(data, "confidence", 0.0, 1.0),
        seen_at=_time(data, "seen_at"),
        lat=_number(data, "lat", -90.0, 90.0),
        lon=_number(data, "lon", -180.0, 180.0),
        covariance_m2=_covariance(data, "covariance_m2"),
        shared_covariance_m2=_covariance(data, "shared_covariance_m2", may_be_zero=True),
        frames=round(_number(data, "frames", 1, 1e6)),
        model=_text(data, "model"),
        evidence=_evidence(evidence) if isinstance(evidence, dict) else None,
    )


def parse_pass(data: dict[str, Any]) -> Pass:
    """Read `data` of a pass. Raises ValueError naming the field that is wrong. Unknown fields are ignored."""
    started, ended = _time(data, "started_at"), _time(data, "ended_at")
    if ended < started:
        raise ValueError("ended_at is before started_at")
    resolution = round(_number(data, "h3_resolution", *H3_RESOLUTIONS))
    return Pass(
        id=_text(data, "id"),
        vehicle=_text(data, "vehicle"),
        camera=_text(data, "camera"),
        started_at=started,
        ended_at=ended,
        model=_text(data, "model"),
        h3_resolution=resolution,
        looked=_cells(data, resolution),
        recall=_fractions(data, "recall"),
    )


def _text(data: dict[str, Any], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} must be a non-empty text, got {value!r}")
    if "\x00" in value:
        raise ValueError(f"{name} holds a zero byte, which no database takes: {value!r}")
    return value


def _number(data: dict[str, Any], name: str, low: float, high: float) -> float:
    return _within(data.get(name), name, low, high)


def _within(value: Any, name: str, low: float, high: float) -> float:
    if type(value) is float and low <= value <= high:  # as nearly all are
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{name} must be a number from {low:g} to {high:g}, got {value!r}")
    return float(value)


def _time(data: dict[str, Any], name: str) -> datetime:
    try:
        return parse_rfc3339(_text(data, name))
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{name}: {error}") from None


def _covariance(data: dict[str, Any], name: str, *, may_be_zero: bool = False) -> Covariance:
    value = data.get(name)
    if not isinstance(value, list) or len(value) != 3:
        raise ValueError(f"{name} must be [east-east, east-north, north-north] in m², got {value!r}")
    ee, en, nn = [_within(v, name, -(MAX_SIGMA_M**2), MAX_SIGMA_M**2) for v in value]
    smallest = (ee + nn) / 2 - math.hypot((ee - nn) / 2, en)
    if smallest < (-1e-6 if may_be_zero else 1e-9):
        raise ValueError(f"{name} is not a covariance: {value!r}")
    return ee, en, nn


def _fractions(data: dict[str, Any], name: str) -> dict[str, float]:
    value = data.get(name)
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be an object, got {value!r}")
    if all(type(part) is float and 0.0 <= part <= 1.0 for part in value.values()):
        return value  # nearly always, and there are hundreds
    return {key: _number(value, key, 0.0, 1.0) for key in value}


def _evidence(data: dict[str, Any]) -> Evidence:
    box = data.get("box_xyxy")
    corners: tuple[int, int, int, int] | None = None
    if box is not None:
        if not isinstance(box, list) or len(box) != 4:
            raise ValueError(f"evidence.box_xyxy must be [x1, y1, x2, y2] in pixels, got {box!r}")
        x1, y1, x2, y2 = (round(_within(v, "evidence.box_xyxy", -1e6, 1e6)) for v in box)
        corners = (x1, y1, x2, y2)
    for name in ("uri", "sha256", "missing"):
        if not isinstance(data.get(name), str | None):
            raise ValueError(f"evidence.{name} must be a text, got {data[name]!r}")
    return Evidence(uri=data.get("uri"), sha256=data.get("sha256"), box_xyxy=corners, missing=data.get("missing"))


def _cells(data: dict[str, Any], resolution: int) -> dict[str, float]:
    looked = _fractions(data, "looked")
    start = f"8{resolution:x}"  # of the fifteen digits that a cell is written with
    for cell in looked:
        written = len(cell) == 15 and cell.startswith(start)
        if not h3.is_valid_cell(cell) or not (written or h3.get_resolution(cell) == resolution):
            raise ValueError(f"looked: {cell!r} is no H3 cell of resolution {resolution}")
    return looked
