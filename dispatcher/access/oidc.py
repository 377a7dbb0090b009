"""OpenID Connect: people whom the city's own identity provider vouches for (authorization code with PKCE)."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from dispatcher.access.account import normal_login, read_areas
from dispatcher.access.principal import Role

ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"]  # with a key of the provider's: never none, never our secret
KEPT_S = 3600.0  # how long a provider's description and keys are kept
AGAIN_S = 30.0  # how soon they are asked for again when a token names another key
LEEWAY_S = 60  # clocks differ
TIMEOUT_S = 10.0


class NotVouched(PermissionError):
    """The provider does not answer, or what it says is no reason to let somebody in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """What is agreed with a provider."""

    issuer: str
    id: str
    secret: str = field(default="", repr=False)  # empty: a public client, protected by PKCE alone
    name: str = "统一身份认证"  # on the button
    scopes: str = "openid profile"
    role_claim: str = "jiexun_role"  # dots lead into objects: realm_access.roles
    roles: Mapping[str, Role] = field(default_factory=lambda: {str(role): role for role in Role})
    areas_claim: str = "jiexun_areas"


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """Where a browser is sent, and what it must bring back or have kept."""

    url: str
    state: str
    nonce: str
    verifier: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Whom the provider vouches for."""

    issuer: str
    subject: str
    login: str
    name: str
    role: Role
    areas: frozenset[str] | None


class Provider:
    """One identity provider. Raises NotVouched from every method."""

    def __init__(self, client: Client) -> None:
        if urlsplit(client.issuer).scheme != "https" and not _loopback(client.issuer):
            raise ValueError(f"the identity provider {client.issuer} is not reached over https")
        self.client = client
        self._lock = threading.Lock()
        self._known: tuple[dict[str, Any], KeySet, float] | None = None

    def departure(self, redirect_uri: str) -> Departure:
        described, _ = self._described()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": self.client.id,
            "redirect_uri": redirect_uri,
            "scope": self.client.scopes,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        at = described["authorization_endpoint"]
        url = f"{at}{'&' if urlsplit(at).query else '?'}{urlencode(query)}"
        return Departure(url=url, state=state, nonce=nonce, verifier=verifier)

    def identity(self, code: str, *, verifier: str, nonce: str, redirect_uri: str) -> Identity:
        """Whom the code stands for that a browser brought back."""
        described, _ = self._described()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
            "client_id": self.client.id,
        }
        login = (self.client.id, self.client.secret) if self.client.secret else None
        answer = _ask("POST", described["token_endpoint"], data=form, auth=login)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise NotVouched("the identity provider gave no ID token")
        return self._identity(self._claims(token, nonce))

    def _claims(self, token: str, nonce: str) -> dict[str, Any]:
        for fresh in (False, True):  # a provider may have changed its keys since
            _, keys = self._described(fresh=fresh)
            try:
                claims = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
                break
            except (JoseError, ValueError) as error:
                refusal = error
        else:
            raise NotVouched(f"the ID token is not the provider's: {refusal}")
        asked = {
            "iss": {"essential": True, "value": self.client.issuer},
            "aud": {"essential": True, "value": self.client.id},
            "sub": {"essential": True},
            "exp": {"essential": True},
            "iat": {"essential": True},
            "nonce": {"essential": True, "value": nonce},
        }
        try:
            jwt.JWTClaimsRegistry(leeway=LEEWAY_S, **asked).validate(claims)  # type: ignore[arg-type]
        except JoseError as error:
            raise NotVouched(f"the ID token does not hold: {error}") from None
        if claims.get("azp", self.client.id) != self.client.id:
            raise NotVouched("the ID token was made for another client")
        return claims

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        subject = str(claims["sub"])
        said = {str(value) for value in _listed(_inside(claims, self.client.role_claim))}
        roles = [role for role in Role if any(self.client.roles.get(value) is role for value in said)]
        if not roles:
            raise NotVouched("the identity provider names no role of Jiexun for this person")
        try:
            areas = read_areas(",".join(map(str, _listed(_inside(claims, self.client.areas_claim)))))
        except ValueError:
            raise NotVouched("the identity provider names no areas for this person") from None
        host = urlsplit(self.client.issuer).hostname or "provider"
        try:
            login = normal_login(f"{claims['preferred_username']}@{host}")
        except (KeyError, ValueError):
            login = normal_login(f"{hashlib.sha256(subject.encode()).hexdigest()[:12]}@{host}")
        name = str(claims.get("name") or login)
        return Identity(issuer=self.client.issuer, subject=subject, login=login, name=name, role=roles[-1], areas=areas)

    def _described(self, *, fresh: bool = False) -> tuple[dict[str, Any], KeySet]:
        with self._lock:
            age = time.monotonic() - self._known[2] if self._known else float("inf")
            if self._known is None or age > KEPT_S or (fresh and age > AGAIN_S):
                described = _ask("GET", f"{self.client.issuer.rstrip('/')}/.well-known/openid-configuration")
                if described.get("issuer") != self.client.issuer:
                    raise NotVouched(f"the identity provider calls itself {described.get('issuer')!r}")
                try:
                    keys = KeySet.import_key_set(_ask("GET", described["jwks_uri"]))  # type: ignore[arg-type]
                except (JoseError, KeyError, ValueError) as error:
                    raise NotVouched(f"the identity provider's keys cannot be read: {error}") from None
                self._known = described, keys, time.monotonic()
            return self._known[0], self._known[1]


def read_roles(text: str) -> dict[str, Role]:
    """`value=role,…`: which role a value of the claim stands for. Raises ValueError."""
    pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    return {value.strip(): Role(role.strip()) for value, _, role in pairs}


def _ask(method: str, url: str, **form: Any) -> dict[str, Any]:
    try:
        answer = httpx.request(method, url, timeout=TIMEOUT_S, follow_redirects=False, **form)
        answer.raise_for_status()
        found = answer.json()
    except (httpx.HTTPError, ValueError) as error:  # neither names what was sent
        raise NotVouched(f"the identity provider does not answer as it should: {type(error).__name__}") from None
    if not isinstance(found, dict):
        raise NotVouched("the identity provider does not answer as it should: no object")
    return found


def _inside(claims: Mapping[str, Any], path: str) -> Any:
    found: Any = claims
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
