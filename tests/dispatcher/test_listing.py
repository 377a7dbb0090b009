"""Pages of cases, on SQLite and on a real PostgreSQL: the same as if every case had been looked at."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from futian import EAST, NOON, WEST
from test_stores import either  # noqa: F401  # fixture

from dispatcher.access.scope import EVERYTHING, Scope
from dispatcher.case import Share, State
from dispatcher.store import shelf
from dispatcher.store.rows import Box, CaseFilter, StoredCase
from dispatcher.store.store import Store
from ingest.frame import rfc3339

AREAS = (WEST, EAST, "440304008902", "440305001001", "330106", "WEST-1")
SCOPES = (
    EVERYTHING,
    Scope(frozenset({"440304008"})),
    Scope(frozenset({"440304008901", "330106", "WEST-1"})),
    Scope(frozenset({"44"})),
    Scope(frozenset()),
    Scope(frozenset({EAST, *(f"X-{n}" for n in range(shelf.WIDEST + 5))})),  # too many to be read side by side
)
QUESTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"state": "open"},
    {"state": "open", "matter": "06042"},
    {"area": "440304"},
    {"area": "440304004", "state": "closed"},
    {"area": "3301"},
    {"unowned": True},
    {"unowned": False, "matter": "06010"},
    {"box": Box(114.01, 22.5, 114.03, 22.6)},
    {"opened_from": rfc3339(NOON + timedelta(hours=10)), "opened_before": rfc3339(NOON + timedelta(hours=20))},
)


@pytest.fixture
def city(either, make_case, make_event) -> dict[str, set[str]]:  # noqa: F811
    """Sixty cases that move, are told and silently change; returns to whom each was told, or who owns it."""
    chance = random.Random(8)
    told: dict[str, set[str]] = {}
    owner: dict[str, str | None] = {}
    for n in range(150):
        name = f"case-{chance.randrange(60)}"
        owners = [Share(area, 0.9) for area in chance.sample(AREAS, chance.choice((0, 1, 1, 1)))]
        recipients = tuple(chance.sample(AREAS, chance.choice((0, 0, 1, 2))))
        made = make_case(
            name,
            owners=tuple(owners),
            state=chance.choice(list(State)),
            matter=chance.choice(("06010", "06042")),
            lon=114.0 + chance.random() / 20,
            opened_at=chance.choice((None, NOON + timedelta(hours=n))),
        )
        either.append((), [make_event("moved", case=made, id=str(n), recipients=recipients)])
        told.setdefault(name, set()).update(recipients)
        owner[name] = owners[0].area if owners else None
    return {name: areas | ({owner[name]} - {None}) for name, areas in told.items()}


def everything(store: Store) -> list[StoredCase]:
    """Every case by itself, the last raised first."""
    ids = {event.case for event in store.events_after(0)}
    found = [one[0] for id in ids if (one := store.case(id)) is not None]
    return sorted(found, key=lambda case: -case.raised)


def wanted(case: StoredCase, seen: set[str], where: CaseFilter) -> bool:
    """The question in plain words."""
    document, box = case.document, where.box
    opened = document["opened_at"]
    asked = Scope(None if where.area is None else frozenset({where.area}))
    return (
        where.state in (None, document["state"])
        and where.matter in (None, document["matter"])
        and (where.unowned is None or where.unowned == (case.area is None))
        and all(scope.areas is None or any(map(scope.covers, seen)) for scope in (where.scope, asked))
        and (where.opened_from is None or (opened is not None and opened >= where.opened_from))
        and (where.opened_before is None or (opened is not None and opened < where.opened_before))
        and (box is None or (box.west <= document["lon"] <= box.east and box.south <= document["lat"] <= box.north))
    )


def paged(store: Store, question: dict[str, Any], limit: int) -> list[str]:
    """Page after page to the end."""
    found, below = [], None
    while True:
        listing = store.cases(CaseFilter(**question, limit=limit, below=below))
        assert len(listing.cases) <= limit
        found += [case.id for case in listing.cases]
        if listing.below is None:
            return found
        assert below is None or listing.below < below
        below = listing.below


@pytest.mark.parametrize(("walked", "few"), [(shelf.WALKED, shelf.FEW), (4, 0), (4, shelf.FEW)])
def test_pages_are_what_a_look_at_every_case_finds(either, city, monkeypatch, walked, few):  # noqa: F811
    monkeypatch.setattr(shelf, "WALKED", walked)
    monkeypatch.setattr(shelf, "FEW", few)  # cases in a box that are looked at by themselves
    cases = everything(either)
    for scope in SCOPES:
        for question in QUESTIONS:
            where = CaseFilter(**question, scope=scope)
            right = [case.id for case in cases if wanted(case, city[case.id], where)]
            assert paged(either, {**question, "scope": scope}, 7) == right, (question, scope)
            listing = either.cases(where)
            assert (listing.total, listing.more) == (len(right), False) or (
                listing.more and listing.total <= len(right)
            )


def test_a_rebuilt_shelf_is_the_one_that_was_there(either, city):  # noqa: F811
    questions = [CaseFilter(**question, scope=scope) for question in QUESTIONS for scope in SCOPES]
    before = [either.cases(where) for where in questions]
    either.rebuild()
    assert [either.cases(where) for where in questions] == before


def test_a_long_list_is_counted_no_further_than_people_read(either, make_case, make_event, monkeypatch):  # noqa: F811
    monkeypatch.setattr(shelf, "COUNTED", 5)
    either.append((), [make_event(case=make_case(f"case-{n}")) for n in range(5)])
    assert (either.cases().total, either.cases().more) == (5, False)
    either.append((), [make_event(case=make_case("one-more"))])
    assert (either.cases().total, either.cases().more) == (5, True)
    assert len(either.cases().cases) == 6


def test_how_events_are_cut_into_batches_makes_no_difference(either, make_case, make_event):  # noqa: F811
    events = [
        make_event("suspected", case=make_case("a", owners=(Share(EAST, 1.0),)), id="1", recipients=()),
        make_event("opened", case=make_case("a"), id="2", recipients=(WEST,)),
        make_event("moved", case=make_case("a", owners=(Share(EAST, 1.0),)), id="3", recipients=()),
        make_event("opened", case=make_case("b"), id="4", recipients=(WEST, EAST)),
    ]
    either.append((), events)
    together = either.cases()
    with Store.open("sqlite://") as other:
        for event in events:
            other.append((), [event])
        assert [(c.id, c.raised, c.updated) for c in other.cases().cases] == [
            (c.id, c.raised, c.updated) for c in together.cases
        ]
        for scope in (Scope(frozenset({WEST})), Scope(frozenset({EAST}))):
            where = CaseFilter(scope=scope)
            assert [c.id for c in other.cases(where).cases] == [c.id for c in either.cases(where).cases]
