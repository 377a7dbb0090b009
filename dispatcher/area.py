"""Area: a polygon with an owner, and the areas of a run. Read from GeoJSON (RFC 7946)."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import shapely
from numpy.typing import ArrayLike
from shapely import Point, STRtree, box

from dispatcher.finding import Fault, Finding
from dispatcher.holding import Holding, Ints
from dispatcher.polygon import MIN_AREA_M2, Surface, area_m2, outline, parsed_polygon, surface
from ingest.geo import Floats


class Layer(StrEnum):
    """The levels of administration, coarse to fine (the order of declaration)."""

    CITY = "city"
    DISTRICT = "district"
    STREET = "street"
    COMMUNITY = "community"
    GRID = "grid"


SQUARES_DEG = (0.001, 0.000_25)  # some 100 m; and 25 m, for those that a border comes near to
FINENESS = {layer: rank for rank, layer in enumerate(Layer)}
# Cases go to the community; without communities to the next office above it that the file knows.
ROUTING = (Layer.COMMUNITY, Layer.STREET, Layer.DISTRICT)
CODE_DIGITS = {
    Layer.CITY: (4, 6, 12),
    Layer.DISTRICT: (6, 12),
    Layer.STREET: (9, 12),
    Layer.COMMUNITY: (12,),
    Layer.GRID: (15,),
}
SAME_DATUM = ("CRS84", "4326", "4490")  # WGS-84 and CGCS2000 differ by centimetres


@dataclass(frozen=True, slots=True)
class Area:
    """One polygon and whose it is."""

    code: str  # "440304004101"
    name: str  # "榕荫社区"
    layer: Layer
    parent: str | None  # code of the area it belongs to; the file may lack it
    polygon: Surface  # valid; x = lon, y = lat, WGS-84 degrees


class Areas:
    """The areas of a run, indexed once. Immutable; codes are unique across layers.

    `properties` holds, by code, what the file says beyond the four fields of `Area`; `members` the file's own
    top-level members (`attribution`). Both are only passed on to the page.
    """

    def __init__(
        self,
        areas: Iterable[Area],
        properties: Mapping[str, Mapping[str, Any]] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        ordered = sorted(areas, key=lambda area: (FINENESS[area.layer], area.code))
        self._by_code = {area.code: area for area in ordered}
        if len(self._by_code) != len(ordered):
            raise ValueError("two areas have the same code")
        self._properties = dict(properties or {})
        self._members = dict(members or {})
        self._all = tuple(ordered)
        self._tree = _indexed(self._all)
        layers = {area.layer for area in ordered}
        finest = max(layers, key=FINENESS.__getitem__, default=None)
        self.routing_layer: Layer | None = next((layer for layer in ROUTING if layer in layers), finest)
        self._routing = () if self.routing_layer is None else self.of_layer(self.routing_layer)
        self._routing_tree = _indexed(self._routing)
        self._holding: dict[Layer, Holding] = {}  # of the layers that were asked for
        self._paths: dict[str, str] = {}  # of the codes that were asked for
        self._alone: dict[tuple[float, int, int], Area | None] = {}  # by square, where somebody asked: see `alone`
        self._overlap: dict[tuple[str, str], bool] = {}  # of the pairs that were asked for
        self._outlines: dict[str, Floats] = {}

    @classmethod
    def none(cls) -> Areas:
        """For a run without areas: everything is unowned."""
        return cls(())

    def __iter__(self) -> Iterator[Area]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def of_layer(self, layer: Layer) -> tuple[Area, ...]:
        """In order of code."""
        return tuple(area for area in self._all if area.layer == layer)

    def get(self, code: str) -> Area | None:
        return self._by_code.get(code)

    def parents(self) -> dict[str, str]:
        """By code, the code of the area above, whether the file has that one or not."""
        return {area.code: area.parent for area in self._all if area.parent is not None}

    def name(self, code: str) -> str:
        """For people; the code itself where the file does not know it."""
        area = self._by_code.get(code)
        return code if area is None else area.name

    def path(self, code: str) -> str:
        """As in "福田区 / 福田街道 / 榕荫社区", as far up as the file knows; a parent that is not coarser ends it."""
        if code not in self._by_code:
            return code
        if code not in self._paths:
            self._paths[code] = self._path(code)
        return self._paths[code]

    def _path(self, code: str) -> str:
        names, area = [self.name(code)], self._by_code.get(code)
        while area is not None and area.parent is not None:
            parent = self._by_code.get(area.parent)
            if parent is None or FINENESS[parent.layer] >= FINENESS[area.layer]:
                break
            names.append(parent.name)
            area = parent
        return " / ".join(reversed(names))

    def covering(self, lat: float, lon: float) -> tuple[Area, ...]:
        """The areas of every layer that the point lies in or on the border of, coarse to fine, then by code."""
        return tuple(self._all[i] for i in sorted(self._tree.query(Point(lon, lat), predicate="intersects")))

    def routing_near(self, shape: shapely.Geometry) -> tuple[Area, ...]:
        """The areas of the routing layer that touch a shape in degrees, by code. Costs the log of their number."""
        hits = self._routing_tree.query(shape, predicate="intersects")
        return tuple(self._routing[i] for i in sorted(hits))

    def alone(self, west: float, south: float, east: float, north: float) -> Area | None:
        """The area of the routing layer that covers a small box while no other one touches it; None when not sure.

        What is found for a square of SQUARES_DEG and those beside it is remembered, so most boxes cost no geometry.
        """
        for side in SQUARES_DEG:
            row, column = math.floor(south / side), math.floor(west / side)
            wide = (column * side, row * side, (column + 2) * side, (row + 2) * side)
            if west < wide[0] or south < wide[1] or east > wide[2] or north > wide[3]:
                return None
            if (side, row, column) not in self._alone:
                square = box(*wide)
                near = self.routing_near(square)
                sure = len(near) == 1 and shapely.covers(near[0].polygon, square)
                self._alone[side, row, column] = near[0] if sure else None
            if (found := self._alone[side, row, column]) is not None:
                return found
        return None

    def overlap(self, a: Area, b: Area) -> bool:
        """Whether two areas share more than a border."""
        pair = (a.code, b.code) if a.code < b.code else (b.code, a.code)
        if pair not in self._overlap:
            self._overlap[pair] = bool(shapely.relate_pattern(a.polygon, b.polygon, "T********"))
        return self._overlap[pair]

    def outline(self, area: Area) -> Floats:
        """(E, 2, 2), see `dispatcher.polygon.outline`; of those that were asked for it is remembered."""
        if area.code not in self._outlines:
            self._outlines[area.code] = outline(area.polygon)
        return self._outlines[area.code]

    def holding(self, layer: Layer, lat: ArrayLike, lon: ArrayLike) -> Ints:
        """Of each of many points the area of a layer that holds it: its place in `of_layer`, or -1.

        Exact. On a border, and where areas overlap, it is the one with the lowest code. Asked for the first time, a
        layer of 10,000 communities takes a second or two; from then on a million points do.
        """
        if layer not in self._holding:
            self._holding[layer] = Holding([area.polygon for area in self.of_layer(layer)])
        return self._holding[layer](lat, lon)

    def features(self) -> dict[str, Any]:
        """A GeoJSON FeatureCollection for the page, coarse to fine, with every property the file had."""
        return self._members | {
            "type": "FeatureCollection",
            "features": [
                {
                    "type": "Feature",
                    "properties": dict(self._properties.get(area.code, {}))
                    | {"code": area.code, "name": area.name, "layer": str(area.layer), "parent": area.parent},
                    "geometry": json.loads(shapely.to_geojson(area.polygon)),
                }
                for area in self._all
            ],
        }


def _indexed(areas: Iterable[Area]) -> STRtree:
    polygons = [area.polygon for area in areas]
    shapely.prepare(polygons)
    return STRtree(polygons)


def read_areas(path: Path | str) -> tuple[Areas, list[str]]:
    """The areas of a GeoJSON file, and a sentence for everything in it that had to be repaired, doubted or dropped.

    One bad feature costs that feature only. Raises FileNotFoundError, or ValueError for a file that is no GeoJSON.
    """
    return parse_areas(areas_text(path), str(path))


def areas_text(path: Path | str) -> str:
    """The text of an areas file. Raises FileNotFoundError or ValueError."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"areas file {path} does not exist")
    if not path.is_file():
        raise ValueError(f"areas file {path} is not a file")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"areas file {path} is not UTF-8 (byte {error.start}): save it as UTF-8, not GBK") from None


