"""The routes of the desk, over a real server: what was done, who may, and every refusal as problem details."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest
from fastapi import Request
from town import BUREAU, CITY, DUTY, MINUTE, NOON, OFFICER, STRANGER, VIEWER, WEST, make_event, town

from dispatcher.access.principal import LOCAL, Principal
from dispatcher.api.app import create_app
from dispatcher.api.serve import serve
from dispatcher.api.who import principal
from dispatcher.store.store import Store
from dispatcher.work.book import Book
from dispatcher.work.clerk import Clerk
from dispatcher.work.ticker import Ticker
from ingest.frame import rfc3339
from models.taxonomy import Taxonomy
from vision.pictures import FolderEvidence

PEOPLE = {entry.id: entry for entry in (OFFICER, STRANGER, VIEWER, LOCAL)}
ROSTER = (
    DUTY
    + """
[[officer]]
community = "440304008901"
person = "李明"
phone = "13800000000"
[[shift]]
office = "440304-cgj"
person = "周五值班"
"""
)
POLICY = """
[[campaign]]
name = "迎检专项"
begins = 2026-11-01
ends = 2026-11-30
areas = ["440304"]
weight = 2.0
[[campaign]]
name = "外区"
begins = 2026-11-01
ends = 2026-11-30
areas = ["440305"]
"""


def _asking(request: Request) -> Principal:
    """Who asks is named by a header: accounts are tested elsewhere."""
    return PEOPLE[request.headers.get("x-who", "local")]


@pytest.fixture
def client(tmp_path) -> Iterator[httpx.Client]:
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as store:
        clerk = Clerk(store, town(), Taxonomy.read(), Book.of({"duty": ROSTER, "policy": POLICY}))
        app = create_app(store, town(), evidence=FolderEvidence(tmp_path), clerk=clerk)
        app.dependency_overrides[principal] = _asking
        store.append((), [make_event()])
        with serve(app, port=0) as serving, httpx.Client(base_url=serving.url, trust_env=False) as client:
            yield client


def act(client: httpx.Client, who: Principal = LOCAL, headers: dict[str, str] | None = None, **body) -> httpx.Response:
    given = {"x-who": who.id} | (headers or {})
    return client.post("/api/cases/case-1/actions", json=body, headers=given)


def test_the_work_on_a_case_says_step_deadline_and_what_one_may_do(client) -> None:
    act(client, act="pause", reason="施工")
    act(client, act="resume", reason="完工")
    answer = client.get("/api/cases/case-1/work", headers={"x-who": OFFICER.id})
    work = answer.json()["work"]
    assert (work["step"], work["step_zh"], work["step_number"]) == ("registered", "案卷建立", 2)
    assert work["office_name"] == "彩田社区"
    assert work["condition"]["type"] == "工作时"
    assert work["overdue"] is False
    assert work["allowed"] == ["acknowledge", "hand-back", "call", "handled"]
    assert [entry["act_zh"] for entry in answer.json()["actions"]] == ["立案", "挂起", "恢复"]
    assert [c["id"] for c in answer.json()["conditions"]] == ["06010-pile", "06010-large"]
    assert answer.headers["etag"] == f'"{work["version"]}-open"'
    viewer = client.get("/api/cases/case-1/work", headers={"x-who": VIEWER.id}).json()
    assert viewer["work"]["allowed"] == []


def test_rows_of_the_list_say_what_is_due_and_can_be_narrowed_to_what_is_overdue(client) -> None:
    act(client, act="acknowledge")
    due_at = client.get("/api/cases/case-1/work").json()["work"]["due_at"]
    (row,) = client.get("/api/cases").json()["cases"]
    assert (row["due_at"], row["overdue"]) == (due_at, due_at < rfc3339(datetime.now(UTC)))
    shown = [client.get(f"/api/cases?overdue={flag}").json()["total"] for flag in ("true", "false")]
    assert shown == ([1, 0] if row["overdue"] else [0, 1])
    assert client.get("/api/cases/case-1").json()["case"]["due_at"] == due_at
    assert client.get("/api/cases?overdue=perhaps").status_code == 422


def test_an_action_answers_with_the_work_right_after(client) -> None:
    answer = act(client, act="dispatch", office=BUREAU, disposition="enforcement")
    assert answer.status_code == 201
    assert answer.json()["work"]["office_name"] == "福田区城市管理和综合执法局"
    assert answer.json()["work"]["disposition_zh"] == "执法处置"
    assert answer.json()["action"]["actor"] == "local"
    timeline = client.get("/api/cases/case-1").json()["timeline"]
    assert [(event["event"], event["event_zh"]) for event in timeline] == [("opened", "立案"), ("dispatched", "已派遣")]


def test_an_action_changes_the_state_that_the_list_shows(client) -> None:
    act(client, OFFICER, act="handled", reason="已清运")
    (case,) = client.get("/api/cases").json()["cases"]
    assert (case["state"], case["state_zh"]) == ("handled", "已处置待核查")


REFUSED = {
    "an unknown action": (LOCAL, {"act": "burn"}, 422),
    "a field too many": (LOCAL, {"act": "acknowledge", "when": "now"}, 422),
    "the system's own": (LOCAL, {"act": "register"}, 403),
    "another role's": (VIEWER, {"act": "acknowledge"}, 403),
    "somebody else's case": (STRANGER, {"act": "acknowledge"}, 404),
    "the wrong step": (LOCAL, {"act": "close"}, 409),
    "no reason": (LOCAL, {"act": "hand-back"}, 422),
    "a reason without end": (LOCAL, {"act": "hand-back", "reason": "长" * 2001}, 422),
    "a reason that no database keeps": (LOCAL, {"act": "hand-back", "reason": "a\u0000b"}, 422),
    "an office of strange letters": (LOCAL, {"act": "dispatch", "office": "'; drop", "disposition": "own"}, 422),
    "a score of nine": (LOCAL, {"act": "evaluate", "score": 9}, 422),
}


@pytest.mark.parametrize("row", REFUSED.values(), ids=REFUSED)
def test_a_refusal_is_problem_details(client, row) -> None:
    who, body, status = row
    answer = act(client, who, **body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert answer.json()["instance"] == "/api/cases/case-1/actions"
    assert answer.json()["detail"]


def test_half_a_character_is_refused(client) -> None:
    body = b'{"act": "hand-back", "reason": "\\ud800"}'
    answer = client.post("/api/cases/case-1/actions", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422


def test_there_is_no_work_on_no_case(client) -> None:
    assert client.get("/api/cases/nobody/work").status_code == 404
    assert client.get("/api/cases/no%00body/work").status_code == 422
    assert client.get("/api/cases/case-1/work", headers={"x-who": STRANGER.id}).status_code == 404


def test_an_action_that_names_an_old_etag_is_refused(client) -> None:
    old = client.get("/api/cases/case-1/work").headers["etag"]
    new = act(client, act="acknowledge").headers["etag"]
    assert old != new
    assert act(client, headers={"if-match": old}, act="handled").status_code == 412
    assert act(client, headers={"if-match": new}, act="handled").status_code == 201


def test_an_action_that_is_sent_again_under_its_key_is_done_once(client) -> None:
    first = act(client, headers={"idempotency-key": "k"}, act="acknowledge")
    again = act(client, headers={"idempotency-key": "k"}, act="acknowledge")
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["action"] == first.json()["action"]
    assert again.json()["repeated"]
    other = act(client, headers={"idempotency-key": "k"}, act="handled")
    assert other.status_code == 422
    assert "Idempotency-Key" in other.json()["detail"]


def test_a_list_says_how_much_a_case_weighs(client) -> None:
    work = act(client, act="acknowledge").json()["work"]
    (case,) = client.get("/api/cases").json()["cases"]
    assert (case["priority"], case["due_at"]) == (work["priority"], work["due_at"])
    assert case["priority"] == 2.0  # of the campaign in which it was seen


def test_who_is_on_duty_and_what_campaigns_run(client) -> None:
    rosters = {entry["office"]: entry for entry in client.get("/api/rosters").json()}
    assert rosters[WEST]["on_duty"] == [{"person": "李明", "phone": "13800000000", "by_shift": False}]
    assert rosters[BUREAU]["on_duty"][0]["person"] == "周五值班"
    mine = client.get("/api/rosters", headers={"x-who": OFFICER.id}).json()
    assert [entry["office"] for entry in mine] == [WEST]
    campaigns = client.get("/api/campaigns", headers={"x-who": OFFICER.id}).json()
    assert [(entry["name"], entry["weight"]) for entry in campaigns] == [("迎检专项", 2.0)]
    assert {entry["matter"] for entry in client.get("/api/filing").json()} >= {"*", "09006"}
    assert client.get("/api/choices").json()["acts"]["hand-back"] == "退回"


def test_the_routes_are_in_the_openapi_document(client) -> None:
    document = client.get("/api/openapi.json").json()
    post = document["paths"]["/api/cases/{id}/actions"]["post"]
    assert set(post["responses"]) >= {"201", "403", "404", "409", "412", "422"}
    assert {parameter["name"] for parameter in post["parameters"]} >= {"id", "if-match", "Idempotency-Key"}
    assert {"act": "acknowledge"} in document["components"]["schemas"]["ActionIn"]["examples"]


def test_a_ticker_keeps_the_clocks_until_it_is_ended(tmp_path) -> None:
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as store:
        clerk = Clerk(store, town(), Taxonomy.read(), Book())
        store.append((), [make_event()])
        times = iter([NOON, *(NOON + n * 40 * MINUTE for n in range(1, 10_000))])
        with Ticker(clerk.tick, lambda: next(times), every_s=0.01):
            for _ in range(1000):
                if CITY in clerk.standing("case-1", LOCAL).work.told:
                    break
                time.sleep(0.01)
        told = clerk.standing("case-1", LOCAL).work.told
        assert told == ("440304008", "440304", CITY)


def test_a_merge_needs_the_other_case_and_says_where_it_went(client) -> None:
    nothing = act(client, act="merge", into="nothing", reason="同一处")
    assert nothing.status_code == 422
    assert "no case 'nothing'" in nothing.json()["detail"]
    itself = act(client, act="merge", into="case-1", reason="同一处")
    assert itself.status_code == 409
    assert act(client, OFFICER, act="split", sightings=["sighting-1"], reason="两处").status_code == 403
    assert act(client, act="split", sightings=[], reason="两处").status_code == 422
    assert client.get("/api/cases/case-1").json()["case"]["merged_into"] is None
    standing = client.get("/api/cases/case-1/work", headers={"x-who": LOCAL.id}).json()
    assert {"merge", "split"} & set(standing["work"]["allowed"]) == {"merge"}  # one sighting cannot be split
