"""What the API answers is what its OpenAPI document says, whoever asks and whatever is sent to it."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    positive_data_acceptance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from test_every_route import city  # noqa: F401  # fixture

from dispatcher.access.principal import Role

EXAMPLES = int(os.environ.get("JIEXUN_EXAMPLES", "6"))  # of each operation; half of them for all roles but one
LONGEST_S = float(os.environ.get("JIEXUN_EXAMPLES_S", "60"))  # for a role
ENDLESS = "/api/events"  # a stream: tests/dispatcher/test_api_live.py reads it
LAST = "/api/signout"  # after it nobody is signed in
CONFIG = SchemathesisConfig.from_path(Path(__file__).parent.parent.parent / "schemathesis.toml")
CHECKS = [
    schemathesis.checks.not_a_server_error,
    negative_data_rejection,
    positive_data_acceptance,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]


def operations(document):
    """Every operation, the one that ends the session at the end."""
    found = [result.ok() for result in document.get_all_operations()]
    assert len(found) > 15
    return sorted((one for one in found if one.path != ENDLESS), key=lambda one: one.path == LAST)


def takes_something(operation) -> bool:
    """Whether anything sent to it could be wrong."""
    return bool(list(operation.iter_parameters()) or operation.body)


@pytest.mark.parametrize("role", Role)
def test_every_answer_is_as_the_document_says(city, url, add_account, signed_in, role):  # noqa: F811
    add_account(role=role, areas=None)
    client = signed_in("li.ming")
    headers = {"origin": url, "cookie": "; ".join(f"{name}={value}" for name, value in client.cookies.items())}
    document = schemathesis.openapi.from_url(f"{url}/openapi.json", config=CONFIG)
    ends, asked = time.monotonic() + LONGEST_S, 0

    def check(case):
        nonlocal asked
        asked += 1
        case.call_and_validate(headers=headers, checks=CHECKS, timeout=20)

    for operation in operations(document):
        if operation.path == LAST:
            assert client.get("/api/me").json()["role"] == role  # nothing so far has ended the session
        for id in ("case-west", "case-nowhere"):
            if "{id}" in operation.path and operation.method == "get":
                form = {"format": "json"} if "{format}" in operation.path else {}
                check(operation.Case(path_parameters={"id": id} | form))
        few = settings(
            max_examples=EXAMPLES if role is Role.ADMIN else (EXAMPLES + 1) // 2,  # the same are made for each
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        for mode in GenerationMode.POSITIVE, GenerationMode.NEGATIVE:
            if time.monotonic() < ends and (mode is GenerationMode.POSITIVE or takes_something(operation)):
                with contextlib.suppress(Unsatisfiable):  # of some nothing wrong can be made
                    few(given(case=operation.as_strategy(generation_mode=mode))(check))()
    assert asked > 40
