"""A town for the tests of the desk: two communities of two streets, a department, people, sightings and cases."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import h3
from futian import EAST, NOON, WEST, areas_text

from dispatcher.access.principal import Principal, Role
from dispatcher.area import Areas, parse_areas
from dispatcher.case import Alert, Case, CaseEvent, Share, State
from dispatcher.work.asked import Asked
from dispatcher.work.step import Act
from ingest.envelope import Envelope
from ingest.frame import rfc3339

STREET, DISTRICT, CITY = "440304008", "440304", "4403"
BUREAU = "440304-cgj"
LAT, LON = 22.5401, 114.0453  # in WEST
CELL = h3.latlng_to_cell(LAT, LON, 13)
MINUTE = timedelta(minutes=1)

OFFICER = Principal("user:li", "李明", Role.OFFICER, frozenset({WEST}))
STRANGER = Principal("user:wang", "王芳", Role.OFFICER, frozenset({EAST}))
DISPATCHER = Principal("user:chen", "陈静", Role.DISPATCHER, frozenset({DISTRICT}))
VIEWER = Principal("user:zhao", "赵强", Role.VIEWER, None)

DUTY = """
[[department]]
code = "440304-cgj"
name = "福田区城市管理和综合执法局"
"""


def town() -> Areas:
    areas, warnings = parse_areas(areas_text(), "town")
    assert warnings == []
    return areas


def make_case(id: str = "case-1", **changes: Any) -> Case:
    values: dict[str, Any] = {
        "id": id,
        "kind": "garbage",
        "matter": "06010",
        "state": State.OPEN,
        "lat": LAT,
        "lon": LON,
        "covariance_m2": (4.0, 0.0, 1.0),
        "probability": 0.9973,
        "opened_at": NOON,
        "closed_at": None,
        "episode": 1,
        "previous": None,
        "first_seen_at": NOON,
        "last_seen_at": NOON,
        "sightings": ("sighting-1",),
        "passes": 1,
        "owners": (Share(WEST, 0.97),),
        "alerts": (Alert(WEST, "opened", NOON),),
        "confidence": 0.91,
        "evidence": None,
    }
    return Case(**(values | changes))


def make_event(event: str = "opened", case: Case | None = None, to: tuple[str, ...] = (WEST,)) -> CaseEvent:
    case = case or make_case()
    return CaseEvent(id=f"{case.id}:{event}", event=event, at=NOON, case=case, recipients=to)


def ask(act: Act, **more: Any) -> Asked:
    return Asked(act=act, **more)


def sighting(n: int, at: datetime, confidence: float = 0.9, **more: Any) -> Envelope:
    data = {
        "id": f"s{n}", "pass": f"p{n}", "vehicle": f"bus-{n}", "camera": "right", "kind": "garbage", "matter": "06010",
        "confidence": confidence, "seen_at": rfc3339(at), "lat": LAT, "lon": LON, "covariance_m2": [4.0, 0.0, 4.0],
        "shared_covariance_m2": [2.0, 0.0, 2.0], "frames": 3, "model": "m", "evidence": None,
    } | more  # fmt: skip
    return Envelope(id=data["id"], type="cn.jiexun.sighting.v1", source="/vision", time=at, data=data)


def clean_pass(n: int, at: datetime) -> Envelope:
    data = {
        "id": f"q{n}", "vehicle": f"bus-{n}", "camera": "right", "started_at": rfc3339(at - 5 * MINUTE),
        "ended_at": rfc3339(at), "model": "m", "h3_resolution": 13,
        "looked": dict.fromkeys(h3.grid_disk(CELL, 3), 0.95), "recall": {"garbage": 0.95},
    }  # fmt: skip
    return Envelope(id=data["id"], type="cn.jiexun.pass.v1", source="/vision", time=at, data=data)
