"""The engine: each disorder one case, told once to the right area, and closed only when seen gone."""

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import h3
import pytest

from dispatcher.area import Areas, read_areas
from dispatcher.case import Case, CaseEvent, State
from dispatcher.joint.command import Merge, Split
from dispatcher.joint.engine import Engine
from dispatcher.joint.thing import Thing
from ingest.geo import latlon_from_offset
from models.taxonomy import Taxonomy
from vision.sighting import Pass, Sighting

MORNING = datetime(2026, 11, 18, 1, tzinfo=UTC)
AREAS = Path(__file__).parents[2] / "datasets" / "sample" / "areas.geojson"
INSIDE = (22.5372, 114.06035)  # in 木棉里, some hundred metres from every border
count = itertools.count()


@pytest.fixture(scope="module")
def areas() -> Areas:
    return read_areas(AREAS)[0]


@pytest.fixture
def engine(areas: Areas) -> Engine:
    return Engine(areas, Taxonomy.read())


def sighting(
    east: float = 0.0,
    north: float = 0.0,
    *,
    day: float = 0.0,
    by: str = "",
    kind: str = "overflow_bin",
    confidence: float = 0.9,
    sigma: float = 2.0,
    origin: tuple[float, float] = INSIDE,
) -> Sighting:
    lat, lon = latlon_from_offset(*origin, east, north)
    number = next(count)
    return Sighting(
        id=f"s{number}",
        pass_id=by or f"p{number}",
        vehicle="bus-1",
        camera="right",
        kind=kind,
        matter=Taxonomy.read().matter_of_kind(kind),
        confidence=confidence,
        seen_at=MORNING + timedelta(days=day),
        lat=lat,
        lon=lon,
        covariance_m2=(sigma**2, 0.0, sigma**2),
        shared_covariance_m2=(sigma**2 / 2, 0.0, sigma**2 / 2),
        frames=3,
        model="test@sha256:0",
    )


def vehicles_own(of: Sighting, number: int) -> Sighting:
    """The same, seen by a vehicle of its own: no two share a position error."""
    return replace(of, vehicle=f"bus-{number}")


def clean_pass(day: float, *, p: float = 0.9, id: str = "", origin: tuple[float, float] = INSIDE) -> Pass:
    centre = h3.latlng_to_cell(*origin, 13)
    at = MORNING + timedelta(days=day)
    return Pass(
        id=id or f"p{next(count)}",
        vehicle="bus-2",
        camera="right",
        started_at=at - timedelta(minutes=1),
        ended_at=at,
        model="test@sha256:0",
        h3_resolution=13,
        looked=dict.fromkeys(h3.grid_disk(centre, 4), p),
        recall={"overflow_bin": 0.9, "garbage": 0.8},
    )


def read(engine: Engine, *items: Sighting | Pass) -> list[CaseEvent]:
    events = []
    for item in items:
        at = item.seen_at if isinstance(item, Sighting) else item.ended_at
        events += engine.read(item, made_at=at + timedelta(seconds=5))
    return events


def names(events: list[CaseEvent]) -> list[str]:
    return [event.event for event in events]


def alerts(engine: Engine) -> Iterator[tuple[str, str, str]]:
    for case in engine.cases():
        for alert in case.alerts:
            yield case.id, alert.recipient, alert.event


def only(engine: Engine) -> Case:
    (case,) = engine.cases()
    return case


def test_the_same_bin_seen_by_forty_buses_is_one_case_told_once(engine: Engine) -> None:
    offsets = [((7 * i) % 5 - 2.0, (3 * i) % 5 - 2.0) for i in range(40)]
    read(engine, *(sighting(e, n, day=i / 40) for i, (e, n) in enumerate(offsets)))
    case = only(engine)
    assert case.passes == 40
    assert len(case.sightings) == 40
    assert [(a.recipient, a.event) for a in case.alerts] == [(case.owners[0].area, "opened")]
    assert case.owners[0].p > 0.99
    assert case.covariance_m2[0] < 0.5  # forty positions of 2 m


def test_two_stalls_six_metres_apart_in_one_pass_are_two_cases(engine: Engine) -> None:
    read(engine, sighting(0, 0, kind="street_stall", by="p"), sighting(6, 0, kind="street_stall", by="p"))
    assert len(engine.cases()) == 2


