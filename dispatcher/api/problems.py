"""Errors in one shape (RFC 9457), and the headers that every answer carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dispatcher.api import georeport
from dispatcher.api.described import described
from dispatcher.api.examples import exemplified
from dispatcher.api.schemas import Problem

# Nothing from elsewhere: the console works without a network, and a name found in the data cannot load a script.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "font-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
STRICT = {"strict-transport-security": "max-age=31536000"}
MEDIA = "application/problem+json"
# How errors are described in the OpenAPI document: one shape, whatever the status.
DESCRIBED: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": {MEDIA: {"schema": Problem.model_json_schema()}}}
    for status, text in ((422, "something is missing or wrong"), ("4XX", "refused; `detail` says why"))
}


def problem(status: int, detail: str, instance: str) -> Response:
    """An error as problem details; under Open311 as that standard wants it."""
    if instance.startswith(georeport.PREFIX):
        return georeport.refusal(instance, status, detail)
    body = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, instance=instance)
    return JSONResponse(body.model_dump(), status, media_type=MEDIA)


def install(app: FastAPI, hosts: Sequence[str], *, tls: bool = False) -> None:
    """Answer every error of `app` as problem details, add the headers, refuse foreign host names.

    `tls`: browsers are to come by https alone from now on.
    """
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(Exception, _on_crash)
    app.add_middleware(Guard, hosts=hosts, headers=HEADERS | (STRICT if tls else {}))


class Guard:
    """Adds the headers, and refuses hosts that the server is not meant for.

    The host check keeps a web page that points its own name at 127.0.0.1 (DNS rebinding) from reading cases. Plain
    ASGI, since a response that streams for hours must pass through untouched.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str], headers: Mapping[str, str]) -> None:
        self._app = app
        self._hosts = frozenset(hosts)
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith(("/api/", "/ogc", georeport.PREFIX)):
                    headers.setdefault("cache-control", "no-store")
            await send(message)

        if "*" in self._hosts or _host(scope) in self._hosts:
            await self._app(scope, receive, guarded)
        else:
            refused = problem(421, f"this server does not answer for host {_host(scope)!r}", scope["path"])
            await refused(scope, receive, guarded)


class Api(FastAPI):
    """An app whose description has examples, and whose refusals of bodies that are too large are problem details, too.

    Starlette sends those as plain text, before any handler or middleware of ours is asked.
    """

    def openapi(self) -> dict[str, Any]:
        return exemplified(described(super().openapi(), self))

    def build_middleware_stack(self) -> ASGIApp:
        return _TooLarge(super().build_middleware_stack())


class _TooLarge:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = False

        async def told(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start" and message["status"] == 413:
                refused = not Headers(raw=message["headers"]).get("content-type", "").startswith(MEDIA)
                if refused:
                    answer = problem(413, "the body is larger than this route takes", scope["path"])
                    answer.headers.update(HEADERS)
                    await answer(scope, receive, send)
            if not refused:
                await send(message)

        await self._app(scope, receive, told)


def _host(scope: Scope) -> str:
    host = Headers(scope=scope).get("host", "")
    return host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # as registered
    answer = problem(error.status_code, str(error.detail), request.url.path)
    answer.headers.update(error.headers or {})
    if error.status_code == 405:  # the router names the methods of one route; others may have the same path
        answer.headers["allow"] = ", ".join(sorted(_methods(request)))
    return answer


def _methods(request: Request) -> set[str]:
    """What can be asked of a path."""
    path: str = request.scope["path"]
    routes = iter_route_contexts(request.app.routes)
    found = [route.methods or () for route in routes if compile_path(route.path or "")[0].match(path)]
    return {method for methods in found for method in methods}


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # as registered
    faults = (f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors())
    return problem(422, "; ".join(faults), request.url.path)


async def _on_crash(request: Request, _error: Exception) -> Response:
    """The server logs the error; the client learns only that there was one."""
    return problem(500, "internal error; the server's log says more", request.url.path)
