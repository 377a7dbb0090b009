"""The access check in front of every route: who asks, and whether a page of somebody else made the browser ask."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from dispatcher.access.gate import Gate, Shown
from dispatcher.access.principal import Principal
from dispatcher.access.tokens import COOKIE, SECURE_COOKIE
from dispatcher.api.problems import problem

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})  # they change nothing: no route may


class AccessCheck:
    """Puts `principal` and `session`, the token, into the state of a request. Plain ASGI, for the streams.

    What may be done as whom is said by the rule of the route. A key that is none is refused here, whatever the route.
    """

    def __init__(self, app: ASGIApp, gate: Gate, public_url: str = "") -> None:
        self._app = app
        self._gate = gate
        self._public_host = urlsplit(public_url).netloc

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        bearer = _bearer(headers)
        session = None if bearer else session_token(headers, scope["scheme"])
        principal = self._gate.remembered_key(bearer) if bearer else None
        if principal is None:
            principal = await run_in_threadpool(self._who, bearer, session)
        if bearer and principal is None:
            refused = problem(401, "this key is unknown, expired or revoked", scope["path"])
            refused.headers["www-authenticate"] = 'Bearer error="invalid_token"'
            await refused(scope, receive, send)
            return
        if not bearer and scope["method"] not in SAFE and not self._own(headers, session is not None):
            await problem(403, "another site's page asked for this, not ours", scope["path"])(scope, receive, send)
            return
        known = principal is not None and not bearer and session is not None
        scope.setdefault("state", {}).update(principal=principal, session=session if known else None)
        await self._app(scope, receive, send)

    def _who(self, bearer: str | None, session: str | None) -> Principal | None:
        if bearer:
            return self._gate.of_key(bearer)
        found = None if session is None else self._gate.of_session(session)
        return self._gate.anyone() if found is None else found

    def _own(self, headers: Headers, with_session: bool) -> bool:
        """Whether a change comes from our own page. Every browser says so in one of two headers.

        A request with neither is no browser's: it passes when nothing came along that only a browser would send.
        """
        site = headers.get("sec-fetch-site")
        if site is not None:
            return site in ("same-origin", "none")
        origin = headers.get("origin")
        if origin is not None:
            asked_by = urlsplit(origin).netloc
            return asked_by != "" and asked_by in (headers.get("host"), self._public_host)
        return not with_session


def shown(request: Request) -> Shown:
    """What a request that was let in came with, for an answer that takes hours and has to ask again."""
    state = request.state
    return Shown(state.principal, key=_bearer(request.headers), session=state.session)


def session_token(headers: Headers, scheme: str) -> str | None:
    """The token of the session cookie. Over TLS only the cookie that no other host could have set counts."""
    cookies: SimpleCookie = SimpleCookie()
    try:
        cookies.load(headers.get("cookie", ""))
    except CookieError:
        return None
    names = (SECURE_COOKIE,) if scheme == "https" else (SECURE_COOKIE, COOKIE)
    return next((cookies[name].value for name in names if name in cookies), None)


def _bearer(headers: Headers) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None
