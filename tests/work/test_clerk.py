"""What offices do: one transaction each, told once, refused where the table says so. On SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select
from town import (
    BUREAU,
    CITY,
    DISPATCHER,
    DISTRICT,
    EAST,
    MINUTE,
    NOON,
    OFFICER,
    STRANGER,
    STREET,
    VIEWER,
    WEST,
    ask,
    make_case,
    make_event,
    town,
)

from dispatcher.access.principal import LOCAL
from dispatcher.case import State, parsed_case
from dispatcher.store.store import Store
from dispatcher.store.work_tables import work
from dispatcher.work.asked import Incomplete, KeyReused, NoSuchCase, NotAllowed, NotNow, Refusal, Stale
from dispatcher.work.book import Book
from dispatcher.work.clerk import Clerk
from dispatcher.work.step import RULES, Act, Disposition, Label, Outcome, Step
from ingest.envelope import parse_envelope
from models.taxonomy import Taxonomy

REASON = "现场已清理"


@pytest.fixture
def case(store: Store) -> str:
    store.append((), [make_event()])
    return "case-1"


def tables_of(store: Store) -> list[object]:
    with store.reading() as connection:
        return [tuple(row) for row in connection.execute(select(work).order_by(work.c.case))]


def events_of(store: Store) -> list[str]:
    return [event.event for event in store.events_after(0)]


def test_a_case_that_opened_is_registered_with_the_deadline_of_its_matter(clerk, store, case) -> None:
    assert clerk.tick(NOON) == 1
    assert clerk.tick(NOON) == 0
    standing = clerk.standing(case, OFFICER)
    assert standing.work.step is Step.REGISTERED
    assert standing.work.office == WEST
    assert standing.work.condition["id"] == "06010-pile"
    # Four hours of business from noon on a Friday: 14:00 to 18:00.
    assert standing.work.due_at == "2026-11-20T10:00:00.000Z"
    assert standing.work.escalates_at == "2026-11-20T04:30:00.000Z"
    assert events_of(store) == ["opened"]


def test_the_seven_steps_in_order(clerk, store, case) -> None:
    now = NOON
    steps = []
    for who, asked in (
        (DISPATCHER, ask(Act.DISPATCH, office=BUREAU, disposition=Disposition.ENFORCEMENT)),
        (DISPATCHER, ask(Act.ACKNOWLEDGE)),
        (DISPATCHER, ask(Act.HANDLED, reason=REASON)),
        (DISPATCHER, ask(Act.CLOSE)),
        (DISPATCHER, ask(Act.EVALUATE, score=5)),
    ):
        now += MINUTE
        steps.append(clerk.act(who, case, asked, now=now).work.step)
    assert steps == [Step.DISPATCHED, Step.HANDLING, Step.REPORTED, Step.CHECKED, Step.EVALUATED]
    assert events_of(store) == ["opened", "dispatched", "acknowledged", "handled", "closed", "evaluated"]
    found = clerk.standing(case, DISPATCHER)
    assert found.work.outcome is Outcome.CLOSED
    assert found.case.document["state"] == "closed"
    assert found.case.document["closed_at"] == "2026-11-20T04:04:00.000Z"
    assert found.entries[0].act is Act.REGISTER
    assert not found.work.overdue(NOON + timedelta(days=30))  # handled in time


def test_each_action_is_told_once_with_its_letters(clerk, store, case) -> None:
    clerk.act(DISPATCHER, case, ask(Act.DISPATCH, office=BUREAU, disposition=Disposition.ORDER), now=NOON)
    letters = [(letter.topic, letter.key, parse_envelope(letter.line)) for letter in store.outbox()]
    assert [(topic, key) for topic, key, _ in letters] == [("cases", case), ("alerts", BUREAU)]
    assert letters[0][2].type == "cn.jiexun.case.dispatched.v1"
    assert letters[0][2].data["alerts"][-1] == {
        "recipient": BUREAU,
        "event": "dispatched",
        "at": "2026-11-20T04:00:00.000Z",
    }
    assert letters[1][2].data["recipient_name"] == "福田区城市管理和综合执法局"


REFUSED = {
    "a viewer": (VIEWER, ask(Act.ACKNOWLEDGE), NotAllowed, "role officer"),
    "an officer who dispatches": (OFFICER, ask(Act.DISPATCH, disposition=Disposition.OWN), NotAllowed, "dispatcher"),
    "an officer of elsewhere": (STRANGER, ask(Act.ACKNOWLEDGE), NoSuchCase, "no case"),
    "a person as the system": (LOCAL, ask(Act.ESCALATE), NotAllowed, "role system"),
    "a hand-back without a reason": (OFFICER, ask(Act.HAND_BACK), Incomplete, "needs a reason"),
    "a hand-back with a blank reason": (OFFICER, ask(Act.HAND_BACK, reason=" \n"), Incomplete, "needs a reason"),
    "a dismissal without a label": (DISPATCHER, ask(Act.DISMISS, reason="误报"), Incomplete, "label"),
    "a dispatch to nobody known": (
        DISPATCHER,
        ask(Act.DISPATCH, office="999", disposition=Disposition.ORDER),
        Incomplete,
        "neither an area nor a department",
    ),
    "a dispatch without a disposition": (DISPATCHER, ask(Act.DISPATCH, office=EAST), Incomplete, "disposition"),
    "another matter's condition": (
        DISPATCHER,
        ask(Act.DISPATCH, disposition=Disposition.OWN, condition="09006-trade"),
        Incomplete,
        "06010-pile, 06010-large",
    ),
    "closing what nobody handled": (DISPATCHER, ask(Act.CLOSE), NotNow, "案卷建立"),
    "resuming a clock that runs": (DISPATCHER, ask(Act.RESUME, reason="x"), NotNow, "the clock runs"),
    "an answer to no call": (OFFICER, ask(Act.ANSWER, reason="x"), NotNow, "nobody was called"),
    "a score before the end": (DISPATCHER, ask(Act.EVALUATE, score=3), NotNow, "案卷建立"),
}  # fmt: skip


@pytest.mark.parametrize("row", REFUSED.values(), ids=REFUSED)
def test_what_the_table_does_not_allow_is_refused_and_changes_nothing(clerk, store, case, row) -> None:
    who, asked, refusal, said = row
    clerk.tick(NOON)
    before = tables_of(store), events_of(store), store.outbox()
    with pytest.raises(refusal, match=said):
        clerk.act(who, case, asked, now=NOON)
    assert (tables_of(store), events_of(store), store.outbox()) == before


def test_there_is_no_such_case(clerk) -> None:
    with pytest.raises(NoSuchCase):
        clerk.act(LOCAL, "nobody", ask(Act.ACKNOWLEDGE), now=NOON)


def test_a_candidate_is_not_at_the_desk_yet(clerk, store) -> None:
    store.append((), [make_event("suspected", make_case(state=State.CANDIDATE, opened_at=None, alerts=()), to=())])
    assert clerk.tick(NOON) == 0
    with pytest.raises(NotNow, match="信息收集"):
        clerk.act(LOCAL, "case-1", ask(Act.ACKNOWLEDGE), now=NOON)


def test_a_hand_back_goes_to_the_level_above_and_the_deadline_stays(clerk, case) -> None:
    clerk.act(OFFICER, case, ask(Act.ACKNOWLEDGE), now=NOON)
    done = clerk.act(OFFICER, case, ask(Act.HAND_BACK, reason="不在本社区范围"), now=NOON + 5 * MINUTE)
    assert done.work.office == STREET
    assert done.work.acknowledged_by is None
    assert done.work.hand_backs == 1
    assert done.work.due_at == "2026-11-20T10:00:00.000Z"
    assert done.case.document["alerts"][-1]["recipient"] == STREET


def test_a_case_that_nobody_acknowledges_is_told_level_by_level_to_the_city(clerk, store, case) -> None:
    clerk.tick(NOON)
    made = [clerk.tick(NOON + minutes * MINUTE) for minutes in (29, 30, 31, 60, 90, 91, 600)]
    assert made == [0, 1, 0, 1, 1, 0, 0]
    standing = clerk.standing(case, LOCAL)
    assert standing.work.told == (STREET, DISTRICT, CITY)
    assert standing.work.level == 3
    assert events_of(store) == ["opened", "escalated", "escalated", "escalated"]


def test_an_acknowledged_case_is_not_escalated(clerk, case) -> None:
    clerk.act(OFFICER, case, ask(Act.ACKNOWLEDGE), now=NOON)
    assert clerk.tick(NOON + timedelta(days=2)) == 0
    assert clerk.standing(case, OFFICER).work.acknowledged_by == "李明"


def test_a_called_department_answers_before_the_case_is_closed(clerk, case) -> None:
    clerk.act(OFFICER, case, ask(Act.CALL, department=BUREAU, reason="需要执法配合"), now=NOON)
    with pytest.raises(Incomplete, match="called already"):
        clerk.act(OFFICER, case, ask(Act.CALL, department=BUREAU, reason="再催"), now=NOON)
    clerk.act(OFFICER, case, ask(Act.HANDLED, reason=REASON), now=NOON)
    with pytest.raises(NotNow, match=BUREAU):
        clerk.act(DISPATCHER, case, ask(Act.CLOSE), now=NOON)
    done = clerk.act(DISPATCHER, case, ask(Act.ANSWER, reason="已派两人到场"), now=NOON + MINUTE)
    call = done.work.calls[0]
    assert (call.department, call.why, call.answer, call.answered_by) == (
        BUREAU,
        "需要执法配合",
        "已派两人到场",
        "陈静",
    )
    assert clerk.act(DISPATCHER, case, ask(Act.CLOSE), now=NOON + MINUTE).work.outcome is Outcome.CLOSED


def test_a_case_with_a_closing_condition_is_closed_by_whoever_says_how_it_is_met(store) -> None:
    rule = '[[condition]]\nid="x"\nmatter="06010"\nwhen="暴露垃圾"\ntype="工作时"\namount=4\nclosing="地面无残留"'
    clerk = Clerk(store, town(), Taxonomy.read(), Book.of({"filing": rule}))
    store.append((), [make_event()])
    clerk.tick(NOON)
    clerk.act(OFFICER, "case-1", ask(Act.HANDLED, reason=REASON), now=NOON)
    for reason in (None, "  "):
        with pytest.raises(Incomplete, match="地面无残留"):
            clerk.act(DISPATCHER, "case-1", ask(Act.CLOSE, reason=reason), now=NOON)
    done = clerk.act(DISPATCHER, "case-1", ask(Act.CLOSE, reason="回访照片无残留"), now=NOON)
    assert done.work.outcome is Outcome.CLOSED
    assert (done.entry.details, done.entry.reason) == ({"closing": "地面无残留"}, "回访照片无残留")


def test_a_pause_stops_both_clocks_and_a_resumption_gives_the_rest(clerk, case) -> None:
    two, three = NOON + timedelta(hours=2), NOON + timedelta(hours=3)  # 14:00 and 15:00 in Shenzhen
    done = clerk.act(DISPATCHER, case, ask(Act.PAUSE, reason="等待管线单位"), now=two)
    assert done.work.due_at is None
    assert clerk.tick(two + timedelta(hours=1)) == 0
    with pytest.raises(NotNow, match="clock stands"):
        clerk.act(OFFICER, case, ask(Act.HANDLED, reason=REASON), now=three)
    done = clerk.act(DISPATCHER, case, ask(Act.RESUME, reason="管线已移交"), now=three)
    # Registered at 14:00 (the first anybody asked of it), four hours: 18:00, and the hour it stood from Monday on.
    assert done.work.due_at == "2026-11-23T02:00:00.000Z"
    assert done.work.escalates_at == "2026-11-20T07:30:00.000Z"


def test_a_report_that_was_not_true_comes_back_to_the_office(clerk, case) -> None:
    clerk.act(OFFICER, case, ask(Act.HANDLED, reason=REASON), now=NOON)
    done = clerk.act(DISPATCHER, case, ask(Act.REJECT, reason="照片显示仍有垃圾"), now=NOON)
    assert (done.work.step, done.work.rejections, done.work.handled_at) == (Step.HANDLING, 1, None)
    assert done.case.document["state"] == "open"


def test_a_dismissal_keeps_its_label_for_retraining_and_goes_out(clerk, store, case) -> None:
    asked = ask(Act.DISMISS, reason="是商户自己的货箱", label=Label.OTHER_KIND)
    done = clerk.act(DISPATCHER, case, asked, now=NOON)
    assert (done.work.outcome, done.work.label) == (Outcome.DISMISSED, "other-kind")
    assert done.case.document["state"] == "dismissed"
    assert [parse_envelope(letter.line).type for letter in store.outbox()] == [
        "cn.jiexun.case.dismissed.v1",
        "cn.jiexun.alert.v1",
    ]
    with pytest.raises(NotNow, match="ended"):
        clerk.act(DISPATCHER, case, ask(Act.ACKNOWLEDGE), now=NOON)


def test_a_case_that_later_passes_saw_gone_ends_by_itself(clerk, store, case) -> None:
    clerk.act(OFFICER, case, ask(Act.HANDLED, reason=REASON), now=NOON)
    store.append((), [make_event("verified", make_case(state=State.CLOSED, closed_at=NOON), to=())])
    assert clerk.tick(NOON) == 1
    found = clerk.standing(case, OFFICER)
    assert (found.work.step, found.work.outcome) == (Step.CHECKED, Outcome.CLOSED)
    assert found.entries[-1].actor == "system"


def test_a_rebound_is_counted_and_no_first_occurrence(clerk, store) -> None:
    trade = {"kind": "street_stall", "matter": "09006"}
    store.append((), [make_event(case=make_case("first", **trade))])
    clerk.tick(NOON)
    assert clerk.standing("first", LOCAL).work.first_occurrence
    again = make_case("again", episode=2, previous="first", **trade)
    store.append((), [make_event("rebounded", again), make_event(case=make_case("beside", lat=22.5402, **trade))])
    clerk.tick(NOON)
    assert clerk.standing("again", LOCAL).work.rebounds == 1
    assert not clerk.standing("again", LOCAL).work.first_occurrence
    assert not clerk.standing("beside", LOCAL).work.first_occurrence  # eleven metres from the first


def test_another_office_that_answers_for_a_matter_gets_its_cases_at_once(store, areas) -> None:
    duty = """
    [[department]]
    code = "440304-cgj"
    name = "区城管局"
    [[responsibility]]
    matters = ["06010"]
    areas = ["440304008"]
    owner = "440304-cgj"
    co_handlers = ["440304008"]
    disposition = "order"
    """
    clerk = Clerk(store, areas, Taxonomy.read(), Book.of({"duty": duty}))
    store.append((), [make_event()])
    assert clerk.tick(NOON) == 2
    work = clerk.standing("case-1", LOCAL).work
    assert (work.step, work.office, work.co_handlers) == (Step.DISPATCHED, BUREAU, (STREET,))
    assert clerk.standing("case-1", LOCAL).case.document["alerts"][-1]["recipient"] == BUREAU


# If-Match and Idempotency-Key


def test_an_action_on_work_that_changed_since_is_refused(clerk, case) -> None:
    clerk.tick(NOON)
    seen = clerk.standing(case, OFFICER).tag
    clerk.act(OFFICER, case, ask(Act.ACKNOWLEDGE), now=NOON, if_match=seen)
    with pytest.raises(Stale, match="read it again"):
        clerk.act(DISPATCHER, case, ask(Act.HANDLED), now=NOON, if_match=seen)
    clerk.act(OFFICER, case, ask(Act.HANDLED), now=NOON, if_match=clerk.standing(case, OFFICER).tag)


def test_a_request_that_is_sent_twice_is_done_once(clerk, store, case) -> None:
    first = clerk.act(OFFICER, case, ask(Act.ACKNOWLEDGE), now=NOON, key="k1")
    again = clerk.act(OFFICER, case, ask(Act.ACKNOWLEDGE), now=NOON + MINUTE, key="k1")
    assert again.repeated
    assert again.entry == first.entry
    assert events_of(store) == ["opened", "acknowledged"]
    with pytest.raises(KeyReused):
        clerk.act(OFFICER, case, ask(Act.HANDLED), now=NOON, key="k1")
    clerk.act(DISPATCHER, case, ask(Act.HANDLED), now=NOON, key="k1")  # a key is its sender's own


def test_many_who_acknowledge_at_once_do_it_once(store, areas, store_url, case) -> None:
    outcomes: list[str] = []

    def click() -> None:
        with Store.open(store_url) as own:
            try:
                Clerk(own, areas, Taxonomy.read()).act(OFFICER, case, ask(Act.ACKNOWLEDGE), now=NOON)
                outcomes.append("done")
            except Refusal as refusal:
                outcomes.append(type(refusal).__name__)

    threads = [threading.Thread(target=click) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["NotNow"] * 7 + ["done"]
    assert events_of(store) == ["opened", "acknowledged"]


def test_an_action_that_cannot_be_stored_leaves_nothing(clerk, store, case, monkeypatch) -> None:
    clerk.tick(NOON)
    before = tables_of(store), events_of(store)

    def fails(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(clerk, "_letters", lambda event, due_at: fails())
    with pytest.raises(OSError, match="disk full"):
        clerk.act(OFFICER, case, ask(Act.ACKNOWLEDGE), now=NOON)
    assert (tables_of(store), events_of(store)) == before


def test_a_case_comes_back_from_its_document() -> None:
    case = make_case()
    assert parsed_case(case.document()) == case


def test_every_action_has_a_rule_and_every_rule_of_a_person_makes_an_event() -> None:
    assert set(RULES) == set(Act)
    assert all(rule.event is not None for rule in RULES.values() if rule.role is not None)


# What the case engine itself merges and splits


def regrouped(store: Store, event: str, n: int, case: str = "case-1", to: tuple[str, ...] = (), **changes) -> None:
    """An event of the joint engine, the n-th of the case."""
    told = make_event(event, make_case(case, **changes), to)
    store.append((), [replace(told, id=f"{case}:{event}:{n}")])


def test_a_case_that_the_engine_merged_is_nobodys_work_and_the_other_is(clerk, store, case) -> None:
    clerk.tick(NOON)
    regrouped(store, "suspected", 0, "case-2", state=State.CANDIDATE, opened_at=None, alerts=())
    regrouped(store, "merged", 1, to=(WEST,), state=State.DISMISSED, merged_into="case-2")
    regrouped(store, "merged", 1, "case-2", sightings=("sighting-1", "sighting-2"))
    assert clerk.tick(NOON + MINUTE) == 2
    gone, kept = (clerk.standing(id, LOCAL) for id in ("case-1", "case-2"))
    assert (gone.work.outcome, gone.work.escalates_at) == (Outcome.MERGED, None)
    assert (gone.entries[-1].act, gone.entries[-1].details) == (Act.MERGE, {"into": "case-2"})
    assert (kept.work.step, kept.work.outcome, kept.work.office) == (Step.REGISTERED, None, WEST)
    assert clerk.standing("case-2", OFFICER).case.id == "case-2"  # whoever was told of the other one sees it
    clerk.tick(NOON + 60 * MINUTE)
    assert [event for event in events_of(store) if event == "escalated"] == ["escalated"]  # of the one that goes on
    with pytest.raises(NotNow):
        clerk.act(OFFICER, "case-1", ask(Act.HANDLED), now=NOON + 61 * MINUTE)


def test_a_case_that_comes_apart_from_the_one_it_went_into_begins_anew(clerk, store, case) -> None:
    clerk.tick(NOON)
    clerk.act(OFFICER, case, ask(Act.ACKNOWLEDGE), now=NOON + MINUTE)
    regrouped(store, "merged", 1, to=(WEST,), state=State.DISMISSED, merged_into="case-2")
    clerk.tick(NOON + 2 * MINUTE)
    regrouped(store, "split", 2, to=(WEST,))
    clerk.tick(NOON + 3 * MINUTE)
    work = clerk.standing(case, OFFICER).work
    assert (work.step, work.outcome, work.acknowledged_at) == (Step.REGISTERED, None, None)
    assert work.due_at is not None
    clerk.act(OFFICER, case, ask(Act.HANDLED), now=NOON + 4 * MINUTE)
    assert clerk.standing(case, OFFICER).work.step is Step.REPORTED


def test_what_the_engine_splits_off_is_work_from_then_on(clerk, store, case) -> None:
    regrouped(store, "split", 1, "case-2", to=(WEST,))
    clerk.tick(NOON)
    assert clerk.standing("case-2", OFFICER).work.step is Step.REGISTERED
