"""A street in Futian: areas, cases and events that the tests of store, API, page and access share."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dispatcher.area import Areas, read_areas
from dispatcher.case import Alert, Case, CaseEvent, Share, State
from dispatcher.store.store import Store
from ingest.envelope import Envelope
from vision.sighting import Evidence

NOON = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)  # noon in Shenzhen
WEST, EAST = "440304008901", "440304004902"  # two communities side by side, of two streets


def _square(code: str, name: str, layer: str, parent: str | None, west: float, east: float) -> dict[str, Any]:
    south, north = 22.535, 22.545
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    properties = {"code": code, "name": name, "layer": layer, "parent": parent, "demo": True}
    return {
        "type": "Feature",
        "properties": properties,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }


def areas_text() -> str:
    """Both communities, their streets and their district, as GeoJSON."""
    features = [
        _square("440304", "福田区", "district", None, 114.04, 114.06),
        _square("440304008", "莲花街道", "street", "440304", 114.04, 114.05),
        _square("440304004", "福田街道", "street", "440304", 114.05, 114.06),
        _square(WEST, "彩田社区", "community", "440304008", 114.04, 114.05),
        _square(EAST, "岗厦社区", "community", "440304004", 114.05, 114.06),
    ]
    return json.dumps({"type": "FeatureCollection", "features": features})


@pytest.fixture(scope="session")
def areas_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("areas") / "areas.geojson"
    path.write_text(areas_text(), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def areas(areas_file: Path) -> Areas:
    found, warnings = read_areas(areas_file)
    assert warnings == []
    return found


@pytest.fixture
def store(sqlite_tables: Path, tmp_path: Path) -> Iterator[Store]:
    shutil.copy(sqlite_tables, tmp_path / "store.db")
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as opened:
        yield opened


@pytest.fixture
def make_case() -> Callable[..., Case]:
    def make(id: str = "case-1", **changes: Any) -> Case:
        values: dict[str, Any] = {
            "id": id,
            "kind": "garbage",
            "matter": "06010",
            "state": State.OPEN,
            "lat": 22.5401,
            "lon": 114.0453,
            "covariance_m2": (4.0, 0.0, 1.0),
            "probability": 0.9973,
            "opened_at": NOON,
            "closed_at": None,
            "episode": 1,
            "previous": None,
            "first_seen_at": NOON,
            "last_seen_at": NOON + timedelta(minutes=25),
            "sightings": ("sighting-1", "sighting-2"),
            "passes": 2,
            "owners": (Share(WEST, 0.97), Share(EAST, 0.03)),
            "alerts": (Alert(WEST, "opened", NOON),),
            "confidence": 0.91,
            "evidence": Evidence(uri=None, sha256=None, box_xyxy=None, missing="privacy-unavailable: no model file"),
        }
        return Case(**(values | changes))

    return make


@pytest.fixture
def make_event(make_case: Callable[..., Case]) -> Callable[..., CaseEvent]:
    def make(
        event: str = "opened", case: Case | None = None, id: str | None = None, recipients: tuple[str, ...] = (WEST,)
    ) -> CaseEvent:
        case = case or make_case()
        return CaseEvent(id=id or f"{case.id}:{event}", event=event, at=NOON, case=case, recipients=recipients)

    return make


@pytest.fixture
def make_input() -> Callable[[int], Envelope]:
    def make(n: int) -> Envelope:
        data = {"id": f"in-{n}", "lat": 22.540000000000003, "text": "街巡"}
        return Envelope(id=f"in-{n}", type="cn.jiexun.sighting.v1", source="/vision/bus-1", time=NOON, data=data)

    return make