def test_a_bank_of_bins_side_by_side_is_one_case(engine: Engine) -> None:
    read(engine, *(sighting(0.7 * i, 0, by="p") for i in range(6)))
    case = only(engine)
    assert len(case.sightings) == 6
    assert case.passes == 1
    assert len(case.alerts) == 1


def test_things_of_other_kinds_at_one_place_are_cases_of_their_own(engine: Engine) -> None:
    read(engine, sighting(by="p"), sighting(by="p", kind="garbage"))
    assert sorted(case.kind for case in engine.cases()) == ["garbage", "overflow_bin"]


def test_a_doubtful_sighting_stays_a_candidate_until_another_pass_agrees(engine: Engine) -> None:
    (noted,) = read(engine, sighting(confidence=0.6))
    assert (noted.event, noted.recipients) == ("suspected", ())  # for the page; nobody is told
    assert only(engine).state is State.CANDIDATE
    assert names(read(engine, sighting(1, 1, confidence=0.75, day=0.1))) == ["opened"]
    assert only(engine).state is State.OPEN


def test_a_bin_that_is_in_order_is_an_object_and_never_told(engine: Engine) -> None:
    assert read(engine, sighting(kind="garbage_bin"), sighting(1, 0, kind="garbage_bin", day=1)) == []
    assert engine.cases() == []
    (anchor,) = engine.objects()
    assert len(anchor.sightings) == 2


def test_a_repeat_changes_nothing(engine: Engine) -> None:
    one = sighting()
    assert len(read(engine, one)) == 1
    before = engine.cases()
    assert read(engine, one, replace(one, lat=0.5)) == []
    assert engine.cases() == before
    assert engine.repeats == 2


def test_clean_passes_close_a_case_and_tell_who_was_told(engine: Engine) -> None:
    (opened,) = read(engine, sighting())
    assert read(engine, clean_pass(1.0)) == []  # one pass alone never closes
    events = read(engine, clean_pass(1.1), clean_pass(1.2))
    assert names(events) == ["closed"]
    assert events[0].recipients == opened.recipients
    assert only(engine).state is State.CLOSED
    assert only(engine).closed_at is not None


def test_no_data_is_not_clean(engine: Engine) -> None:
    far = latlon_from_offset(*INSIDE, 200, 0)
    read(engine, sighting(), *(clean_pass(1 + i / 10, origin=far) for i in range(5)))
    assert only(engine).state is State.OPEN


def test_a_thing_that_came_back_is_a_rebound_naming_the_case_before(engine: Engine) -> None:
    read(engine, sighting(), clean_pass(1.0), clean_pass(1.1), clean_pass(1.2))
    events = read(engine, sighting(1, 0, day=2))
    assert names(events) == ["rebounded"]
    first, second = engine.cases()
    assert (second.episode, second.previous) == (2, first.id)
    assert second.sightings != first.sightings


def test_a_pass_that_saw_the_thing_is_no_clean_look_whichever_comes_first(areas: Areas) -> None:
    for late in (False, True):
        engine = Engine(areas, Taxonomy.read())
        read(engine, sighting())
        pair: list[Sighting | Pass] = [sighting(1, 0, day=0.5, by="same", confidence=0.9), clean_pass(0.5, id="same")]
        read(engine, *(reversed(pair) if late else pair))
        assert only(engine).probability > 0.9


def test_a_sighting_outside_every_area_is_an_unowned_case_that_nobody_is_told_of(engine: Engine) -> None:
    (event,) = read(engine, sighting(origin=(22.60, 114.20)))
    assert event.event == "opened"
    assert event.recipients == ()
    case = only(engine)
    assert case.owners == ()
    assert case.state is State.OPEN


def test_on_a_border_both_are_told_and_both_numbers_kept(engine: Engine, areas: Areas) -> None:
    west, east = [a for a in areas.of_layer(areas.routing_layer) if a.name in ("蓝花楹社区", "星桥社区")]  # type: ignore[arg-type]
    border = west.polygon.intersection(east.polygon)
    point = (
        border.interpolate(0.5, normalized=True) if border.geom_type == "LineString" else border.representative_point()
    )
    read(engine, sighting(origin=(point.y, point.x), sigma=3.0))
    case = only(engine)
    assert {a.recipient for a in case.alerts} == {west.code, east.code}
    assert sum(share.p for share in case.owners) <= 1.0


