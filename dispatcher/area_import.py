"""Areas that come from elsewhere, one layer at a time: their datum, their layer and their parents are made ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

import numpy as np

from dispatcher.access.scope import stem
from dispatcher.area import FINENESS, Layer, document_of
from dispatcher.finding import Fault, Finding
from ingest.gcj02 import wgs84_from_gcj02

ABOVE = {Layer.DISTRICT: 4, Layer.STREET: 6, Layer.COMMUNITY: 9, Layer.GRID: 12}  # digits that the area above has


class Datum(StrEnum):
    """What the coordinates of a file are. WGS-84 and CGCS2000 differ by centimetres; GCJ-02 is some 350 m off."""

    WGS84 = "wgs84"
    CGCS2000 = "cgcs2000"
    GCJ02 = "gcj02"


def prepared(text: str, name: str, layer: Layer | None, datum: Datum) -> tuple[dict[str, Any], list[Finding]]:
    """A file as a FeatureCollection in WGS-84 whose features name their layer. Raises ValueError for no GeoJSON.

    With `layer`, features without one are of it, and those of others are left out.
    """
    document = document_of(text, name)
    features, findings = [], []
    for number, feature in enumerate(document["features"], start=1):
        properties = feature.get("properties") if isinstance(feature, dict) else None
        if not isinstance(properties, dict):
            features.append(feature)  # to be dropped with the reason
            continue
        own = str(properties.get("layer") or layer or "").strip().lower()
        if layer is not None and own != layer:
            text = f"Feature {number} ({properties.get('code')}) was left out: its layer is {own!r}, not {layer}."
            findings.append(Finding(Fault.LEFT_OUT, text))
            continue
        features.append(feature | {"properties": properties | ({"layer": own} if own else {})})
    if datum is Datum.GCJ02:
        features = [_moved(feature) for feature in features]
    return document | {"features": features}, findings


def merged(kept: Mapping[str, Any] | None, new: Mapping[str, Any]) -> dict[str, Any]:
    """The kept areas, those of the layers in `new` replaced by them, and parents named where codes tell them."""
    replaced = {layer for feature in new["features"] if (layer := _property(feature, "layer"))}
    stay = [f for f in (kept or {}).get("features", ()) if _property(f, "layer") not in replaced]
    features = _adopted([*stay, *new["features"]])
    return dict(kept or {}) | dict(new) | {"features": features}


def _adopted(features: list[Any]) -> list[Any]:
    """With the parent that the code of an area begins with, where it names none or writes that one otherwise."""
    known: dict[tuple[str, int], str] = {}  # stem and fineness -> code
    for code, layer, _ in _coded(features):
        known.setdefault((stem(code), FINENESS[layer]), code)
    codes = {code for code, _, _ in _coded(features)}
    out = []
    for feature in features:
        found = next(_coded([feature]), None)
        if found is None or found[2] in codes:
            out.append(feature)
            continue
        code, layer, parent = found
        wanted = stem(parent) if parent is not None else code[: ABOVE.get(layer, 0)]
        levels = range(FINENESS[layer] - 1, -1, -1)
        above = next((known[wanted, level] for level in levels if (wanted, level) in known), parent)
        out.append(feature if above is None else feature | {"properties": feature["properties"] | {"parent": above}})
    return out


def _coded(features: list[Any]) -> Iterator[tuple[str, Layer, str | None]]:
    """Code, layer and parent of the features that have a code and a layer."""
    for feature in features:
        code, layer = _property(feature, "code"), _property(feature, "layer")
        if code and layer in set(Layer):
            yield code, Layer(layer), _property(feature, "parent") or None


def _property(feature: Any, name: str) -> str:
    """As text; GIS programs write codes as numbers."""
    properties = feature.get("properties") if isinstance(feature, dict) else None
    value = properties.get(name) if isinstance(properties, dict) else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _moved(feature: Any) -> Any:
    """From GCJ-02. What is no polygon stays as it is, to be dropped with the reason."""
    geometry = feature.get("geometry") if isinstance(feature, dict) else None
    if not isinstance(geometry, dict):
        return feature
    return feature | {"geometry": geometry | {"coordinates": _unshifted(geometry.get("coordinates"))}}


def _unshifted(coordinates: Any) -> Any:
    """Positions at any depth; a ring at once."""
    if not isinstance(coordinates, list):
        return coordinates
    try:
        ring = np.array([position[:2] for position in coordinates], dtype=np.float64)
    except (ValueError, TypeError, KeyError, OverflowError):
        return [_unshifted(inner) for inner in coordinates]
    if ring.ndim != 2 or ring.shape[1:] != (2,):
        return [_unshifted(inner) for inner in coordinates]
    lat, lon = wgs84_from_gcj02(ring[:, 1], ring[:, 0])
    return np.stack([lon, lat], -1).tolist()
