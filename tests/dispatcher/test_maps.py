"""Maps: where cameras looked and where cases are, on either store; what nobody looked at is never clean."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import h3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from dispatcher.access.scope import EVERYTHING, Scope
from dispatcher.area import parse_areas
from dispatcher.case import Share, State
from dispatcher.heat import FINE, Sight, TooFine, heat, tiles
from dispatcher.store.map_tables import case_map, looks
from dispatcher.store.maps import MapFilter
from dispatcher.store.store import Store
from ingest.envelope import Envelope
from vision.sighting import PASS_TYPE

WEST, EAST = "440304008901", "440304004902"  # as in conftest: of several files by that name, pytest knows the last
NOON = datetime(2026, 11, 20, 4, tzinfo=UTC)
SPOT = h3.latlng_to_cell(22.5401, 114.0453, 13)
CELL = h3.str_to_int(h3.cell_to_parent(SPOT, FINE))


def passed(id, looked, ended_at="2026-11-20T04:00:00.000Z"):
    data = {
        "id": id,
        "vehicle": "bus-1",
        "camera": "right",
        "started_at": ended_at,
        "ended_at": ended_at,
        "model": "m",
        "h3_resolution": h3.get_resolution(next(iter(looked))),
        "looked": looked,
        "recall": {"garbage": 0.8},
    }
    return Envelope(id=id, type=PASS_TYPE, source="/vision/bus-1", time=NOON, data=data)


def stored(store):
    with store.reading() as connection:
        found = [connection.execute(select(table)).all() for table in (looks, case_map)]
    return [sorted(map(tuple, rows)) for rows in found]


def test_looks_are_counted_once_however_often_a_pass_arrives_and_a_rebuild_finds_the_same(
    store_url, make_event, make_case
):
    beside = sorted(set(h3.cell_to_children(h3.int_to_str(CELL), 13)) - {SPOT})[0]
    far = h3.latlng_to_cell(22.5401, 114.0553, 13)
    with Store.open(store_url) as store:
        store.append([passed("a", {SPOT: 0.9, beside: 0.3, far: 0.25})])
        store.append([passed("a", {SPOT: 0.9}), passed("b", {SPOT: 0.5}), passed("b", {SPOT: 0.5})])
        store.append([passed("c", {SPOT: 1.0}, "2026-11-20T16:30:00.000Z")])  # past midnight in China
        assert store.maps.looks("2026-11-20") == {CELL: 2.1, h3.str_to_int(h3.cell_to_parent(far, FINE)): 0.25}
        assert store.maps.looks("2026-11-21") == {CELL: 1.0}
        assert store.maps.last_looked()[CELL] == "2026-11-21"
        store.append((), [make_event(), make_event("confirmed", case=make_case(lat=22.5402))])
        before = stored(store)
        assert len(before[1]) == 1
        store.rebuild()
        assert stored(store) == before


def test_a_store_from_before_there_were_maps_gets_them_as_it_is_opened(store_url, make_event):
    with Store.open(store_url) as store:
        store.append([passed("a", {SPOT: 0.9})], [make_event()])
        before = stored(store)
        with store.writing() as connection:
            connection.execute(looks.delete())
            connection.execute(case_map.delete())
            connection.exec_driver_sql("delete from access_marks where name = 'maps'")
    with Store.open(store_url) as store:
        assert stored(store) == before


@pytest.mark.parametrize("resolution", [10, 11, 13, 15])
def test_the_resolution_of_a_pass_does_not_change_what_its_looks_are_worth(store, resolution):
    cells = h3.cell_to_children(h3.int_to_str(CELL), resolution)[:200]
    store.append([passed("a", dict.fromkeys(cells, 0.5))])
    assert store.maps.looks("2026-01-01") == {CELL: 0.5}


def test_cases_are_found_by_place_time_and_state_on_pages_that_miss_none(store_url, make_event, make_case):
    with Store.open(store_url) as store:
        made = [
            make_case(
                f"case-{n}",
                lat=22.54 + n / 1000,
                first_seen_at=NOON + timedelta(days=n),
                last_seen_at=NOON + timedelta(days=n + 1),
                state=State.CLOSED if n == 3 else State.OPEN,
            )
            for n in range(7)
        ]
        store.append((), [make_event(case=case) for case in made])
        after, ids, pages = 0, [], 0
        while True:
            page = store.maps.page(MapFilter(after=after, limit=3))
            ids += [case.id for case in page.cases]
            pages += 1
            assert page.matched == 7
            if page.after is None:
                break
            after = page.after
        assert (ids, pages) == ([case.id for case in made], 3)

        def found(**where):
            return [case.id[-1] for case in store.maps.page(MapFilter(**where)).cases]

        assert found(box=(114.0, 22.5409, 114.1, 22.5431)) == ["1", "2", "3"]
        assert found(box=(114.1, 22.0, 114.0, 23.0)) == []  # the long way round
        assert found(box=(114.04, 22.0, -170.0, 22.5405)) == ["0"]
        assert found(since="2026-11-22T04:00:00.000Z", until="2026-11-23T04:00:00.000Z") == ["1", "2", "3"]
        assert found(state="closed") == ["3"]
        assert found(matter="06042") == []
        assert found(scope=Scope(frozenset({EAST}))) == []
        assert len(found(scope=Scope(frozenset({WEST})))) == 7


def test_open_cases_are_counted_where_they_are_and_for_those_who_see_them(store, make_event, make_case):
    handled = make_case("case-2", state=State.HANDLED, owners=(Share(EAST, 1.0),))
    closed = make_case("case-3", state=State.CLOSED)
    events = [make_event(), make_event("handled", handled, recipients=(EAST,)), make_event("closed", closed)]
    store.append((), events)
    assert store.maps.unsettled(EVERYTHING) == {CELL: {"open": 1, "handled": 1}}
    assert store.maps.unsettled(Scope(frozenset({EAST}))) == {CELL: {"handled": 1}}
    assert store.maps.unsettled(EVERYTHING, "06042") == {}


# Heat


def test_a_cell_that_nobody_looked_at_is_unseen_and_has_no_figure_whatever_it_holds():
    quiet, busy = (h3.str_to_int(cell) for cell in h3.grid_disk(h3.int_to_str(CELL), 1)[1:3])
    cells = {warm.cell: warm for warm in heat([CELL, quiet], {busy: 4.0, quiet: 0.4}, {CELL: {"open": 2}}, FINE)}
    assert [(cells[c].sight, cells[c].per_look) for c in (CELL, quiet)] == [(Sight.UNSEEN, None)] * 2
    assert (cells[busy].sight, cells[busy].per_look) == (Sight.SEEN, 0.0)
    assert cells[CELL].open == 2


@given(
    looked=st.dictionaries(st.integers(0, 40), st.floats(0, 50), max_size=30),
    cases=st.dictionaries(st.integers(0, 40), st.integers(1, 5), max_size=20),
    resolution=st.integers(7, 10),
)
def test_a_coarser_map_has_the_same_looks_and_cases_in_it(looked, cases, resolution):
    near = [h3.str_to_int(cell) for cell in sorted(h3.grid_disk(h3.int_to_str(CELL), 3))] + [CELL] * 10
    looks_by_cell: dict[int, float] = {near[n]: value for n, value in looked.items()}
    found = heat([], looks_by_cell, {near[n]: {"open": value} for n, value in cases.items()}, resolution)
    assert sum(warm.looks for warm in found) == pytest.approx(sum(looks_by_cell.values()))
    assert sum(warm.open for warm in found) == sum({near[n]: value for n, value in cases.items()}.values())
    assert all(warm.per_look is None or warm.sight is Sight.SEEN for warm in found)


def test_the_ground_is_every_cell_whose_centre_lies_in_an_area(areas):
    ground = tiles(areas, FINE)
    assert set(ground.values()) == {WEST, EAST}
    for cell, area in list(ground.items())[::7]:
        codes = {found.code for found in areas.covering(*h3.cell_to_latlng(h3.int_to_str(cell)))}
        assert area in codes
    square_m2 = 0.02 * 102_900 * 0.01 * 110_740
    assert len(ground) == pytest.approx(square_m2 / 15_000, rel=0.15)


def test_a_map_of_too_many_cells_is_refused():
    ring = [[70, 10], [130, 10], [130, 50], [70, 50], [70, 10]]
    properties = {"code": "440304", "name": "大", "layer": "district"}
    feature = {
        "type": "Feature",
        "properties": properties,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }
    wide, _ = parse_areas(json.dumps({"type": "FeatureCollection", "features": [feature]}), "")
    with pytest.raises(TooFine, match="coarser"):
        tiles(wide, 9)
