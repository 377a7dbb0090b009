"""A small OpenID Connect provider on loopback: discovery, authorization code with PKCE, signed ID tokens, key rotation.

It checks what a real one checks. `says` lets a test make it lie, one claim or answer at a time.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode

import uvicorn
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT, SECRET = "jiexun-test", "a client secret that is told to nobody"


class Provider:
    """Knows one person, who agrees to everything."""

    def __init__(self, port: int) -> None:
        self.issuer = f"http://127.0.0.1:{port}/realms/futian"
        self.person: dict[str, Any] = {
            "sub": "person-17",
            "preferred_username": "wang.fang",
            "name": "王芳",
            "realm_access": {"roles": ["offline_access", "jiexun-dispatcher"]},
            "jiexun_areas": ["440304008901"],
        }
        self.says: dict[str, Any] = {}  # claims of the ID token, instead of the right ones
        self.describes: dict[str, Any] = {}
        self.refuses = False
        self.rotate()
        self.signs_with = self.key
        self._codes: dict[str, dict[str, str]] = {}
        self.app = Starlette(
            routes=[
                Route("/realms/futian/.well-known/openid-configuration", self._described),
                Route("/realms/futian/keys", self._keys),
                Route("/realms/futian/authorize", self._authorize),
                Route("/realms/futian/token", self._token, methods=["POST"]),
            ]
        )

    def rotate(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": secrets.token_hex(4), "use": "sig"}, auto_kid=False)
        self.signs_with = self.key

    async def _described(self, _: Request) -> Response:
        described = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
        }
        return JSONResponse(described | self.describes)

    async def _keys(self, _: Request) -> Response:
        return JSONResponse({"keys": [self.key.as_dict(private=False)]})

    async def _authorize(self, request: Request) -> Response:
        query = dict(request.query_params)
        right = (query["response_type"], query["client_id"], query["code_challenge_method"]) == ("code", CLIENT, "S256")
        if not right or "openid" not in query["scope"].split() or len(query["code_challenge"]) != 43:
            return JSONResponse({"error": "invalid_request"}, 400)
        if self.refuses:
            back = {"error": "access_denied", "state": query["state"]}
        else:
            code = secrets.token_urlsafe(16)
            self._codes[code] = query
            back = {"code": code, "state": query["state"]}
        return RedirectResponse(f"{query['redirect_uri']}?{urlencode(back)}", 302)

    async def _token(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        login = base64.b64decode(request.headers.get("authorization", "").removeprefix("Basic ")).decode()
        if unquote(login) != f"{CLIENT}:{SECRET}":
            return JSONResponse({"error": "invalid_client"}, 401)
        asked = self._codes.pop(form.get("code", ""), None)  # a code is good once
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if (
            asked is None
            or challenge.rstrip(b"=").decode() != asked["code_challenge"]
            or form.get("redirect_uri") != asked["redirect_uri"]
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"]}
        claims |= self.person | self.says
        told = {name: value for name, value in claims.items() if value is not None}
        token = jwt.encode({"alg": "RS256", "kid": self.signs_with.kid}, told, self.signs_with)
        return JSONResponse({"access_token": "opaque", "token_type": "Bearer", "id_token": token})


@contextmanager
def running(port: int) -> Iterator[Provider]:
    provider = Provider(port)
    server = uvicorn.Server(uvicorn.Config(provider.app, port=port, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield provider
    finally:
        server.should_exit = True
        thread.join()
