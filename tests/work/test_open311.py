"""Citizens report by Open311: who may, in what form, and that a report joins the case that it is of."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from town import LAT, LON, WEST, clean_pass, sighting, town
from whole import dumped

from dispatcher.access.account import Account, Key
from dispatcher.access.principal import LOCAL, Reach, Role
from dispatcher.access.scope import Scope
from dispatcher.access.tokens import hashed, new_key
from dispatcher.api.app import create_app
from dispatcher.api.serve import serve
from dispatcher.area import Areas
from dispatcher.case import State
from dispatcher.dispatch import Dispatcher
from dispatcher.engine import Engine
from dispatcher.open311.intake import Intake, take
from dispatcher.open311.posted import Refused, filed, read_form
from dispatcher.open311.report import Taking
from dispatcher.store.store import Store
from ingest.envelope import parse_envelope
from ingest.gcj02 import gcj02_from_wgs84
from ingest.geo import latlon_from_offset
from models.taxonomy import Taxonomy
from vision.pictures import FolderEvidence
from vision.sighting import parse_sighting

TAXONOMY = Taxonomy.read()
REQUESTS = "/open311/v2/requests.json"
PRIVATE = {"first_name": "小红", "last_name": "赵", "phone": "13912345678", "email": "hong@example.com"}
WORDS = "楼下垃圾桶旁堆了几袋垃圾"
FORM = {"service_code": "06010", "lat": str(LAT), "long": str(LON), "description": WORDS}


@pytest.fixture
def app(store: Store, areas: Areas, tmp_path: Path) -> FastAPI:
    return create_app(store, areas, evidence=FolderEvidence(tmp_path))


@pytest.fixture
def client(app: FastAPI) -> Iterator[httpx.Client]:
    """Of whoever sits at the machine, until there is an account."""
    with serve(app, port=0) as serving, httpx.Client(base_url=serving.url, trust_env=False, timeout=20) as opened:
        yield opened


@pytest.fixture
def add_key(store: Store) -> Callable[..., str]:
    """Keeps a key and gives its token; with it there is an account, so that keys are demanded."""
    now = datetime.now(UTC)
    store.accounts.add(Account(login="li", name="李明", role=Role.ADMIN, areas=None, created_at=now, changed_at=now))

    def add(**changes: Any) -> str:
        id, token = new_key()
        values: dict[str, Any] = {
            "id": id,
            "name": "12345",
            "role": Role.OFFICER,
            "areas": frozenset({WEST}),
            "reach": frozenset({Reach.OPEN311}),
            "created_at": now,
            "expires_at": now + timedelta(days=1),
        }
        store.keys.add(Key(**(values | changes)), hashed(token))
        return token

    return add


def beside(east_m: float, north_m: float = 0.0) -> dict[str, str]:
    lat, lon = latlon_from_offset(LAT, LON, east_m, north_m)
    return FORM | {"lat": f"{lat:.7f}", "long": f"{lon:.7f}"}


def post(client: httpx.Client, form: dict[str, str], **more: Any) -> dict[str, Any]:
    answer = client.post(REQUESTS, data=form, **more)
    assert answer.status_code == 200, answer.text
    (found,) = answer.json()
    return found


def standing(client: httpx.Client, id: str) -> dict[str, Any]:
    (found,) = client.get(f"/open311/v2/requests/{id}.json").json()
    return found


def seen(store: Store, areas: Areas, *ns: int) -> Dispatcher:
    """Buses see the heap, an hour ago."""
    dispatcher = Dispatcher(Engine(areas, TAXONOMY), store)
    dispatcher.recover(store.inputs())
    for n in ns:
        dispatcher.read(sighting(n, datetime.now(UTC) - timedelta(minutes=60 - n)))
    return dispatcher


# What the standard asks for


def test_every_matter_is_a_service_in_both_forms(client) -> None:
    listed = client.get("/open311/v2/services.json").json()
    assert {service["service_code"] for service in listed} == set(TAXONOMY.by_code)
    garbage = next(service for service in listed if service["service_code"] == "06010")
    assert (garbage["service_name"], garbage["metadata"], garbage["group"]) == ("暴露垃圾", True, "市容环境类")
    answer = client.get("/open311/v2/services.xml")
    assert answer.headers["content-type"] == "text/xml; charset=utf-8"
    assert answer.content.startswith(b"<?xml version='1.0' encoding='utf-8'?>")
    root = ElementTree.fromstring(answer.content)
    assert root.tag == "services"
    assert [service.findtext("service_code") for service in root.findall("service")] == sorted(TAXONOMY.by_code)
    assert root.findtext("service/metadata") == "true"


def test_a_definition_lists_what_may_be_said_beside_the_standard(client) -> None:
    found = client.get("/open311/v2/services/06010.json").json()
    assert found["service_code"] == "06010"
    assert [attribute["code"] for attribute in found["attributes"]] == ["accuracy_m", "seen_at", "datum"]
    root = ElementTree.fromstring(client.get("/open311/v2/services/06010.xml").content)
    assert root.tag == "service_definition"
    assert [one.findtext("key") for one in root.findall("attributes/attribute/values/value")] == ["WGS84", "GCJ02"]


def test_a_report_opens_a_case_that_its_office_is_told_of(client, store) -> None:
    answered = post(client, FORM | PRIVATE | {"account_id": "a-7"})
    assert answered["account_id"] == "a-7"
    (case,) = store.cases().cases
    assert (case.document["state"], case.document["matter"], case.area) == ("open", "06010", WEST)
    assert [alert["recipient"] for alert in case.document["alerts"]] == [WEST]
    assert case.document["sightings"] == [answered["service_request_id"]]
    found = standing(client, answered["service_request_id"])
    assert (found["status"], found["agency_responsible"], found["description"]) == ("open", "彩田社区", WORDS)
    assert (found["lat"], found["long"]) == (LAT, LON)


def test_the_same_in_xml(client) -> None:
    root = ElementTree.fromstring(client.post("/open311/v2/requests.xml", data=FORM).content)
    assert root.tag == "service_requests"
    id = root.findtext("request/service_request_id")
    root = ElementTree.fromstring(client.get(f"/open311/v2/requests/{id}.xml").content)
    assert (root.findtext("request/status"), root.findtext("request/description")) == ("open", WORDS)
    assert root.find("request/zipcode").text is None


@pytest.mark.parametrize(
    ("form", "status", "word"),
    [
        ({"service_code": ""}, 400, "service_code was not provided"),
        ({"service_code": "99999"}, 404, "service_code '99999'"),
        ({"lat": ""}, 400, "address alone"),
        ({"lat": "ninety"}, 400, "lat is a number"),
        ({"lat": "nan"}, 400, "lat is a number"),
        ({"lat": "0", "long": "0"}, 400, "no position"),
        ({"attribute[accuracy_m]": "5000"}, 400, "accuracy_m"),
        ({"attribute[seen_at]": "yesterday"}, 400, "seen_at"),
        ({"attribute[seen_at]": "2020-01-01T00:00:00+08:00"}, 400, "30 days back"),
        ({"attribute[datum]": "BD09"}, 400, "WGS84, GCJ02"),
        ({"media_url": "javascript:alert(1)"}, 400, "media_url"),
        ({"description": "\x00"}, 400, "control characters"),
        ({"description": "长" * 4001}, 400, "longer than 4000"),
    ],
)
def test_what_is_wrong_is_said_in_the_standard_s_form(client, store, form, status, word) -> None:
    answer = client.post(REQUESTS, data=FORM | form)
    assert answer.status_code == status
    ((error),) = answer.json()
    assert error["code"] == status
    assert word in error["description"]
    root = ElementTree.fromstring(client.post("/open311/v2/requests.xml", data=FORM | form).content)
    assert (root.tag, root.findtext("error/code")) == ("errors", str(status))
    assert store.cases().cases == []


def test_errors_of_every_other_kind_have_that_form_too(client) -> None:
    for path, status in (
        ("/open311/v2/services.yaml", 400),
        ("/open311/v2/services/99999.json", 404),
        ("/open311/v2/requests/nothing.json", 404),
        ("/open311/v2/tokens/nothing.json", 404),
        ("/open311/v2/nothing.json", 404),
        ("/open311/v2/requests.json?status=lost", 400),
        ("/open311/v2/requests.json?start_date=2026-01-01", 400),
    ):
        answer = client.get(path)
        assert (answer.status_code, answer.json()[0]["code"]) == (status, status), path
    answer = client.post(REQUESTS, json=FORM)
    assert (answer.status_code, answer.json()[0]["code"]) == (415, 415)


def test_a_large_body_is_refused(client) -> None:
    answer = client.post(REQUESTS, data=FORM | {"description": "a" * 2_000_000})
    assert (answer.status_code, answer.json()[0]["code"]) == (413, 413)


# Which case


def test_a_report_of_a_thing_that_is_known_joins_its_case_and_nobody_is_told_again(client, store, areas) -> None:
    seen(store, areas, 1, 2, 3)
    (before,) = store.cases().cases
    id = post(client, beside(9.0))["service_request_id"]
    (after,) = store.cases().cases
    assert after.id == before.id
    assert after.document["sightings"] == ["s1", "s2", "s3", id]
    assert after.document["alerts"] == before.document["alerts"]
    assert standing(client, id)["status"] == "open"


def test_reports_of_two_people_of_one_thing_are_one_case(client, store) -> None:
    ids = [post(client, beside(east))["service_request_id"] for east in (0.0, 7.0)]
    (case,) = store.cases().cases
    assert case.document["sightings"] == ids
    assert len(case.document["alerts"]) == 1


def test_what_is_certainly_elsewhere_or_of_another_matter_is_another_case(client, store, areas) -> None:
    seen(store, areas, 1, 2, 3)
    post(client, beside(20.0) | {"attribute[accuracy_m]": "3"})  # the same place for one who is 15 m wrong
    post(client, FORM | {"service_code": "06012"})
    found = {case.document["matter"]: case for case in store.cases().cases}
    assert len(store.cases().cases) == 3
    assert (found["06012"].document["kind"], found["06012"].document["state"]) == ("06012", "open")


def test_a_report_of_what_was_closed_is_a_rebound_and_of_before_it_is_the_closed_case_s(client, store, areas) -> None:
    dispatcher = seen(store, areas, 1, 2, 3)
    for n in range(4):
        dispatcher.read(clean_pass(n, datetime.now(UTC) - timedelta(minutes=40 - n)))
    (closed,) = store.cases().cases
    assert closed.document["state"] == "closed"
    early = datetime.now(UTC) - timedelta(minutes=50)
    id = post(client, FORM | {"attribute[seen_at]": early.isoformat()})["service_request_id"]
    assert standing(client, id)["status"] == "closed"
    assert store.case(closed.id)[0].document["sightings"][-1] == id
    assert [letter for letter in store.outbox() if "reported" in letter.line] == []  # it changed nothing
    post(client, FORM)
    again = next(case for case in store.cases().cases if case.id != closed.id)
    assert (again.document["previous"], again.document["episode"]) == (closed.id, 2)


def test_a_report_of_what_an_officer_dismissed_belongs_to_that_case_and_opens_none(client, store, areas) -> None:
    seen(store, areas, 1, 2, 3)
    (case,) = store.cases().cases
    asked = {"act": "dismiss", "reason": "商户许可", "label": "permitted"}
    assert client.post(f"/api/cases/{case.id}/actions", json=asked).status_code == 201
    found = standing(client, post(client, FORM)["service_request_id"])
    assert (found["status"], found["status_notes"]) == ("closed", "已受理：不予立案")
    assert len(store.cases().cases) == 1


def test_a_map_s_shifted_coordinates_are_moved_back(client, store) -> None:
    lat, lon = gcj02_from_wgs84(LAT, LON)
    form = FORM | {"lat": f"{lat:.7f}", "long": f"{lon:.7f}", "attribute[datum]": "GCJ02"}
    found = standing(client, post(client, form)["service_request_id"])
    assert (found["lat"], found["long"]) == pytest.approx((LAT, LON), abs=2e-7)


# Through the engine


def test_a_report_is_an_input_and_every_engine_that_reads_them_decides_the_same(client, store, areas) -> None:
    seen(store, areas, 1, 2)
    post(client, FORM | PRIVATE)
    post(client, beside(120.0))
    fresh = Dispatcher(Engine(areas, TAXONOMY), store)
    fresh.recover(store.inputs())
    shown = {case.id: case.document for case in store.cases().cases}
    assert {case.id: case.document() for case in fresh.engine.cases()} == shown
    replayed = Dispatcher(Engine(areas, TAXONOMY), other := Store.open("sqlite://"))
    with other:
        for line in store.inputs():
            replayed.read(parse_envelope(line))
        assert {case.id: case.document for case in other.cases().cases} == shown


def test_a_rebuild_makes_the_same_tables(client, store, areas) -> None:
    seen(store, areas, 1, 2)
    post(client, FORM)
    post(client, beside(120.0))
    done = store.rebuild()
    assert {name: table.changed for name, table in done.tables.items()} == dict.fromkeys(done.tables, 0)
    assert done.tables["report_cases"].rows == 2


def test_while_a_dispatcher_runs_it_decides_and_a_token_stands_for_the_report(
    client, store, areas, monkeypatch
) -> None:
    monkeypatch.setattr("dispatcher.open311.intake.WAIT_S", 0.2)
    dispatcher = seen(store, areas, 1, 2)
    lease = store.lease()
    assert lease is not None
    answered = post(client, FORM)
    assert "service_request_id" not in answered
    path = f"/open311/v2/tokens/{answered['token']}.json"
    assert client.get(path).json() == [{"service_request_id": None, "token": answered["token"]}]
    take(store, dispatcher, TAXONOMY, lambda _: ())
    (found,) = client.get(path).json()
    assert standing(client, found["service_request_id"])["status_notes"] == "已受理：待处理"
    fresh = Dispatcher(Engine(areas, TAXONOMY), store)
    fresh.recover(store.inputs())
    assert dumped(fresh.engine) == dumped(dispatcher.engine)
    lease.release()


def test_a_report_that_a_dispatcher_left_waiting_is_taken_later(store, areas) -> None:
    intake = Intake(store, areas, TAXONOMY)
    now = datetime.now(UTC)
    one = filed(FORM, TAXONOMY, sender="local", now=now)
    assert store.reports.add(one.report, one.contact).taking is Taking.WAITING
    assert intake.decide()
    found = store.reports.find(one.report.id, "local")
    assert (found.taking, found.state) == (Taking.TAKEN, State.OPEN)


def test_a_report_that_the_engine_refuses_waits_no_longer(store, areas) -> None:
    one = filed(FORM, TAXONOMY, sender="local", now=datetime.now(UTC))
    store.reports.add(one.report, one.contact)
    lacking = Taxonomy([TAXONOMY.by_code["06012"]])
    assert Intake(store, areas, lacking).decide()
    assert store.reports.find(one.report.id, "local").taking is Taking.REFUSED
    assert store.cases().cases == []


def test_a_report_sent_twice_under_one_key_is_one(client, store) -> None:
    first = post(client, FORM, headers={"idempotency-key": "k1"})
    assert post(client, FORM, headers={"idempotency-key": "k1"}) == first
    (case,) = store.cases().cases
    assert len(case.document["sightings"]) == 1
    answer = client.post(REQUESTS, data=beside(50.0), headers={"idempotency-key": "k1"})
    assert answer.status_code == 400
    assert len(store.cases().cases) == 1


# Who


def test_a_key_is_sent_as_api_key_or_as_a_bearer(client, add_key) -> None:
    key = add_key()
    post(client, FORM | {"api_key": key})
    post(client, FORM, headers={"authorization": f"Bearer {key}"})
    assert len(client.get(f"{REQUESTS}?api_key={key}").json()) == 2


@pytest.mark.parametrize("given", [{}, {"api_key": "jxk_00000000_" + "a" * 43}, {"api_key": "?"}])
def test_without_a_good_key_the_answer_is_403(client, add_key, store, given) -> None:
    add_key()
    for path in (REQUESTS, "/open311/v2/services.json"):
        answer = client.get(path, params=given)
        assert (answer.status_code, answer.json()[0]["code"]) == (403, 403)
    answer = client.post(REQUESTS, data=FORM | given)
    assert (answer.status_code, answer.json()[0]["code"]) == (403, 403)
    assert store.cases().cases == []


def test_a_key_without_the_scope_or_the_role_reports_nothing(client, add_key, store) -> None:
    for key in (add_key(reach=frozenset({Reach.READ, Reach.ACT})), add_key(role=Role.VIEWER)):
        assert client.post(REQUESTS, data=FORM | {"api_key": key}).status_code == 403
    assert store.cases().cases == []


def test_a_key_for_reports_opens_nothing_else(client, add_key) -> None:
    headers = {"authorization": f"Bearer {add_key(role=Role.ADMIN, areas=None)}"}
    for path in ("/api/cases", "/api/areas", "/api/summary", "/ogc/collections/cases/items"):
        assert client.get(path, headers=headers).status_code == 403


def test_a_key_sees_its_own_reports_and_those_of_its_areas_alone(client, add_key) -> None:
    ours, theirs = add_key(), add_key(areas=frozenset({"440304004902"}))
    id = post(client, FORM | {"api_key": ours})["service_request_id"]
    own = post(client, beside(200.0) | {"api_key": theirs})["service_request_id"]  # in the west, too

    def ids(key: str) -> set[str]:
        return {found["service_request_id"] for found in client.get(f"{REQUESTS}?api_key={key}").json()}

    assert ids(theirs) == {own}
    assert ids(ours) == {id, own}
    assert client.get(f"/open311/v2/requests/{id}.json?api_key={theirs}").status_code == 404
    assert client.get(f"{REQUESTS}?service_request_id={id},{own}&api_key={theirs}").json()[0][
        "service_request_id"
    ] == own  # fmt: skip


def test_who_reported_is_for_dispatchers_alone_and_nowhere_else(client, add_key, store) -> None:
    key = add_key()
    post(client, FORM | PRIVATE | {"api_key": key, "device_id": "phone-77"})
    (case,) = store.cases().cases
    path = f"/api/cases/{case.id}/reports"

    def contact(role: Role) -> Any:
        token = add_key(role=role, reach=frozenset({Reach.READ, Reach.OPEN311}))
        (found,) = client.get(path, headers={"authorization": f"Bearer {token}"}).json()
        assert found["description"] == WORDS
        return found["contact"]

    assert contact(Role.VIEWER) is contact(Role.OFFICER) is None
    assert contact(Role.DISPATCHER)["phone"] == contact(Role.ADMIN)["phone"] == PRIVATE["phone"]
    reader = add_key(role=Role.ADMIN, reach=frozenset({Reach.READ}))
    assert client.get(path, headers={"authorization": f"Bearer {reader}"}).json()[0]["contact"] is None
    stranger = add_key(areas=frozenset({"440304004902"}), reach=frozenset({Reach.READ}))
    assert client.get(path, headers={"authorization": f"Bearer {stranger}"}).status_code == 404

    letters = store.outbox(limit=100)
    assert {letter.topic for letter in letters} == {"cases", "alerts"}
    outside = [letter.line for letter in letters] + list(store.inputs()) + [json.dumps(e.document) for e in
               store.events_after(0)] + [client.get(f"{REQUESTS}?api_key={key}").text]  # fmt: skip
    for text in outside:
        assert not [word for word in [*PRIVATE.values(), "phone-77"] if word in text]
    for letter in letters:
        assert WORDS not in letter.line  # people write names into descriptions, too


# Listing


def test_reports_are_listed_by_matter_state_and_time(client, store) -> None:
    first = post(client, FORM)["service_request_id"]
    other = post(client, FORM | {"service_code": "06012"})["service_request_id"]

    def ids(query: str) -> list[str]:
        return [found["service_request_id"] for found in client.get(f"{REQUESTS}?{query}").json()]

    assert sorted(ids("")) == sorted([first, other])
    assert ids("service_code=06012") == [other]
    assert sorted(ids("service_code=06012,06010&status=open")) == sorted([first, other])
    assert ids("status=closed") == []
    assert ids("start_date=2020-01-01T00:00:00Z") == []  # and ninety days on
    assert ids("end_date=2020-01-01T00:00:00Z") == []
    assert len(ids("start_date=2020-01-01T00:00:00%2B08:00&end_date=2099-01-01T00:00:00Z")) == 0
    assert store.reports.find(first, "somebody", Scope(frozenset())) is None


@given(st.binary(max_size=200))
def test_no_body_breaks_the_form(body: bytes) -> None:
    with contextlib.suppress(Refused):
        filed(read_form(body), TAXONOMY, sender="x", now=datetime.now(UTC))


forms = st.fixed_dictionaries(
    {
        "lat": st.floats(-90, 90).map(lambda x: f"{x:.7f}"),
        "long": st.floats(-180, 180).map(lambda x: f"{x:.7f}"),
        "attribute[datum]": st.sampled_from(["GCJ02", "WGS84"]),
        "attribute[accuracy_m]": st.floats(0, 300).map(str),
    }
)


@given(forms)
def test_every_report_that_is_taken_makes_sense_to_the_engine(form: dict[str, str]) -> None:
    engine = Engine(town(), TAXONOMY)
    try:
        report = filed({"service_code": "06010"} | form, TAXONOMY, sender=LOCAL.id, now=datetime.now(UTC)).report
    except Refused:
        return
    envelope = report.envelope(TAXONOMY)
    assert [event.event for event in engine.read(parse_sighting(envelope.data), made_at=envelope.time)] == ["opened"]
