"""Which codes lie below which, and what is a password."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.access.account import normal_login, read_areas
from dispatcher.access.passwords import checked_password
from dispatcher.access.principal import Principal, Role
from dispatcher.access.scope import EVERYTHING, LEVELS, Scope, stem
from dispatcher.access.throttle import ACCOUNT, subject_of

CODES = st.from_regex(r"[1-9][0-9]{14}", fullmatch=True)


@pytest.mark.parametrize(
    ("own", "code", "covered"),
    [
        ("440304", "440304008901", True),
        ("440304000000", "440304008901", True),
        ("440300", "440304008901", True),  # the city
        ("440000", "440304008901", True),  # the province
        ("440304008", "440304008901", True),
        ("440304008901", "440304008901007", True),  # a grid cell of the community
        ("440304008901", "440304008", False),  # what lies above is not one's own
        ("440304008", "440304018901", False),
        ("440304008901", "440304008902", False),
        ("44030", "440304008901", False),  # no level ends there
        ("99", "990000000001", True),
        ("PARK-1", "PARK-12", False),  # codes of one's own stand for themselves
        ("PARK-1", "PARK-1", True),
    ],
)
def test_a_code_gives_all_that_lies_below_it(own, code, covered):
    assert Scope(frozenset({own})).covers(code) is covered


@given(CODES, st.sampled_from(LEVELS), CODES)
def test_a_scope_covers_exactly_the_codes_that_begin_with_its_stem(code, digits, other):
    own = code[:digits]
    scope = Scope(frozenset({own}))
    assert scope.covers(code)
    assert scope.covers(other) == other.startswith(stem(own))


@given(st.sets(st.from_regex(r"[0-9A-Z-]{1,15}", fullmatch=True), max_size=4), CODES)
def test_more_areas_never_show_less_and_none_show_nothing(areas, code):
    assert not Scope(frozenset()).covers(code)
    assert EVERYTHING.covers(code)
    if Scope(frozenset(areas)).covers(code):
        assert Scope(frozenset(areas | {"11"})).covers(code)


def test_what_a_file_puts_below_an_area_is_its_own_whatever_its_code():
    parents = {"PARK-1": "440304008", "PARK-1-A": "PARK-1", "PARK-2": "440304009", "X": "Y", "Y": "X"}
    scope = Scope.of({"440304"}, parents)
    assert all(map(scope.covers, ("PARK-1", "PARK-1-A", "PARK-2")))
    assert not scope.covers("X")  # a circle
    assert not Scope.of({"440304008"}, parents).covers("PARK-2")


@pytest.mark.parametrize(
    "password",
    [
        "",
        "short",
        "aaaaaaaaaaaaaa",
        "passwordpassword",
        "123456123456123456",
        "abcdefghijklm",
        "li.mingli.ming12",
        "x" * 257,
    ],
)
def test_what_would_be_guessed_is_no_password(password):
    with pytest.raises(ValueError) as refusal:
        checked_password(password, "li.ming")
    assert not password or password not in str(refusal.value)


@pytest.mark.parametrize("password", ["correct horse battery", "四个不相干的词语连在一起就好", "tX9-kq2.Lm7vZ"])
def test_length_is_what_a_password_needs_and_not_a_list_of_signs(password):
    assert checked_password(password, "li.ming") == password


def test_a_login_has_one_spelling():
    assert normal_login("  Ｌi.Ming ") == normal_login("li.MING") == "li.ming"
    assert normal_login("李明") == "李明"
    for wrong in ("", "x", "-x", "a b", "a" * 65, "a/b", "a\nb"):
        with pytest.raises(ValueError):
            normal_login(wrong)


def test_areas_are_typed_with_commas_or_as_all():
    assert read_areas("all") is None
    assert read_areas(" 440304, 440305 ,") == {"440304", "440305"}


def test_a_role_may_do_what_those_before_it_may():
    officer = Principal("user:x", "x", Role.OFFICER, None)
    assert [officer.at_least(role) for role in Role] == [True, True, False, False]


@given(st.integers(0, 1000))
def test_each_failure_makes_the_wait_longer_up_to_a_limit(n):
    assert ACCOUNT.wait(n) <= ACCOUNT.wait(n + 1) <= ACCOUNT.longest
    assert (ACCOUNT.wait(n).total_seconds() == 0) == (n < ACCOUNT.free)


@pytest.mark.parametrize(
    ("address", "subject"),
    [
        ("192.0.2.7", "address:192.0.2.7"),
        ("::ffff:192.0.2.7", "address:192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "address:2001:db8:1:2::/64"),
        ("fe80::1%eth0", "address:fe80::/64"),
        ("", "address:unknown"),
    ],
)
def test_one_household_is_counted_together(address, subject):
    assert subject_of(address) == subject
