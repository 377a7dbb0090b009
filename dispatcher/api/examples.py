"""Examples: what each route takes and answers, for the OpenAPI document. `scripts/api_examples` asks for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dispatcher.api import georeport

ANSWERS: dict[str, Any] = json.loads((Path(__file__).parent / "examples.json").read_text(encoding="utf8"))
ASKED: dict[str, Any] = {
    "POST /api/signin": {"login": "li.ming", "password": "four-words-of-my-own"},  # nosec B105
    "POST /api/password": {"old": "four-words-of-my-own", "new": "four-other-words-of-mine"},
    "POST /api/cases/{id}/actions": {"act": "hand-back", "reason": "不在本社区范围"},
}
CASES = ("GET /api/cases", "GET /api/cases/{id}")
FEATURE = "GET /ogc/collections/cases/items/{id}"
ELEMENTS = {
    "/services/": ("service_definition", ""),
    "/services.": ("services", "service"),
    "/tokens/": ("service_requests", "request"),
    "/requests": ("service_requests", "request"),
}


def exemplified(document: dict[str, Any]) -> dict[str, Any]:
    """The document with an example of every body in JSON. Done twice it is the same."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            name = f"{method.upper()} {path}"
            for status, answer in operation["responses"].items():
                if status.startswith("2"):
                    content = answer.get("content", {})
                    _show(content, ANSWERS.get(name))
                    _show_others(content, name, path)
            if name in ASKED:
                _show(operation["requestBody"]["content"], ASKED[name])
    return document


def _show_others(content: dict[str, Any], name: str, path: str) -> None:
    """The same in the other forms that a route answers in."""
    if "text/event-stream" in content:
        content["text/event-stream"].setdefault("example", _stream())
    if "text/xml" in content and name in ANSWERS:
        content["text/xml"].setdefault("example", _xml(path, ANSWERS[name]))
    if "application/geo+json" in content and name in CASES:
        one = {key: value for key, value in ANSWERS[FEATURE].items() if key != "links"}
        many = {"type": "FeatureCollection", "features": [one], "next": None}
        content["application/geo+json"].setdefault("example", many if name == CASES[0] else one)


def _stream() -> str:
    case, event = ANSWERS[CASES[1]]["case"], ANSWERS[CASES[1]]["timeline"][0]
    told = json.dumps({"event": event, "case": case}, ensure_ascii=False)
    hello = json.dumps({"log": ANSWERS[CASES[0]]["log"], "after": 0})
    return f"event: hello\ndata: {hello}\nretry: 2000\n\nid: {event['seq']}\nevent: case\ndata: {told}\n\n"


def _xml(path: str, rows: Any) -> str:
    """Open311's, by the part of the path that says of what."""
    root, item = next(names for part, names in ELEMENTS.items() if part in path)
    answer = georeport.listed("xml", root, item, rows) if item else georeport.single("xml", root, rows)
    return bytes(answer.body).decode()


def _show(content: dict[str, Any], example: Any) -> None:
    """The first form is the one that it is an example of; a body that has examples keeps them."""
    media = next(iter(content), None)
    if example is not None and media is not None and "json" in media:
        content[media].setdefault("example", example)
