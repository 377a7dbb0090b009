"""What a map of areas lacks: gaps between neighbours and below a parent; areas outside the parent of their code."""

from __future__ import annotations

from collections.abc import Sequence

import shapely
from shapely import MultiPolygon, Polygon, STRtree

from dispatcher.access.scope import stem
from dispatcher.area import FINENESS, Area, Areas, Layer
from dispatcher.finding import Fault, Finding
from dispatcher.polygon import Surface, area_m2, surface

LEAST_M2 = 10.0  # a smaller gap is the noise of two digitised borders
LEAST_SHARE = 0.01  # of an area that lies outside its parent
ABOVE = {Layer.STREET: 6, Layer.COMMUNITY: 9, Layer.GRID: 12}


def checked(areas: Areas) -> list[Finding]:
    """Gaps, areas outside their parents, and parents that are not those of the code."""
    findings = [finding for layer in Layer for finding in _between(areas, areas.of_layer(layer))]
    below: dict[str, list[Area]] = {}
    for area in areas:
        if area.parent is not None:
            below.setdefault(area.parent, []).append(area)
    for code, children in sorted(below.items()):
        parent = areas.get(code)
        if parent is not None:
            findings += _below(parent, children) + [f for child in children for f in _child(parent, child)]
    return findings


def _between(areas: Areas, members: Sequence[Area]) -> list[Finding]:
    """Holes that the areas of one layer leave between them, as far as they lie in no known parent.

    One area's own hole is no gap but an enclave.
    """
    polygons = [area.polygon for area in members]
    holes = [Polygon(ring) for part in _parts(shapely.union_all(polygons)) for ring in part.interiors]
    tree = STRtree(polygons)
    findings = []
    for hole in holes:
        beside = [members[i] for i in sorted(tree.query(hole, predicate="intersects"))]
        parents = {area.parent for area in beside if area.parent is not None}
        known = [parent.polygon for code in parents if (parent := areas.get(code)) is not None]
        left = surface(shapely.difference(hole, shapely.union_all(known)))
        if len(beside) > 1 and area_m2(left) >= LEAST_M2:
            names = ", ".join(f"{area.name} ({area.code})" for area in beside[:3])
            findings.append(_gap(left, f"between {names}{' and others' if len(beside) > 3 else ''}"))
    return findings


def _below(parent: Area, children: Sequence[Area]) -> list[Finding]:
    """Where the finest children of a parent leave part of it to nobody."""
    finest = max((child.layer for child in children), key=FINENESS.__getitem__)
    covered = shapely.union_all([child.polygon for child in children if child.layer is finest])
    left = _parts(surface(shapely.difference(parent.polygon, covered)))
    parts = [part for part in left if area_m2(part) >= LEAST_M2]
    if not parts:
        return []
    number = "one part" if len(parts) == 1 else f"{len(parts)} parts"
    return [_gap(MultiPolygon(parts), f"without {finest} in {parent.name} ({parent.code}), in {number}")]


def _parts(shape: shapely.Geometry) -> list[Polygon]:
    return [part for part in shapely.get_parts(shape) if isinstance(part, Polygon)]


def _child(parent: Area, child: Area) -> list[Finding]:
    findings = []
    above, digits = stem(parent.code), ABOVE.get(child.layer)
    if len(above) == digits and child.code.isdigit() and not child.code.startswith(above):
        own = child.code[:digits]
        text = f"{child.name} ({child.code}) names the parent {parent.code}; its code begins with {own}."
        findings.append(Finding(Fault.CODE, text))
    outside, whole = area_m2(surface(shapely.difference(child.polygon, parent.polygon))), area_m2(child.polygon)
    if outside >= LEAST_M2 and outside >= LEAST_SHARE * whole:
        text = f"{child.name} ({child.code}) lies by {outside:,.0f} m² of {whole:,.0f} m² outside {parent.name}."
        findings.append(Finding(Fault.OUTSIDE, text))
    return findings


def _gap(hole: Surface, where: str) -> Finding:
    point = shapely.point_on_surface(max(_parts(hole), key=area_m2))
    text = f"A gap of {area_m2(hole):,.0f} m² {where}, near {point.y:.6f}, {point.x:.6f}: a thing there is unowned."
    return Finding(Fault.GAP, text)
