"""The joint engine in the loop: what comes late, and who else decides and acts on its store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from office import Office, areas, online, record, seen_gone, street
from world import HOME

from dispatcher.access.principal import LOCAL
from dispatcher.api.app import create_app
from dispatcher.api.serve import serve
from dispatcher.dispatch import Dispatcher
from dispatcher.engines import Which, begun
from dispatcher.open311.intake import Intake
from dispatcher.open311.posted import filed
from dispatcher.open311.report import Taking
from dispatcher.work.action import Action
from dispatcher.work.asked import Asked
from dispatcher.work.book import Book
from dispatcher.work.clerk import Clerk
from dispatcher.work.step import Act
from models.taxonomy import Taxonomy
from vision.pictures import FolderEvidence
from vision.sighting import Sighting

TAXONOMY = Taxonomy.read()
INPUTS = street() + seen_gone(10, 16, 6 * 3600.0)
RECORDS = [record(item, at) for at, item in INPUTS]
_, TOLD, _ = online(Which.JOINT, INPUTS)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(f"sqlite:///{tmp_path / 'office.db'}", Which.JOINT)
    yield made
    made.store.close()


def fresh(office: Office) -> Dispatcher:
    engine, _ = begun(office.store, areas(), TAXONOMY)
    made = Dispatcher(engine, office.store)
    made.recover(office.store.inputs())
    return made


def stored(office: Office) -> dict[str, dict[str, Any]]:
    return {case.id: case.document for case in office.store.cases().cases}


def told_once(office: Office) -> bool:
    events = Counter(one["id"] for one in office.on("cases"))
    return max((events | Counter(office.told())).values()) == 1


# What comes late, or again


def test_a_backlog_of_several_partitions_is_read_in_order_of_capture_time(office: Office) -> None:
    passes = [one for one in RECORDS if one.topic == "passes"]
    office.publish([*passes, *(one for one in RECORDS if one.topic == "sightings")])
    loop = office.dispatch()
    assert sorted(office.told()) == sorted(TOLD)
    assert loop.engine.cases() == fresh(office).engine.cases()


def test_sightings_sent_again_at_another_time_change_nothing(office: Office) -> None:
    office.publish(RECORDS)
    office.publish(record(item, at + timedelta(hours=3)) for at, item in INPUTS)
    office.dispatch()
    assert sorted(office.told()) == sorted(TOLD)


def test_a_sighting_that_comes_hours_late_opens_nothing_and_tells_nothing_twice(office: Office) -> None:
    late = next(item for _, item in INPUTS if isinstance(item, Sighting) and item.matter)
    office.publish(one for one, (_, item) in zip(RECORDS, INPUTS, strict=True) if item is not late)
    office.dispatch()
    before = Counter(office.told())
    office.publish([record(late, INPUTS[-1][0] + timedelta(minutes=1))])
    loop = office.dispatch()
    assert {event for _, event, _ in (Counter(office.told()) - before)} <= {"moved", "closed"}
    assert told_once(office)
    assert [late.id in case.sightings for case in loop.engine.cases()].count(True) == 1
    assert stored(office).keys() == {case.id for case in loop.engine.cases()}


# Two engines on one store


def reported(office: Office) -> Any:
    form = {"service_code": "06010", "lat": str(HOME[0]), "long": str(HOME[1]), "phone": "13912345678"}
    return filed(form, TAXONOMY, sender="key:1", now=office.now())


def test_a_server_takes_reports_by_the_same_engine_and_a_dispatcher_goes_on_from_there(office: Office) -> None:
    half = len(RECORDS) // 2
    office.publish(RECORDS[:half])
    office.dispatch()
    intake = Intake(office.store, areas(), TAXONOMY)
    assert intake.post(reported(office), None, None).taking is Taking.TAKEN
    (case,) = (c for c in stored(office).values() if any(id.startswith("report-") for id in c["sightings"]))
    office.publish(RECORDS[half:])
    loop = office.dispatch()
    assert told_once(office)
    assert case["id"] in {one.id for one in loop.engine.cases()}
    assert loop.engine.cases() == fresh(office).engine.cases()
    again = reported(office)
    again = replace(again, report=replace(again.report, id="report-2", token="t-2"))
    assert intake.post(again, None, None).taking is Taking.TAKEN  # it has heard of what was decided meanwhile
    assert told_once(office)
    assert len(fresh(office).engine.cases()) == len(stored(office))


def test_two_dispatchers_one_after_the_other_tell_each_thing_once(office: Office) -> None:
    for start in range(0, len(RECORDS), 7):
        office.publish(RECORDS[start : start + 7])
        office.dispatch()
    assert sorted(office.told()) == sorted(TOLD)


# What offices do


def two_heaps(office: Office) -> tuple[str, str]:
    office.publish(one for one in RECORDS if one.topic == "sightings")
    office.dispatch()
    first, second = (id for id, c in sorted(stored(office).items()) if (c["kind"], c["state"]) == ("garbage", "open"))
    return first, second


def test_an_action_on_a_case_that_went_into_another_reaches_that_one(office: Office) -> None:
    gone, kept = two_heaps(office)
    clerk = Clerk(office.store, areas(), TAXONOMY, Book())
    clerk.act(LOCAL, gone, Asked(act=Act.MERGE, reason="同一处", into=kept), now=office.now())
    late = Action(id="late", case=gone, event="acknowledged", at=office.now(), state=None, recipients=("440304",))
    office.store.append([late.envelope()])  # by an office that had not heard of it yet
    loop = office.dispatch()
    (case,) = (case for case in loop.engine.cases() if case.id == kept)
    assert ("440304", "acknowledged") in {(alert.recipient, alert.event) for alert in case.alerts}
    assert loop.engine.cases() == fresh(office).engine.cases()


@pytest.mark.parametrize(
    "more",
    [{}, {"into": "elsewhere"}, {"part": "part-1", "sightings": ("nothing",)}, {"case": "KEPT", "into": "nowhere"}],
)
def test_an_action_on_what_it_does_not_know_changes_nothing_and_stops_nothing(office: Office, more: Any) -> None:
    _, kept = two_heaps(office)
    before = office.dispatch().engine.cases()
    id = kept if more.get("case") == "KEPT" else "nowhere"
    action = Action(id="lost", event="closed", at=office.now(), state=None, recipients=(), **(more | {"case": id}))
    office.store.append([action.envelope()])
    loop = office.dispatch()
    assert loop.engine.cases() == before
    office.publish(one for one in RECORDS if one.topic == "passes")
    office.dispatch()
    assert "closed" in {event for _, event, _ in office.told()}


def test_what_a_merge_by_the_desk_comes_to_is_shown_by_the_api(office: Office, tmp_path: Path) -> None:
    gone, kept = two_heaps(office)
    clerk = Clerk(office.store, areas(), TAXONOMY, Book())
    clerk.act(LOCAL, gone, Asked(act=Act.MERGE, reason="同一处", into=kept), now=office.now())
    clerk.act(LOCAL, kept, Asked(act=Act.HANDLED), now=office.now())  # before the engine has heard of the merge
    loop = office.dispatch()
    app = create_app(office.store, areas(), evidence=FolderEvidence(tmp_path))
    with serve(app, port=0) as serving, httpx.Client(base_url=serving.url, trust_env=False, timeout=20) as client:
        one, other = (client.get(f"/api/cases/{id}").json()["case"] for id in (gone, kept))
    assert (one["state_zh"], one["merged_into"]) == ("已并案", kept)
    (case,) = (case for case in loop.engine.cases() if case.id == kept)
    assert (other["state"], case.state) == ("handled", "handled")
    assert other["probability"] == case.probability
    assert [alert["event"] for alert in other["alerts"]] == [alert.event for alert in case.alerts]
