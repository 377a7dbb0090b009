"""The desk's part of the page, in a real headless Chromium on a real server."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect
from town import DUTY, make_case, make_event, town

from dispatcher.access.principal import LOCAL
from dispatcher.api.app import create_app
from dispatcher.api.serve import serve
from dispatcher.case import State
from dispatcher.store.store import Store
from dispatcher.work.book import Book
from dispatcher.work.clerk import Clerk
from models.taxonomy import Taxonomy
from vision.pictures import FolderEvidence

pytestmark = pytest.mark.browser
POLICY = """
[[campaign]]
name = "夜市整治"
begins = 2026-01-01
ends = 2099-12-31
matters = ["09006"]
areas = ["440304000000"]
weight = 3
"""


@pytest.fixture
def desk(tmp_path):
    """A store with one case, and its clerk."""
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as store:
        clerk = Clerk(store, town(), Taxonomy.read(), Book.of({"duty": DUTY, "policy": POLICY}))
        store.append((), [make_event(case=make_case(kind="street_stall", matter="09006"))])
        clerk.tick(datetime.now(UTC))
        yield store, clerk


@pytest.fixture
def page(chromium, desk, tmp_path):
    store, clerk = desk
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, locale="zh-CN", timezone_id="UTC")
    context.set_default_timeout(15_000)
    opened = context.new_page()
    wrong = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    with serve(create_app(store, town(), evidence=FolderEvidence(tmp_path), clerk=clerk), port=0) as serving:
        opened.goto(f"{serving.url}/#case/case-1")
        opened.wait_for_selector(".office .steps")
        yield opened
        opened.goto("about:blank")
    context.close()
    assert wrong == []


def button(page, act):
    return page.locator(f".office .acts button[data-act={act}]")


def work(desk):
    return desk[1].standing("case-1", LOCAL).work


def test_the_page_shows_step_deadline_office_and_what_may_be_done(page) -> None:
    expect(page.locator(".steps [aria-current]")).to_have_text("案卷建立")
    expect(page.locator(".office .due")).to_contain_text("处置截止")
    expect(page.locator(".office .due")).to_contain_text("剩余")
    expect(page.locator(".office .facts-table")).to_contain_text("彩田社区")
    expect(page.locator(".office .facts-table")).to_contain_text("占道经营，劝离即可：2 工作时（示例时限）")
    expect(page.locator(".office .hint")).to_contain_text("首违不罚")
    texts = page.locator(".office > .acts button").all_inner_texts()
    assert texts == [
        "签收",
        "派遣",
        "退回",
        "吹哨",
        "已处置",
        "作废",
        "挂起",
        "并案",
    ]  # of one sighting nothing can be split off


def test_an_officer_acknowledges_with_one_click_and_reports_with_words(page, desk) -> None:
    button(page, "acknowledge").click()
    expect(page.locator(".steps [aria-current]")).to_have_text("任务处理")
    expect(page.locator(".office .facts-table")).to_contain_text("本机")
    button(page, "handled").click()
    page.locator(".ask textarea").fill("已劝离，现场恢复")
    page.locator(".ask .go").click()
    expect(page.locator(".steps [aria-current]")).to_have_text("处理反馈")
    expect(page.locator(".detail-bar .badge")).to_have_text("已处置待核查")  # the live stream told the page
    page.locator(".records summary").click()
    expect(page.locator(".records q").first).to_have_text("已劝离，现场恢复")
    assert work(desk).handled_by == "本机"


def test_a_hand_back_asks_for_its_reason(page, desk) -> None:
    button(page, "hand-back").click()
    page.locator(".ask .go").click()  # the box is required: nothing is sent
    expect(page.locator(".ask textarea")).to_be_focused()
    assert work(desk).hand_backs == 0
    page.locator(".ask textarea").fill("不在本社区范围")
    page.locator(".ask .go").click()
    expect(page.locator(".office .facts-table")).to_contain_text("莲花街道")
    expect(page.locator(".office .facts-table")).to_contain_text("退回 1 次")


def test_a_case_is_dispatched_to_a_department_with_its_condition(page, desk) -> None:
    button(page, "dispatch").click()
    page.select_option(".ask [name=office]", label="福田区城市管理和综合执法局")
    page.select_option(".ask [name=disposition]", label="执法处置")
    page.select_option(".ask [name=condition]", value="09006-blocked")
    page.locator(".ask .go").click()
    expect(page.locator(".steps [aria-current]")).to_have_text("任务派遣")
    expect(page.locator(".office .facts-table")).to_contain_text("1 紧急工作时")
    assert work(desk).office == "440304-cgj"


def test_a_closing_condition_is_shown_and_closing_asks_how_it_is_met(page, desk) -> None:
    button(page, "dispatch").click()
    page.select_option(".ask [name=disposition]", label="执法处置")
    page.select_option(".ask [name=condition]", value="09006-blocked")
    page.locator(".ask .go").click()
    expect(page.locator(".office .facts-table")).to_contain_text("通道恢复畅通")
    expect(page.locator(".office .facts-table")).to_contain_text("夜市整治（权重 3）")
    expect(page.locator("li[data-case=case-1] .campaign")).to_have_text("专项 ×3")
    button(page, "handled").click()
    page.locator(".ask .go").click()
    button(page, "close").click()
    expect(page.locator(".ask textarea")).to_have_attribute("placeholder", re.compile("^结案条件：通道恢复畅通"))
    page.locator(".ask .go").click()  # the box is required: nothing is sent
    assert work(desk).outcome is None
    page.locator(".ask textarea").fill("现场复查，通道畅通")
    page.locator(".ask .go").click()
    expect(page.locator(".office .ended")).to_contain_text("已结案")


def test_a_dismissal_needs_label_and_reason_and_ends_the_work(page, desk) -> None:
    button(page, "dismiss").click()
    page.select_option(".ask [name=label]", label="经许可，不违规")
    page.locator(".ask textarea").fill("有临时占道许可")
    page.locator(".ask .go").click()
    expect(page.locator(".office .ended")).to_contain_text("已作废")
    assert page.locator(".office > .acts button").count() == 0
    assert work(desk).label == "permitted"


def test_words_that_are_being_typed_stay_when_the_case_changes(page, desk) -> None:
    store, _ = desk
    button(page, "hand-back").click()
    page.locator(".ask textarea").fill("写到一半")
    case = make_case(kind="street_stall", matter="09006", passes=7)
    store.append((), [make_event("confirmed", case, to=())])
    expect(page.locator(".timeline li").first).to_contain_text("7 车次")
    expect(page.locator(".ask textarea")).to_have_value("写到一半")
    expect(page.locator(".ask textarea")).to_be_focused()


def test_what_another_desk_did_first_is_refused_in_words(page, desk) -> None:
    _, clerk = desk
    page.route("**/api/cases/case-1/work", lambda route: route.abort())  # the page does not hear of it
    clerk.tick(datetime.now(UTC) + timedelta(minutes=31))
    button(page, "acknowledge").click()
    expect(page.locator(".office .refused").first).to_be_visible()
    assert work(desk).acknowledged_by is None


def test_an_overdue_case_is_marked_in_the_list_and_can_be_sought(page, desk, screenshots) -> None:
    store, clerk = desk
    page.evaluate("location.hash = ''")
    page.wait_for_selector("li[data-case=case-1]")
    store.append((), [make_event(case=make_case("late", kind="street_stall", matter="09006"))])
    clerk.tick(datetime.now(UTC) - timedelta(days=20))  # no event tells of the deadline: the page asks by itself
    expect(page.locator("li[data-case=late] .late")).to_have_text("已超时", timeout=80_000)
    assert page.locator("li[data-case=late] .late").get_attribute("title").startswith("处置截止 20")
    assert page.locator("li[data-case=case-1] .late").count() == 0
    screenshots(page, "overdue")
    page.check("#filters [name=overdue]")
    expect(page.locator("#owned .cases li")).to_have_count(1)
    store.append((), [make_event("confirmed", make_case("late", kind="street_stall", matter="09006", passes=5))])
    expect(page.locator("li[data-case=late]")).to_contain_text("5 车次")
    assert page.locator("li[data-case=late] .late").count() == 1  # an event takes no mark away
    page.click("#reset")
    page.wait_for_selector("li[data-case=case-1]")
    assert not page.is_checked("#filters [name=overdue]")


def test_an_overdue_case_says_by_how_much(page, desk) -> None:
    store, clerk = desk
    closed = make_case(kind="street_stall", matter="09006", state=State.CLOSED, closed_at=datetime.now(UTC))
    store.append((), [make_event("closed", closed, to=())])
    clerk.tick(datetime.now(UTC) + timedelta(days=20, hours=3))
    page.reload()
    expect(page.locator(".office .due.late")).to_contain_text("已超时")
    expect(page.locator(".steps [aria-current]")).to_have_text("核查结案")
