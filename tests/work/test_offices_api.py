"""Who answers for what, how offices did, and cases as GeoJSON, over HTTP on either kind of store."""

from __future__ import annotations

from datetime import datetime, timedelta
from statistics import median

import httpx
import pytest
from test_open311 import add_key  # noqa: F401  # fixture
from town import BUREAU, DISPATCHER, DISTRICT, DUTY, EAST, MINUTE, NOON, OFFICER, WEST, ask, make_case, make_event, town

from dispatcher.access.principal import Reach, Role
from dispatcher.access.scope import EVERYTHING, Scope
from dispatcher.api.app import create_app
from dispatcher.api.serve import serve
from dispatcher.case import Share
from dispatcher.channels.channel import Channel, Kind
from dispatcher.store.statistics import statistics
from dispatcher.work.book import Book
from dispatcher.work.clerk import Clerk
from dispatcher.work.step import Act, Label
from ingest.frame import rfc3339
from models.taxonomy import Taxonomy
from vision.pictures import FolderEvidence

ANSWERS = f"""
[[responsibility]]
matters = ["09006"]
areas = ["{DISTRICT}"]
owner = "{BUREAU}"
co_handlers = ["440304008"]
disposition = "enforcement"
"""
DAY = timedelta(days=1)


@pytest.fixture
def desk(store, tmp_path):
    clerk = Clerk(store, town(), Taxonomy.read(), Book.of({"duty": DUTY + ANSWERS}))
    app = create_app(store, town(), evidence=FolderEvidence(tmp_path), clerk=clerk)
    with serve(app, port=0) as serving, httpx.Client(base_url=serving.url, trust_env=False, timeout=20) as client:
        yield clerk, client


def test_who_answers_for_each_matter_in_an_area(desk) -> None:
    _, client = desk
    found = {row["matter"]: row for row in client.get("/api/owners", params={"area": WEST}).json()}
    assert set(found) == set(Taxonomy.read().by_code)
    assert found["06010"]["office"] == {"code": WEST, "name": "彩田社区"}
    stalls = found["09006"]
    assert (stalls["office"]["code"], stalls["disposition_zh"]) == (BUREAU, "执法处置")
    assert [office["code"] for office in stalls["co_handlers"]] == ["440304008"]
    assert client.get("/api/owners", params={"area": WEST, "matter": "09006"}).json() == [stalls]
    assert client.get("/api/owners", params={"area": WEST, "matter": "nothing"}).status_code == 404


def test_an_area_that_is_not_one_s_own_has_no_owners(desk, add_key) -> None:  # noqa: F811
    _, client = desk
    headers = {"authorization": f"Bearer {add_key(reach=frozenset({Reach.READ}))}"}
    assert client.get("/api/owners", params={"area": EAST}, headers=headers).status_code == 404
    assert client.get("/api/owners", params={"area": WEST}, headers=headers).status_code == 200


def test_statistics_are_what_the_work_on_each_case_says(desk, store) -> None:
    clerk, client = desk
    east = make_case("east", owners=(Share(EAST, 0.99),))
    store.append((), [make_event(case=make_case(f"west-{n}")) for n in range(4)] + [make_event(case=east, to=(EAST,))])
    clerk.tick(NOON)  # due four hours of business later
    for n, minutes in ((0, 10), (1, 40)):
        clerk.act(OFFICER, f"west-{n}", ask(Act.ACKNOWLEDGE), now=NOON + minutes * MINUTE)
    clerk.act(OFFICER, "west-0", ask(Act.HANDLED), now=NOON + 60 * MINUTE)
    clerk.act(DISPATCHER, "west-0", ask(Act.CLOSE), now=NOON + 70 * MINUTE)
    clerk.act(OFFICER, "west-1", ask(Act.HANDLED), now=NOON + DAY)
    clerk.act(OFFICER, "west-2", ask(Act.HAND_BACK, reason="不在本社区"), now=NOON + MINUTE)
    clerk.act(DISPATCHER, "west-3", ask(Act.DISMISS, reason="误报", label=Label.NOT_THERE), now=NOON + MINUTE)
    asked = {"since": rfc3339(NOON - DAY), "until": rfc3339(NOON + DAY)}
    found = client.get("/api/statistics", params=asked).json()
    west, other = sorted(found["by_area"], key=lambda row: row["area"] != WEST)
    assert (west["area_path"], west["opened"], other["opened"]) == ("福田区 / 莲花街道 / 彩田社区", 4, 1)
    assert (west["open"], west["handled"], west["closed"], west["dismissed"]) == (1, 1, 1, 1)
    assert (west["in_time"], west["late"], west["hand_backs"]) == (2, 2, 1)  # west-1 came late, west-2 is long due
    assert west["acknowledge_minutes"] == median([10, 40])
    assert found["total"]["opened"] == 5
    assert found["total"]["late"] == 3
    none = client.get("/api/statistics", params={"since": rfc3339(NOON + DAY)}).json()
    assert (none["total"]["opened"], none["total"]["acknowledge_minutes"], none["by_area"]) == (0, None, [])
    for wrong in ({"since": asked["until"], "until": asked["since"]}, {"since": "2020-01-01T00:00:00Z", **asked}):
        if wrong["since"] != asked["since"]:
            assert client.get("/api/statistics", params=wrong).status_code == 422
    with store.reading() as connection:
        span = (rfc3339(NOON), rfc3339(NOON + DAY), rfc3339(NOON))
        assert set(statistics(connection, *span, Scope(frozenset({EAST})))) == {EAST}
        assert set(statistics(connection, *span, EVERYTHING)) == {EAST, WEST}


