"""Versions of the areas: what was imported stays, and a case names the one that it was routed by."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
import shapely
from shapely import box
from typer.testing import CliRunner

from dispatcher.case import Case, CaseEvent, Share, State
from dispatcher.store.areas import routed_by
from dispatcher.store.store import Store
from jiexun.cli import app

NOW = datetime(2026, 11, 20, 4, tzinfo=UTC)
WEST, EAST = "440304008901", "440304004902"


def case(owner):
    return Case(
        id="case-1",
        kind="garbage",
        matter="06010",
        state=State.OPEN,
        lat=22.5401,
        lon=114.0453,
        covariance_m2=(4.0, 0.0, 1.0),
        probability=0.99,
        opened_at=NOW,
        closed_at=None,
        episode=1,
        previous=None,
        first_seen_at=NOW,
        last_seen_at=NOW,
        sightings=("s",),
        passes=1,
        owners=(Share(owner, 1.0),),
        alerts=(),
        confidence=0.9,
        evidence=None,
    )


def event(name, owner):
    return CaseEvent(id=name, event=name, at=NOW, case=case(owner), recipients=(owner,))


def test_a_case_names_the_version_that_its_owners_are_from_also_after_a_rebuild(store_url):
    with Store.open(store_url) as store:
        store.append((), [event("suspected", WEST)])
        first = store.area_versions.use("one", NOW)
        assert store.area_versions.use("one", NOW) == first  # the next dispatcher, the same areas
        store.append((), [event("opened", WEST)])
        events, uses = store.case("case-1")[1], store.area_versions.uses()
        assert routed_by(events, uses) is None  # its owners are those from before there was a version
        store.append((), [event("moved", EAST)])
        store.keep_areas("two", {"file": "f"}, NOW)
        assert len(store.area_versions.uses()) == 1  # kept is not yet used
        second = store.area_versions.use("two", NOW)
        store.append((), [event("acknowledged", EAST)])
        assert routed_by(store.case("case-1")[1], store.area_versions.uses()) == first
        store.append((), [event("confirmed", WEST)])
        assert routed_by(store.case("case-1")[1], store.area_versions.uses()) == second
        store.rebuild()
        assert routed_by(store.case("case-1")[1], store.area_versions.uses()) == second
        assert [store.area_versions.document(n) for n in (first, second, 99)] == ["one", "two", None]
        assert [version.about for version in store.area_versions.all()] == [{}, {"file": "f"}]


# The commands


@pytest.fixture
def run(store_url, tmp_path, monkeypatch):
    """A command's document, or what it said when it ended with 1."""
    monkeypatch.setenv("JIEXUN_STORE", store_url)
    monkeypatch.setenv("JIEXUN_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def do(*words, fails=False):
        done = CliRunner().invoke(app, ["areas", *words])
        assert done.exit_code == (1 if fails else 0), done.output
        return done.output if fails or "--json" not in words else json.loads(done.stdout)

    return do


def write(path, *areas):
    features = [
        {"type": "Feature", "properties": properties, "geometry": json.loads(shapely.to_geojson(shape))}
        for properties, shape in areas
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False), "utf-8")


def test_layers_are_imported_one_after_the_other_and_every_version_can_be_had_again(run, tmp_path, store_url):
    street = {"code": "440304008000", "name": "莲花街道"}, box(114.04, 22.53, 114.05, 22.54)
    community = {"code": WEST, "name": "彩田社区"}, box(114.04, 22.53, 114.05, 22.54)
    write(tmp_path / "streets.geojson", street)
    write(tmp_path / "communities.geojson", community)
    assert run("list", "--json") == {"versions": [], "routes_by": None}
    assert run("import", "streets.geojson", "--layer", "street", "--json")["version"] == 1
    done = run("import", "communities.geojson", "--layer", "community", "--datum", "cgcs2000", "--json")
    assert done == {"version": 2, "imported": 1, "areas": 2, "layers": {"street": 1, "community": 1}, "findings": []}
    listed = run("list", "--json")
    assert [(v["version"], v["file"], v["datum"], v["used"]) for v in listed["versions"]] == [
        (1, "streets.geojson", "wgs84", []),
        (2, "communities.geojson", "cgcs2000", []),
    ]
    run("export", "all.geojson")
    run("export", "one.geojson", "--version", "1")
    codes = [f["properties"]["code"] for f in json.loads((tmp_path / "one.geojson").read_text("utf-8"))["features"]]
    assert codes == ["440304008000"]
    whole = json.loads((tmp_path / "all.geojson").read_text("utf-8"))
    assert [f["properties"].get("parent") for f in whole["features"]] == [None, "440304008000"]
    assert "exists" in run("export", "all.geojson", fails=True)
    assert "there is no version 9" in run("export", "none.geojson", "--version", "9", fails=True)


def test_a_file_that_would_lose_areas_is_not_imported_unless_that_is_wanted(run, tmp_path):
    good = {"code": WEST, "name": "彩田社区"}, box(114.04, 22.53, 114.05, 22.54)
    write(tmp_path / "bad.geojson", good, ({"name": "没有编码"}, box(114.05, 22.53, 114.06, 22.54)))
    said = run("import", "bad.geojson", "--layer", "community", fails=True)
    assert "it has no code" in said
    assert "nothing was imported" in said
    assert run("list", "--json")["versions"] == []
    assert run("import", "bad.geojson", "--layer", "community", "--drop-bad", "--json")["imported"] == 1


def test_a_check_says_what_is_wrong_and_keeps_nothing(run, tmp_path):
    west = {"code": WEST, "name": "彩田社区"}, box(114.04, 22.53, 114.0501, 22.54)
    east = {"code": EAST, "name": "岗厦社区"}, box(114.05, 22.53, 114.06, 22.54)
    write(tmp_path / "two.geojson", west, east)
    report = run("check", "two.geojson", "--layer", "community", "--json")
    assert [finding["fault"] for finding in report["findings"]] == ["overlap"]
    assert report["layers"] == {"community": 2}
    assert "overlap by" in run("check", "two.geojson", "--layer", "community")
    assert run("list", "--json")["versions"] == []
    assert "does not exist" in run("check", "none.geojson", fails=True)
    assert "UTF-8, not GBK" in _gbk(run, tmp_path)


def _gbk(run, tmp_path):
    (tmp_path / "gbk.geojson").write_bytes('{"type": "FeatureCollection", "name": "福田"}'.encode("gbk"))
    return run("check", "gbk.geojson", fails=True)
