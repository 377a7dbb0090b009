"""What a dispatcher needs of its store, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import psycopg
import pytest
from futian import EAST, NOON, WEST
from postgres import create_database

from dispatcher.case import Anchor, CaseEvent, State
from dispatcher.store import database
from dispatcher.store.database import StoreUnavailable, explained_failures
from dispatcher.store.rows import CaseFilter, Letter
from dispatcher.store.store import Store
from ingest.envelope import parse_envelope


@pytest.fixture
def either(url: str) -> Iterator[Store]:
    with Store.open(url) as opened:
        yield opened


def letters(event: CaseEvent) -> list[Letter]:
    return [Letter(id=f"{event.id}/{to}", topic="alerts", key=to, line=f'{{"to":"{to}"}}') for to in event.recipients]


def test_what_was_appended_comes_back_after_a_restart(url: str, make_event, make_input) -> None:
    with Store.open(url) as store:
        assert store.append([make_input(n) for n in range(700)], [make_event()]) == 1
        assert store.append([make_input(3)], [make_event()]) == 0
        before = store.cases()
    with Store.open(url) as store:
        assert store.cases() == before
        assert [parse_envelope(line) for line in store.inputs()] == [make_input(n) for n in range(700)]
        assert store.append((), [make_event("confirmed", recipients=())]) == 1
        assert [event.event for event in store.events_after(0)] == ["opened", "confirmed"]


def test_the_page_s_questions_are_answered(either: Store, make_event, make_case) -> None:
    closed = make_event("closed", case=make_case("case-2", state=State.CLOSED, closed_at=NOON), recipients=(EAST,))
    either.append((), [make_event(), closed])
    assert {case.id for case in either.cases(CaseFilter(state="closed")).cases} == {"case-2"}
    assert {case.id for case in either.cases(CaseFilter(area="440304008")).cases} == {"case-1", "case-2"}
    assert either.summary(NOON).alerts == 2
    found = either.case("case-1")
    assert found is not None
    assert found[0].document == make_case().document()
    either.rebuild()
    assert either.summary(NOON).alerts == 2


def test_an_object_replaces_the_one_with_the_same_first_sighting(either: Store) -> None:
    for sightings in (("a",), ("a", "b")):
        anchor = Anchor(kind="garbage_bin", lat=1.0, lon=2.0, covariance_m2=(1.0, 0.0, 1.0), sightings=sightings)
        either.append((), (), [anchor])
    assert [found["sightings"] for found in either.objects()] == [["a", "b"]]


def test_inputs_that_are_stored_are_known(either: Store, make_input) -> None:
    either.append([make_input(n) for n in range(1200)])
    asked = [f"in-{n}" for n in range(1100, 1300)]
    assert either.known(asked) == {f"in-{n}" for n in range(1100, 1200)}
    assert either.known([]) == set()


def test_what_a_transaction_stored_is_known_in_it_though_it_was_not_before(either: Store, make_input) -> None:
    ids = ["in-0", "in-1"]
    with either.writing():
        assert either.known(ids) == set()
        for _ in range(2):
            either.append([make_input(0)])
        assert either.known(ids) == {"in-0"}
    assert len(list(either.inputs())) == 1


def test_a_new_event_puts_its_letters_into_the_outbox_and_an_old_one_does_not(either: Store, make_event) -> None:
    event = make_event(recipients=(WEST, EAST))
    for _ in range(2):
        either.append((), [event], letters=letters)
    waiting = either.outbox()
    assert [(letter.id, letter.key) for letter in waiting] == [
        (f"{event.id}/{WEST}", WEST),
        (f"{event.id}/{EAST}", EAST),
    ]
    kept = {waiting[1].id: replace(waiting[1], line="as whoever wrote it has it", seq=0)}
    assert either.outbox(written=kept) == [waiting[0], replace(waiting[1], line="as whoever wrote it has it")]
    either.sent(waiting[:1])
    assert [letter.key for letter in either.outbox()] == [EAST]
    either.append((), [event], letters=letters)  # also after it was sent
    assert [letter.key for letter in either.outbox()] == [EAST]


def test_an_event_that_cannot_be_stored_leaves_no_letter(either: Store, make_event, make_case) -> None:
    bad = make_event(case=make_case("case-2", probability=float("nan")))
    with pytest.raises(ValueError, match="JSON"):
        either.append((), [make_event(), bad], letters=letters)
    assert either.outbox() == []
    assert either.events_after(0) == []


def test_the_areas_of_the_last_dispatcher_are_kept(url: str) -> None:
    with Store.open(url) as store:
        assert store.areas() is None
        store.keep_areas('{"name": "福田"}')
        store.keep_areas('{"name": "南山"}')
    with Store.open(url) as store:
        assert store.areas() == '{"name": "南山"}'


HOLDS = """
import sys, time
from dispatcher.store.store import Store
lease = Store.open(sys.argv[1]).lease()
print(lease is not None, flush=True)
time.sleep(60)
"""


def test_one_process_decides_on_a_store_and_the_next_takes_over_when_it_is_killed(url: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLDS, url], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        with Store.open(url) as store:
            assert store.lease() is None
            process.kill()
            process.wait()
            lease = next(found for _ in range(200) if (found := store.lease()) or threading.Event().wait(0.05))
            lease.check()
            assert store.append() == 0  # holding it does not stop it from writing
            lease.release()
            again = store.lease()
            assert again is not None
            again.release()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_lease_whose_connection_the_server_ended_is_noticed(postgresql: str) -> None:
    with Store.open(f"{postgresql}/postgres") as store:
        lease = store.lease()
        assert lease is not None
        with psycopg.connect(f"{postgresql}/postgres", autocommit=True) as connection:
            connection.execute("select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted")
        with pytest.raises(StoreUnavailable, match="lease"):
            lease.check()
        lease.release()


def test_connections_that_a_server_has_forgotten_are_replaced(postgresql: str, monkeypatch) -> None:
    name = create_database(postgresql)
    with Store.open(f"{postgresql}/{name}") as store:
        assert store.cases().cases == []
        with psycopg.connect(f"{postgresql}/postgres", autocommit=True) as connection:
            connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [name])
        monkeypatch.setattr(database, "IDLE_S", 0.0)  # as after a second
        assert store.cases().cases == []
        assert store.append() == 0


def test_two_writers_take_turns_and_numbers_count_in_the_order_in_which_they_are_seen(url: str, make_event) -> None:
    Store.open(url).close()
    seen: list[int] = []
    done = threading.Event()

    def watch() -> None:
        with Store.open(url) as store:
            while True:
                ended = done.is_set()
                seen.extend(event.seq for event in store.events_after(seen[-1] if seen else 0))
                if ended:
                    return

    def write(name: str) -> None:
        with Store.open(url) as store:
            for n in range(30):
                store.append((), [make_event(id=f"{name}-{n}", recipients=())])

    writers = [threading.Thread(target=write, args=(name,)) for name in ("a", "b")]
    watcher = threading.Thread(target=watch)
    for thread in (watcher, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    watcher.join()
    assert len(seen) == 60  # a reader that goes on from the last number misses none
    assert seen == sorted(seen)


def test_a_server_that_is_not_there_is_a_sentence_without_the_password() -> None:
    with pytest.raises(StoreUnavailable, match="cannot be opened") as failure:
        Store.open("postgresql://jiexun:verysecret@127.0.0.1:1/jiexun?connect_timeout=2")
    assert "verysecret" not in str(failure.value)


def test_a_server_that_goes_away_is_a_sentence(postgresql: str, make_event) -> None:
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(f"{postgresql}/postgres", autocommit=True) as connection:
        connection.execute(f"create database {name}")  # type: ignore[call-overload]  # the name is ours
        with Store.open(f"{postgresql}/{name}") as store:
            store.append((), [make_event()])
            connection.execute(f"drop database {name} with (force)")  # type: ignore[call-overload]
            with pytest.raises(StoreUnavailable, match="does not answer"), explained_failures():
                store.append((), [make_event("closed")])


def test_the_console_shows_either_store_with_the_areas_it_keeps(url, areas_file, make_event, ports, tmp_path):
    with Store.open(url) as store:
        store.keep_areas(areas_file.read_text(encoding="utf8"))
        store.append((), [make_event()])
    port, probes = ports(), ports()
    environment = os.environ | {"JIEXUN_STORE": url, "JIEXUN_DATA": str(tmp_path)}
    command = [Path(sys.executable).with_name("jiexun"), "serve", "--port", str(port), "--metrics-port", str(probes)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        with httpx.Client(trust_env=False, transport=httpx.HTTPTransport(retries=9)) as client:  # 0.5 s, 1 s, 2 s, …
            (case,) = client.get(f"http://127.0.0.1:{port}/api/cases").json()["cases"]
            assert case["area_path"].endswith("彩田社区")
            assert client.get(f"http://127.0.0.1:{probes}/readyz").text == "ok\n"
            assert (
                'jiexun_cases{matter="06010",state="open"} 1.0' in client.get(f"http://127.0.0.1:{probes}/metrics").text
            )
    finally:
        process.terminate()
        said = process.communicate()[1]
    assert process.returncode == -signal.SIGTERM, said  # in order, and then as it was told