def test_every_accepted_sighting_is_in_exactly_one_case_or_object(engine: Engine) -> None:
    items = [
        sighting(i % 7 * 4.0, i % 5 * 5.0, day=i / 10, kind=k) for i in range(30) for k in ("garbage", "garbage_bin")
    ]
    read(engine, *items)
    held = [s for c in engine.cases() for s in c.sightings] + [s for o in engine.objects() for s in o.sightings]
    assert sorted(held) == sorted(item.id for item in items)


def test_an_alert_is_never_repeated_for_a_recipient(engine: Engine) -> None:
    read(engine, *(sighting(9.0 * (-1) ** i, 0, day=i / 5, sigma=6.0) for i in range(20)))
    told = list(alerts(engine))
    assert len(told) == len(set(told))


def test_half_of_the_input_gives_the_alerts_of_the_whole_up_to_there(areas: Areas) -> None:
    items: list[Sighting | Pass] = []
    for i in range(24):
        items.append(sighting(i % 4 * 9.0, 0, day=i / 6, confidence=0.6 + i % 4 / 10))
        items.append(clean_pass(i / 6 + 0.05, p=0.5))
    whole, half = Engine(areas, Taxonomy.read()), Engine(areas, Taxonomy.read())
    first = read(whole, *items[:24])
    read(whole, *items[24:])
    assert read(half, *items[:24]) == first
    assert list(alerts(half)) == [a for a in alerts(half) if a in list(alerts(whole))]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"matter": "06031"}, "matter"),
        ({"lat": 0.0, "lon": 0.0}, "no fix"),
        ({"seen_at": MORNING + timedelta(days=400)}, "after its envelope"),
    ],
)
def test_a_sighting_that_makes_no_sense_is_refused(engine: Engine, wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        engine.read(replace(sighting(), **wrong), made_at=MORNING + timedelta(seconds=5))  # type: ignore[arg-type]
    assert engine.cases() == []


def merge(case: Case, other: Case) -> Merge:
    return Merge(id=f"m{next(count)}", case=case.id, other=other.id, by="officer")


def obey(engine: Engine, command: Merge | Split) -> list[CaseEvent]:
    return engine.read(command, made_at=MORNING + timedelta(days=3))


def test_a_person_merges_two_cases_and_their_history_stays(engine: Engine) -> None:
    told = read(engine, sighting(0, 0, by="p"), sighting(9, 0, by="p"))
    first, second = engine.cases()
    (event,) = obey(engine, merge(first, second))
    assert (event.event, event.case.id, event.into) == ("merged", second.id, first.id)
    assert event.recipients == told[1].recipients
    case = only(engine)
    assert case.id == first.id
    assert set(case.sightings) == {*first.sightings, *second.sightings}
    assert [a.event for a in case.alerts] == ["opened", "opened"]
    read(engine, sighting(0, 0, day=0.1, by="q"), sighting(9, 0, day=0.1, by="q"))  # what a person said stays
    assert {first.id} == {c.id for c in engine.cases() if set(c.sightings) & set(case.sightings)}


def test_a_person_splits_a_case_and_the_alerts_stay_with_the_part_that_keeps_the_id(engine: Engine) -> None:
    read(engine, sighting(0, 0, by="p"), sighting(1, 0, by="q", day=0.1))
    whole = only(engine)
    (event,) = obey(engine, Split(id="cut", case=whole.id, sightings=whole.sightings[1:], by="officer"))
    assert event.event == "split"
    assert event.recipients == (whole.alerts[0].recipient,)
    kept, part = engine.cases()
    assert (kept.id, kept.sightings) == (whole.id, whole.sightings[:1])
    assert (part.sightings, part.state) == (whole.sightings[1:], State.OPEN)
    assert [a.event for a in kept.alerts] == ["opened"]
    assert [a.event for a in part.alerts] == ["split"]


@pytest.mark.parametrize("wrong", ["nowhere", "all"])
def test_a_command_that_makes_no_sense_changes_nothing(engine: Engine, wrong: str) -> None:
    read(engine, sighting())
    case = only(engine)
    command = Split(id="x", case="nowhere" if wrong == "nowhere" else case.id, sightings=case.sightings, by="officer")
    with pytest.raises(ValueError, match="there is no case" if wrong == "nowhere" else "leaves some"):
        obey(engine, command)
    assert engine.cases() == [case]


def test_a_bin_seen_in_order_overflows_no_more_and_one_that_nobody_saw_may(engine: Engine) -> None:
    read(engine, *(sighting(kind="garbage_bin", day=-1 + i / 10) for i in range(3)), sighting())
    unseen = read(engine, *(clean_pass(1 + i / 10) for i in range(4)))
    assert names(unseen) == []  # whatever hid the bin hid that it overflows
    events = read(engine, *(sighting(kind="garbage_bin", day=1.5 + i / 10) for i in range(3)))
    assert names(events) == ["closed"]


def test_what_only_two_of_many_passes_saw_is_no_permanent_thing(engine: Engine) -> None:
    read(engine, *(sighting(3 * i, 0, kind="garbage_bin", day=i / 10, confidence=0.3) for i in range(2)))
    assert [len(anchor.sightings) for anchor in engine.objects()] == [2]
    looks = [clean_pass(1 + i / 10) for i in range(14)]
    read(engine, *(replace(look, recall={"garbage_bin": 0.9}) for look in looks))
    assert sorted(len(anchor.sightings) for anchor in engine.objects()) == [1, 1]


def test_what_ghosts_are_made_of_never_becomes_a_permanent_thing(engine: Engine) -> None:
    read(engine, *(sighting(i % 3, 0, kind="garbage_bin", day=i / 10, confidence=0.12) for i in range(9)))
    assert [len(anchor.sightings) for anchor in engine.objects()] == [1] * 9


def passes(each: Callable[[int], list[Sighting]], n: int = 60) -> list[Sighting]:
    """The sightings of so many passes over some days, each with an error of its own."""
    rng = random.Random(8)
    out = []
    for i in range(n):
        east, north = rng.gauss(0, 1.5), rng.gauss(0, 1.5)
        for one in each(i):
            lat, lon = latlon_from_offset(one.lat, one.lon, east, north)
            out.append(replace(one, lat=lat, lon=lon))
    return out


def test_a_bin_that_some_passes_tell_twice_is_one_however_many_they_are(engine: Engine) -> None:
    def each(i: int) -> list[Sighting]:
        by, day = f"pass-{i}", i / 15
        two = [sighting(4.0, 0, kind="garbage_bin", by=by, day=day)] if i % 6 == 0 else []
        return [sighting(kind="garbage_bin", by=by, day=day), *two]

    read(engine, *passes(each))
    assert [len(anchor.sightings) for anchor in engine.objects()] == [70]


def test_a_heap_that_passes_keep_telling_twice_within_a_trackers_reach_is_one_case(engine: Engine) -> None:
    def each(i: int) -> list[Sighting]:
        by, day = f"pass-{i}", i / 15
        return [sighting(x, 0, kind="garbage", by=by, day=day) for x in ((0.0, 3.8) if i % 2 else (0.0,))]

    read(engine, *passes(each, 12))
    (case,) = (case for case in engine.cases() if case.state is State.OPEN)
    assert len(case.sightings) == 18
    assert [event for _, _, event in alerts(engine)] == ["opened"]


def test_bins_six_metres_apart_that_half_of_the_passes_see_both_of_are_two(engine: Engine) -> None:
    def each(i: int) -> list[Sighting]:
        by, day = f"pass-{i}", i / 15
        left, right = sighting(kind="garbage_bin", by=by, day=day), sighting(6.0, 0, kind="garbage_bin", by=by, day=day)
        return [[left, right], [left], [left, right], [right]][i % 4]

    read(engine, *passes(each))
    assert [len(anchor.sightings) for anchor in engine.objects()] == [45, 45]


def test_a_heap_that_seems_to_have_moved_is_another_heap(engine: Engine) -> None:
    first = [sighting(0, 0, kind="garbage", day=i / 10, sigma=1.0) for i in range(8)]
    then = [sighting(0, 5.5, kind="garbage", day=1 + i / 10, sigma=1.0) for i in range(8)]
    read(engine, *first, *then)
    assert [set(case.sightings) for case in engine.cases()] == [{s.id for s in first}, {s.id for s in then}]


def test_a_new_heap_beside_one_that_was_verified_gone_is_no_return(engine: Engine) -> None:
    first = [vehicles_own(sighting(0, 0, kind="garbage", day=i / 10), i) for i in range(5)]
    gone = [clean_pass(1.0 + i / 20) for i in range(5)]
    spots = [0.5, *(6.5 for _ in range(5))]  # the first to see it errs
    then = [vehicles_own(sighting(0, m, kind="garbage", day=2 + i / 10), 10 + i) for i, m in enumerate(spots)]
    read(engine, *first, *gone, *then)
    cases = engine.cases()
    assert [set(case.sightings) for case in cases] == [{s.id for s in first}, {s.id for s in then}]
    assert [(case.state, case.episode, case.previous) for case in cases] == [
        (State.CLOSED, 1, None),
        (State.OPEN, 1, None),
    ]


def test_a_case_goes_with_most_of_what_was_told_not_with_the_last_sighting_left(engine: Engine) -> None:
    stray = sighting(0, 0, kind="garbage", confidence=0.5)
    others = [sighting(0, 0, kind="garbage", day=(1 + i) / 24) for i in range(4)]
    read(engine, stray, *others)
    [told] = engine.cases()
    [thing] = {id(seen.thing): seen.thing for seen in engine._seen.values()}.values()
    assert thing is not None
    touched: dict[int, Thing] = {}
    engine._atlas.part(thing, [seen for seen in thing.seens if seen.sighting is not stray], touched)
    events = engine._review(touched, (), "cause")
    left, kept = engine.cases()
    assert (left.sightings, left.alerts) == ((stray.id,), ())
    assert (kept.id, kept.sightings, kept.state) == (told.id, tuple(s.id for s in others), State.OPEN)
    assert not [event for event in events if event.recipients]


def test_a_vehicle_that_turns_and_comes_by_again_in_one_pass_saw_one_thing(engine: Engine) -> None:
    """Its position error has changed by then: what it tells lies some metres off."""
    for day in range(4):
        for minutes, east in ((0.0, 0.0), (6.0, 7.0)):
            read(engine, sighting(east, day=day + minutes / 1440, by=f"turned-{day}", kind="garbage", sigma=5.0))
    assert only(engine).passes == 4


def test_two_heaps_seen_by_turns_are_two_cases_once_where_they_were_seen_says_so(engine: Engine) -> None:
    """Each pass reports one of them, now and then both; they stand 8 m apart."""
    dice = random.Random(7)
    for n in range(24):
        both = n % 4 == 0
        for east in (0.0, 8.0) if both else ((0.0, 8.0)[n % 2],):
            spot = east + dice.gauss(0.0, 1.2), dice.gauss(0.0, 1.2)
            read(engine, replace(sighting(*spot, day=n / 24, by=f"v{n}", kind="garbage"), vehicle=f"bus-{n}"))
    told = [case for case in engine.cases() if case.state is State.OPEN]
    assert len(told) == 2
    assert min(len(case.sightings) for case in told) >= 10


def test_a_doubtful_sighting_stays_with_what_it_was_of_after_that_is_gone(engine: Engine) -> None:
    """Runs are worked out again hours later. What is gone by then was there when it was seen."""
    sure = [
        vehicles_own(sighting(kind="garbage", day=day, confidence=0.95, sigma=3.0), n)
        for n, day in enumerate((0, 0.1, 0.3))
    ]
    doubtful = vehicles_own(sighting(7.5, 6, kind="garbage", day=0.2, confidence=0.05, sigma=4.0), 9)
    drove = replace(clean_pass(0.2), vehicle=doubtful.vehicle, id=doubtful.pass_id)
    read(engine, *sure[:2], doubtful, drove, sure[2])
    read(engine, *(clean_pass(0.32 + 0.02 * n) for n in range(6)), *(clean_pass(0.6 + 0.1 * n) for n in range(6)))
    case = only(engine)
    assert (case.state, len(case.sightings)) == (State.CLOSED, 4)
