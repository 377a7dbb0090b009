"""GeoReport: answers and errors in the two forms of Open311 GeoReport v2, JSON and XML."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from xml.etree import ElementTree  # nosec B405

from starlette.responses import Response

PREFIX = "/open311/v2/"
JSON, XML = "application/json", "text/xml; charset=utf-8"
# The standard knows a bad request, a bad key and what is not found; everything else keeps its own number.
STATUS = {401: 403, 422: 400}
Row = Mapping[str, Any]


def listed(format: str, root: str, item: str, rows: Sequence[Row], status: int = 200) -> Response:
    """Rows of one kind: in XML elements `item` in a `root`, in JSON a list."""
    if format != "xml":
        return _json(rows, status)
    element = ElementTree.Element(root)
    for row in rows:
        _fill(ElementTree.SubElement(element, item), row)
    return _xml(element, status)


def single(format: str, root: str, row: Row) -> Response:
    """One thing: in XML the root itself, in JSON an object."""
    if format != "xml":
        return _json(row, 200)
    element = ElementTree.Element(root)
    _fill(element, row)
    return _xml(element, 200)


def refusal(path: str, status: int, detail: str) -> Response:
    """An error, in the form that the path asks for."""
    code = STATUS.get(status, status)
    text = detail or HTTPStatus(code).phrase
    return listed(path.rpartition(".")[2], "errors", "error", [{"code": code, "description": text}], code)


def _json(content: Any, status: int) -> Response:
    return Response(json.dumps(content, ensure_ascii=False, allow_nan=False), status, media_type=JSON)


def _xml(element: ElementTree.Element, status: int) -> Response:
    text = ElementTree.tostring(element, encoding="utf-8", xml_declaration=True)
    return Response(text, status, headers={"content-type": XML})


def _fill(element: ElementTree.Element, row: Row) -> None:
    """A list is an element with one of the singular for each of its rows, as `values` are of `value`."""
    for name, value in row.items():
        child = ElementTree.SubElement(element, name)
        if isinstance(value, list):
            for one in value:
                _fill(ElementTree.SubElement(child, name.removesuffix("s")), one)
        elif value is not None:
            child.text = str(value).lower() if isinstance(value, bool) else _plain(str(value))


def _plain(text: str) -> str:
    """Without what XML cannot carry."""
    return "".join(sign for sign in text if sign in "\t\n\r" or (sign >= " " and not "\ud800" <= sign <= "\udfff"))
