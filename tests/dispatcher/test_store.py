"""The store keeps what it acknowledged, once."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from futian import EAST, NOON, WEST

from dispatcher.case import Anchor, Share, State
from dispatcher.store.database import StoreUnavailable
from dispatcher.store.rows import CaseFilter
from dispatcher.store.store import Store
from ingest.envelope import parse_envelope
from ingest.rejected import Rejected


def dump(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row of the projections, read without the store's own code."""
    with sqlite3.connect(path) as connection:
        rows = {table: sorted(connection.execute(f"select * from {table}"), key=repr) for table in ("cases", "alerts")}
    connection.close()
    return rows


def ids(store: Store, **where: object) -> list[str]:
    return [case.id for case in store.cases(CaseFilter(**where)).cases]  # type: ignore[arg-type]  # a table of filters


def test_an_empty_store_answers_with_nothing(store):
    listing = store.cases()
    assert (listing.seq, listing.total, listing.cases) == (0, 0, [])
    assert store.case("case-1") is None
    assert store.events_after(0) == []
    assert list(store.inputs()) == []
    assert store.objects() == []
    assert store.summary(NOON).counts == ()
    assert store.append() == 0


def test_a_case_comes_back_exactly_as_it_was_appended(store, make_case, make_event):
    case = make_case(lat=22.540000000000003, lon=0.1 + 0.2 + 114, probability=1 / 3)
    store.append((), [make_event(case=case)])
    stored, timeline = store.case("case-1")
    assert stored.document == case.document()
    assert [event.document for event in timeline] == [case.document() | {"event": "opened"}]


def test_states_and_events_of_a_later_version_are_kept_as_they_are(store, make_case, make_event):
    case = make_case(state="派遣中", matter="99999")
    store.append((), [make_event("handed-over", case=case)])
    assert store.case("case-1")[0].document == case.document()
    assert ids(store, state="派遣中") == ["case-1"]
    assert [event.event for event in store.events_after(0)] == ["handed-over"]


def test_repeating_a_batch_changes_nothing(store, tmp_path, make_event, make_input):
    batch = [make_event(recipients=(WEST, EAST, WEST))]
    assert store.append([make_input(1)], batch) == 1
    before = dump(tmp_path / "store.db")
    assert len(before["alerts"]) == 2  # one a recipient, also when an event names one twice
    assert store.append([make_input(1), make_input(1)], batch + batch) == 0
    assert dump(tmp_path / "store.db") == before
    assert len(list(store.inputs())) == 1


def test_an_old_event_that_is_repeated_does_not_turn_a_case_back(store, make_case, make_event):
    opened = make_event()
    closed = make_event("closed", case=make_case(state=State.CLOSED, closed_at=NOON))
    store.append((), [opened, closed])
    store.append((), [opened])
    assert store.case("case-1")[0].document["state"] == "closed"


def test_a_repeat_inside_one_batch_counts_once_and_keeps_the_order(store, make_event):
    first, second = make_event(), make_event("confirmed", recipients=())
    assert store.append((), [first, second, first]) == 2
    assert [event.id for event in store.events_after(0)] == [first.id, second.id]


def test_a_batch_with_one_bad_event_leaves_nothing_behind(store, make_case, make_event, make_input):
    bad = make_event(case=make_case("case-2", probability=float("nan")))
    with pytest.raises(ValueError, match="JSON"):
        store.append([make_input(1)], [make_event(), bad])
    assert list(store.inputs()) == []
    assert store.events_after(0) == []
    assert store.cases().total == 0


def test_inputs_come_back_in_the_order_of_arrival_also_across_pages(store, make_input):
    arrived = [make_input(n) for n in range(1201, 0, -1)]
    store.append(arrived)
    assert [parse_envelope(line) for line in store.inputs()] == arrived


def test_inputs_may_be_appended_while_they_are_read(store, make_input):
    store.append([make_input(1), make_input(2)])
    for line in store.inputs():
        store.append([make_input(int(parse_envelope(line).id[3:]) + 100)])
    assert len(list(store.inputs())) == 4


def test_everything_is_there_after_a_restart(tmp_path, make_event, make_input):
    url = f"sqlite:///{tmp_path / 'again.db'}"
    with Store.open(url) as store:
        store.append([make_input(1)], [make_event()])
        before = store.cases()
    with Store.open(url) as store:
        assert store.cases() == before
        assert store.append((), [make_event("confirmed", recipients=())]) == 1
        assert [event.seq for event in store.events_after(0)] == [1, 2]


KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from dispatcher.store.store import Store
from ingest.envelope import Envelope
store = Store.open(sys.argv[1])
for n in range(100000):
    store.append([Envelope(id=f"in-{n}", type="t", source="/s", time=datetime(2026, 11, 20, tzinfo=UTC), data={})])
    print(n, flush=True)
"""


def test_what_was_acknowledged_survives_a_killed_process(tmp_path):
    url = f"sqlite:///{tmp_path / 'killed.db'}"
    with subprocess.Popen([sys.executable, "-c", KILLED, url], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            if line.strip() == "25":
                os.kill(writer.pid, signal.SIGKILL)
                break
        acknowledged = 25 + len(writer.stdout.read().split())
    with Store.open(url) as store:
        kept = [parse_envelope(line).id for line in store.inputs()]
    assert kept[: acknowledged + 1] == [f"in-{n}" for n in range(acknowledged + 1)]
    assert len(kept) <= acknowledged + 2  # at most one that was stored and not yet acknowledged


def test_rebuilding_gives_the_same_projections(store, tmp_path, make_case, make_event):
    for n in range(5):
        case = make_case(f"case-{n}", owners=() if n == 3 else (Share(WEST, 0.9),))
        store.append((), [make_event(case=case, recipients=() if n == 3 else (WEST,))])
        closed = replace(case, state=State.CLOSED, closed_at=NOON)
        store.append((), [make_event("confirmed", case=case, recipients=()), make_event("closed", case=closed)])
    before = dump(tmp_path / "store.db")
    with sqlite3.connect(tmp_path / "store.db") as connection:
        connection.execute("delete from alerts")
        connection.execute("update cases set state = 'nonsense', raised = 0 where id <> 'case-1'")
        connection.execute("delete from cases where id = 'case-1'")
    connection.close()
    assert dump(tmp_path / "store.db") != before
    assert store.rebuild().events == 15
    assert dump(tmp_path / "store.db") == before


def test_a_reader_sees_whole_batches_while_another_connection_writes(tmp_path, make_case, make_event):
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    torn: list[int] = []
    done = threading.Event()

    def read() -> None:
        with Store.open(url) as reader:
            while not done.is_set():
                listing = reader.cases()
                if listing.total % 3 or listing.seq != listing.total:
                    torn.append(listing.total)

    with Store.open(url) as writer:
        thread = threading.Thread(target=read)
        thread.start()
        for batch in range(30):
            writer.append((), [make_event(case=make_case(f"case-{batch}-{n}")) for n in range(3)])
        done.set()
        thread.join()
        assert writer.cases().total == 90
    assert torn == []


def test_two_writers_do_not_lose_each_others_events(tmp_path, make_case, make_event):
    url = f"sqlite:///{tmp_path / 'shared.db'}"

    def write(name: str) -> None:
        with Store.open(url) as store:
            for n in range(20):
                store.append((), [make_event(case=make_case(f"{name}-{n}"))])

    threads = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with Store.open(url) as store:
        assert [event.seq for event in store.events_after(0)] == list(range(1, 41))


def test_a_store_in_memory_serves_several_threads(make_case, make_event):
    with Store.open("sqlite://") as store:
        cases = [make_event(case=make_case(f"case-{n}")) for n in range(8)]
        threads = [threading.Thread(target=store.append, args=((), [event])) for event in cases]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.cases().total == 8


def fill_four(store, make_case, make_event):
    both = make_case("both", owners=(Share(WEST, 0.6), Share(EAST, 0.4)))
    elsewhere = make_case("elsewhere", owners=(), matter="06042", kind="overflow_bin")
    nearly = make_case("nearly", owners=(Share(WEST, 0.09),), state=State.CANDIDATE, opened_at=None)
    store.append(
        (),
        [
            make_event(case=make_case("west")),
            make_event(case=both, recipients=(WEST, EAST)),
            make_event(case=elsewhere, recipients=()),
            make_event("suspected", case=nearly, recipients=()),
        ],
    )


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ({}, ["nearly", "elsewhere", "both", "west"]),
        ({"state": "open"}, ["elsewhere", "both", "west"]),
        ({"state": "nonsense"}, []),
        ({"matter": "06042"}, ["elsewhere"]),
        ({"area": WEST}, ["both", "west"]),
        ({"area": EAST}, ["both"]),  # told to it, though another one owns it
        ({"area": "440304"}, ["both", "west"]),
        ({"area": "440304000000"}, ["both", "west"]),
        ({"area": "440304008000"}, ["both", "west"]),
        ({"area": "44030%"}, []),
        ({"area": "440305"}, []),
        ({"unowned": True}, ["nearly", "elsewhere"]),  # 0.09 is less than anybody is told at
        ({"unowned": False, "state": "open"}, ["both", "west"]),
        ({"limit": 2}, ["nearly", "elsewhere"]),
        ({"limit": 0}, []),
    ],
)
def test_cases_are_found_by(store, make_case, make_event, where, found):
    fill_four(store, make_case, make_event)
    assert ids(store, **where) == found


def test_the_total_counts_beyond_the_limit(store, make_case, make_event):
    fill_four(store, make_case, make_event)
    listing = store.cases(CaseFilter(limit=1, state="open"))
    assert (listing.total, len(listing.cases), listing.seq) == (3, 1, 4)


def test_a_told_event_raises_a_case_and_a_silent_one_does_not(store, make_case, make_event):
    first, second = make_case("first"), make_case("second")
    store.append((), [make_event(case=first), make_event(case=second)])
    store.append((), [make_event("confirmed", case=first, recipients=())])
    assert ids(store) == ["second", "first"]
    store.append((), [make_event("moved", case=first, recipients=(EAST,))])
    assert ids(store) == ["first", "second"]


def test_events_after_a_place_in_the_log_come_in_order_and_no_more_than_asked_for(store, make_case, make_event):
    store.append((), [make_event(case=make_case(f"case-{n}")) for n in range(7)])
    assert [event.seq for event in store.events_after(3, limit=2)] == [4, 5]
    assert [event.seq for event in store.events_after(5)] == [6, 7]
    assert store.events_after(7) == []


def test_the_summary_counts_by_state_matter_and_owner(store, make_case, make_event):
    fill_four(store, make_case, make_event)
    store.reject(Rejected("not JSON", line=3))
    summary = store.summary(NOON)
    assert {(c.state, c.matter, c.area): c.n for c in summary.counts} == {
        ("open", "06010", WEST): 2,
        ("open", "06042", None): 1,
        ("candidate", "06010", None): 1,
    }
    assert (summary.opened_since, summary.alerts, summary.rejected) == (3, 3, 1)
    assert store.summary(NOON + timedelta(milliseconds=1)).opened_since == 0


def test_what_was_rejected_is_kept_with_its_reason(store, tmp_path):
    store.reject(Rejected("latitude 95 is out of range", file="a/0001.jpg", row=7))
    with sqlite3.connect(tmp_path / "store.db") as connection:
        ((document,),) = connection.execute("select document from rejected")
    connection.close()
    assert json.loads(document) == {"file": "a/0001.jpg", "row": 7, "reason": "latitude 95 is out of range"}


def test_an_anchor_replaces_the_one_with_the_same_first_sighting(store):
    anchor = Anchor(kind="garbage_bin", lat=22.5, lon=114.0, covariance_m2=(1.0, 0.0, 1.0), sightings=("a",))
    better = replace(anchor, lat=22.50001, sightings=("a", "b"))
    other = replace(anchor, sightings=("c",))
    store.append(anchors=[anchor, other])
    store.append(anchors=[better])
    assert store.objects() == [better.document(), other.document()]


def test_each_store_has_a_log_of_its_own_and_keeps_its_name(tmp_path):
    names = []
    for file in ("a.db", "b.db", "a.db"):
        with Store.open(f"sqlite:///{tmp_path / file}") as store:
            names.append(store.cases().log)
    assert names[0] == names[2] != names[1]


@pytest.mark.parametrize("what", ["no such folder", "no database", "another schema", "another backend", "no url"])
def test_a_store_that_cannot_be_opened_says_why(tmp_path, what):
    path, match = tmp_path / "store.db", "opened"
    url = f"sqlite:///{path}"
    if what == "no such folder":
        url = f"sqlite:///{tmp_path / 'missing' / 'store.db'}"
    elif what == "no database":
        path.write_bytes(b"a picture, not a database" * 100)
    elif what == "another schema":
        Store.open(url).close()
        with sqlite3.connect(path) as connection:
            connection.execute("update meta set value = '0' where name = 'schema'")
        connection.close()
        match = "schema 0"
    elif what == "another backend":
        url, match = "mysql://localhost/jiexun", "only sqlite"
    else:
        url = "store.db"
    with pytest.raises(StoreUnavailable, match=match):
        Store.open(url)