def test_cases_are_geojson_for_whoever_prefers_it(desk, store) -> None:
    _, client = desk
    store.append((), [make_event(case=make_case(f"case-{n}")) for n in range(3)])
    headers = {"accept": "application/geo+json"}
    page = client.get("/api/cases", params={"limit": 2}, headers=headers)
    assert page.headers["content-type"] == "application/geo+json"
    first = page.json()
    rest = client.get("/api/cases", params={"limit": 2, "cursor": first["next"]}, headers=headers).json()
    features = first["features"] + rest["features"]
    assert [one["id"] for one in features] == [case["id"] for case in client.get("/api/cases").json()["cases"]]
    assert features[0]["geometry"] == {"type": "Point", "coordinates": [114.0453, 22.5401]}
    assert (features[0]["properties"]["matter_zh"], rest["next"]) == ("暴露垃圾", None)
    one = client.get("/api/cases/case-1", headers=headers).json()
    assert (one["type"], one["id"]) == ("Feature", "case-1")


@pytest.mark.parametrize(
    ("accept", "geojson"),
    [
        ("application/geo+json", True),
        ("application/json, application/geo+json", True),
        ("application/geo+json;q=0.5, application/json", False),
        ("Application/Geo+JSON; q=0.9, */*;q=0.1", True),
        ("application/geo+json;q=0", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_what_is_preferred_is_said_by_its_weight(desk, accept, geojson) -> None:
    _, client = desk
    answer = client.get("/api/cases", headers={"accept": accept})
    assert ("features" in answer.json()) == geojson


def test_channels_are_shown_to_administrators_without_their_secrets(desk, store, add_key) -> None:  # noqa: F811
    _, client = desk
    robot = Channel(id="c1", name="群", kind=Kind.WECOM, url="https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=KEY")
    store.channels.add(robot)
    admin = {"authorization": f"Bearer {add_key(role=Role.ADMIN, areas=None, reach=frozenset({Reach.ADMIN}))}"}
    answer = client.get("/api/channels", headers=admin)
    (shown,) = answer.json()
    assert (shown["name"], shown["kind"], shown["host"]) == ("群", "wecom", "qyapi.weixin.qq.com")
    assert "KEY" not in answer.text
    officer = {"authorization": f"Bearer {add_key(reach=frozenset(Reach))}"}
    assert client.get("/api/channels", headers=officer).status_code == 403


def test_an_administrator_of_some_areas_sees_the_channels_of_these_alone(desk, store, add_key) -> None:  # noqa: F811
    _, client = desk
    for name, areas in {
        "all": (),
        "west": (WEST,),
        "east": (EAST,),
        "both": (WEST, EAST),
        "street": ("440304008",),
    }.items():
        url = f"https://{name}.example/hook"
        store.channels.add(Channel(id=name, name=name, kind=Kind.WEBHOOK, url=url, secret="x", recipients=areas))

    def seen(*areas: str) -> set[str]:
        key = add_key(role=Role.ADMIN, areas=frozenset(areas) or None, reach=frozenset({Reach.ADMIN}))
        return {one["name"] for one in client.get("/api/channels", headers={"authorization": f"Bearer {key}"}).json()}

    assert seen() == {"all", "west", "east", "both", "street"}
    assert seen(WEST) == {"west"}
    assert seen(WEST, EAST) == {"west", "east", "both"}
    assert "street" in seen("440304")
    assert seen("440305") == set()


def test_now_is_when_it_is_asked(desk, store) -> None:
    _, client = desk
    recent = make_case("now", opened_at=datetime.now(NOON.tzinfo) - MINUTE)
    store.append((), [make_event(case=recent)])
    assert client.get("/api/statistics").json()["total"]["opened"] == 1
