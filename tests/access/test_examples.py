"""The OpenAPI document is complete: every body in JSON has an example, and each is as its schema says."""

from __future__ import annotations

import jsonschema
import pytest

from dispatcher.api.examples import ANSWERS, ASKED

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


def test_every_parameter_and_operation_says_what_it_is(document):
    assert document["openapi"].startswith("3.1")
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["summary"], path
            assert operation["responses"], path
