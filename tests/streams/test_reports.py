"""Reports of citizens through the dispatcher's loop: taken once, told once on the topics, whenever it is killed."""

from __future__ import annotations

import itertools
from contextlib import suppress
from datetime import timedelta

import pytest
from office import Deadly, Killed, Office, areas
from world import HOME

from dispatcher.dispatch import Dispatcher
from dispatcher.document import document
from dispatcher.engines import Which, remembering
from dispatcher.open311.posted import filed
from models.taxonomy import Taxonomy

TAXONOMY = Taxonomy.read()


def reported(office: Office, minutes: int = 0) -> str:
    form = {"service_code": "06010", "lat": str(HOME[0]), "long": str(HOME[1]), "phone": "13912345678"}
    one = filed(form, TAXONOMY, sender="key:1", now=office.now() + timedelta(minutes=minutes))
    office.store.reports.add(one.report, one.contact)
    return one.report.id


@pytest.mark.parametrize("which", Which)
def test_the_loop_takes_reports_and_tells_the_office_on_the_topics(which: Which) -> None:
    office = Office(which=which)
    ids = [reported(office), reported(office, 3)]
    loop = office.dispatch()
    (case,) = office.store.cases().cases
    assert case.document["sightings"] == ids
    assert office.told() == [(case.id, "opened", "440304001001")]
    assert [one["type"] for one in office.on("cases")] == ["cn.jiexun.case.opened.v1", "cn.jiexun.case.confirmed.v1"]
    assert "13912345678" not in str(office.on("cases") + office.on("alerts"))
    fresh = Dispatcher(remembering(office.store, areas(), TAXONOMY), office.store)
    fresh.recover(office.store.inputs())
    assert document(fresh.engine, ()) == document(loop.engine, ())


@pytest.mark.parametrize("which", Which)
def test_killed_at_any_step_a_report_is_told_once(which: Which) -> None:
    for at in itertools.count(1):
        office = Office(which=which)
        id = reported(office)
        deadly = Deadly(at)
        with suppress(Killed):
            office.dispatch(deadly)
        office.dispatch()
        (case,) = office.store.cases().cases
        assert case.document["sightings"] == [id]
        assert office.told() == [(case.id, "opened", "440304001001")]
        assert len(office.on("cases")) == 1
        if deadly.steps < at:
            break
    assert at > 4
