"""No route shows anything of another's area, and no route is without a rule. New routes are walked by themselves."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from dataclasses import dataclass

import httpx
import pytest
from fastapi import APIRouter
from futian import EAST, WEST

from dispatcher.access.principal import Reach, Role
from dispatcher.api import app as app_module
from dispatcher.api.app import create_app
from dispatcher.api.rules import Rule, ruled
from dispatcher.case import Anchor, Share, State
from vision.sighting import Evidence

JPEG = b"\xff\xd8\xff\xe0 a picture of "
# What a caller puts into a path. A route with another parameter fails the walk until its name is added here.
PARAMETERS = {
    "id": ("case-east", "case-west", "case-border", "case-nowhere"),
    "name": (),
    "format": ("json", "xml"),
    "service_code": ("06010",),
    "token": ("0123456789abcdef",),
}
SECRET_OF_EAST = "东区才知道的事"


@dataclass
class City:
    """What is stored, and by which words an answer gives it away."""

    pictures: dict[str, str]
    east: list[str]
    nowhere: list[str]


def picture(folder, of):
    content = JPEG + of.encode()
    name = f"{hashlib.sha256(content).hexdigest()}.jpg"
    (folder / name).write_bytes(content)
    return name


def evidence(name):
    return Evidence(uri=name, sha256=name[:-4], box_xyxy=(1, 2, 3, 4))


@pytest.fixture
def city(app, store, tmp_path, make_case, make_event):
    """A case in the west, one in the east, one at their border that was told to both, and one that nobody owns."""
    pictures = {of: picture(tmp_path / "evidence", of) for of in ("west", "east", "border", "nowhere")}
    west = make_case("case-west", owners=(Share(WEST, 1.0),), alerts=(), evidence=evidence(pictures["west"]))
    east = make_case(
        "case-east",
        owners=(Share(EAST, 1.0),),
        alerts=(),
        evidence=evidence(pictures["east"]),
        sightings=(f"sighting-{SECRET_OF_EAST}",),
        lat=22.5387654,
        lon=114.0587654,
        matter="06042",
    )
    border = make_case(
        "case-border", owners=(Share(EAST, 0.6), Share(WEST, 0.4)), alerts=(), evidence=evidence(pictures["border"])
    )
    nowhere = make_case("case-nowhere", owners=(), alerts=(), lon=114.1234567, evidence=evidence(pictures["nowhere"]))
    store.append(
        (),
        [
            make_event(
                "suspected",
                case=make_case("case-east", state=State.CANDIDATE, owners=(Share(EAST, 1.0),)),
                recipients=(),
            ),
            make_event(case=west, recipients=(WEST,)),
            make_event(case=east, recipients=(EAST,)),
            make_event(case=border, recipients=(EAST, WEST)),
            make_event(case=nowhere, recipients=()),
        ],
    )
    store.append(
        anchors=[
            Anchor(kind="garbage_bin", lat=22.54, lon=lon, covariance_m2=(1.0, 0.0, 1.0), sightings=(f"bin-{side}",))
            for side, lon in (("west", 114.045), ("east", 114.055), ("nowhere", 114.2))
        ]
    )
    return City(
        pictures,
        ["case-east", pictures["east"], SECRET_OF_EAST, "22.5387654", "114.0587654", "bin-east"],
        ["case-nowhere", pictures["nowhere"], "114.1234567", "bin-nowhere"],
    )


def paths(app, city, methods=("GET",)):
    """Every route of the app with everything that could stand in its path."""
    values = PARAMETERS | {"name": tuple(city.pictures.values())}
    for path, allowed, _ in ruled(app.routes):
        for method in sorted(allowed & set(methods)):
            names = re.findall(r"{(\w+)(?::\w+)?}", path)
            assert set(names) <= values.keys(), f"{path}: say in PARAMETERS what is put there"
            filled = [path]
            for name in names:
                filled = [re.sub(rf"{{{name}(:\w+)?}}", v, one) for one in filled for v in values[name]]
            yield from ((method, one) for one in filled)


def everything(client: httpx.Client, method: str, path: str) -> tuple[int, str]:
    """What a client can get out of a route: status and text; of a stream what comes before its first pause."""
    if path.endswith("/events"):
        return streamed(client, path)
    body = None if method == "GET" else body_of(path)
    answer = client.request(method, path, json=body)
    asked = set(re.findall(r"[\w.-]+", path))
    text = answer.text
    for word in asked if answer.status_code >= 400 else ():  # an error may repeat what was asked for
        text = text.replace(word, "")
    return answer.status_code, text + str(dict(answer.headers))


def body_of(path: str) -> dict[str, str]:
    """What a route takes that changes something."""
    return {"act": "acknowledge"} if path.endswith("/actions") else {"reason": "x", "login": "x", "password": "x"}


def streamed(client, path):
    lines: list[str] = []
    status = 0
    with (
        contextlib.suppress(httpx.ReadTimeout),  # nothing more for now
        client.stream("GET", path, params={"after": 0}, timeout=1.5) as answer,
    ):
        status = answer.status_code
        lines.extend(answer.iter_lines())
    return status, "\n".join(lines)


def test_no_route_shows_a_foreign_account_anything_of_another_area(app, city, add_account, signed_in):
    add_account()
    client = signed_in("li.ming")
    walked = list(paths(app, city))
    assert len(walked) > 15
    for method, path in walked:
        _, text = everything(client, method, path)
        for word in city.east + city.nowhere:
            assert word not in text, f"{method} {path} tells {word}"


def test_a_foreign_account_learns_no_more_of_a_case_that_is_there_than_of_one_that_is_not(city, add_account, signed_in):
    add_account()
    client = signed_in("li.ming")
    theirs, none = client.get("/api/cases/case-east"), client.get("/api/cases/case-none")
    assert theirs.status_code == none.status_code == 404
    assert theirs.text.replace("case-east", "") == none.text.replace("case-none", "")
    assert client.get(f"/evidence/{city.pictures['east']}").status_code == 404


def test_no_route_changes_anything_for_a_foreign_account(app, store, city, add_account, signed_in):
    add_account()
    client = signed_in("li.ming")
    before, events = store.case("case-east"), store.events_after(0)
    for method, path in paths(app, city, ("POST", "PUT", "PATCH", "DELETE")):
        if "east" in path or "nowhere" in path:
            status, text = everything(client, method, path)
            assert status in (403, 404), f"{method} {path}: {status}"
            assert SECRET_OF_EAST not in text
    assert store.case("case-east") == before
    assert store.events_after(0) == events


def test_what_is_one_s_own_is_shown(city, add_account, signed_in):
    add_account()
    client = signed_in("li.ming")
    listing = client.get("/api/cases").json()
    assert {case["id"] for case in listing["cases"]} == {"case-west", "case-border"}
    assert listing["total"] == 2
    assert client.get("/api/cases/case-west").status_code == 200
    assert client.get(f"/evidence/{city.pictures['west']}").content.startswith(JPEG)
    assert [thing["sightings"] for thing in client.get("/api/objects").json()] == [["bin-west"]]
    assert [area["properties"]["code"] for area in client.get("/api/areas").json()["features"]] == [WEST]
    summary = client.get("/api/summary").json()
    assert (summary["total"], summary["unowned"], summary["alerts"]) == (2, 0, 2)
    assert summary["by_matter"] == {"06010": 2}
    assert (summary["inputs"], summary["rejected"]) == (None, None)
    _, stream = streamed(client, "/api/events")
    assert set(re.findall(r'"case":{"id":"([^"]+)"', stream)) == {"case-west", "case-border"}


@pytest.mark.parametrize("area", [WEST, EAST, "440304008", "440304004000", "440304", "440300", "44"])
def test_a_case_at_a_border_that_was_told_to_both_is_seen_by_both(city, add_account, signed_in, area):
    add_account(areas=frozenset({area}))
    client = signed_in("li.ming")
    assert client.get("/api/cases/case-border").status_code == 200
    assert client.get(f"/evidence/{city.pictures['border']}").status_code == 200
    assert client.get("/api/cases/case-nowhere").status_code == 404  # unowned: for those of all areas


def test_the_unowned_is_for_those_of_all_areas(city, add_account, signed_in):
    add_account(areas=None)
    client = signed_in("li.ming")
    assert {case["id"] for case in client.get("/api/cases?unowned=true").json()["cases"]} == {"case-nowhere"}
    assert client.get(f"/evidence/{city.pictures['nowhere']}").status_code == 200
    assert len(client.get("/api/objects").json()) == 3


@pytest.mark.parametrize("own", [frozenset(), frozenset({"4403040"}), frozenset({"440305"}), frozenset({"WEST"})])
def test_an_account_of_other_or_no_areas_sees_an_empty_desk(city, add_account, signed_in, own):
    add_account(areas=own)
    client = signed_in("li.ming")
    assert client.get("/api/cases").json()["cases"] == []
    assert client.get("/api/summary").json()["total"] == 0
    assert client.get("/api/areas").json()["features"] == []


def test_a_filter_widens_nothing(city, add_account, signed_in):
    add_account()
    client = signed_in("li.ming")
    for query in ("area=440304", f"area={EAST}", "matter=06042", "unowned=true", "state=open&area=44"):
        assert "case-east" not in client.get(f"/api/cases?{query}").text, query


def test_a_case_that_moves_on_before_anyone_was_told_is_its_new_owner_s(
    city, store, make_case, make_event, add_account, signed_in
):
    add_account()
    client = signed_in("li.ming")
    before = make_case("wanders", state=State.CANDIDATE, owners=(Share(WEST, 1.0),), alerts=())
    store.append((), [make_event("suspected", case=before, id="1", recipients=())])
    assert client.get("/api/cases/wanders").status_code == 200
    store.append((), [make_event(case=make_case("wanders", owners=(Share(EAST, 1.0),)), id="2", recipients=(EAST,))])
    assert client.get("/api/cases/wanders").status_code == 404


def test_a_case_that_moves_on_stays_with_those_who_were_told(
    store, city, make_case, make_event, add_account, signed_in
):
    add_account()
    client = signed_in("li.ming")
    moved = make_case("case-west", owners=(Share(EAST, 1.0),))
    store.append((), [make_event("moved", case=moved, recipients=(EAST,))])
    assert client.get("/api/cases/case-west").status_code == 200


def test_without_signing_in_no_route_says_anything(app, city, add_account, browser):
    add_account()
    client = browser()
    for method, path in paths(app, city):
        _, text = everything(client, method, path)
        for word in [*city.east, *city.nowhere, "case-west", "case-border", "bin-west", "彩田"]:
            assert word not in text, f"{method} {path} tells {word}"
    for path, methods, rule in ruled(app.routes):
        if rule != Rule(None) and "{" not in path:
            method = next(iter(methods - {"HEAD"}))
            assert everything(client, method, path)[0] == 401, path


def test_every_route_has_a_rule_and_those_for_anybody_are_few(app):
    rules = {path: rule for path, _, rule in ruled(app.routes)}
    assert None not in rules.values()
    assert {path for path, rule in rules.items() if rule == Rule(None)} == {
        "/",
        "/api/openapi.json",
        "/api/signin",
        "/api/signout",
        "/console",
        "/healthz",
        "/oidc/back",
        "/oidc/start",
        "/openapi.json",
        "/signin",
    }
    assert rules["/evidence/{name}"] == Rule(Role.VIEWER, Reach.EVIDENCE)


def test_an_app_with_a_route_without_rule_does_not_start(store, areas, monkeypatch):
    further = APIRouter()
    further.include_router(app_module.router)
    further.get("/api/secrets")(lambda: {"of": "everybody"})
    monkeypatch.setattr(app_module, "router", further)
    with pytest.raises(RuntimeError, match="GET /api/secrets"):
        create_app(store, areas, evidence=None)


@pytest.mark.parametrize("role", Role)
def test_a_route_that_needs_a_role_refuses_those_below(app, city, add_account, signed_in, role):
    add_account(role=role, areas=None)
    client = signed_in("li.ming")
    ranks = list(Role)
    for path, methods, rule in ruled(app.routes):
        if rule is None or rule.role is None or path.endswith("/events"):
            continue
        filled = re.sub(r"{[^}]+}", "case-none", path)
        status = client.request(next(iter(methods - {"HEAD"})), filled).status_code
        if ranks.index(role) < ranks.index(rule.role):
            assert status == 403, path
        else:
            assert status != 403, path


def test_the_openapi_document_is_json_for_anybody(browser, add_account):
    add_account()
    assert "/api/signin" in json.loads(browser().get("/api/openapi.json").text)["paths"]
