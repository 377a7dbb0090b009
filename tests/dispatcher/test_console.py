"""The duty officer's page in a real headless Chromium, on a real server."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import cv2
import numpy as np
import pytest
from futian import EAST, NOON, WEST
from playwright.sync_api import expect

from dispatcher.api.app import create_app
from dispatcher.api.serve import serve
from dispatcher.case import Share, State
from dispatcher.store.store import Store
from vision.pictures import FolderEvidence
from vision.sighting import Evidence

pytestmark = pytest.mark.browser


@pytest.fixture
def picture(tmp_path):
    """A grey picture of 640 by 360 pixels, in the evidence folder."""
    ok, jpeg = cv2.imencode(".jpg", np.full((360, 640, 3), 128, np.uint8))
    assert ok
    sha256 = hashlib.sha256(jpeg.tobytes()).hexdigest()
    (tmp_path / f"{sha256}.jpg").write_bytes(jpeg.tobytes())
    return Evidence(uri=f"{sha256}.jpg", sha256=sha256, box_xyxy=(160, 90, 320, 270))


@pytest.fixture
def server(store, areas, tmp_path):
    with serve(create_app(store, areas, evidence=FolderEvidence(tmp_path)), port=0) as serving:
        yield serving


@pytest.fixture
def page(chromium, server):
    """The open page, already listening. Afterwards: it asked no other server and nothing went wrong in it."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, locale="zh-CN", timezone_id="UTC")
    context.set_default_timeout(15_000)
    opened = context.new_page()
    asked, wrong = [], []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda message: message.type == "error" and wrong.append(message.text))
    opened.wrong = wrong
    open_page(opened, server.url)
    yield opened
    opened.goto("about:blank")
    context.close()
    assert [url for url in asked if not url.startswith((server.url, "about:", "data:", "blob:"))] == []
    assert wrong == []


def open_page(page, url):
    page.goto(url)
    page.wait_for_selector("#link[data-link=live]")


def rows(page, where="#owned"):
    return page.eval_on_selector_all(f"{where} .cases li", "rows => rows.map(row => row.dataset.case)")


def test_a_new_case_appears_without_reload(page, store, make_case, make_event):
    assert rows(page) == []
    page.evaluate("window.notReloaded = true")
    store.append((), [make_event(case=make_case("first"))])
    page.wait_for_selector("li[data-case=first]")
    store.append((), [make_event(case=make_case("second", state=State.OPEN))])
    page.wait_for_selector("li[data-case=second].fresh")
    assert rows(page) == ["second", "first"]
    assert page.evaluate("window.notReloaded")
    assert page.locator(".leaflet-marker-icon .pin").count() == 2
    expect(page.locator("#announce")).to_contain_text("立案：暴露垃圾，福田区 / 莲花街道 / 彩田社区，置信度 91%")
    expect(page.locator("[data-tile=open] b")).to_have_text("2")


def test_a_row_tells_what_where_how_sure_and_when(page, store, make_case, make_event, picture):
    later = NOON + timedelta(minutes=25)
    case = make_case(evidence=picture, last_seen_at=later, sightings=("a", "b", "c"), passes=2)
    store.append((), [make_event(case=case)])
    row = page.locator("li[data-case=case-1]")
    row.wait_for()
    text = " ".join(row.inner_text().split())
    for part in ("06010 暴露垃圾", "福田区 / 莲花街道 / 彩田社区", "待处理", "置信度 91%", "位置 ±2.0 米"):
        assert part in text
    assert "目击 3 次 / 2 车次" in text
    assert "首次 11-20 12:00 最近 11-20 12:25" in text.replace("2026-", "")  # Shenzhen, though the browser is on UTC
    row.locator(".box").wait_for()


