"""Described: what the OpenAPI document says beyond the routes — who may call them, and the webhook that we call."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from dispatcher.access.principal import Reach
from dispatcher.access.tokens import COOKIE
from dispatcher.api.rules import Rule, ruled

Described = dict[str, Any]
SCHEMES: Described = {
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "Of `POST /api/signin`; over https `__Host-jiexun`. A change comes with `Origin`",
    },
    "key": {"type": "http", "scheme": "bearer", "description": "Of `jiexun keys create`"},
    "api_key": {"type": "apiKey", "in": "query", "name": "api_key", "description": "As Open311 has it; or in the form"},
}
_TEXT: Described = {"type": "string"}
_HEADERS = {
    "webhook-id": "the same at every attempt: handle each once",
    "webhook-timestamp": "of the attempt, in seconds since 1970: refuse what is old",
    "webhook-signature": "`v1,…`; two with a space between while a secret is being changed",
}
ALERT: Described = {
    "post": {
        "operationId": "alert",
        "summary": "An alert",
        "description": "What a webhook of `jiexun channels add` gets, by the Standard Webhooks spec: a case event"
        " that was told to one office. `docs/schemas/alert.json` describes `data`.",
        "parameters": [
            {"name": name, "in": "header", "required": True, "description": text, "schema": _TEXT}
            for name, text in _HEADERS.items()
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["specversion", "id", "type", "source", "time", "timestamp", "data"],
                        "properties": {
                            "specversion": {"const": "1.0"},
                            "type": {"const": "cn.jiexun.alert.v1"},
                            "timestamp": {"type": "string", "format": "date-time"},
                            "data": {"type": "object", "required": ["case", "event", "recipient"]},
                        },
                    },
                }
            },
        },
        "responses": {
            "2XX": {"description": "It is safe with the receiver"},
            "410": {"description": "The receiver wants no more: the channel stops"},
            "default": {"description": "It is sent again, later; `Retry-After` is kept"},
        },
    }
}


def described(document: Described, app: FastAPI) -> Described:
    """The document with both. Done twice it is the same."""
    document["components"]["securitySchemes"] = SCHEMES
    document["webhooks"] = {"alert": ALERT}
    for path, methods, rule in ruled(app.routes):
        for method in methods:
            operation = document["paths"].get(path, {}).get(method.lower())
            if operation is not None and rule is not None:
                _say(operation, rule)
    return document


def _say(operation: Described, rule: Rule) -> None:
    if rule.role is None:
        operation["security"] = []
        return
    ways = ["session", "key", *(["api_key"] if rule.reach is Reach.OPEN311 else [])]
    operation["security"] = [{way: []} for way in ways]
    operation["x-least-role"] = str(rule.role)
    operation["x-key-reach"] = str(rule.reach)
