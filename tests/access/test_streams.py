"""Open streams beside each other: each hears what lies in its scope, once, from its place on, while it may."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from futian import EAST, WEST
from passwords import QUICK

from dispatcher.access.account import SESSION_IDLE, TOUCH
from dispatcher.access.gate import Gate, Shown
from dispatcher.access.principal import LOCAL, Role
from dispatcher.api import follow
from dispatcher.api.follow import Piece, Told
from dispatcher.case import Share

WAIT_S = 20.0


class Heard:
    """One stream over a real connection. A thread reads it: others are waited for meanwhile."""

    def __init__(self, url: str, token: str, after: int = 0) -> None:
        self.cases: list[tuple[int, str]] = []
        self._more = threading.Condition()
        self._ended = False
        self._url, self._query, self._headers = url, {"after": after}, {"authorization": f"Bearer {token}"}
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def until(self, n: int) -> list[str]:
        """The cases of the first n events, once they are there."""
        with self._more:
            assert self._more.wait_for(lambda: len(self.cases) >= n, WAIT_S), self.cases
        return [case for _, case in self.cases]

    def ends(self) -> None:
        with self._more:
            assert self._more.wait_for(lambda: self._ended, WAIT_S)

    def _read(self) -> None:
        with (
            httpx.Client(timeout=WAIT_S, trust_env=False) as client,
            contextlib.suppress(httpx.HTTPError),  # the server ends with the test
            client.stream("GET", f"{self._url}/api/events", params=self._query, headers=self._headers) as answer,
        ):
            for line in answer.iter_lines():
                self._take(line)
        with self._more:
            self._ended = True
            self._more.notify_all()

    def _take(self, line: str) -> None:
        if line.startswith('data: {"event":'):
            said = json.loads(line.removeprefix("data: "))
            with self._more:
                self.cases.append((said["event"]["seq"], said["case"]["id"]))
                self._more.notify_all()


@pytest.fixture
def tell(store, make_case, make_event):
    def tell(name: str, area: str) -> None:
        case = make_case(name, owners=(Share(area, 0.9),))
        store.append((), [make_event(case=case, id=name, recipients=(area,))])

    return tell


@pytest.fixture
def hear(url, add_key) -> Iterator[object]:
    def hear(areas, after=0) -> Heard:
        return Heard(url, add_key(role=Role.VIEWER, areas=areas), after)

    return hear


def test_each_stream_hears_live_what_lies_in_its_scope_and_nothing_else(hear, tell):
    tell("first", WEST)
    every, west, east = hear(None), hear(frozenset({WEST})), hear(frozenset({EAST}))
    assert every.until(1) == west.until(1) == ["first"]
    for n in range(30):
        tell(f"{n}", (WEST, EAST)[n % 2])
    tell("end-west", WEST)
    tell("end-east", EAST)
    assert every.until(33) == ["first", *map(str, range(30)), "end-west", "end-east"]
    assert west.until(17) == ["first", *map(str, range(0, 30, 2)), "end-west"]
    assert east.until(16) == [*map(str, range(1, 30, 2)), "end-east"]


def test_streams_at_different_places_of_the_log_each_go_on_at_their_own(hear, tell):
    early = hear(None)
    for n in range(5):
        tell(f"{n}", WEST)
    assert early.until(5) == ["0", "1", "2", "3", "4"]
    late, ahead = hear(None, after=3), hear(None, after=6)  # 6 is not there yet
    for n in range(5, 9):
        tell(f"{n}", WEST)
    assert late.until(6) == ["3", "4", "5", "6", "7", "8"]
    assert ahead.until(3) == ["6", "7", "8"]
    assert early.until(9) == [str(n) for n in range(9)]


def test_a_piece_is_one_for_all_and_is_cut_for_those_who_have_some_of_it():
    piece = Piece([Told(n, frozenset(), f"{n};".encode()) for n in (4, 6, 7)])
    assert piece.after(3) is piece.after(0)
    assert (piece.after(4), piece.after(5), piece.after(6), piece.after(7)) == (b"6;7;", b"6;7;", b"7;", b"")


def test_a_stream_that_has_fallen_behind_reads_the_log_and_misses_nothing(hear, tell, monkeypatch):
    monkeypatch.setattr(follow, "LONGEST", 0)
    stream = hear(None)
    for n in range(20):
        tell(f"{n}", WEST)
    assert stream.until(20) == [str(n) for n in range(20)]


def test_a_stream_ends_with_its_key_and_others_go_on(url, add_key, store, tell, monkeypatch):
    monkeypatch.setattr(follow, "ASK_S", 0.1)
    tokens = [add_key(role=Role.VIEWER) for _ in range(2)]
    revoked, stays = (Heard(url, token) for token in tokens)
    tell("first", WEST)
    assert revoked.until(1) == stays.until(1)
    store.keys.revoke(tokens[0][4:12], datetime.now(UTC))
    revoked.ends()
    tell("second", WEST)
    assert stays.until(2) == ["first", "second"]
    assert revoked.until(1) == ["first"]


def test_many_are_asked_for_at_once_whether_they_are_still_who_they_were(store, add_account, add_key):
    now = datetime.now(UTC)
    gate = Gate(store.accounts, store.keys, store.attempts, QUICK, now=lambda: now)
    nobody = Shown(LOCAL)
    assert gate.still_known([]) == set()
    assert gate.still_known([nobody]) == {nobody}
    li, wang, chen = (add_account(login) for login in ("li.ming", "wang.fang", "chen.wei"))
    sessions = [Shown(account.principal(), session=gate.begin(account)) for account in (li, wang, chen)]
    tokens = [add_key(areas=frozenset({WEST})) for _ in range(3)]
    keys = []
    for token in tokens:
        principal = gate.of_key(token)
        assert principal is not None
        keys.append(Shown(principal, key=token))
    false = Shown(li.principal(), session="another"), Shown(keys[0].principal, key=tokens[0][:-1] + "_")
    assert gate.still_known([nobody, *sessions, *keys, *false]) == {*sessions, *keys}  # there are accounts now
    gate.sign_out(sessions[0].session or "")
    store.accounts.change(replace(wang, disabled=True))
    store.keys.revoke(tokens[1][4:12], now)
    assert gate.still_known([*sessions, *keys]) == {sessions[2], keys[0], keys[2]}
    other = replace(sessions[2], principal=replace(chen.principal(), role=Role.ADMIN))  # as whom they came in then
    assert gate.still_known([other]) == set()
    now += SESSION_IDLE - TOUCH  # an open stream is a use of its session
    assert gate.still_known([sessions[2]]) == {sessions[2]}
    now += SESSION_IDLE - TOUCH
    assert gate.still_known([sessions[2]]) == {sessions[2]}
    now += timedelta(days=1)
    assert gate.still_known([sessions[2]]) == set()
