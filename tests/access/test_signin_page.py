"""The sign-in page, who is signed in, and signing out, in a real headless Chromium."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from futian import EAST, WEST
from passwords import PASSWORD
from playwright.sync_api import expect

from dispatcher.access.principal import Role
from dispatcher.api import follow as follow_module
from dispatcher.case import Share

pytestmark = pytest.mark.browser


@pytest.fixture
def page(chromium, url):
    """A page whose scripts raise nothing and which asks no other server."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, locale="zh-CN")
    context.set_default_timeout(20_000)
    opened = context.new_page()
    wrong, asked = [], []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    yield opened
    opened.goto("about:blank")
    context.close()
    assert wrong == []
    assert [one for one in asked if not one.startswith((url, "about:", "data:", "blob:"))] == []


def sign_in(page, login="li.ming", password=PASSWORD):
    page.fill("#login", login)
    page.fill("#password", password)
    page.click("button[type=submit]")


def test_an_officer_signs_in_sees_the_own_cases_and_signs_out(
    page, url, add_account, store, make_case, make_event, screenshots
):
    add_account(role=Role.OFFICER, areas=frozenset({WEST}))
    east = make_case("east", owners=(Share(EAST, 1.0),), lon=114.055)
    store.append((), [make_event(case=make_case("west")), make_event(case=east, recipients=(EAST,))])
    page.goto(url)
    expect(page).to_have_url(f"{url}/signin")
    expect(page.locator("#login")).to_be_focused()
    screenshots(page, "signin")
    sign_in(page, password="not the right one")
    expect(page.locator("#fault")).to_have_text("登录名或密码不正确")
    expect(page.locator("#password")).to_have_value("")
    sign_in(page)
    page.wait_for_selector("#link[data-link=live]")
    expect(page).to_have_url(f"{url}/")
    expect(page.locator("#me span")).to_have_text("李明 · 处置员 · 彩田社区")
    page.wait_for_selector("li[data-case=west]")
    assert page.locator("li[data-case=east]").count() == 0
    expect(page.locator("[data-tile=open] b")).to_have_text("1")
    screenshots(page, "signed-in")
    store.append((), [make_event(case=make_case("east-2", owners=(Share(EAST, 1.0),)), recipients=(EAST,))])
    store.append((), [make_event(case=make_case("west-2"))])
    page.wait_for_selector("li[data-case=west-2]")
    assert page.locator("li[data-case=east-2]").count() == 0
    assert page.evaluate("document.cookie") == ""  # no script can read the session
    page.click("#me button:not(.change)")
    expect(page).to_have_url(f"{url}/signin")
    page.goto(url)
    expect(page).to_have_url(f"{url}/signin")


def test_a_page_whose_session_ends_goes_to_the_sign_in_page(page, url, add_account, store, monkeypatch):
    monkeypatch.setattr(follow_module, "ASK_S", 0.2)
    account = add_account()
    page.goto(f"{url}/signin")
    sign_in(page)
    page.wait_for_selector("#link[data-link=live]")
    store.accounts.change(replace(account, role=Role.VIEWER, changed_at=datetime.now(UTC)))
    expect(page).to_have_url(f"{url}/signin")


def test_too_many_attempts_are_told_with_the_time_to_wait(page, url, add_account):
    add_account()
    page.goto(f"{url}/signin")
    for _ in range(6):
        sign_in(page, password="not the right one")
        page.wait_for_selector("button[type=submit]:enabled")
        page.wait_for_selector("#fault:not([hidden])")
    expect(page.locator("#fault")).to_contain_text("尝试次数过多，请")


def test_a_password_is_changed_on_the_page_and_other_browsers_have_to_sign_in_anew(
    page, url, add_account, signed_in, screenshots
):
    add_account()
    elsewhere, new = signed_in("li.ming"), "四个不相干的词语连在一起就好"
    page.goto(f"{url}/signin")
    sign_in(page)
    page.wait_for_selector("#link[data-link=live]")
    page.click("#me .change")
    expect(page.locator("#password-old")).to_be_focused()

    def change(old, fresh, again):
        for name, value in (("old", old), ("new", fresh), ("again", again)):
            page.fill(f"#password-{name}", value)
        page.click("dialog form button:not(.stop)")

    told = page.locator("dialog .fault")
    change(PASSWORD, "太短", "太短")
    expect(told).to_have_text("新密码至少 12 个字符")
    change(PASSWORD, new, f"{new}吗")
    expect(told).to_have_text("两次输入的新密码不一致")
    change("not the right one", new, new)
    expect(told).to_have_text("原密码不正确")
    screenshots(page, "password")
    change(PASSWORD, new, new)
    expect(page.locator("dialog [role=status]")).to_contain_text("密码已修改")
    page.click("dialog button")
    expect(page.locator("dialog")).to_have_count(0)
    assert elsewhere.get("/api/me").status_code == 401
    page.reload()  # this browser goes on
    page.wait_for_selector("#link[data-link=live]")
    page.click("#me button:not(.change)")
    expect(page).to_have_url(f"{url}/signin")
    sign_in(page, password=new)
    page.wait_for_selector("#link[data-link=live]")


def test_where_nobody_has_to_sign_in_the_page_says_nothing_of_it(page, url):
    page.goto(f"{url}/signin")
    expect(page).to_have_url(f"{url}/")
    page.wait_for_selector("#link[data-link=live]")
    assert page.locator("#me").count() == 0


def test_the_sign_in_page_fits_a_phone(page, url, add_account, screenshots):
    add_account()
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"{url}/signin")
    page.wait_for_selector("#form:not([hidden])")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    sign_in(page)
    page.wait_for_selector("#link[data-link=live]")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    screenshots(page, "phone")
