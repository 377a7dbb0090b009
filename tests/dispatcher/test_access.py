"""What the console says to Prometheus, scraped while a real server answers."""

from __future__ import annotations

import httpx
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from dispatcher.api.app import create_app
from dispatcher.api.serve import serve
from dispatcher.case import State
from dispatcher.store.store import Store
from jiexun.access import answering, count_access
from vision.pictures import FolderEvidence


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def client(store, areas, tmp_path, registry):
    app = create_app(store, areas, evidence=FolderEvidence(tmp_path))
    count_access(app, store, registry)
    with serve(app, port=0) as serving, httpx.Client(base_url=serving.url, trust_env=False) as client:
        yield client


def scrape(registry):
    text = generate_latest(registry).decode()
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def requests(registry):
    found = {}
    for (name, *labels), value in scrape(registry).items():
        if name == "jiexun_http_requests_total":
            told = dict(labels)
            found[told["method"], told["route"], told["status"]] = value
    return found


def test_requests_are_counted_by_route_and_answer(client, registry):
    for path in (
        "/api/cases",
        "/api/cases?state=open",
        "/api/cases/a",
        "/api/cases/b",
        "/evidence/x",
        "/console/app.mjs",
    ):
        client.get(path)
    client.get("/.env")
    client.get("/wp-login.php")
    client.request("PROPFIND", "/")
    client.get("/", headers={"host": "evil.example"})
    assert requests(registry) == {
        ("GET", "/api/cases", "200"): 2,
        ("GET", "/api/cases/{id}", "404"): 2,
        ("GET", "/evidence/{name}", "404"): 1,
        ("GET", "/console", "200"): 1,
        ("GET", "other", "404"): 2,
        ("other", "/", "405"): 1,
        ("GET", "other", "421"): 1,
    }
    assert scrape(registry)["jiexun_http_seconds_count", ("route", "/api/cases")] == 2


def test_pages_that_listen_are_counted_while_they_do(client, registry):
    with client.stream("GET", "/api/events") as answer:
        assert answer.status_code == 200
        assert scrape(registry)[("jiexun_http_event_streams",)] == 1


def test_cases_are_counted_by_state_and_matter_as_they_stand(client, registry, store, make_case, make_event):
    assert not [key for key in scrape(registry) if key[0] == "jiexun_cases"]
    store.append((), [make_event(case=make_case("one")), make_event(case=make_case("two"))])
    store.append((), [make_event("closed", case=make_case("two", state=State.CLOSED), recipients=())])
    found = scrape(registry)
    assert found["jiexun_cases", ("matter", "06010"), ("state", "open")] == 1
    assert found["jiexun_cases", ("matter", "06010"), ("state", "closed")] == 1
    assert found[("jiexun_stored_alerts",)] == 2


def test_a_store_that_answers_is_ready_and_one_that_does_not_says_why(tmp_path):
    path = tmp_path / "city.db"
    with Store.open(f"sqlite:///{path}") as store:
        check = answering(store)
        assert check() is None
        store.close()  # its connections; a new one meets what lies there now
        path.write_bytes(b"no database, however long it is looked at")
        assert "store does not answer" in check()