def test_nothing_is_lost_while_the_connection_is_down(chromium, store, areas, tmp_path, make_case, make_event):
    app = create_app(store, areas, evidence=FolderEvidence(tmp_path))
    first = serve(app, port=0)
    port = int(first.url.rpartition(":")[2])
    context = chromium.new_context()
    page = context.new_page()
    first.start()
    open_page(page, first.url)
    store.append((), [make_event(case=make_case("before"))])
    page.wait_for_selector("li[data-case=before]")
    first.stop()
    page.wait_for_selector("#link[data-link=lost]")
    assert page.inner_text("#link") == "重连中"
    store.append((), [make_event(case=make_case("meanwhile"))])
    store.append((), [make_event("closed", case=make_case("before", state=State.CLOSED, closed_at=NOON))])
    with serve(create_app(store, areas, evidence=FolderEvidence(tmp_path)), port=port):
        page.wait_for_selector("#link[data-link=live]")
        page.wait_for_selector("li[data-case=meanwhile]")
        page.wait_for_selector("li[data-case=before][data-state=closed]")
        assert sorted(rows(page)) == ["before", "meanwhile"]
        context.close()


def test_changes_that_come_together_are_drawn_in_order(page, store, make_case, make_event):
    store.append((), [make_event(case=make_case(name)) for name in ("a", "b", "c")])
    page.wait_for_selector("li[data-case=c]")
    changed = [make_event("moved", case=make_case(name, lon=114.0454)) for name in ("a", "b")]
    store.append((), [*changed, make_event(case=make_case("d"))])
    page.wait_for_selector("li[data-case=d]")
    assert rows(page) == ["d", "b", "a", "c"]


def test_a_server_with_another_store_is_read_anew(chromium, store, areas, tmp_path, make_case, make_event):
    store.append((), [make_event(case=make_case(f"old-{n}")) for n in range(3)])
    first = serve(create_app(store, areas, evidence=FolderEvidence(tmp_path)), port=0)
    port = int(first.url.rpartition(":")[2])
    context = chromium.new_context()
    page = context.new_page()
    first.start()
    open_page(page, first.url)
    assert len(rows(page)) == 3
    first.stop()
    with Store.open(f"sqlite:///{tmp_path / 'other.db'}") as other:
        other.append((), [make_event(case=make_case("new"))])
        with serve(create_app(other, areas, evidence=FolderEvidence(tmp_path)), port=port):
            page.wait_for_selector("li[data-case=new]")
            assert rows(page) == ["new"]
            context.close()


def test_a_case_is_read_by_keyboard_alone(page, store, make_case, make_event, picture):
    store.append((), [make_event(case=make_case("older")), make_event(case=make_case(evidence=picture))])
    closed = make_case(state=State.CLOSED, closed_at=NOON, evidence=picture)
    store.append((), [make_event("confirmed", case=make_case(evidence=picture), recipients=())])
    store.append((), [make_event("closed", case=closed)])
    page.wait_for_selector("li[data-case=case-1][data-state=closed]")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "跳到案件列表"
    page.keyboard.press("Enter")
    for _ in range(20):
        if page.evaluate("document.activeElement.className") == "row":
            break
        page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.parentElement.dataset.case") == "older"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_selector("#detail .picture rect.over")
    assert page.evaluate("document.activeElement.id") == "detail-title"
    assert page.locator("#detail .timeline .what").evaluate_all("all => all.map(w => w.firstChild.data)") == [
        "核查结案",
        "再次确认",
        "立案",
    ]
    assert page.locator("#detail .owners").inner_text().split() == (
        ["福田区", "/", "莲花街道", "/", "彩田社区", "97%", "福田区", "/", "福田街道", "/", "岗厦社区", "3%"]
    )
    assert page.locator("#map path.ellipse").count() == 1
    page.keyboard.press("Escape")
    page.wait_for_selector("#detail", state="hidden")
    assert page.evaluate("document.activeElement.parentElement.dataset.case") == "case-1"


def test_the_box_lies_where_the_evidence_says(page, store, make_case, make_event, picture):
    store.append((), [make_event(case=make_case(evidence=picture))])
    page.click("li[data-case=case-1] a")
    page.wait_for_selector("#detail .picture rect.over")
    page.wait_for_function("document.querySelector('#detail .picture img').complete")
    part = page.evaluate(  # both in one breath: what loads above them moves them
        """() => {
            const [image, box] = ["img", "rect.over"].map((what) =>
                document.querySelector("#detail .picture " + what).getBoundingClientRect());
            return [(box.x - image.x) / image.width, (box.y - image.y) / image.height,
                    box.width / image.width, box.height / image.height];
        }"""
    )
    assert part == pytest.approx([160 / 640, 90 / 360, 160 / 640, 180 / 360], abs=0.02)  # the line has a width


