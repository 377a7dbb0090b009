"""Accounts, keys, attempts and who sees which case, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from futian import EAST, NOON, WEST
from sqlalchemy import delete
from test_stores import either  # noqa: F401  # fixture

from dispatcher.access.account import SESSION_IDLE, SESSION_LONGEST, Account, Key
from dispatcher.access.principal import Reach, Role
from dispatcher.access.scope import EVERYTHING, Scope
from dispatcher.access.throttle import ACCOUNT, ADDRESS
from dispatcher.case import Share
from dispatcher.store import keys as keys_module
from dispatcher.store.access_tables import marks, seen_by
from dispatcher.store.keys import REMEMBERED
from dispatcher.store.rows import CaseFilter
from dispatcher.store.store import Store
from vision.sighting import Evidence

LI = Account(
    login="li.ming",
    name="李明",
    role=Role.OFFICER,
    areas=frozenset({WEST}),
    password_hash="$argon2id$…",
    created_at=NOON,
    changed_at=NOON,
)
QGIS = Key(
    id="1f0c22ab",
    name="qgis",
    role=Role.VIEWER,
    areas=frozenset({WEST}),
    reach=frozenset({Reach.READ}),
    created_at=NOON,
    expires_at=NOON + timedelta(days=7),
)
TOKEN = "0" * 64
PICTURE = f"{'a' * 64}.jpg"


def scope(*areas):
    return Scope(frozenset(areas))


def seen(store, *areas):
    return {case.id for case in store.cases(CaseFilter(scope=scope(*areas))).cases}


def test_accounts_come_back_as_they_were_and_a_login_is_taken_once(either):  # noqa: F811
    assert not either.accounts.any()
    either.accounts.add(LI)
    other = replace(LI, login="wang", areas=None, password_hash=None, issuer="https://id", subject="17")
    either.accounts.add(other)
    assert either.accounts.all() == [LI, other]
    assert either.accounts.get("li.ming") == LI
    assert either.accounts.of_subject("https://id", "17") == other
    assert either.accounts.of_subject("https://other", "17") is None
    with pytest.raises(ValueError, match="already"):
        either.accounts.add(LI)
    with pytest.raises(ValueError, match="no account"):
        either.accounts.change(replace(LI, login="nobody"))


def test_a_session_lasts_until_idle_over_or_the_account_changes(either):  # noqa: F811
    either.accounts.add(LI)
    assert either.accounts.begin_session(TOKEN, LI, NOON)
    assert either.accounts.session(TOKEN, NOON + timedelta(minutes=5)).account == LI
    assert either.accounts.session(TOKEN, NOON + SESSION_IDLE + timedelta(minutes=4)) is not None  # seen at 5 min
    assert either.accounts.session(TOKEN, NOON + SESSION_LONGEST) is None
    assert either.accounts.session("1" * 64, NOON) is None
    changed = replace(LI, role=Role.ADMIN, changed_at=NOON + timedelta(hours=1))
    either.accounts.change(changed)
    assert either.accounts.session(TOKEN, NOON + timedelta(minutes=5)) is None
    assert not either.accounts.begin_session(TOKEN, LI, NOON)  # whoever was checked before the change
    assert either.accounts.begin_session(TOKEN, changed, NOON)
    either.accounts.end_session(TOKEN)
    assert either.accounts.session(TOKEN, NOON) is None


def test_a_key_is_found_by_its_token_until_it_is_over(either):  # noqa: F811
    key = QGIS
    either.keys.add(key, TOKEN)
    assert either.keys.find(key.id, TOKEN, NOON) == key
    assert either.keys.find(key.id, "1" * 64, NOON) is None
    assert either.keys.find(key.id, TOKEN, key.expires_at) is None
    (kept,) = either.keys.all()
    assert kept.used_at == NOON
    either.keys.revoke(key.id, NOON)
    assert either.keys.find(key.id, TOKEN, NOON) is None


def test_a_key_that_was_found_is_remembered_for_a_second_and_not_when_it_is_over(either):  # noqa: F811
    key = replace(QGIS, expires_at=NOON + timedelta(seconds=10))
    either.keys.add(key, TOKEN)
    assert either.keys.remembered(key.id, TOKEN, NOON) is None  # nobody has asked yet
    assert either.keys.find(key.id, "1" * 64, NOON) is None
    assert either.keys.remembered(key.id, "1" * 64, NOON) is None
    either.keys.find(key.id, TOKEN, NOON)
    assert either.keys.remembered(key.id, TOKEN, NOON + timedelta(seconds=0.9)) == key
    assert either.keys.remembered(key.id, "1" * 64, NOON) is None  # another token with the same id
    assert either.keys.remembered(key.id, TOKEN, NOON + timedelta(seconds=1)) is None
    assert either.keys.remembered(key.id, TOKEN, NOON - timedelta(seconds=1)) is None  # a clock that was put back
    either.keys.find(key.id, TOKEN, NOON + timedelta(seconds=9.5))
    assert either.keys.remembered(key.id, TOKEN, NOON + timedelta(seconds=9.9)) is not None
    assert either.keys.remembered(key.id, TOKEN, key.expires_at) is None


def test_a_revoked_key_is_forgotten_at_once_here_and_elsewhere_within_a_second(either, url):  # noqa: F811
    either.keys.add(QGIS, TOKEN)
    with Store.open(url) as other:
        for store in (either, other):
            assert store.keys.find(QGIS.id, TOKEN, NOON) is not None
        other.keys.revoke(QGIS.id, NOON)
        assert other.keys.remembered(QGIS.id, TOKEN, NOON) is None
    later = NOON + REMEMBERED
    assert either.keys.remembered(QGIS.id, TOKEN, later) is None
    assert either.keys.find(QGIS.id, TOKEN, later) is None


def test_what_was_asked_before_a_revocation_is_not_remembered_after_it(either, monkeypatch):  # noqa: F811
    either.keys.add(QGIS, TOKEN)
    real = keys_module._key

    def slow(row):
        monkeypatch.setattr(keys_module, "_key", real)
        either.keys.revoke(QGIS.id, NOON)  # another thread, between the question and its answer
        return real(row)

    monkeypatch.setattr(keys_module, "_key", slow)
    either.keys.find(QGIS.id, TOKEN, NOON)
    assert either.keys.remembered(QGIS.id, TOKEN, NOON) is None


def test_attempts_are_counted_and_forgiven_and_forgotten(either):  # noqa: F811
    subjects = {"account:li": ACCOUNT, "address:192.0.2.1": ADDRESS}
    for _ in range(ACCOUNT.free):
        assert either.attempts.begin(subjects, NOON) == timedelta(0)
    assert either.attempts.begin(subjects, NOON) == timedelta(seconds=1)
    assert either.attempts.begin({"account:wang": ACCOUNT}, NOON) == timedelta(0)
    either.attempts.forgive("account:li", "address:192.0.2.1")
    assert either.attempts.begin(subjects, NOON) == timedelta(0)
    for _ in range(ACCOUNT.free):
        either.attempts.begin(subjects, NOON)
    assert either.attempts.begin(subjects, NOON) > timedelta(0)
    assert either.attempts.begin(subjects, NOON + timedelta(hours=13)) == timedelta(0)


def test_a_journey_ends_once(either):  # noqa: F811
    either.attempts.depart("state", "nonce", "verifier", NOON)
    assert either.attempts.arrive("other", NOON) is None
    assert either.attempts.arrive("state", NOON) == ("nonce", "verifier")
    assert either.attempts.arrive("state", NOON) is None
    either.attempts.depart("late", "nonce", "verifier", NOON)
    assert either.attempts.arrive("late", NOON + timedelta(minutes=11)) is None


def test_cases_pictures_counts_and_events_are_narrowed_to_a_scope(either, make_case, make_event):  # noqa: F811
    picture = Evidence(uri=PICTURE, sha256=PICTURE[:-4], box_xyxy=(1, 2, 3, 4))
    east = make_case("east", owners=(Share(EAST, 1.0),), evidence=picture)
    both = make_case("both", owners=(Share(EAST, 0.6), Share(WEST, 0.4)))
    nowhere = make_case("nowhere", owners=())
    either.append(
        (),
        [
            make_event(case=make_case("west")),
            make_event(case=east, recipients=(EAST,)),
            make_event(case=both, recipients=(EAST, WEST)),
            make_event(case=nowhere, recipients=()),
        ],
    )
    assert seen(either, WEST) == {"west", "both"}
    assert seen(either, "440304008000") == {"west", "both"}
    assert seen(either, EAST) == {"east", "both"}
    assert seen(either, "440304") == seen(either, WEST, EAST) == {"west", "east", "both"}
    assert seen(either) == seen(either, "440305") == seen(either, "4403040089") == set()
    assert either.cases().total == 4
    assert either.case("east", scope(WEST)) is None
    assert either.case("east", scope(EAST)) is not None
    assert either.picture_in(PICTURE, scope(EAST))
    assert not either.picture_in(PICTURE, scope(WEST))
    assert sum(count.n for count in either.summary(NOON, scope(WEST)).counts) == 2
    assert either.summary(NOON, scope(WEST)).opened_since == 2
    assert either.summary(NOON, scope(WEST)).alerts == 2
    events, upto = either.listen(0, scope=scope(WEST))
    assert ([event.case for event in events], upto) == (["west", "both"], 4)
    assert either.listen(1, 1, scope(WEST)) == ([], 2)  # goes on from what it did not show
    assert either.listen(4, scope=scope(WEST)) == ([], 4)
    before = {area: seen(either, area) for area in (WEST, EAST)}
    either.rebuild()
    assert {area: seen(either, area) for area in (WEST, EAST)} == before
    assert either.picture_in(PICTURE, scope(EAST))


def test_a_store_from_before_there_were_scopes_is_brought_up_to_date_when_opened(url, make_event):
    with Store.open(url) as store:
        store.append((), [make_event()])
        with store._writer.begin() as connection:  # as an older version left it
            connection.execute(delete(seen_by))
            connection.execute(delete(marks))
    with Store.open(url) as store:
        assert seen(store, WEST) == {"case-1"}
        assert store.cases(CaseFilter(scope=EVERYTHING)).total == 1
