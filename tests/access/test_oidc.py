"""Signing in through an identity provider: a real one on loopback, and all that it may get wrong."""

from __future__ import annotations

import base64
import json
import logging
from datetime import timedelta

import httpx
import pytest
from futian import WEST
from joserfc import jwt
from joserfc.jwk import RSAKey
from passwords import QUICK
from provider import CLIENT, SECRET, running

from dispatcher.access import oidc as oidc_module
from dispatcher.access.account import Account
from dispatcher.access.oidc import Client, read_roles
from dispatcher.access.oidc import Provider as Known
from dispatcher.access.principal import Role
from dispatcher.api.app import create_app
from dispatcher.api.serve import serve
from vision.pictures import FolderEvidence

ROLES = "jiexun-viewer=viewer,jiexun-officer=officer,jiexun-dispatcher=dispatcher,jiexun-admin=admin"


@pytest.fixture
def provider(ports):
    with running(ports()) as found:
        yield found


@pytest.fixture
def desk(provider, store, areas, tmp_path):
    """A console that trusts the provider: its address and its app."""
    client = Client(
        issuer=provider.issuer,
        id=CLIENT,
        secret=SECRET,
        role_claim="realm_access.roles",
        roles=read_roles(ROLES),
    )
    app = create_app(store, areas, evidence=FolderEvidence(tmp_path), provider=Known(client))
    app.state.desk.gate.passwords = QUICK
    with serve(app, port=0) as serving:
        yield serving.url, app


@pytest.fixture
def browser(desk):
    with httpx.Client(base_url=desk[0], trust_env=False, headers={"origin": desk[0]}) as client:
        yield client


def there_and_back(browser):
    """As a browser goes: to the provider, back with a code, and to the page."""
    sent = browser.get("/oidc/start")
    assert sent.status_code == 303
    back = httpx.get(sent.headers["location"], trust_env=False)
    assert back.status_code == 302, back.text
    return browser.get(back.headers["location"])


def refused(answer, browser):
    assert (answer.status_code, answer.headers["location"]) == (303, "../signin?fault=provider")
    assert "jiexun" not in browser.cookies
    assert browser.get("/api/me").status_code == 401


def test_whom_the_provider_vouches_for_is_signed_in_with_the_role_and_areas_it_says(browser, store):
    assert browser.get("/api/cases").status_code == 401  # also while there is no account
    assert browser.get("/api/signin").json()["provider"] == "统一身份认证"
    assert there_and_back(browser).headers["location"] == "../"
    me = browser.get("/api/me").json()
    assert (me["id"], me["name"], me["role"]) == ("user:wang.fang@127.0.0.1", "王芳", "dispatcher")
    assert [area["area"] for area in me["areas"]] == [WEST]
    (account,) = store.accounts.all()
    assert (account.subject, account.password_hash) == ("person-17", None)


def test_who_comes_again_has_the_same_account_as_the_provider_has_it_now(browser, provider, store):
    there_and_back(browser)
    before = browser.cookies["jiexun"]
    provider.person |= {"name": "王芳芳", "realm_access": {"roles": ["jiexun-viewer"]}, "jiexun_areas": "all"}
    there_and_back(browser)
    me = browser.get("/api/me").json()
    assert (me["name"], me["role"], me["areas"]) == ("王芳芳", "viewer", None)
    assert len(store.accounts.all()) == 1
    old = {"cookie": f"jiexun={before}"}
    assert httpx.get(f"{browser.base_url}/api/me", headers=old, trust_env=False).status_code == 401


def test_who_has_no_password_signs_in_with_none(browser):
    there_and_back(browser)
    for password in ("x", "None", "correct horse battery staple"):
        body = {"login": "wang.fang@127.0.0.1", "password": password}
        assert browser.post("/api/signin", json=body).status_code == 401


@pytest.mark.parametrize(
    "says",
    [
        {"iss": "https://evil.example"},
        {"aud": "another-client"},
        {"aud": None},
        {"nonce": "another journey's"},
        {"nonce": None},
        {"exp": 1_700_000_000},  # the same in every process: ids of tests are compared
        {"exp": None},
        {"iat": None},
        {"sub": None},
        {"azp": "another-client"},
        {"realm_access": {"roles": ["offline_access"]}},
        {"realm_access": None},
        {"jiexun_areas": []},
        {"jiexun_areas": None},
        {"jiexun_areas": ["44'; drop"]},
    ],
    ids=json.dumps,
)
def test_a_token_that_does_not_hold_lets_nobody_in(browser, provider, store, says):
    provider.says = says
    refused(there_and_back(browser), browser)
    assert store.accounts.all() == []