def test_missing_evidence_says_why_and_no_text_is_read_as_html(page, store, make_case, make_event):
    reason = "privacy-unavailable: <img src=x onerror=alert(1)> cannot be read"
    evidence = Evidence(uri=None, sha256=None, box_xyxy=None, missing=reason)
    store.append((), [make_event(case=make_case(evidence=evidence))])
    page.wait_for_selector("li[data-case=case-1]")
    assert "人脸、车牌遮挡不可用" in page.inner_text("li[data-case=case-1] .thumb")
    assert "<img src=x" in page.inner_text("li[data-case=case-1] .thumb small")
    assert page.locator("li[data-case=case-1] img").count() == 0


def test_a_picture_that_is_gone_is_told(page, store, make_case, make_event):
    gone = Evidence(uri="0" * 64 + ".jpg", sha256="0" * 64, box_xyxy=(1, 1, 9, 9))
    store.append((), [make_event(case=make_case(evidence=gone))])
    page.wait_for_selector("li[data-case=case-1] .absent")
    assert "证据文件缺失" in page.inner_text("li[data-case=case-1] .thumb")
    page.wrong.clear()  # Chromium reports the 404


def test_cases_are_filtered_also_those_that_arrive_later(page, store, make_case, make_event):
    east = make_case("east", owners=(Share(EAST, 1.0),))
    store.append((), [make_event(case=make_case("west")), make_event(case=east, recipients=(EAST,))])
    page.wait_for_selector("li[data-case=east]")
    page.select_option("select[name=area]", "440304004")
    page.wait_for_selector("li[data-case=west]", state="detached")
    assert rows(page) == ["east"]
    page.wait_for_selector("#link[data-link=live]")
    store.append((), [make_event(case=make_case("west-2"))])
    store.append((), [make_event(case=make_case("east-2", owners=(Share(EAST, 1.0),)), recipients=(EAST,))])
    page.wait_for_selector("li[data-case=east-2]")
    assert rows(page) == ["east-2", "east"]
    page.click("#reset")
    page.wait_for_selector("li[data-case=west-2]")
    assert sorted(rows(page)) == ["east", "east-2", "west", "west-2"]


def test_cases_without_owner_have_a_section_of_their_own(page, store, make_case, make_event):
    store.append((), [make_event(case=make_case("west"))])
    store.append((), [make_event(case=make_case("nowhere", lon=114.039, owners=()), recipients=())])
    page.wait_for_selector("#unowned li[data-case=nowhere]")
    assert rows(page, "#unowned") == ["nowhere"]
    assert rows(page) == ["west"]
    expect(page.locator("[data-tile=unowned] b")).to_have_text("1")
    page.click("[data-tile=unowned]")
    page.wait_for_selector("li[data-case=west]", state="detached")
    assert rows(page, "#unowned") == ["nowhere"]


def test_areas_are_drawn_named_and_marked_as_demo(page):
    page.wait_for_selector(".area-label span")
    labels = page.eval_on_selector_all(".area-label", "labels => labels.map(label => label.textContent)")
    assert {"彩田社区", "岗厦社区"} <= set(labels)
    assert page.inner_text("#map-note") == "示意辖区（非官方边界）"
    assert page.locator(".leaflet-control-scale-line").inner_text().endswith("m")
    options = page.eval_on_selector_all("select[name=area] option", "all => all.map(one => one.value)")
    assert options == ["", "440304", "440304004", EAST, "440304008", WEST]


def test_on_a_phone_nothing_is_wider_than_the_screen(page, store, make_case, make_event, picture):
    store.append((), [make_event(case=make_case(evidence=picture))])
    page.wait_for_selector("li[data-case=case-1]")
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.click("li[data-case=case-1] a")
    page.wait_for_selector("#detail .picture rect.over")
    detail = page.locator("#detail").bounding_box()
    assert (detail["x"], detail["y"], detail["width"], detail["height"]) == (0, 0, 360, 740)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
