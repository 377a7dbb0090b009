"""How the answers and the form of Open311 GeoReport v2 are described in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from dispatcher.open311.posted import FORM, LENGTHS

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
NULLABLE: Schema = {"type": ["string", "null"]}
ERROR: Schema = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "required": ["code", "description"],
        "properties": {"code": {"type": "integer"}, "description": TEXT},
    },
}
ERRORS: dict[str, Any] = {
    "description": "refused: what is wrong, in the standard's form",
    "content": {"application/json": {"schema": ERROR}, "text/xml": {}},
}
BUSY = ERRORS | {
    "description": "too many reports from this sender or this reporter",
    "headers": {"Retry-After": {"description": "seconds", "required": True, "schema": {"type": "integer"}}},
}


def _object(required: dict[str, Schema], **more: Schema) -> Schema:
    return {"type": "object", "required": sorted(required), "properties": required | more}


_REQUEST = _object(
    {
        "service_request_id": TEXT,
        "status": {"enum": ["open", "closed"]},
        "status_notes": TEXT,
        "service_name": TEXT,
        "service_code": TEXT,
        "description": NULLABLE,
        "agency_responsible": NULLABLE,
        "requested_datetime": {"type": "string", "format": "date-time"},
        "updated_datetime": {"type": "string", "format": "date-time"},
        "expected_datetime": NULLABLE,
        "address": NULLABLE,
        "lat": {"type": "number"},
        "long": {"type": "number"},
        "media_url": NULLABLE,
    }
)
_SERVICE = _object(
    {
        "service_code": TEXT,
        "service_name": TEXT,
        "description": TEXT,
        "metadata": {"type": "boolean"},
        "type": {"enum": ["realtime"]},
        "keywords": TEXT,
        "group": TEXT,
    }
)
_ATTRIBUTE = _object(
    {
        "variable": {"type": "boolean"},
        "code": TEXT,
        "datatype": TEXT,
        "required": {"type": "boolean"},
        "order": {"type": "integer"},
        "description": TEXT,
    }
)


def _list(item: Schema) -> Schema:
    return {"type": "array", "items": item}


_POSTED = _object({"service_notice": TEXT, "account_id": NULLABLE}, service_request_id=TEXT, token=TEXT)
ANSWERS = {
    "services": _list(_SERVICE),
    "definition": _object({"service_code": TEXT, "attributes": _list(_ATTRIBUTE)}),
    "posted": _list(_POSTED),
    "token": _list(_object({"service_request_id": NULLABLE, "token": TEXT})),
    "requests": _list(_REQUEST),
}


def answers(name: str) -> dict[int | str, dict[str, Any]]:
    """The answers of a route; errors in the standard's form."""
    content = {"application/json": {"schema": ANSWERS[name]}, "text/xml": {}}
    found: dict[int | str, dict[str, Any]] = {200: {"description": "as the standard has it", "content": content}}
    return found | dict.fromkeys((400, 403, 404, 422, "4XX"), ERRORS)


FORM_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        FORM: {
            "schema": {
                "type": "object",
                "required": ["service_code", "lat", "long"],
                "properties": {
                    "service_code": {"type": "string", "examples": ["06010"]},
                    "lat": {"type": "number", "minimum": -85, "maximum": 85},
                    "long": {"type": "number", "minimum": -180, "maximum": 180},
                    "attribute[accuracy_m]": {"type": "number", "minimum": 0, "maximum": 200},
                    "attribute[seen_at]": {"type": "string", "format": "date-time"},
                    "attribute[datum]": {"enum": ["WGS84", "GCJ02"]},
                    "api_key": {"type": "string", "maxLength": 200},
                }
                | {name: {"type": "string", "maxLength": most} for name, most in LENGTHS.items()},
            },
            "example": {
                "service_code": "06010",
                "lat": 22.5401,
                "long": 114.0453,
                "description": "垃圾桶旁堆了几袋垃圾",
                "attribute[accuracy_m]": 10,
            },
        }
    },
}
