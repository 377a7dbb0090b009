"""The heat map on the page in a real Chromium: what nobody looked at is hatched, and each account has its own."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from futian import WEST
from playwright.sync_api import expect
from test_maps_api import EAST_CELL, WEST_CELL, at, cells, passed, street  # noqa: F401  # a fixture
from test_signin_page import page, sign_in  # noqa: F401  # a fixture

pytestmark = pytest.mark.browser
HATCH = "url(#unseen-ground-hatch)"
WHITE = "#ffffff"
DARK, RED = "#7f0f2b", "#c8281f"  # 30 and more, 10 to 30 open cases for each hundred clear looks


def switch_on(page):  # noqa: F811
    page.wait_for_selector("#link[data-link=live]")
    page.check("#heat-switch")
    page.wait_for_selector("path.heat-cell")


def fills(page):  # noqa: F811
    return page.eval_on_selector_all("path.heat-cell", "all => all.map(cell => cell.getAttribute('fill'))")


BARE = """fill => [...document.querySelectorAll("path.heat-cell")].filter(cell => cell.getAttribute("fill") === fill)
    .flatMap(cell => {
        const box = cell.getBoundingClientRect();
        return [0.5, 0.25, 0.75].map(part => [box.x + box.width * part, box.y + box.height / 2, cell]);
    }).filter(([x, y, cell]) => document.elementFromPoint(x, y) === cell)[0].slice(0, 2)"""


def is_hatched(page):  # noqa: F811
    """Whether there are stripes on the screen beside the tip: dark ones on light ground."""
    page.wait_for_timeout(300)
    x, y = page.evaluate(BARE, HATCH)
    png = page.screenshot(clip={"x": x - 5, "y": y - 5, "width": 10, "height": 10})
    grey = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
    return grey.min() < 180 < 220 < grey.max()


def pointed_at(page, fill):  # noqa: F811
    """What a cell of a filling says where no pin or label lies on it."""
    page.mouse.move(*page.evaluate(BARE, fill), steps=3)
    page.wait_for_selector(".heat-tip")
    return page.locator(".heat-tip").inner_text()


def test_cells_have_the_colour_of_their_figure_and_the_unseen_are_hatched(page, url, street, browser, screenshots):  # noqa: F811
    page.goto(url)
    assert page.locator("#heat-legend").is_hidden()
    switch_on(page)
    found = [feature["properties"] for feature in cells(browser()).values()]
    unseen = sum(one["sight"] == "unseen" for one in found)
    drawn = fills(page)
    assert (len(drawn), drawn.count(HATCH)) == (len(found), unseen)
    assert sorted(fill for fill in drawn if fill != HATCH) == [DARK, RED]  # 1 of 1.5 looks, 1 of 9
    assert page.locator(".heat-box").count() == 0
    legend = page.locator("#heat-legend").inner_text()
    for words in ("社区市容秩序热力图", "每百次有效观察的待处理案件数", "未巡查（没有数据，不代表整洁）", "≥30"):
        assert words in legend
    expect(page.locator(".heat-status")).to_have_text(f"本屏已巡查 2 格，未巡查 {unseen} 格（格子边长约 76 米）")
    text = pointed_at(page, RED)
    for words in ("岗厦社区", "待处理 1 件", "有效观察 9 次，每百次 11 件", "巡查到的范围 100%"):
        assert words in text
    text = pointed_at(page, HATCH)
    assert is_hatched(page)
    assert "未巡查：近 7 日有效观察 0 次，不足 1 次，不能判断是否整洁" in text
    assert "已巡查" not in text
    screenshots(page, "heat")
    page.uncheck("#heat-switch")
    expect(page.locator("path.heat-cell")).to_have_count(0)
    assert page.locator("#heat-legend").is_hidden()


def test_only_what_was_looked_at_and_holds_no_case_is_white(page, url, street, store):  # noqa: F811
    page.goto(url)
    switch_on(page)
    assert fills(page).count(WHITE) == 0
    page.select_option("select[name=matter]", "06042")  # of which there is no case: two cells are seen and empty
    expect(page.locator(f"path.heat-cell[fill='{WHITE}']")).to_have_count(2)
    assert set(fills(page)) == {WHITE, HATCH}
    page.select_option("select[name=matter]", "")
    expect(page.locator(f"path.heat-cell[fill='{DARK}']")).to_have_count(1)
    page.select_option("#heat-legend select", "1")  # nobody looked today
    expect(page.locator(f"path.heat-cell:not([fill='{HATCH}'])")).to_have_count(0)


def test_a_cell_of_which_little_was_looked_at_is_not_drawn_like_one_that_was(page, url, store, areas):  # noqa: F811
    store.append([passed("p", {WEST_CELL: 1.0}), passed("q", {WEST_CELL: 1.0})])
    page.goto(url)
    switch_on(page)
    assert fills(page).count(WHITE) == 1
    for _ in range(3):
        page.click(".leaflet-control-zoom-out")
        page.wait_for_timeout(400)
    expect(page.locator(".heat-status")).to_contain_text("530 米")
    expect(page.locator("path.heat-cell[fill='url(#little-hatch)']")).to_have_count(1)
    assert WHITE not in fills(page)


def test_an_account_gets_the_cells_of_its_own_areas_on_a_phone_too(
    page,  # noqa: F811
    url,
    street,  # noqa: F811
    add_account,
    signed_in,
    screenshots,
):
    add_account(areas=frozenset({WEST}))
    own = cells(signed_in("li.ming"))
    assert at(WEST_CELL) in own
    assert at(EAST_CELL) not in own
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"{url}/signin")
    sign_in(page)
    switch_on(page)
    page.wait_for_function(
        "n => document.querySelectorAll('path.heat-cell').length === n", arg=len(cells_at(page, signed_in))
    )
    assert RED not in fills(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.locator("#heat-legend").scroll_into_view_if_needed()
    screenshots(page, "heat-phone")


def cells_at(page, signed_in):  # noqa: F811
    """What the account gets for the size of cell that the page shows."""
    side = page.locator(".heat-status").inner_text()
    resolution = next(r for r, m in ((10, "76 米"), (9, "200 米"), (8, "530 米"), (7, "1.4 千米")) if m in side)
    return cells(signed_in("li.ming"), f"/api/heatmap?resolution={resolution}")


def test_a_map_of_too_many_cells_is_drawn_with_coarser_ones(page, url, street, monkeypatch):  # noqa: F811
    from dispatcher import heat

    heat.tiles.cache_clear()
    monkeypatch.setattr(heat, "MOST_CELLS", 40)
    page.goto(url)
    page.wait_for_selector("#link[data-link=live]")
    page.check("#heat-switch")
    expect(page.locator(".heat-status")).to_contain_text("200 米")
    heat.tiles.cache_clear()


def test_new_cases_heat_the_map_up(page, url, street, store, make_case, make_event):  # noqa: F811
    page.goto(url)
    switch_on(page)
    assert fills(page).count(RED) == 1
    further = [make_case(f"further-{n}", lat=22.54, lon=114.055) for n in range(3)]
    store.append((), [make_event(case=case) for case in further])
    expect(page.locator(f"path.heat-cell[fill='{DARK}']")).to_have_count(2, timeout=20_000)  # 4 of 9 looks
