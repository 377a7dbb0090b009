"""Signing in and out: with a password, or through an identity provider; and who one is."""

from __future__ import annotations

import logging
import secrets
from dataclasses import replace
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Body, HTTPException, Query, Request
from starlette.responses import FileResponse, RedirectResponse, Response

from dispatcher.access.account import SESSION_LONGEST, Account
from dispatcher.access.gate import Gate, NotSignedIn, TooManyAttempts
from dispatcher.access.oidc import Identity, NotVouched, Provider
from dispatcher.access.passwords import LONGEST, SHORTEST, Weakness, WeakPassword
from dispatcher.access.principal import Role
from dispatcher.access.tokens import COOKIE, SECURE_COOKIE, hashed
from dispatcher.api.desk import Desk, DeskDep
from dispatcher.api.names import ROLE_ZH
from dispatcher.api.rules import anybody, needs
from dispatcher.api.schemas import MeOut, OwnerName, WaysOut
from dispatcher.api.who import Who
from dispatcher.store.attempts import JOURNEY
from dispatcher.store.store import Store

logger = logging.getLogger(__name__)
JOURNEY_COOKIE = "jiexun-journey"  # binds the way back to the browser that left
LONGEST_FIELD = 1024
WEAK_ZH = {
    Weakness.SHORT: f"新密码至少 {SHORTEST} 个字符：几个不相干的词连起来，比符号好记",
    Weakness.LONG: f"新密码最多 {LONGEST} 个字符",
    Weakness.COMMON: "新密码太常见，容易被猜到，请换一个",
    Weakness.SAME: "新密码与原密码相同",
}
router = APIRouter(max_body_size=16 * 1024)
Login = Annotated[str, Body(min_length=1, max_length=LONGEST_FIELD)]
Secret = Annotated[str, Body(min_length=1, max_length=LONGEST_FIELD)]


@router.get("/signin", include_in_schema=False, dependencies=[anybody()])
def page(desk: DeskDep) -> FileResponse:
    return FileResponse(desk.console / "signin.html", headers={"cache-control": "no-cache"})


@router.get("/api/signin", dependencies=[anybody()])
def ways(desk: DeskDep) -> WaysOut:
    """How one may sign in here."""
    return WaysOut(password=desk.gate.demanded(), provider=desk.provider.client.name if desk.provider else None)


@router.post("/api/signin", status_code=204, dependencies=[anybody()])
def sign_in(request: Request, desk: DeskDep, login: Login, password: Secret) -> Response:
    """Begin a session: its cookie comes with the answer. 401 says that login or password is wrong, never which."""
    with_session = request.state.session
    try:
        token = desk.gate.sign_in(login, password, _address(request))
    except TooManyAttempts as error:
        raise _later(error) from None
    except NotSignedIn:
        raise HTTPException(401, "登录名或密码不正确") from None
    if with_session is not None:  # whoever signs in anew has left the session before
        desk.gate.sign_out(with_session)
    answer = Response(status_code=204)
    _keep(answer, request, desk, token)
    return answer


@router.post("/api/signout", status_code=204, dependencies=[anybody()])
def sign_out(request: Request, desk: DeskDep) -> Response:
    """End the session. Nothing happens to those who have none."""
    if request.state.session is not None:
        desk.gate.sign_out(request.state.session)
    answer = Response(status_code=204)
    for name, secure in ((COOKIE, False), (SECURE_COOKIE, True)):
        answer.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="lax")
    answer.headers["clear-site-data"] = '"cache"'  # pictures that this browser keeps
    return answer


@router.post("/api/password", status_code=204)
def change_password(
    request: Request, desk: DeskDep, who: Who, old: Secret, new: Secret, _: Annotated[object, needs(Role.VIEWER)]
) -> Response:
    """Change one's own password. Every session of the account ends; a new one begins here, its cookie with the answer.

    403 says that the old password is wrong, 422 what the new one lacks, 429 how long to wait after wrong ones.
    """
    if request.state.session is None:
        raise HTTPException(409, "only somebody who has signed in has a password to change")
    try:
        token = desk.gate.change_password(who.id.removeprefix("user:"), old, new, _address(request))
    except TooManyAttempts as error:
        raise _later(error) from None
    except NotSignedIn:
        raise HTTPException(403, "原密码不正确") from None
    except WeakPassword as error:
        raise HTTPException(422, WEAK_ZH[error.why]) from None
    answer = Response(status_code=204)
    _keep(answer, request, desk, token)
    return answer


@router.get("/api/me", dependencies=[needs(Role.VIEWER)])
def me(request: Request, desk: DeskDep, who: Who) -> MeOut:
    """Who is asking."""
    path = desk.names.areas.path
    areas = None if who.areas is None else [OwnerName(area=code, path=path(code)) for code in sorted(who.areas)]
    return MeOut(
        id=who.id,
        name=who.name,
        role=str(who.role),
        role_zh=ROLE_ZH[who.role],
        areas=areas,
        signed_in=request.state.session is not None,
        password=request.state.session is not None and _has_password(who.id, desk),
    )


