"""The routes of maps: GeoJSON that other programs read, each account its own part of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import h3
import pytest
from futian import EAST, NOON, WEST

from dispatcher.access.principal import Reach
from dispatcher.api.maps import since_day
from dispatcher.case import Share
from ingest.envelope import Envelope
from ingest.frame import rfc3339

WEST_CELL, EAST_CELL = (h3.latlng_to_cell(22.54, lon, 13) for lon in (114.045, 114.055))


def passed(id, looked):
    """A pass of yesterday."""
    now = datetime.now(UTC)
    data = {"ended_at": rfc3339(now - timedelta(days=1)), "looked": looked}
    return Envelope(id=id, type="cn.jiexun.pass.v1", source="/v", time=now, data=data)


@pytest.fixture
def street(store, make_case, make_event):
    """A case and a camera on each side; in the east the looks are many."""
    for n, (cell, clear) in enumerate([(WEST_CELL, 0.5)] * 3 + [(EAST_CELL, 0.9)] * 10):
        store.append([passed(f"p{n}", {cell: clear})])
    east = make_case("case-east", lon=114.055, lat=22.54, owners=(Share(EAST, 1.0),))
    west = make_case("case-west", lon=114.045, lat=22.54)
    store.append((), [make_event(case=west), make_event(case=east, recipients=(EAST,))])


def cells(client, path="/api/heatmap?resolution=10"):
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/geo+json"
    return {feature["id"]: feature for feature in answer.json()["features"]}


def at(cell, resolution=10):
    return h3.cell_to_parent(cell, resolution)


def test_the_heat_map_is_cases_over_looks_and_what_nobody_saw_is_unseen(street, browser, areas):
    found = cells(browser())
    west, east = found[at(WEST_CELL)]["properties"], found[at(EAST_CELL)]["properties"]
    assert (west["open"], west["clear_looks"], west["open_per_look"]) == (1, 1.5, pytest.approx(1 / 1.5, abs=1e-6))
    assert (east["clear_looks"], east["sight"], east["area"]) == (9.0, "seen", EAST)
    others = [f["properties"] for id, f in found.items() if id not in (at(WEST_CELL), at(EAST_CELL))]
    assert len(others) > 100
    assert {(p["sight"], p["open_per_look"], p["clear_looks"]) for p in others} == {("unseen", None, 0.0)}
    ring = found[at(WEST_CELL)]["geometry"]["coordinates"][0]
    assert ring[0] == ring[-1]
    assert all(114.0 < lon < 114.1 and 22.5 < lat < 22.6 for lon, lat in ring)


def test_a_map_is_coarser_narrower_or_of_fewer_days_as_asked(street, browser):
    client = browser()
    coarse = cells(client, "/api/heatmap?resolution=8")
    assert sum(f["properties"]["clear_looks"] for f in coarse.values()) == pytest.approx(10.5)
    assert cells(client, "/api/heatmap?resolution=10&bbox=114.0,22,114.05,23").keys() < cells(client).keys()
    today = cells(client, "/api/heatmap?resolution=10&days=1")
    assert {f["properties"]["sight"] for f in today.values()} == {"unseen"}
    assert sum(f["properties"]["open"] for f in cells(client, "/api/heatmap?matter=06042").values()) == 0
    assert client.get("/api/heatmap?bbox=1,2,3").status_code == 400
    assert client.get("/api/heatmap?bbox=1,95,3,97").status_code == 400


def test_an_account_sees_the_heat_and_the_coverage_of_its_own_areas(street, add_account, signed_in):
    add_account()
    client = signed_in("li.ming")
    found = cells(client)
    assert at(EAST_CELL) not in found
    assert {f["properties"]["area"] for f in found.values()} == {WEST}
    assert sum(f["properties"]["clear_looks"] for f in found.values()) == 1.5
    coarse = cells(client, "/api/heatmap?resolution=7").values()
    assert sum(f["properties"]["clear_looks"] for f in coarse) == 1.5
    assert sum(f["properties"]["open"] for f in coarse) == 1
    (row,) = client.get("/api/coverage").json()["areas"]
    assert (row["area"], row["seen"], row["clear_looks"]) == (WEST, 1, 1.5)
    assert row["path"] == "福田区 / 莲花街道 / 彩田社区"
    assert row["share"] == pytest.approx(1 / row["cells"], abs=1e-4)


def test_an_area_that_nobody_looked_at_lately_still_says_when_it_last_was(street, browser):
    rows = {row["area"]: row for row in browser().get("/api/coverage?days=1").json()["areas"]}
    assert (rows[EAST]["seen"], rows[EAST]["share"], rows[EAST]["clear_looks"]) == (0, 0.0, 0.0)
    assert rows[EAST]["last_day"] == since_day(datetime.now(UTC) - timedelta(days=1), 1)


# OGC API – Features


def test_a_program_finds_the_cases_from_the_landing_page_by_links_alone(street, browser):
    client = browser()

    def follow(document, rel):
        return client.get(next(link["href"] for link in document["links"] if link["rel"] == rel))

    landing = client.get("/ogc").json()
    assert follow(landing, "service-desc").json()["openapi"].startswith("3.1")
    assert any(uri.endswith("/conf/core") for uri in follow(landing, "conformance").json()["conformsTo"])
    (collection,) = follow(landing, "data").json()["collections"]
    assert collection["extent"]["spatial"]["bbox"] == [[114.04, 22.535, 114.06, 22.545]]
    answer = follow(collection, "items")
    assert answer.headers["content-type"] == "application/geo+json"
    assert (answer.json()["numberMatched"], answer.json()["numberReturned"]) == (2, 2)
    feature = answer.json()["features"][0]
    assert feature["geometry"] == {"type": "Point", "coordinates": [114.045, 22.54]}
    assert feature["properties"]["area_path"] == "福田区 / 莲花街道 / 彩田社区"
    assert all(not isinstance(value, list | dict) for value in feature["properties"].values())
    one = client.get("/ogc/collections/cases/items/case-west").json()
    assert one["id"] == feature["id"] == "case-west"
    assert client.get("/ogc/collections/cases/items/none").status_code == 404


def test_pages_lead_on_by_next_and_keep_what_was_asked(street, browser):
    client = browser()
    first = client.get("/ogc/collections/cases/items?limit=1&bbox=114,22,115,23").json()
    assert [f["id"] for f in first["features"]] == ["case-west"]
    (further,) = [link["href"] for link in first["links"] if link["rel"] == "next"]
    second = client.get(further).json()
    assert [f["id"] for f in second["features"]] == ["case-east"]
    assert [link["rel"] for link in second["links"]] == ["self"]
    assert second["numberMatched"] == 2


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("bbox=114.05,22,114.06,23", ["case-east"]),
        ("bbox=114.05,22,0,114.06,23,100", ["case-east"]),
        ("datetime=2026-11-20T04:10:00Z", ["case-west", "case-east"]),
        ("datetime=2026-11-20T12:10:00%2B08:00", ["case-west", "case-east"]),
        ("datetime=2026-11-20T04:26:00Z/..", []),
        ("datetime=../2026-11-20T03:59:00Z", []),
        ("datetime=2026-11-20T00:00:00Z/2026-11-20T23:00:00Z&state=open", ["case-west", "case-east"]),
    ],
)
def test_items_are_narrowed_by_place_and_time(street, browser, query, ids):
    assert NOON.day == 20
    answer = browser().get(f"/ogc/collections/cases/items?{query}").json()
    assert [feature["id"] for feature in answer["features"]] == ids


@pytest.mark.parametrize(
    "query", ["bbox=a", "bbox=nan,0,0,0", "datetime=yesterday", "datetime=a/b/c", "colour=red", "bbox=1,9,2,8"]
)
def test_what_cannot_be_read_is_refused_with_a_reason(street, browser, query):
    answer = browser().get(f"/ogc/collections/cases/items?{query}")
    assert answer.status_code == 400
    assert answer.json()["detail"]
    assert answer.headers["cache-control"] == "no-store"


def test_an_account_and_a_key_open_their_own_cases_only(street, add_account, signed_in, add_key, browser):
    add_account()
    client = signed_in("li.ming")
    answer = client.get("/ogc/collections/cases/items").json()
    assert ([f["id"] for f in answer["features"]], answer["numberMatched"]) == (["case-west"], 1)
    assert client.get("/ogc/collections/cases/items/case-east").status_code == 404
    extent = client.get("/ogc/collections/cases").json()["extent"]["spatial"]["bbox"]
    assert extent == [[114.04, 22.535, 114.05, 22.545]]
    token = add_key(areas=frozenset({EAST}), reach=frozenset({Reach.READ}))
    keyed = browser().get("/ogc/collections/cases/items", headers={"authorization": f"Bearer {token}"}).json()
    assert [f["id"] for f in keyed["features"]] == ["case-east"]
