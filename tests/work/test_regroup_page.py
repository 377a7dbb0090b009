"""Merging and splitting on the page, in a real headless Chromium on a real server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect
from town import LAT, LON, clean_pass, sighting, town

from dispatcher.access.principal import LOCAL
from dispatcher.api.app import create_app
from dispatcher.api.serve import serve
from dispatcher.dispatch import Dispatcher
from dispatcher.engine import Engine
from dispatcher.store.store import Store
from dispatcher.work.book import Book
from dispatcher.work.clerk import Clerk
from ingest.geo import latlon_from_offset
from models.taxonomy import Taxonomy
from vision.pictures import FolderEvidence

pytestmark = pytest.mark.browser
EARLIER = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
PICTURE = f"{'ab' * 32}.jpg"


@pytest.fixture
def desk(tmp_path):
    """Two heaps twenty metres apart that two buses saw each; a bin beside them; a heap that lies a street away."""
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as store:
        clerk = Clerk(store, town(), Taxonomy.read(), Book())
        dispatcher = Dispatcher(Engine(town(), Taxonomy.read()), store)
        places = ((0.0, {}), (20.0, {}), (40.0, {"kind": "overflow_bin", "matter": "06042"}), (300.0, {}))
        for n in range(2):
            for k, (east_m, more) in enumerate(places):
                lat, lon = latlon_from_offset(LAT, LON, east_m, 0.0)
                at = EARLIER + n * timedelta(minutes=20)
                dispatcher.read(sighting(10 * k + n, at, lat=lat, lon=lon, **more))
        dispatcher.read(clean_pass(1, EARLIER + timedelta(hours=1)))
        clerk.tick(datetime.now(UTC))
        ids = [case.id for case in sorted(dispatcher.engine.cases(), key=lambda case: case.lon)]
        yield store, clerk, ids


@pytest.fixture
def opened(chromium, desk, tmp_path):
    """The page at a case."""
    store, clerk, _ = desk
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, locale="zh-CN", timezone_id="UTC")
    context.set_default_timeout(15_000)
    page, wrong = context.new_page(), []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    with serve(create_app(store, town(), evidence=FolderEvidence(tmp_path), clerk=clerk), port=0) as serving:

        def at(id):
            page.goto(f"{serving.url}/#case/{id}")
            page.wait_for_selector(".office .steps")
            return page

        yield at
        page.goto("about:blank")
    context.close()
    assert wrong == []


def button(page, act):
    return page.locator(f".office .acts button[data-act={act}]")


def test_a_dispatcher_merges_a_case_into_the_one_beside_it(opened, desk, screenshots):
    store, clerk, (one, other, *_) = desk
    page = opened(one)
    button(page, "merge").click()
    choices = page.locator(".ask .choice")
    expect(choices).to_have_count(1)  # neither the bin nor what lies a street away
    expect(choices).to_contain_text("相距 20 米")
    expect(choices).to_contain_text("偏东 20 米")
    expect(choices).to_contain_text("2 次目击")
    page.locator(".ask .go").click()  # nothing was chosen: nothing is sent
    choices.locator("input").check()
    page.locator(".ask textarea").fill("同一处垃圾")
    screenshots(page, "merge")
    page.locator(".ask .go").click()
    expect(page.locator(".office .ended")).to_contain_text("已并案")
    expect(page.locator(".detail-bar .badge")).to_have_text("已并案")
    work = clerk.standing(one, LOCAL)
    assert (work.work.outcome, work.entries[-1].details) == ("merged", {"into": other})
    page.locator(".detail .rebound a").click()
    expect(page.locator(".office .steps")).to_be_visible()
    page.locator(".records summary").click()
    expect(page.locator(".records")).to_contain_text("并入他案")
    expect(page.locator(".records a")).to_have_attribute("href", f"#case/{one}")
    assert len(store.case(other)[0].document["sightings"]) == 4


def test_a_dispatcher_splits_what_is_two_again_and_sees_on_the_map_what_is_taken(opened, desk, screenshots):
    store, clerk, (one, other, *_) = desk
    page = opened(one)
    button(page, "merge").click()
    page.locator(".ask .choice input").check()
    page.locator(".ask textarea").fill("同一处垃圾")
    page.locator(".ask .go").click()
    expect(page.locator(".office .ended")).to_contain_text("已并案")
    page = opened(other)
    button(page, "split").click()
    choices = page.locator(".ask .choice")
    expect(choices).to_have_count(4)
    expect(page.locator("#map .spot")).to_have_count(4)
    page.locator(".ask textarea").fill("相邻两处")
    for wrong in (0, 4):  # none is nothing, and all is no split
        for n in range(4):
            choices.nth(n).locator("input").set_checked(n < wrong)
        page.locator(".ask .go").click()
        assert page.locator(".ask :invalid").count() > 0
    for n in range(4):
        choices.nth(n).locator("input").set_checked("偏东" in choices.nth(n).inner_text())
    expect(page.locator("#map .spot.chosen")).to_have_count(2)
    screenshots(page, "split")
    page.locator(".ask .go").click()
    page.locator(".records summary").click()
    page.locator(".records a", has_text="拆出的案件").click()
    expect(page.locator(".timeline")).to_contain_text("拆分")
    expect(page.locator(".office .steps [aria-current]")).to_have_text("案卷建立")
    expect(page.locator("#map .spot")).to_have_count(0)
    part = clerk.standing(other, LOCAL).entries[-1].details["part"]
    assert set(store.case(part)[0].document["sightings"]) == {"s10", "s11"}


def test_what_cannot_be_split_or_merged_has_no_such_form(opened, desk):
    _, _, (*_, far) = desk
    page = opened(far)
    button(page, "merge").click()
    expect(page.locator(".ask .choices")).to_contain_text("没有可以并入的案件")
    expect(page.locator(".ask .go")).to_be_disabled()