def parse_areas(text: str, name: str) -> tuple[Areas, list[str]]:
    """As `read_areas`, of the text of a file that messages call by `name`."""
    areas, findings = found_areas(document_of(text, name), name)
    return areas, [finding.text for finding in findings]


def found_areas(document: Mapping[str, Any], name: str) -> tuple[Areas, list[Finding]]:
    """The areas of a FeatureCollection, and what there is to be said about it."""
    findings = _crs_findings(document)
    areas: dict[str, Area] = {}
    properties: dict[str, Mapping[str, Any]] = {}
    for number, feature in enumerate(document["features"], start=1):
        try:
            area, remarks = _area(feature)
        except ValueError as reason:
            findings.append(_dropped(number, feature, str(reason), Fault.DROPPED))
            continue
        if area.code in areas:
            taken = f"code {area.code} is already that of {areas[area.code].name}"
            findings.append(_dropped(number, feature, taken, Fault.DUPLICATE))
            continue
        areas[area.code] = area
        properties[area.code] = feature["properties"]
        findings += remarks
    findings += _parent_findings(areas) + _overlap_findings(areas.values())
    if not areas:
        findings.append(Finding(Fault.EMPTY, f"{name} has no usable area: every case will be unowned."))
    members = {name: value for name, value in document.items() if name not in ("type", "features", "bbox", "crs")}
    return Areas(areas.values(), properties, members), findings


