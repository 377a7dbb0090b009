"""Signing in and out over a real server: sessions, throttling, forged requests, and what is never written down."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from futian import WEST
from passwords import PASSWORD, QUICK
from sqlalchemy import text

from dispatcher.access.account import SESSION_IDLE, SESSION_LONGEST
from dispatcher.access.passwords import Passwords
from dispatcher.access.principal import Reach, Role
from dispatcher.access.throttle import ACCOUNT
from dispatcher.access.tokens import hashed
from dispatcher.api import follow as follow_module

WRONG = "incorrect horse battery"


def sign_in(client, login="li.ming", password=PASSWORD, **more):
    return client.post("/api/signin", json={"login": login, "password": password}, **more)


@pytest.fixture
def clock(app, monkeypatch):
    """What the gate takes for now; tests move it."""

    class Clock:
        now = datetime.now(UTC)

        def __call__(self):
            return self.now

    app.state.desk.gate.now = Clock()
    return app.state.desk.gate.now


def test_while_there_is_no_account_whoever_sits_here_may_do_all(browser):
    client = browser()
    me = client.get("/api/me").json()
    assert (me["id"], me["role"], me["areas"], me["signed_in"]) == ("local", "admin", None, False)
    assert client.get("/").status_code == 200
    assert client.get("/api/signin").json() == {"password": False, "provider": None}


def test_with_the_first_account_signing_in_is_demanded_at_once(browser, add_account, store):
    client = browser()
    assert client.get("/api/cases").status_code == 200
    account = add_account()
    assert client.get("/api/cases").status_code == 401
    assert client.get("/api/cases").headers["www-authenticate"] == "Bearer"
    assert (client.get("/").status_code, client.get("/").headers["location"]) == (303, "signin")
    assert client.get("/healthz").json() == {"status": "ok", "seq": None}
    store.accounts.change(replace(account, disabled=True))
    assert client.get("/api/cases").status_code == 401  # and it stays so


def test_who_signs_in_is_known_until_signing_out(browser, add_account, store):
    add_account()
    client = browser()
    answer = sign_in(client, login=" Li.Ming ")
    assert answer.status_code == 204
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("jiexun=")
    for part in ("HttpOnly", "SameSite=lax", "Path=/", "Max-Age=43200"):
        assert part in cookie
    assert "Secure" not in cookie  # over plain http a browser would drop it
    me = client.get("/api/me").json()
    assert (me["id"], me["name"], me["role_zh"], me["signed_in"]) == ("user:li.ming", "李明", "处置员", True)
    assert me["areas"] == [{"area": WEST, "path": "福田区 / 莲花街道 / 彩田社区"}]
    token = client.cookies["jiexun"]
    assert client.post("/api/signout").status_code == 204
    assert "jiexun" not in client.cookies
    assert client.get("/api/me").status_code == 401
    client.cookies.set("jiexun", token)  # kept by a thief
    assert client.get("/api/me").status_code == 401


def test_over_tls_the_cookie_is_secure_and_bound_to_the_host(url, add_account):
    add_account()
    tls = {"x-forwarded-proto": "https", "origin": url}  # as a proxy on this machine says
    with httpx.Client(base_url=url, trust_env=False, headers=tls) as client:
        cookie = sign_in(client).headers["set-cookie"]
        assert cookie.startswith("__Host-jiexun=")
        assert "Secure" in cookie
        token = cookie.partition("=")[2].partition(";")[0]
        assert client.get("/api/me", headers={"cookie": f"__Host-jiexun={token}"}).status_code == 200
        assert client.get("/api/me", headers={"cookie": f"jiexun={token}"}).status_code == 401  # any host could set it


def test_sessions_are_kept_as_hashes_only(signed_in, add_account, store, tmp_path):
    add_account()
    token = signed_in("li.ming").cookies["jiexun"]
    assert len(token) == 43
    store.close()  # so that everything is in the files
    written = b"".join(path.read_bytes() for path in tmp_path.glob("store.db*"))
    assert hashed(token).encode() in written
    assert token.encode() not in written
    assert PASSWORD.encode() not in written


@pytest.mark.parametrize(
    ("login", "password"), [("li.ming", WRONG), ("nobody", PASSWORD), ("!", "x"), ("li.ming", "x")]
)
def test_a_refusal_does_not_say_what_was_wrong(browser, add_account, login, password):
    add_account()
    answer = sign_in(browser(), login, password)
    assert answer.status_code == 401
    assert answer.json()["detail"] == "登录名或密码不正确"
    assert "set-cookie" not in answer.headers


def test_an_account_that_is_not_there_takes_as_long_to_refuse_as_one_that_is(app, add_account, store):
    passwords = Passwords()  # what a real server uses
    add_account(password_hash=passwords.hash(PASSWORD))
    app.state.desk.gate.passwords = passwords
    real = store.accounts.get("li.ming").password_hash

    def fastest(hash):
        times = []
        for _ in range(5):
            began = time.process_time()  # of the work, not of the machine's other guests
            assert not passwords.right(hash, WRONG)
            times.append(time.process_time() - began)
        return min(times)

    there, not_there = fastest(real), fastest(None)
    assert not_there == pytest.approx(there, rel=0.5)
    assert not passwords.outdated(real)


def test_a_disabled_account_signs_in_nowhere(browser, add_account, store):
    account = add_account()
    client = browser()
    sign_in(client)
    store.accounts.change(replace(account, disabled=True))
    assert client.get("/api/me").status_code == 401
    assert sign_in(browser()).status_code == 401


@pytest.mark.parametrize(
    "change", [{"role": Role.VIEWER}, {"areas": None}, {"password_hash": QUICK.hash("another one entirely")}]
)
def test_sessions_end_when_what_an_account_may_do_changes(signed_in, add_account, store, change):
    account = add_account()
    client = signed_in("li.ming")
    store.accounts.change(replace(account, **change, changed_at=datetime.now(UTC)))
    assert client.get("/api/me").status_code == 401


def test_a_session_ends_when_idle_and_at_the_end_of_a_shift(signed_in, add_account, clock):
    add_account()
    client = signed_in("li.ming")
    clock.now += SESSION_IDLE - timedelta(seconds=1)
    assert client.get("/api/me").status_code == 200  # which is a request: idle counts from here
    clock.now += SESSION_IDLE - timedelta(seconds=1)
    assert client.get("/api/me").status_code == 200
    clock.now += SESSION_IDLE
    assert client.get("/api/me").status_code == 401
    other = signed_in("li.ming")
    for _ in range(int(SESSION_LONGEST / timedelta(hours=1)) - 1):
        clock.now += timedelta(hours=1)
        assert other.get("/api/me").status_code == 200
    clock.now += timedelta(hours=1)
    assert other.get("/api/me").status_code == 401


def test_a_stream_ends_with_its_session(signed_in, add_account, store, monkeypatch):
    monkeypatch.setattr(follow_module, "ASK_S", 0.1)
    account = add_account()
    client = signed_in("li.ming")
    with client.stream("GET", "/api/events", timeout=20) as answer:
        lines = answer.iter_lines()
        assert next(lines).startswith("event: hello")
        store.accounts.change(replace(account, disabled=True))
        assert not [line for line in lines if line.startswith("event: case")]  # and it ends


def test_a_password_is_changed_by_whoever_knows_it(signed_in, browser, add_account):
    add_account()
    client, elsewhere = signed_in("li.ming"), signed_in("li.ming")
    new = "四个不相干的词语连在一起就好"
    assert client.post("/api/password", json={"old": WRONG, "new": new}).status_code == 403
    weak = client.post("/api/password", json={"old": PASSWORD, "new": "short"})
    assert (weak.status_code, weak.json()["detail"]) == (422, "新密码至少 12 个字符：几个不相干的词连起来，比符号好记")
    common = client.post("/api/password", json={"old": PASSWORD, "new": "password123456"})
    assert (common.status_code, common.json()["detail"]) == (422, "新密码太常见，容易被猜到，请换一个")
    same = client.post("/api/password", json={"old": PASSWORD, "new": PASSWORD})
    assert (same.status_code, same.json()["detail"]) == (422, "新密码与原密码相同")
    before = client.cookies["jiexun"]
    assert client.get("/api/me").json()["password"] is True
    answer = client.post("/api/password", json={"old": PASSWORD, "new": new})
    assert (answer.status_code, "HttpOnly" in answer.headers["set-cookie"]) == (204, True)
    assert client.get("/api/me").status_code == 200  # with a new session
    assert client.cookies["jiexun"] != before
    stolen = browser(cookie=f"jiexun={before}")
    assert stolen.get("/api/me").status_code == elsewhere.get("/api/me").status_code == 401
    assert sign_in(browser()).status_code == 401
    assert sign_in(browser(), password=new).status_code == 204


def test_an_old_password_cannot_be_guessed_from_an_open_session(signed_in, add_account, clock):
    add_account()
    client = signed_in("li.ming")
    guess = {"old": WRONG, "new": "四个不相干的词语连在一起就好"}
    statuses = [client.post("/api/password", json=guess).status_code for _ in range(ACCOUNT.free + 1)]
    assert statuses == [403] * ACCOUNT.free + [429]
    late = client.post("/api/password", json=guess | {"old": PASSWORD})
    assert (late.status_code, "秒后再试" in late.json()["detail"]) == (429, True)
    assert int(late.headers["retry-after"]) >= 1
    assert sign_in(client).status_code == 429  # they are counted with those of the sign-in page
    clock.now += timedelta(minutes=5)
    assert client.post("/api/password", json=guess | {"old": PASSWORD}).status_code == 204


def test_who_signs_in_elsewhere_has_no_password_to_change(app, browser, add_account):
    account = add_account(password_hash=None, issuer="https://id.example", subject="17")
    client = browser(cookie=f"jiexun={app.state.desk.gate.begin(account)}")
    assert client.get("/api/me").json()["password"] is False
    answer = client.post("/api/password", json={"old": "x", "new": "四个不相干的词语连在一起就好"})
    assert answer.status_code == 403


# Throttling


def test_wrong_passwords_make_the_account_wait_longer_and_longer(browser, add_account, clock):
    add_account()
    client = browser()
    for _ in range(ACCOUNT.free):
        assert sign_in(client, password=WRONG).status_code == 401
    waits = []
    for _ in range(3):
        answer = sign_in(client)  # even the right one has to wait
        assert answer.status_code == 429
        waits.append(int(answer.headers["retry-after"]))
        clock.now += timedelta(seconds=waits[-1])
        assert sign_in(client, password=WRONG).status_code == 401
    assert waits == sorted(set(waits))
    clock.now += timedelta(seconds=60)
    assert sign_in(client).status_code == 204
    for _ in range(ACCOUNT.free):  # it starts anew
        assert sign_in(client, password=WRONG).status_code == 401


def test_a_restart_forgives_no_failure(browser, add_account, store, areas, tmp_path):
    from dispatcher.api.app import create_app
    from dispatcher.api.serve import serve
    from vision.pictures import FolderEvidence

    add_account()
    client = browser()
    for _ in range(ACCOUNT.free):
        sign_in(client, password=WRONG)
    again = create_app(store, areas, evidence=FolderEvidence(tmp_path))
    with serve(again, port=0) as serving, httpx.Client(base_url=serving.url, trust_env=False) as other:
        assert sign_in(other).status_code == 429


def test_an_address_that_tries_many_accounts_has_to_wait_as_well(browser, add_account, clock):
    add_account()
    client = browser()
    statuses = [sign_in(client, login=f"guess-{n}", password=WRONG).status_code for n in range(30)]
    assert statuses[:20] == [401] * 20
    assert set(statuses[20:]) == {429}
    assert sign_in(client).status_code == 429


def test_many_guesses_at_once_are_counted_like_one_after_the_other(store):
    from concurrent.futures import ThreadPoolExecutor

    now = datetime.now(UTC)
    with ThreadPoolExecutor(16) as pool:
        waits = list(pool.map(lambda _: store.attempts.begin({"account:li": ACCOUNT}, now), range(40)))
    assert sum(wait == timedelta(0) for wait in waits) == ACCOUNT.free


# Forged requests


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "cross-site", "origin": "{url}"}, 403),
        ({}, 403),  # a cookie, and neither header that every browser sends
        ({"origin": "{url}"}, 204),
        ({"sec-fetch-site": "same-origin"}, 204),
    ],
)
def test_another_site_s_page_cannot_act_with_our_cookie(url, signed_in, add_account, headers, status):
    add_account()
    token = signed_in("li.ming").cookies["jiexun"]
    told = {name: value.replace("{url}", url) for name, value in headers.items()}
    answer = httpx.post(f"{url}/api/signout", headers=told | {"cookie": f"jiexun={token}"}, trust_env=False)
    assert answer.status_code == status
    still = httpx.get(f"{url}/api/me", headers={"cookie": f"jiexun={token}"}, trust_env=False)
    assert still.status_code == (200 if status == 403 else 401)


def test_another_site_s_page_can_neither_sign_in_nor_act_on_a_console_without_accounts(url):
    forged = {"origin": "https://evil.example", "content-type": "text/plain"}
    for path in ("/api/signin", "/api/signout", "/api/password"):
        assert httpx.post(f"{url}{path}", headers=forged, content="{}", trust_env=False).status_code == 403


def test_a_form_of_another_site_is_no_json(url, add_account):
    add_account()
    body = f'{{"login": "li.ming", "password": "{PASSWORD}"}}'
    answer = httpx.post(f"{url}/api/signin", content=body, headers={"content-type": "text/plain"}, trust_env=False)
    assert answer.status_code == 422


def test_a_body_that_is_too_large_is_refused(url, add_account):
    add_account()
    body = {"login": "li.ming", "password": "x" * 20_000}
    assert httpx.post(f"{url}/api/signin", json=body, trust_env=False).status_code == 413

    def chunks():
        for _ in range(100):
            yield b"x" * 1000

    answer = httpx.post(
        f"{url}/api/signin", content=chunks(), headers={"content-type": "application/json"}, trust_env=False
    )
    assert answer.status_code == 413  # also when its length is not said


# Keys


def test_a_key_lets_a_machine_in_as_far_as_it_reaches(url, add_account, add_key):
    add_account()
    token = add_key(role=Role.VIEWER, areas=frozenset({WEST}), reach=frozenset({Reach.READ}))
    with httpx.Client(base_url=url, trust_env=False, headers={"authorization": f"Bearer {token}"}) as machine:
        me = machine.get("/api/me").json()
        assert (me["id"], me["role"], me["signed_in"]) == (f"key:{token[4:12]}", "viewer", False)
        assert machine.get("/api/cases").status_code == 200
        assert machine.get(f"/evidence/{'0' * 64}.jpg").status_code == 403
        assert machine.post("/api/password", json={"old": "x", "new": "y"}).status_code == 409


def test_a_key_that_is_none_is_refused_on_every_route_even_without_accounts(url, add_key, store):
    good = add_key()
    bad = [
        good[:-1] + ("A" if good[-1] != "A" else "B"),
        good[:13],
        "jxk_00000000_" + "A" * 43,
        "word",
        add_key(expires_at=datetime.now(UTC) - timedelta(seconds=1)),
        revoked := add_key(),
    ]
    store.keys.revoke(revoked[4:12], datetime.now(UTC))
    for token in bad:
        for path in ("/api/cases", "/healthz", "/"):
            answer = httpx.get(f"{url}{path}", headers={"authorization": f"Bearer {token}"}, trust_env=False)
            assert answer.status_code == 401, (token, path)
            assert token not in answer.text
    assert (
        httpx.get(f"{url}/api/cases", headers={"authorization": f"bearer {good}"}, trust_env=False).status_code == 200
    )


def test_keys_are_kept_as_hashes_only(add_key, store):
    token = add_key()
    with store._engine.connect() as connection:
        rows = connection.execute(text("select * from api_keys")).all()
    assert token[13:] not in str(rows)
    assert hashed(token) in str(rows)


# What is never written down


def test_no_secret_is_logged_on_any_way_in(url, browser, add_account, add_key, caplog):
    caplog.set_level(logging.DEBUG)
    add_account()
    secret, wrong, login = PASSWORD, "a wrong-but-close password", "password-typed-as-login"
    client = browser()
    sign_in(client, password=wrong)
    sign_in(client, login=login, password=wrong)
    sign_in(client, password=secret)
    token = client.cookies["jiexun"]
    client.post("/api/password", json={"old": wrong, "new": "a new secret of eleven"})
    client.post("/api/password", json={"old": secret, "new": "a new secret of eleven"})
    sign_in(client, password=secret)
    client.post("/api/signin", json={"login": 7, "password": [secret]})  # of the wrong shape
    client.post(
        "/api/signin",
        content=f'{{"login": "li.ming", "password": "{secret}"',
        headers={"content-type": "application/json"},
    )
    key = add_key()
    for shown in (key, key[:-1]):
        client.get("/api/me", headers={"authorization": f"Bearer {shown}"})
    for _ in range(6):
        sign_in(client, password=wrong)
    client.get("/oidc/back", params={"code": "code-of-the-provider", "state": "state-of-ours"})
    client.post("/api/signout")
    ours = [record for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]  # the browser's
    said = "\n".join(f"{record.name} {record.getMessage()} {record.exc_text}" for record in ours)
    assert "user:li.ming signed in" in said
    for word in (secret, wrong, login, token, key, key[13:], "a new secret of eleven", "code-of-the", "state-of-ours"):
        assert word not in said, word


def test_an_answer_repeats_no_secret_either(browser, add_account):
    add_account()
    client = browser()
    for body in (
        {"login": 7, "password": [PASSWORD]},
        {"password": PASSWORD},
        {"login": PASSWORD, "password": PASSWORD},
    ):
        assert PASSWORD not in client.post("/api/signin", json=body).text
