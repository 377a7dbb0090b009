"""The chain of actions: it verifies, the first entry that was tampered with is named, and the work follows from it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select
from town import BUREAU, DISPATCHER, NOON, OFFICER, ask, make_case, make_event

from dispatcher.access.principal import LOCAL
from dispatcher.store import work as log
from dispatcher.store.store import Store
from dispatcher.store.work_tables import actions, work
from dispatcher.work.clerk import Clerk
from dispatcher.work.entry import digest, verified
from dispatcher.work.step import Act, Label


def tables_of(store: Store) -> list[object]:
    with store.reading() as connection:
        return [tuple(row) for row in connection.execute(select(work).order_by(work.c.case))]


def busy(clerk: Clerk, store: Store) -> None:
    """A morning of a desk."""
    for n in range(6):
        store.append((), [make_event(case=make_case(f"c{n}", lat=22.536 + n / 1000))])
    clerk.tick(NOON)
    clerk.act(OFFICER, "c0", ask(Act.HANDLED, reason="现场已清理"), now=NOON)
    clerk.act(DISPATCHER, "c0", ask(Act.REJECT, reason="没有清理干净"), now=NOON)
    clerk.act(OFFICER, "c1", ask(Act.CALL, department=BUREAU, reason="吹哨"), now=NOON)
    clerk.act(DISPATCHER, "c2", ask(Act.PAUSE, reason="施工"), now=NOON)
    clerk.act(DISPATCHER, "c3", ask(Act.DISMISS, reason="误报", label=Label.NOT_THERE), now=NOON, key="k")
    clerk.act(OFFICER, "c4", ask(Act.HAND_BACK, reason="非辖区"), now=NOON)
    clerk.tick(NOON + timedelta(hours=1))


def walked(store: Store) -> object:
    with store.reading() as connection:
        return verified(log.log_rows(connection))


def test_the_work_is_made_anew_from_the_actions_exactly_as_it_was(clerk, store) -> None:
    busy(clerk, store)
    before = tables_of(store)
    assert len(before) == 6
    store.rebuild()
    assert tables_of(store) == before
    assert clerk.tick(NOON + timedelta(hours=1)) == 0


def test_an_untouched_log_of_actions_verifies(clerk, store) -> None:
    busy(clerk, store)
    verdict = walked(store)
    assert verdict.broken is None
    assert verdict.entries == len(clerk.standing("c0", LOCAL).entries) + sum(
        len(clerk.standing(f"c{n}", LOCAL).entries) for n in range(1, 6)
    )


TAMPERED = {
    "a reason that was rewritten": (
        lambda c: c.execute(
            actions.update()
            .where(actions.c.seq == 8)
            .values(document=c.scalar(select(actions.c.document).where(actions.c.seq == 8)).replace("干净", "很干净"))
        ),
        8,
        "not what was hashed",
    ),
    "a column": (lambda c: c.execute(actions.update().where(actions.c.seq == 9).values(actor="user:x")), 9, "actor"),
    "an entry that is gone": (lambda c: c.execute(actions.delete().where(actions.c.seq == 7)), 8, "entry 7 is missing"),
    "a hash that was put right": (
        lambda c: _rewritten(c, 7),
        8,
        "does not follow",
    ),
}


def _rewritten(connection, seq: int) -> None:
    text = connection.scalar(select(actions.c.document).where(actions.c.seq == seq)).replace("清理", "处理")
    connection.execute(actions.update().where(actions.c.seq == seq).values(document=text, hash=digest(text)))


@pytest.mark.parametrize("row", TAMPERED.values(), ids=TAMPERED)
def test_the_first_entry_that_was_tampered_with_is_named(clerk, store, row) -> None:
    change, broken, why = row
    busy(clerk, store)
    with store.writing() as connection:
        change(connection)
    verdict = walked(store)
    assert verdict.broken == broken
    assert why in verdict.why