def test_a_token_that_another_signed_lets_nobody_in(browser, provider):
    provider.signs_with = RSAKey.generate_key(2048, {"kid": provider.key.kid}, auto_kid=False)
    refused(there_and_back(browser), browser)


@pytest.mark.parametrize("forged", ["none", "HS256"])
def test_a_token_without_the_provider_s_signature_is_none(provider, forged):
    claims = {"iss": provider.issuer, "aud": CLIENT, "sub": "x", "iat": 1, "exp": 9999999999, "nonce": "n"}
    known = Known(Client(issuer=provider.issuer, id=CLIENT, secret=SECRET))
    if forged == "none":
        parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in ({"alg": "none"}, claims)]
        token = b".".join([*parts, b""]).decode()
    else:
        from joserfc.jwk import OctKey

        token = jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET))
    with pytest.raises(oidc_module.NotVouched):
        known._claims(token, "n")


def test_a_provider_that_changed_its_keys_is_asked_again(browser, provider, monkeypatch):
    monkeypatch.setattr(oidc_module, "AGAIN_S", 0.0)
    there_and_back(browser)
    browser.post("/api/signout")
    provider.rotate()
    assert there_and_back(browser).headers["location"] == "../"


def test_a_way_back_that_did_not_begin_in_this_browser_is_refused(browser, desk):
    sent = browser.get("/oidc/start")
    back = httpx.get(sent.headers["location"], trust_env=False).headers["location"]
    with httpx.Client(base_url=desk[0], trust_env=False) as victim:  # lured to an attacker's address
        refused(victim.get(back), victim)
    refused(browser.get(back), browser)  # and a state is good once, even in its own browser


def test_a_way_back_that_took_too_long_is_refused(browser, desk):
    sent = browser.get("/oidc/start")
    back = httpx.get(sent.headers["location"], trust_env=False).headers["location"]
    gate = desk[1].state.desk.gate
    real = gate.now
    gate.now = lambda: real() + timedelta(minutes=11)
    refused(browser.get(back), browser)


@pytest.mark.parametrize("query", ["", "?code=x", "?state=x&code=y", "?error=access_denied&state=x"])
def test_a_way_back_out_of_nowhere_is_refused(browser, query):
    refused(browser.get(f"/oidc/back{query}"), browser)


def test_somebody_who_does_not_agree_is_not_signed_in(browser, provider):
    provider.refuses = True
    refused(there_and_back(browser), browser)


def test_a_disabled_account_stays_out(browser, store):
    there_and_back(browser)
    from dataclasses import replace

    (account,) = store.accounts.all()
    store.accounts.change(replace(account, disabled=True))
    browser.cookies.clear()
    refused(there_and_back(browser), browser)


def test_a_like_name_takes_over_no_local_account(browser, store, desk):
    now = desk[1].state.desk.gate.now()
    local = Account(
        login="wang.fang@127.0.0.1",
        name="another",
        role=Role.ADMIN,
        areas=None,
        password_hash=QUICK.hash("x" * 12),
        created_at=now,
        changed_at=now,
    )
    store.accounts.add(local)
    refused(there_and_back(browser), browser)
    assert store.accounts.all()[0].issuer is None


def test_a_provider_that_calls_itself_otherwise_or_is_away_is_refused_in_words(browser, provider, caplog):
    provider.describes = {"issuer": "https://evil.example"}
    answer = browser.get("/oidc/start")
    assert answer.headers["location"] == "../signin?fault=provider"
    assert "calls itself" in caplog.text


def test_a_provider_without_tls_is_trusted_on_loopback_only():
    with pytest.raises(ValueError, match="https"):
        Known(Client(issuer="http://id.futian.example", id=CLIENT))
    Known(Client(issuer="https://id.futian.example", id=CLIENT))


def test_neither_code_nor_token_nor_secret_is_logged(browser, provider, caplog):
    caplog.set_level(logging.DEBUG)
    sent = browser.get("/oidc/start")
    back = httpx.get(sent.headers["location"], trust_env=False).headers["location"]
    browser.get(back)
    token = browser.cookies["jiexun"]
    provider.says = {"aud": "another-client"}
    there_and_back(browser)
    ours = [record for record in caplog.records if record.name.startswith(("dispatcher", "uvicorn"))]
    said = "\n".join(f"{record.getMessage()} {record.exc_text}" for record in ours)
    assert "user:wang.fang@127.0.0.1 signed in" in said
    code = httpx.URL(back).params["code"]
    for word in (code, token, SECRET, "eyJ"):
        assert word not in said


def test_roles_are_read_from_a_setting():
    assert read_roles("a=viewer, b = admin ,") == {"a": Role.VIEWER, "b": Role.ADMIN}
    with pytest.raises(ValueError):
        read_roles("a=king")
