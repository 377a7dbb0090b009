"""Offices act while the dispatcher's loop runs: told once on the topics, and counted in order of arrival."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from office import RECORDS, Deadly, Killed, Office, areas
from whole import dumped

from dispatcher.access.principal import LOCAL
from dispatcher.dispatch import Dispatcher
from dispatcher.engine import Engine
from dispatcher.work.asked import Asked
from dispatcher.work.book import Book
from dispatcher.work.clerk import Clerk
from dispatcher.work.step import Act
from models.taxonomy import Taxonomy


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(f"sqlite:///{tmp_path / 'office.db'}")
    yield made
    made.store.close()


def clerk_of(office: Office) -> Clerk:
    return Clerk(office.store, areas(), Taxonomy.read(), Book())


def open_case(office: Office) -> str:
    return next(case.id for case in office.store.cases().cases if case.document["state"] == "open")


def fresh(office: Office) -> Engine:
    engine = Engine(areas(), Taxonomy.read())
    Dispatcher(engine, office.store).recover(office.store.inputs())
    return engine


def half_way(office: Office) -> str:
    """A dispatcher has read until a case was open."""
    for n in range(20, len(RECORDS), 20):
        office.publish(RECORDS[n - 20 : n])
        office.dispatch()
        if any(case.document["state"] == "open" for case in office.store.cases().cases):
            return open_case(office)
    raise AssertionError("no case opened")


def test_an_action_goes_out_through_the_loop_and_the_engine_has_heard_of_it(office: Office) -> None:
    id = half_way(office)
    clerk_of(office).act(LOCAL, id, Asked(act=Act.HAND_BACK, reason="非辖区"), now=office.now())
    assert office.on("cases")[-1]["type"] != "cn.jiexun.case.handed-back.v1"  # stored, not sent yet
    loop = office.dispatch()
    assert [one["type"] for one in office.on("cases")].count("cn.jiexun.case.handed-back.v1") == 1
    case = next(case for case in loop.engine.cases() if case.id == id)
    assert "handed-back" in [alert.event for alert in case.alerts]
    assert office.store.outbox() == []


def test_the_clocks_are_kept_by_the_loop_too(office: Office) -> None:
    id = half_way(office)
    clerk = clerk_of(office)
    clerk.tick(office.now())
    clerk.tick(office.now() + timedelta(minutes=31))
    office.dispatch()
    assert [event for case, event, _ in office.told() if case == id].count("escalated") == 1


@pytest.mark.parametrize("at", range(1, 40, 3))
def test_a_dispatcher_that_is_killed_tells_of_actions_once_all_the_same(office: Office, at: int) -> None:
    id = half_way(office)
    clerk_of(office).act(LOCAL, id, Asked(act=Act.HANDLED), now=office.now())
    rest = RECORDS[-60:]
    office.publish(rest)
    with suppress(Killed):
        office.dispatch(Deadly(at))
    loop = office.dispatch()
    assert max(Counter(one["id"] for one in office.on("cases")).values()) == 1
    assert max(Counter(office.told()).values()) == 1
    assert dumped(fresh(office)) == dumped(loop.engine)
