"""What others do, on the same lines: four ways to decide which sightings are one case.

radius   Civic report systems: within 50 m of an open case of the same class it is the same case.
h3       Of one class and in one H3 cell of resolution 11 (about 25 m from the middle to the edge).
dbscan   Ester et al. 1996, with all of a class's sightings at hand: within 8 m of one another, directly or over others.
track    Only what the tracker of one pass says: every sighting is a case.

All else is the same for them and plain: a case opens with its first sighting of confidence 0.5 or more, and closes when
it was not seen for a day; the next sighting begins another. Its position is the mean of its sightings, its owner the
area there.
"""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import h3
import numpy as np
import shapely
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from dispatcher.dispatch import parsed
from ingest.envelope import parse_envelope
from ingest.frame import rfc3339
from ingest.geo import Floats, m_per_deg
from vision.sighting import Sighting

RADIUS_M = 50.0
CELL = 11
LINKED_M = 8.0
OPENS_AT = 0.5
SILENT = timedelta(hours=24)
Groups = list[list[Sighting]]  # what is one case, each in order of capture


def sightings(lines: Path) -> list[Sighting]:
    """The sightings of a world in order of arrival, repeats left out."""
    found: dict[str, Sighting] = {}
    with lines.open("rb") as file:
        for line in file:
            if b'"cn.jiexun.sighting.v1"' in line:
                item = parsed(parse_envelope(line))
                if isinstance(item, Sighting):
                    found.setdefault(item.id, item)
    return list(found.values())


def baselines(lines: Path, areas: Path) -> dict[str, dict[str, Any]]:
    """The document of each."""
    read = sightings(lines)
    owner = _owners(areas)
    ways: dict[str, Callable[[Sequence[Sighting]], Groups]] = {
        "radius": radius,
        "h3": cells,
        "dbscan": dbscan,
        "track": lambda items: [[s] for s in items],
    }
    return {name: _document(way(read), owner) for name, way in ways.items()}


def radius(items: Sequence[Sighting]) -> Groups:
    """A sighting joins the nearest case of its class within 50 m that was seen in the last day."""
    out: Groups = []
    recent: dict[str, list[int]] = defaultdict(list)
    for item in items:
        known = recent[item.kind] = [g for g in recent[item.kind] if item.seen_at - out[g][-1].seen_at <= SILENT]
        first = _enu([out[g][0] for g in known], item)
        away = np.hypot(first[:, 0], first[:, 1])
        if len(away) and away.min() <= RADIUS_M:
            out[known[int(away.argmin())]].append(item)
        else:
            known.append(len(out))
            out.append([item])
    return out


def cells(items: Sequence[Sighting]) -> Groups:
    """By class and cell."""
    out: dict[tuple[str, str], list[Sighting]] = defaultdict(list)
    for item in items:
        out[item.kind, h3.latlng_to_cell(item.lat, item.lon, CELL)].append(item)
    return list(out.values())


def dbscan(items: Sequence[Sighting]) -> Groups:
    """With two points a cluster: the connected parts of the graph of near pairs."""
    out: Groups = []
    for kind in sorted({item.kind for item in items}):
        mine = [item for item in items if item.kind == kind]
        enu = _enu(mine, mine[0])
        pairs = cKDTree(enu).query_pairs(LINKED_M, output_type="ndarray")
        graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(mine), len(mine)))
        _, label = connected_components(graph, directed=False)
        groups: dict[int, list[Sighting]] = defaultdict(list)
        for item, n in zip(mine, label.tolist(), strict=True):
            groups[n].append(item)
        out += groups.values()
    return out


def _enu(items: Iterable[Sighting], origin: Sighting) -> Floats:
    per_lat, per_lon = m_per_deg(origin.lat)
    rows = [((s.lon - origin.lon) * per_lon, (s.lat - origin.lat) * per_lat) for s in items]
    return np.array(rows, np.float64).reshape(-1, 2)


def _document(groups: Groups, owner: Callable[[float, float], list[dict[str, Any]]]) -> dict[str, Any]:
    cases, objects = [], []
    end = max(s.seen_at for group in groups for s in group)
    for group in groups:
        group = sorted(group, key=lambda s: (s.seen_at, s.id))
        if group[0].matter is None:
            objects.append(_place(group))
            continue
        breaks = [n for n in range(1, len(group)) if group[n].seen_at - group[n - 1].seen_at > SILENT]
        previous = None
        for number, (low, high) in enumerate(itertools.pairwise([0, *breaks, len(group)]), start=1):
            case = _case(group[low:high], owner) | {"episode": number, "previous": previous}
            if group[high - 1].seen_at + SILENT < end:
                case["closed_at"] = rfc3339(group[high - 1].seen_at + SILENT)
            cases.append(case)
            previous = case["id"]
    return {"cases": cases, "objects": objects, "rejected": []}


def _case(group: Sequence[Sighting], owner: Callable[[float, float], list[dict[str, Any]]]) -> dict[str, Any]:
    opens = next((s for s in group if s.confidence >= OPENS_AT), None)
    case = _place(group) | {"id": group[0].id, "opened_at": None, "closed_at": None, "alerts": []}
    case["owners"] = owner(case["lat"], case["lon"])
    if opens is not None:
        case["opened_at"] = rfc3339(opens.seen_at)
        told = {"event": "opened", "at": case["opened_at"]}
        case["alerts"] = [{"recipient": share["area"], **told} for share in case["owners"]]
    return case


def _place(group: Sequence[Sighting]) -> dict[str, Any]:
    return {
        "kind": group[0].kind,
        "lat": float(np.mean([s.lat for s in group])),
        "lon": float(np.mean([s.lon for s in group])),
        "sightings": [s.id for s in group],
    }


def _owners(areas: Path) -> Callable[[float, float], list[dict[str, Any]]]:
    features = json.loads(areas.read_text(encoding="utf-8"))["features"]
    known = [
        (feature["properties"]["code"], shapely.from_geojson(json.dumps(feature["geometry"])))
        for feature in features
        if feature["properties"]["layer"] == "community"
    ]

    def owner(lat: float, lon: float) -> list[dict[str, Any]]:
        point = shapely.Point(lon, lat)
        return [{"area": code, "p": 1.0} for code, polygon in known if polygon.covers(point)][:1]

    return owner