@router.get("/oidc/start", include_in_schema=False, dependencies=[anybody()])
def depart(request: Request, desk: DeskDep) -> RedirectResponse:
    """Send the browser to the identity provider."""
    try:
        departure = _provider(desk).departure(_return_to(request, desk))
    except NotVouched as error:
        return _refused(error)
    now = desk.gate.now()
    desk.store.attempts.depart(hashed(departure.state), departure.nonce, departure.verifier, now)
    answer = RedirectResponse(departure.url, 303)
    seconds = int(JOURNEY.total_seconds())
    secure = _secure(request, desk)
    answer.set_cookie(
        JOURNEY_COOKIE, departure.state, max_age=seconds, path="/oidc", secure=secure, httponly=True, samesite="lax"
    )
    return answer


@router.get("/oidc/back", include_in_schema=False, dependencies=[anybody()])
def arrive(
    request: Request,
    desk: DeskDep,
    state: Annotated[str, Query(max_length=LONGEST_FIELD)] = "",
    code: Annotated[str, Query(max_length=LONGEST_FIELD * 4)] = "",
) -> RedirectResponse:
    """The browser comes back: with a code that stands for somebody, or with a refusal."""
    kept = request.cookies.get(JOURNEY_COOKIE, "")
    journey = desk.store.attempts.arrive(hashed(state), desk.gate.now()) if state else None
    try:
        if journey is None or not secrets.compare_digest(kept.encode(), state.encode()):
            raise NotVouched("this browser did not set out from here, or was away too long")
        if not code:
            raise NotVouched("the identity provider refused")
        nonce, verifier = journey
        identity = _provider(desk).identity(
            code, verifier=verifier, nonce=nonce, redirect_uri=_return_to(request, desk)
        )
        token = desk.gate.begin(_account_of(identity, desk.store, desk.gate))
    except (NotVouched, NotSignedIn) as error:
        return _refused(error)
    logger.info("user:%s signed in through the identity provider", identity.login)
    answer = RedirectResponse("../", 303)
    _keep(answer, request, desk, token)
    answer.delete_cookie(JOURNEY_COOKIE, path="/oidc", httponly=True, samesite="lax")
    return answer


def _has_password(id: str, desk: Desk) -> bool:
    account = desk.store.accounts.get(id.removeprefix("user:"))
    return account is not None and account.password_hash is not None


def _account_of(identity: Identity, store: Store, gate: Gate) -> Account:
    """The account of somebody who is vouched for, as the provider has it now. One that was disabled stays so."""
    now, known = gate.now(), store.accounts.of_subject(identity.issuer, identity.subject)
    if known is None:
        account = Account(
            login=identity.login,
            name=identity.name,
            role=identity.role,
            areas=identity.areas,
            issuer=identity.issuer,
            subject=identity.subject,
            created_at=now,
            changed_at=now,
        )
        try:
            store.accounts.add(account)
        except ValueError:  # never somebody else's account because of a like name
            raise NotVouched(f"the login {identity.login} is another account's") from None
        return account
    if known.disabled:
        raise NotSignedIn("this account is disabled")
    if (known.name, known.role, known.areas) != (identity.name, identity.role, identity.areas):
        known = replace(known, name=identity.name, role=identity.role, areas=identity.areas, changed_at=now)
        store.accounts.change(known)
    return known


def _provider(desk: Desk) -> Provider:
    if desk.provider is None:
        raise HTTPException(404, "no identity provider is set up")
    return desk.provider


def _return_to(request: Request, desk: Desk) -> str:
    base = desk.public_url or str(request.base_url)
    return f"{base.rstrip('/')}/oidc/back"


def _refused(error: Exception) -> RedirectResponse:
    logger.warning("sign-in through the identity provider failed: %s", error)
    return RedirectResponse("../signin?fault=provider", 303)


def _keep(answer: Response, request: Request, desk: Desk, token: str) -> None:
    secure = _secure(request, desk)
    name = SECURE_COOKIE if secure else COOKIE
    longest = int(SESSION_LONGEST.total_seconds())
    answer.set_cookie(name, token, max_age=longest, path="/", secure=secure, httponly=True, samesite="lax")


def _secure(request: Request, desk: Desk) -> bool:
    return request.url.scheme == "https" or urlsplit(desk.public_url).scheme == "https"


def _address(request: Request) -> str:
    return "" if request.client is None else request.client.host


def _later(error: TooManyAttempts) -> HTTPException:
    seconds = max(1, round(error.wait.total_seconds() + 0.5))
    return HTTPException(429, f"尝试次数过多，请 {seconds} 秒后再试", {"retry-after": str(seconds)})
