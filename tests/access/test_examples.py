"""The OpenAPI document is complete: every body in JSON has an example, and each is as its schema says."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from xml.etree.ElementTree import fromstring

import jsonschema
import pytest

from dispatcher.api.examples import ANSWERS, ASKED
from dispatcher.api.rules import ruled
from dispatcher.channels.channel import Channel, Kind, Parcel, Progress
from dispatcher.channels.webhook import Webhook

NOT_JSON = {"/api/events", "/evidence/{name}"}  # a stream, and pictures


@pytest.fixture
def document(app):
    return app.openapi()


def bodies(document):
    """What every operation takes and answers in JSON: whose it is, and how it is described."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            answers = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
            for body in [*answers, operation.get("requestBody", {})]:
                media = next(iter(body.get("content", {})), "")
                if path not in NOT_JSON and "json" in media:
                    yield f"{method.upper()} {path}", body["content"][media]


def test_every_body_has_an_example_that_fits_its_schema(document):
    found = list(bodies(document))
    assert len(found) > 35
    for name, body in found:
        assert "example" in body, f"{name}: run scripts/api_examples"
        schema = body["schema"] | {"components": document["components"]}
        jsonschema.validate(body["example"], schema, jsonschema.Draft202012Validator)


def test_no_example_is_of_a_route_that_is_gone(document):
    known = {name for name, _ in bodies(document)}
    assert set(ANSWERS) <= known
    assert set(ASKED) <= known


def test_every_other_form_of_an_answer_has_an_example(document):
    shown = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for status, answer in operation["responses"].items():
                for media, body in answer.get("content", {}).items() if status.startswith("2") else ():
                    if not media.startswith("image/"):
                        shown[method, path, media] = body["example"]
    assert json.loads(json.dumps(shown["get", "/api/cases", "application/geo+json"]))["features"][0]["geometry"]
    kinds = {path: fromstring(body).tag for (_, path, media), body in shown.items() if media == "text/xml"}
    assert len(kinds) == 5
    assert kinds["/open311/v2/services.{format}"] == "services"
    assert kinds["/open311/v2/services/{service_code}.{format}"] == "service_definition"
    (_, told) = shown["get", "/api/events", "text/event-stream"].strip().split("\n\n")
    data = json.loads(told.rpartition("data: ")[2])
    schema = {"$ref": "#/components/schemas/CaseOut", "components": document["components"]}
    jsonschema.validate(data["case"], schema, jsonschema.Draft202012Validator)


def test_it_says_of_every_operation_who_may_call_it(app, document):
    rules = {(path, method.lower()): rule for path, methods, rule in ruled(app.routes) for method in methods}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            role = rules[path, method].role
            assert operation["security"] if role else operation["security"] == [], path
            assert operation.get("x-least-role") == (role and str(role)), path
    named = {way for ops in document["paths"].values() for o in ops.values() for one in o["security"] for way in one}
    assert named == set(document["components"]["securitySchemes"])


def test_the_webhook_is_described_as_it_is_sent(document):
    (event,) = document["webhooks"].values()
    channel = Channel(id="1", name="x", kind=Kind.WEBHOOK, url="https://x.example", secret="whsec_" + "A" * 32)
    line = json.dumps(
        {"specversion": "1.0", "id": "a", "type": "cn.jiexun.alert.v1", "source": "/dispatcher"}
        | {"time": "2026-11-20T08:15:02.400Z", "data": {"case": "c", "event": "opened", "recipient": "440304"}}
    )
    now = datetime.now(UTC)
    parcel = Parcel(
        seq=1, alert="a", channel="1", state=Progress.PENDING, attempts=0, created_at="", next_at="", ended_at="",
        error="", digest="", line=line,
    )  # fmt: skip
    message = Webhook().message(channel, (parcel,), now)
    assert {one["name"] for one in event["post"]["parameters"]} <= message.headers.keys()
    schema = event["post"]["requestBody"]["content"]["application/json"]["schema"]
    jsonschema.validate(json.loads(message.body), schema, jsonschema.Draft202012Validator)


def test_every_parameter_and_operation_says_what_it_is(document):
    assert document["openapi"].startswith("3.1")
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["summary"], path
            assert operation["responses"], path
