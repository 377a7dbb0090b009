"""Pages as bytes: what is sent is what the schema says of each case, however often it was sent before."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import timedelta

import pytest
from futian import EAST, NOON, WEST

from dispatcher.api import page
from dispatcher.api.names import Names
from dispatcher.api.page import Pages
from dispatcher.api.schemas import CaseOut, CasesOut
from dispatcher.case import Alert, Share, State
from dispatcher.store.rows import CaseFilter, Due, Listing, StoredCase
from ingest.frame import rfc3339
from models.taxonomy import Taxonomy
from vision.sighting import Evidence

EVIDENCE = (
    Evidence(uri=f"{'a' * 64}.jpg", sha256="a" * 64, box_xyxy=(1, 2, 30, 40), missing=None),
    Evidence(uri="s3://elsewhere/picture", sha256=None, box_xyxy=None, missing=None),
    Evidence(uri=None, sha256=None, box_xyxy=None, missing='"cases":[] {"total": 0} 证据未存'),
    None,
)
OWNERS = ((Share(WEST, 0.97),), (Share(WEST, 0.6), Share(EAST, 1e-7)), (), (Share("no-such-area", 0.5),))


@pytest.fixture
def names(areas) -> Names:
    return Names(areas, Taxonomy.read())


@pytest.fixture
def filled(store, make_case, make_event):
    """Forty cases of every state, with and without all that a case may lack."""
    chance = random.Random(3)
    for n in range(40):
        owners = chance.choice(OWNERS)
        at = chance.choice((None, NOON + timedelta(hours=n)))
        case = make_case(
            f"case-{n}",
            state=list(State)[n % len(State)],
            matter=chance.choice(("06010", "06042", "99999")),
            lat=22.5 + chance.random() / 100,
            covariance_m2=chance.choice(((4.0, 0.0, 1.0), (1e-9, 0.0, 1e-9), (9.0, -2.5, 1.0))),
            opened_at=at,
            closed_at=at,
            owners=owners,
            alerts=tuple(Alert(share.area, "opened", NOON) for share in owners),
            evidence=chance.choice(EVIDENCE),
        )
        store.append((), [make_event(case=case, id=str(n))])
    return store


def said(listing: Listing, names: Names) -> bytes:
    """The page as the schema says it, from one model of all, without any shortcut."""
    cases = [CaseOut.of(case, names) for case in listing.cases]
    return CasesOut.around(listing, cases).model_dump_json().encode()


@pytest.mark.parametrize("limit", [0, 1, 7, 100])
def test_a_page_is_what_the_schema_says_byte_by_byte(filled, names, limit):
    pages, below = Pages(names), None
    while True:
        listing = filled.cases(CaseFilter(limit=limit, below=below))
        assert pages.written(listing) == said(listing, names)
        assert pages.written(listing) == said(listing, names)  # now that each case is kept
        below = listing.below
        if below is None or limit == 0:
            break


def test_every_field_of_a_page_is_that_of_the_case_alone(filled, names):
    cases = json.loads(Pages(names).written(filled.cases()))["cases"]
    assert len(cases) == 40
    for case in cases:
        stored, _ = filled.case(case["id"])
        alone = CaseOut.of(stored, names).model_dump(mode="json")
        assert list(case) == list(CaseOut.model_fields)
        for field, value in alone.items():
            assert case[field] == value, field


def test_an_empty_page_is_one_too(store, names):
    empty = store.cases()
    assert Pages(names).written(empty) == said(empty, names)


def test_a_case_that_changed_is_written_anew(filled, names, make_case, make_event):
    pages = Pages(names)
    before = json.loads(pages.written(filled.cases()))["cases"]
    for n in (3, 4):
        changed = make_case(f"case-{n}", state=State.CLOSED, probability=0.01)
        filled.append((), [make_event("closed", case=changed, id=f"{n}-closed", recipients=())])
    listing = filled.cases()
    after = json.loads(pages.written(listing))["cases"]
    assert pages.written(listing) == said(listing, names)
    assert {one["id"] for one in after if one not in before} == {"case-3", "case-4"}


def test_time_alone_makes_a_case_overdue_on_a_page_that_was_written(filled, names):
    now = NOON
    pages = Pages(names, lambda: now)
    due = Due(rfc3339(NOON + timedelta(hours=1)))
    listing = filled.cases(CaseFilter(limit=1))
    listing = replace(listing, lines=[replace(listing.lines[0], due=due)])
    for later, overdue in ((0, False), (1, False), (2, True)):
        now = NOON + timedelta(hours=later)
        (case,) = json.loads(pages.written(listing))["cases"]
        assert (case["due_at"], case["overdue"]) == (due.at, overdue)


def test_a_case_is_made_out_of_its_document_once(filled, names, monkeypatch):
    asked: list[str] = []
    real = CaseOut.of

    def counted(stored: StoredCase, *rest):
        asked.append(stored.id)
        return real(stored, *rest)

    monkeypatch.setattr(page.CaseOut, "of", counted)
    pages, listing = Pages(names), filled.cases()
    pages.written(listing)
    pages.written(filled.cases())  # read anew: equal, not the same
    assert len(asked) == len(set(asked)) == 40
