"""Every route, every error in one shape, and nothing readable that should not be. Over a real server and socket."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest
from futian import EAST, NOON, WEST

from dispatcher.api.app import create_app
from dispatcher.api.schemas import Ellipse
from dispatcher.api.serve import serve
from dispatcher.case import Anchor, Share, State
from vision.pictures import FolderEvidence
from vision.s3 import S3Evidence, S3Login
from vision.sighting import Evidence

JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffd9")
PICTURE = f"{hashlib.sha256(JPEG).hexdigest()}.jpg"


@pytest.fixture
def evidence(tmp_path):
    folder = tmp_path / "evidence"
    folder.mkdir()
    (folder / PICTURE).write_bytes(JPEG)
    (folder / "notes.txt").write_text("not a picture")
    (tmp_path / "secret.jpg").write_bytes(b"PRIVATE")
    return FolderEvidence(folder)


@contextlib.contextmanager
def served(*args, **kwargs) -> Iterator[httpx.Client]:
    with (
        serve(create_app(*args, **kwargs), port=0) as serving,
        httpx.Client(base_url=serving.url, trust_env=False) as client,
    ):
        yield client


@pytest.fixture
def client(store, areas, evidence):
    with served(store, areas, evidence=evidence) as client:
        yield client


def raw_get(client: httpx.Client, path: str) -> httpx.Response:
    """Ask for exactly this path: a browser or httpx would tidy up its dots first."""
    connection = http.client.HTTPConnection(client.base_url.host, client.base_url.port)
    connection.request("GET", path)
    answer = connection.getresponse()
    try:
        return httpx.Response(answer.status, headers=answer.getheaders(), content=answer.read())
    finally:
        connection.close()


def problem(answer, status):
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert set(body) == {"type", "title", "status", "detail", "instance"}
    assert body["status"] == status
    return body


def test_the_page_and_its_files_are_served(client):
    page = client.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<title>街巡 · 属地处置台</title>" in page.text
    for path in re.findall(r'(?:href|src)="(console/[^"]+)"', page.text):
        assert client.get(f"/{path}").status_code == 200, path
    assert "javascript" in client.get("/console/app.mjs").headers["content-type"]


def test_an_empty_store_lists_no_case(client):
    body = client.get("/api/cases").json()
    assert (body["seq"], body["total"], body["cases"]) == (0, 0, [])
    summary = client.get("/api/summary").json()
    assert (summary["total"], summary["unowned"], summary["by_state"]) == (0, 0, {})


def test_a_case_has_the_fields_of_the_wire_and_names_for_people(client, store, make_case, make_event):
    case = make_case(evidence=Evidence(uri=PICTURE, sha256=PICTURE[:-4], box_xyxy=(1, 2, 30, 40)))
    store.append((), [make_event(case=case)])
    body = client.get("/api/cases").json()
    (out,) = body["cases"]
    told = case.document()
    for name in set(told) - {"owners", "alerts", "evidence"}:
        assert out[name] == told[name], name
    assert out["matter_zh"] == "暴露垃圾"
    assert out["state_zh"] == "待处理"
    assert out["area"] == WEST
    assert out["area_path"] == "福田区 / 莲花街道 / 彩田社区"
    assert [(owner["path"], owner["p"]) for owner in out["owners"]] == [
        ("福田区 / 莲花街道 / 彩田社区", 0.97),
        ("福田区 / 福田街道 / 岗厦社区", 0.03),
    ]
    assert out["unowned_p"] == pytest.approx(0, abs=1e-9)
    assert out["evidence"] == {
        "url": f"evidence/{PICTURE}",
        "sha256": PICTURE[:-4],
        "box_xyxy": [1, 2, 30, 40],
        "missing": None,
    }
    assert out["alerts"][0]["event_zh"] == "立案"
    assert client.get(f"/{out['evidence']['url']}").content == JPEG


@pytest.mark.parametrize(
    ("covariance", "major", "minor", "bearing"),
    [
        ([4.0, 0.0, 1.0], 2.0, 1.0, 90.0),  # least certain to the east
        ([1.0, 0.0, 9.0], 3.0, 1.0, 0.0),  # to the north
        ([5.0, 4.0, 5.0], 3.0, 1.0, 45.0),  # to the north-east
        ([5.0, -4.0, 5.0], 3.0, 1.0, 135.0),  # to the south-east
    ],
)
def test_the_ellipse_lies_as_its_covariance_says(covariance, major, minor, bearing):
    ellipse = Ellipse.of(covariance)
    assert (ellipse.major_m, ellipse.minor_m) == pytest.approx((major, minor))
    assert (ellipse.bearing_deg + 1e-9) % 180 == pytest.approx(bearing, abs=1e-6)


@pytest.mark.parametrize(
    ("evidence_of_case", "missing"),
    [
        (Evidence(uri=None, sha256=None, box_xyxy=None, missing="not-stored: Read-only file system"), "not-stored"),
        (None, "not-recorded"),
        (Evidence(uri="../secret.jpg", sha256=None, box_xyxy=None), "stored-elsewhere"),
        (Evidence(uri="https://example.org/a.jpg", sha256=None, box_xyxy=None), "stored-elsewhere"),
    ],
)
def test_a_case_without_picture_says_why(client, store, make_case, make_event, evidence_of_case, missing):
    store.append((), [make_event(case=make_case(evidence=evidence_of_case))])
    out = client.get("/api/cases/case-1").json()["case"]["evidence"]
    assert out["url"] is None
    assert out["missing"].startswith(missing)


def test_what_a_later_version_wrote_is_shown_as_it_is(client, store, make_case, make_event):
    owner = "440399999999"  # of no area in the file
    case = make_case(state="派遣中", matter="99999", kind="balloon", owners=(Share(owner, 1.0),))
    store.append((), [make_event("handed-over", case=case, recipients=(owner,))])
    body = client.get("/api/cases/case-1").json()
    assert (body["case"]["state_zh"], body["case"]["matter_zh"]) == ("派遣中", "99999")
    assert (body["case"]["kind_zh"], body["case"]["area_path"]) == ("balloon", owner)
    assert body["timeline"][0]["event_zh"] == "handed-over"


def test_the_timeline_tells_what_happened_oldest_first(client, store, make_case, make_event):
    closed = make_case(state=State.CLOSED, closed_at=NOON)
    store.append(
        (),
        [make_event(), make_event("confirmed", recipients=()), make_event("closed", case=closed, recipients=(EAST,))],
    )
    store.append((), [make_event(case=make_case("another"))])
    timeline = client.get("/api/cases/case-1").json()["timeline"]
    assert [entry["event_zh"] for entry in timeline] == ["立案", "再次确认", "核查结案"]
    assert [entry["state_zh"] for entry in timeline] == ["待处理", "待处理", "已结案"]
    assert timeline[2]["recipients"] == [{"area": EAST, "path": "福田区 / 福田街道 / 岗厦社区"}]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["nowhere", "east", "west"]),
        ("state=closed", ["east"]),
        ("matter=06042", ["nowhere"]),
        ("area=440304004", ["east"]),
        ("area=440304", ["east", "west"]),
        ("unowned=true", ["nowhere"]),
        ("unowned=false&limit=1", ["east"]),
    ],
)
def test_cases_are_filtered(client, store, make_case, make_event, query, found):
    east = make_case("east", state=State.CLOSED, owners=(Share(EAST, 1.0),))
    nowhere = make_case("nowhere", matter="06042", owners=())
    store.append((), [make_event(case=make_case("west")), make_event(case=east, recipients=(EAST,))])
    store.append((), [make_event(case=nowhere, recipients=())])
    assert [case["id"] for case in client.get(f"/api/cases?{query}").json()["cases"]] == found


def test_the_summary_adds_up(client, store, make_case, make_event):
    now = datetime.now(UTC)
    today = make_case("today", opened_at=now)
    nowhere = make_case("nowhere", owners=(), matter="06042")
    store.append((), [make_event(), make_event(case=today), make_event(case=nowhere, recipients=())])
    summary = client.get("/api/summary").json()
    assert summary["total"] == 3
    assert summary["by_state"] == {"open": 3}
    assert summary["by_matter"] == {"06010": 2, "06042": 1}
    assert summary["by_area"] == {WEST: 2}
    assert summary["unowned"] == 1
    midnight = datetime.fromisoformat(summary["today"])
    assert (midnight.hour, midnight.minute, midnight.second) == (16, 0, 0)  # midnight in Shenzhen
    assert summary["opened_today"] == sum(opened >= midnight for opened in (NOON, now, NOON))


def test_areas_matters_and_objects_are_listed(client, store, areas):
    assert client.get("/api/areas").json() == areas.features()
    matters = {matter["code"]: matter for matter in client.get("/api/matters").json()}
    assert (matters["06010"]["zh"], matters["06010"]["kind"]) == ("暴露垃圾", "garbage")
    assert matters["06042"]["zh"] == "垃圾站（箱）满溢"
    anchor = Anchor(kind="garbage_bin", lat=22.54, lon=114.05, covariance_m2=(1.0, 0.0, 1.0), sightings=("a",))
    store.append(anchors=[anchor])
    assert client.get("/api/objects").json() == [anchor.document() | {"kind_zh": "垃圾桶"}]


def test_health_and_the_api_description_are_served(client):
    assert client.get("/healthz").json() == {"status": "ok", "seq": 0}
    paths = client.get("/api/openapi.json").json()["paths"]
    assert {"/api/cases", "/api/cases/{id}", "/api/areas", "/api/matters", "/api/objects"} <= set(paths)
    assert {"/api/summary", "/api/events", "/evidence/{name}", "/healthz"} <= set(paths)
    assert client.get("/docs").status_code == 404  # it would load scripts from elsewhere


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/cases/none", 404),
        ("/api/nothing", 404),
        ("/nothing", 404),
        ("/console/nothing.js", 404),
        ("/api/cases?limit=-1", 422),
        ("/api/cases?limit=many", 422),
        ("/api/cases?limit=1000000", 422),
        ("/api/cases?area=44%25", 422),
        ("/api/cases?unowned=perhaps", 422),
        ("/api/cases?opened_from=0.5", 422),  # no seconds since 1970
        ("/api/cases?opened_before=1764000000", 422),
        ("/api/cases?cursor=0123456789abcdef.7", 409),
        ("/api/statistics?until=0.5", 422),
        ("/api/events?after=soon", 422),
        ("/api/events?after=-1", 422),
    ],
)
def test_errors_are_problem_details(client, path, status):
    body = problem(client.get(path), status)
    assert body["instance"] == path.partition("?")[0]
    assert body["detail"]


def test_a_wrong_method_and_a_wrong_event_id_are_problem_details(client):
    answer = client.post("/api/cases")
    problem(answer, 405)
    assert answer.headers["allow"] == "GET"
    problem(client.get("/api/events", headers={"last-event-id": "abc"}), 422)
    assert client.delete("/api/signin").headers["allow"] == "GET, POST"  # of all routes of that path
    assert client.delete("/open311/v2/requests.json").headers["allow"] == "GET, POST"


def test_a_crash_tells_the_client_no_internals(store, areas, evidence):
    class Broken:
        def features(self):
            raise RuntimeError("password=hunter2")

    with served(store, Broken(), evidence=evidence) as client:
        answer = client.get("/api/areas")
    problem(answer, 500)
    assert "hunter2" not in answer.text


def test_evidence_is_a_picture_that_browsers_may_keep(client):
    answer = client.get(f"/evidence/{PICTURE}")
    assert answer.content == JPEG
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "immutable" in answer.headers["cache-control"]


def test_evidence_in_a_bucket_is_served_alike(store, areas, s3_endpoint):
    pictures = S3Evidence.open("s3://evidence/api", S3Login(endpoint=s3_endpoint, key="jiexun", secret="jiexun-secret"))
    assert pictures.put(JPEG) == PICTURE
    with served(store, areas, evidence=pictures) as client:
        test_evidence_is_a_picture_that_browsers_may_keep(client)
        problem(client.get(f"/evidence/{'0' * 64}.jpg"), 404)


def test_an_evidence_store_that_is_away_is_said_without_its_address(store, areas):
    class Away:
        def get(self, name):
            return S3Evidence.open("s3://evidence", S3Login(endpoint="http://127.0.0.1:9", key="k", secret="s")).get(
                name
            )

    with served(store, areas, evidence=Away()) as client:
        answer = client.get(f"/evidence/{PICTURE}")
    assert problem(answer, 503)["detail"] == "the evidence store does not answer"
    assert "127.0.0.1" not in answer.text
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    "name",
    [
        "notes.txt",
        "secret.jpg",
        "../secret.jpg",
        "..%2fsecret.jpg",
        "%2e%2e%2fsecret.jpg",
        "..%5csecret.jpg",
        "....//secret.jpg",
        "%2fetc%2fpasswd",
        f"{PICTURE}%00.jpg",
        f"{PICTURE}%0a",
        PICTURE.upper(),
        f".{PICTURE}",
        f"sub/{PICTURE}",
        PICTURE.replace(".jpg", ".html"),
        PICTURE.replace(".jpg", ".png"),  # of the right form, but not there
        "0" * 64 + ".jpg",
        "",
    ],
)
def test_nothing_else_can_be_read_through_evidence(client, name):
    answer = raw_get(client, f"/evidence/{name}")
    problem(answer, 404)
    assert b"PRIVATE" not in answer.content


@pytest.mark.parametrize("name", ["../api/app.py", "..%2fapi%2fapp.py", "%2e%2e/api/app.py", "/etc/passwd"])
def test_nothing_outside_the_console_can_be_read(client, name):
    problem(raw_get(client, f"/console/{name}"), 404)


@pytest.mark.parametrize("path", ["/", "/console/app.mjs", "/api/cases", f"/evidence/{PICTURE}", "/nothing"])
def test_every_answer_forbids_what_comes_from_elsewhere(client, path):
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "camera=()" in headers["permissions-policy"]
    assert "server" not in headers
    assert "strict-transport-security" not in headers  # there is no TLS here


def test_a_page_that_is_reached_by_https_is_to_be_reached_by_nothing_else(store, areas, evidence):
    with served(store, areas, evidence=evidence, public_url="https://jiexun.futian.example") as client:
        assert client.get("/healthz").headers["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:8000", 200),
        ("localhost:9", 200),
        ("[::1]:8000", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example:8000", 421),
        ("", 421),
    ],
)
def test_only_loopback_names_are_answered(client, host, status):
    answer = client.get("/healthz", headers={"host": host})
    assert answer.status_code == status
    if status != 200:
        problem(answer, status)


def test_other_host_names_can_be_allowed(store, areas, evidence):
    for hosts, status in [(("console.futian.example",), 200), (("*",), 200), (("other",), 421)]:
        with served(store, areas, evidence=evidence, hosts=hosts) as client:
            assert client.get("/healthz", headers={"host": "console.futian.example"}).status_code == status
