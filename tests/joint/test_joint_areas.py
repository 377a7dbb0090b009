"""Areas that change while cases are open."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dispatcher.area import Areas, read_areas
from dispatcher.joint.engine import Engine
from models.taxonomy import Taxonomy
from vision.sighting import Sighting

MORNING = datetime(2026, 11, 18, 1, tzinfo=UTC)
AREAS = Path(__file__).parents[2] / "datasets" / "sample" / "areas.geojson"
HERE, AWAY = (22.5372, 114.06035), (22.5382, 114.06035)  # each well inside a community


def seen(n: int, lat: float, lon: float, hours: float) -> Sighting:
    return Sighting(
        id=f"s{n}",
        pass_id=f"p{n}",
        vehicle=f"bus-{n}",
        camera="right",
        kind="garbage",
        matter=Taxonomy.read().matter_of_kind("garbage"),
        confidence=0.95,
        seen_at=MORNING + timedelta(hours=hours),
        lat=lat,
        lon=lon,
        covariance_m2=(2.0, 0.0, 2.0),
        shared_covariance_m2=(1.0, 0.0, 1.0),
        frames=4,
        model="test@sha256:0",
    )


@pytest.fixture
def areas() -> Areas:
    return read_areas(AREAS)[0]


def test_a_case_keeps_the_areas_it_was_told_by_and_a_new_one_goes_by_the_newer(areas: Areas) -> None:
    layer = areas.routing_layer
    assert layer is not None
    renamed = Areas([replace(a, code=f"{a.code}9") if a.layer == layer else a for a in areas])
    engine = Engine(areas, Taxonomy.read())

    def read(sighting: Sighting) -> None:
        engine.read(sighting, made_at=sighting.seen_at + timedelta(seconds=5))

    read(seen(1, *HERE, hours=0))
    (before,) = [alert.recipient for case in engine.cases() for alert in case.alerts]
    engine.use(renamed)
    read(seen(2, *AWAY, hours=1))
    for n in range(3, 6):
        read(seen(n, *HERE, hours=n))
    first, second = engine.cases()
    assert [a.recipient for a in first.alerts] == [before]
    assert first.owners[0].area == before
    (after,) = [a.recipient for a in second.alerts]
    assert renamed.get(after) is not None
    assert areas.get(after) is None
    assert second.owners[0].area == after
