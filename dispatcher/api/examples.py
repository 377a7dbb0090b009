"""Examples: what each route takes and answers, for the OpenAPI document. `scripts/api_examples` asks for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ANSWERS: dict[str, Any] = json.loads((Path(__file__).parent / "examples.json").read_text(encoding="utf8"))
ASKED: dict[str, Any] = {
    "POST /api/signin": {"login": "li.ming", "password": "four-words-of-my-own"},  # nosec B105
    "POST /api/password": {"old": "four-words-of-my-own", "new": "four-other-words-of-mine"},
    "POST /api/cases/{id}/actions": {"act": "hand-back", "reason": "不在本社区范围"},
}


def exemplified(document: dict[str, Any]) -> dict[str, Any]:
    """The document with an example of every body in JSON. Done twice it is the same."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            name = f"{method.upper()} {path}"
            for status, answer in operation["responses"].items():
                if status.startswith("2") and name in ANSWERS:
                    _show(answer.get("content", {}), ANSWERS[name])
            if name in ASKED:
                _show(operation["requestBody"]["content"], ASKED[name])
    return document


def _show(content: dict[str, Any], example: Any) -> None:
    """The first form is the one that it is an example of; a body that has examples keeps them."""
    media = next(iter(content), None)
    if media is not None and "json" in media:
        content[media].setdefault("example", example)