def _dropped(number: int, feature: Any, reason: str, fault: Fault) -> Finding:
    return Finding(fault, f"Feature {number}{_label(feature)} was dropped: {reason}.")


def document_of(text: str, name: str) -> dict[str, Any]:
    """The FeatureCollection that a text is. Raises ValueError for another."""
    try:
        # NaN and Infinity are no JSON: they become null, so that they cost their feature and not the file
        document = json.loads(text, parse_constant=lambda _: None, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"areas file {name} is not JSON: {error}") from None
    kind = document.get("type") if isinstance(document, dict) else None
    if not isinstance(document, dict) or kind != "FeatureCollection" or not isinstance(document.get("features"), list):
        found = f"its type is {kind!r}" if kind != "FeatureCollection" else "its features are no list"
        raise ValueError(f"areas file {name} is no GeoJSON FeatureCollection: {found}")
    return document


def _crs_findings(document: Mapping[str, Any]) -> list[Finding]:
    """GeoJSON before RFC 7946 could name a reference system; GIS programs still write it."""
    named = json.dumps(document.get("crs"))
    if document.get("crs") is None or any(known in named for known in SAME_DATUM):
        return []
    text = f"The file names the reference system {named}; it is read as WGS-84 degrees all the same."
    return [Finding(Fault.DATUM, text)]


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _label(feature: Any) -> str:
    properties = feature.get("properties") if isinstance(feature, dict) else None
    if not isinstance(properties, dict):
        return ""
    words = [str(properties[key]) for key in ("name", "code") if isinstance(properties.get(key), str | int)]
    return f" ({' '.join(words)})" if words else ""


def _area(feature: Any) -> tuple[Area, list[Finding]]:
    """Raises ValueError with the reason why the feature is of no use."""
    properties = feature.get("properties") if isinstance(feature, dict) else None
    if not isinstance(properties, dict):
        raise ValueError("it has no properties")
    code = _code(properties.get("code"))
    if code is None:
        raise ValueError("it has no code")
    try:
        layer = Layer(str(properties.get("layer")).strip().lower())
    except ValueError:
        raise ValueError(f"layer {properties.get('layer')!r} is none of {', '.join(Layer)}") from None
    polygon, repair = parsed_polygon(feature.get("geometry"))
    name = properties.get("name")
    named = isinstance(name, str) and name.strip() != ""
    area = Area(code, str(name).strip() if named else code, layer, _code(properties.get("parent")), polygon)
    remarks = [] if repair is None else [Finding(Fault.CROSSES, f"{area.name} ({code}) {repair}.")]
    if not named:
        remarks.append(Finding(Fault.NAME, f"Area {code} has no name: its code is shown instead."))
    if not (code.isascii() and code.isdigit() and len(code) in CODE_DIGITS[layer]):
        digits = " or ".join(map(str, CODE_DIGITS[layer]))
        remarks.append(Finding(Fault.CODE, f"{area.name} ({code}): the code of a {layer} has {digits} digits."))
    return area, remarks


def _code(value: Any) -> str | None:
    """Codes are text; GIS programs like to write them as numbers."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value).strip() or None


def _parent_findings(areas: Mapping[str, Area]) -> list[Finding]:
    parents = [(area, area.parent) for area in areas.values() if area.parent is not None]
    lacking = sorted({code for _, code in parents if code not in areas})
    text = f"Parents that the file lacks: {', '.join(lacking)}. Area paths end below them."
    findings = [Finding(Fault.PARENT, text)] if lacking else []
    for area, code in parents:
        if code in areas and FINENESS[areas[code].layer] >= FINENESS[area.layer]:
            text = f"The parent of {area.name} ({area.code}), {areas[code].name}, is not of a coarser layer."
            findings.append(Finding(Fault.PARENT, text))
    return findings


def _overlap_findings(areas: Iterable[Area]) -> list[Finding]:
    findings = []
    for layer in Layer:
        members = [area for area in areas if area.layer == layer]
        if not members:
            continue
        tree = STRtree([area.polygon for area in members])
        firsts, seconds = tree.query([area.polygon for area in members], predicate="intersects")
        for i, j in sorted((i, j) for i, j in zip(firsts, seconds, strict=True) if i < j):
            overlap = area_m2(surface(members[i].polygon & members[j].polygon))
            if overlap >= MIN_AREA_M2:
                pair = " and ".join(f"{area.name} ({area.code})" for area in (members[i], members[j]))
                text = f"{pair} overlap by {overlap:,.0f} m²: a thing there counts half for each."
                findings.append(Finding(Fault.OVERLAP, text))
    return findings
