"""The dispatcher's loop: each case event and each alert once on its topic, whenever it is killed."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from office import DOCUMENT, EVENTS, INPUTS, RECORDS, TEXT, TOLD, Deadly, Free, Killed, Office, areas, record
from whole import dumped, load, whole_in
from world import Heard

from dispatcher import stream
from dispatcher.dispatch import REMEMBERED, Dispatcher
from dispatcher.document import document
from dispatcher.engine import Engine
from dispatcher.snapshot import mark
from dispatcher.store.store import Store
from dispatcher.stream import GROUP, READS, DispatchLoop
from ingest.binding import parse_event
from ingest.memory import MemoryBus
from ingest.reader import Reader
from ingest.watch import Unwatched
from models.taxonomy import Taxonomy
from vision.sighting import Sighting


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(f"sqlite:///{tmp_path / 'office.db'}")
    yield made
    made.store.close()


def without_alert_times(doc: dict[str, Any]) -> list[dict[str, Any]]:
    """The cases, as far as they do not depend on when an envelope was made."""
    return [case | {"alerts": [(a["event"], a["recipient"]) for a in case["alerts"]]} for case in doc["cases"]]


def test_the_street_is_worth_testing_on() -> None:
    assert len({case for case, event, _ in TOLD if event == "opened"}) == 3
    assert {event for _, event, _ in TOLD} >= {"opened", "closed"}
    assert len({to for _, _, to in TOLD}) == 2  # one thing lies on the border


def test_a_stream_decides_what_one_process_decides(office: Office) -> None:
    office.publish(RECORDS)
    loop = office.dispatch()
    assert without_alert_times(document(loop.engine, ())) == without_alert_times(DOCUMENT)
    assert sorted(office.told()) == sorted(TOLD)
    assert sorted(one["id"] for one in office.on("cases")) == sorted(EVENTS)


def test_alerts_say_what_an_officer_needs(office: Office) -> None:
    office.publish(RECORDS)
    office.dispatch()
    for alert in office.on("alerts"):
        assert alert["type"] == "cn.jiexun.alert.v1"
        assert alert["data"].keys() >= {"case", "event", "recipient", "matter", "lat", "lon", "probability", "evidence"}


def count_steps() -> int:
    office = Office()
    office.publish(RECORDS)
    counter = Deadly(0)
    office.dispatch(counter)
    return counter.steps


@pytest.mark.parametrize("part", range(4))
def test_a_dispatcher_killed_at_any_step_tells_everything_once(part: int, tmp_path: Path) -> None:
    steps = count_steps()
    assert steps > 40
    for at in range(1 + part, steps + 1, 4):
        office = Office(f"sqlite:///{tmp_path / f'{at}.db'}")
        office.publish(RECORDS)
        with pytest.raises(Killed):
            office.dispatch(Deadly(at))
        loop = office.dispatch()
        assert sorted(office.told()) == sorted(TOLD), at
        assert sorted(one["id"] for one in office.on("cases")) == sorted(EVENTS), at
        assert without_alert_times(document(loop.engine, ())) == without_alert_times(DOCUMENT), at
        assert office.store.outbox() == []
        office.store.close()


@pytest.mark.parametrize("seed", range(4))
def test_one_that_is_killed_again_and_again_tells_everything_once(seed: int, office: Office) -> None:
    rng = random.Random(seed)
    office.publish_in_pieces(RECORDS, 9, rng, lambda: rng.randint(1, 30))
    loop = office.dispatch()
    assert sorted(office.told()) == sorted(TOLD)
    assert without_alert_times(document(loop.engine, ())) == without_alert_times(DOCUMENT)


def test_a_dispatcher_starts_from_what_the_last_one_knew(office: Office) -> None:
    """The first half of the history is in a snapshot: it is not read again, and the rest is decided as ever."""
    half = len(RECORDS) // 2
    office.publish(RECORDS[:half])
    office.dispatch()
    kept = whole_in(office.store, mark(None))
    assert kept is not None
    assert kept[0] == half
    office.publish(RECORDS[half:])
    loop = office.dispatch()
    assert without_alert_times(document(loop.engine, ())) == without_alert_times(DOCUMENT)
    assert sorted(office.told()) == sorted(TOLD)
    assert list(office.store.inputs(half)) == list(office.store.inputs())[half:]


def test_what_is_kept_on_the_way_is_what_reading_everything_comes_to(office: Office, monkeypatch) -> None:
    """Each turn keeps what it has changed; the next dispatcher begins from that and goes on keeping."""
    monkeypatch.setattr(stream, "AT_ONCE", 5)
    monkeypatch.setattr(stream, "SNAPSHOT_EVERY", 1)
    kept: list[int] = []
    amend = Store.amend_snapshot
    monkeypatch.setattr(Store, "amend_snapshot", lambda *asked: (kept.append(len(asked[3])), amend(*asked)))
    for part in (RECORDS[: len(RECORDS) // 3], RECORDS[len(RECORDS) // 3 :]):
        office.publish(part)
        office.dispatch()
        found = whole_in(office.store, mark(None))
        assert found is not None
        fresh = Dispatcher(Engine(areas(), Taxonomy.read(), remembered=REMEMBERED), office.store)
        fresh.recover(office.store.inputs())
        assert found == (fresh.seq, json.loads(json.dumps(dumped(fresh.engine))))
    assert len(kept) > 4
    assert min(kept) < len(found[1]["places"]) + len(found[1]["anchors"])  # not all of it each time


def test_a_snapshot_under_other_areas_is_not_used(office: Office) -> None:
    office.publish(RECORDS[:20])
    office.dispatch()
    assert whole_in(office.store, mark(TEXT)) is None


@pytest.mark.parametrize("cut", range(0, len(RECORDS), 7))
def test_an_engine_that_is_brought_back_decides_as_the_other_would_have(cut: int) -> None:
    one, other = (Engine(areas(), Taxonomy.read()) for _ in range(2))
    for at, item in INPUTS[:cut]:
        one.read(item, made_at=at)
    load(other, json.loads(json.dumps(dumped(one))))
    assert document(other, ()) == document(one, ())
    for at, item in INPUTS[cut:]:
        assert other.read(item, made_at=at) == one.read(item, made_at=at)
    assert document(other, ()) == document(one, ())


def test_inputs_sent_twice_change_nothing(office: Office) -> None:
    office.publish([one for each in RECORDS for one in (each, each)])
    office.dispatch()
    watch = Heard()
    office.publish(RECORDS)
    office.dispatch(watch=watch)
    assert sorted(office.told()) == sorted(TOLD)
    assert watch.repeats == len(RECORDS)


def test_sightings_sent_again_by_another_worker_at_another_time_change_nothing(office: Office) -> None:
    office.publish(RECORDS)
    office.publish(record(item, at + timedelta(hours=3)) for at, item in INPUTS)
    office.dispatch()
    assert sorted(office.told()) == sorted(TOLD)


BAD = {
    "no JSON": (b"{", "not JSON"),
    "another type": (b'{"specversion":"1.0","id":"x","type":"cn.jiexun.alert.v1","source":"/t",'
                     b'"time":"2026-11-20T08:00:00Z","data":{}}', "not read here"),
    "an unknown major version": (b'{"specversion":"1.0","id":"x","type":"cn.jiexun.sighting.v2","source":"/t",'
                                 b'"time":"2026-11-20T08:00:00Z","data":{}}', "sighting.v2"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_what_makes_no_sense_is_rejected_and_the_rest_goes_on(what: str, office: Office) -> None:
    value, reason = BAD[what]
    bad = replace(RECORDS[0], value=value)
    watch = Heard()
    office.publish([bad, *RECORDS[:5], bad, *RECORDS[5:]])
    office.dispatch(watch=watch)
    assert sorted(office.told()) == sorted(TOLD)
    letters = list(MemoryBus(office.broker).scan(f"{bad.topic}.rejected"))
    assert [letter.value for letter in letters] == [value] * 2
    assert all(reason in (letter.header("rejected-reason") or b"").decode() for letter in letters)


def test_a_sighting_that_the_engine_refuses_is_rejected(office: Office) -> None:
    at, item = next((at, item) for at, item in INPUTS if isinstance(item, Sighting) and item.matter)
    bad = record(replace(item, id="elsewhere", matter="99999"), at)
    watch = Heard()
    office.publish([bad, *RECORDS])
    office.dispatch(watch=watch)
    assert sorted(office.told()) == sorted(TOLD)
    assert len(watch.reasons) == 1
    assert "99999" in watch.reasons[0]


@pytest.mark.parametrize("word", ["NaN", "-Infinity", "1e999"])
def test_a_number_that_json_has_no_word_for_is_rejected_and_the_rest_goes_on(word: str, office: Office) -> None:
    """In a field that nobody here reads: it would be refused when the input is stored, again after each restart."""
    value = RECORDS[0].value.replace(b'"data":{', b'"data":{"later":[%s],' % word.encode())
    office.publish([replace(RECORDS[0], value=value), *RECORDS])
    watch = Heard()
    office.dispatch(watch=watch)
    assert sorted(office.told()) == sorted(TOLD)
    assert len(watch.reasons) == 1
    assert "not JSON compliant" in watch.reasons[0]


def test_a_backlog_of_several_partitions_is_read_in_order_of_capture_time(office: Office) -> None:
    """Everything lies there when the dispatcher starts: all passes on one topic, all sightings on another."""
    passes = [one for one in RECORDS if one.topic == "passes"]
    sightings = [one for one in RECORDS if one.topic == "sightings"]
    office.publish([*passes, *sightings])
    loop = office.dispatch()
    assert without_alert_times(document(loop.engine, ())) == without_alert_times(DOCUMENT)
    assert sorted(office.told()) == sorted(TOLD)


def test_a_broker_that_is_away_is_waited_for_and_nothing_is_told_twice(office: Office) -> None:
    office.publish(RECORDS)
    bus = MemoryBus(office.broker, read=READS, group=GROUP)
    flush, refused = bus.flush, [0]

    def failing(wait_s: float = 30.0) -> None:
        refused[0] += 1
        office.broker.answers = refused[0] % 3 == 0
        try:
            flush(wait_s)
        finally:
            office.broker.answers = True

    bus.flush = failing  # type: ignore[method-assign]  # the broker answers every third time
    watch = Heard()
    reader = Reader(bus, watch, clock=office.clock, sleep=office.clock.sleep)
    loop = DispatchLoop(reader, office.store, Free(), areas(), Taxonomy.read(), watch, scan=bus.scan, now=office.now)
    loop.recover()
    loop.run(until_idle_s=2.0)
    assert refused[0] >= 3
    assert watch.blocks
    assert watch.blocks[-1] is None
    assert sorted(office.told()) == sorted(TOLD)


def test_latency_is_told_of_each_alert_from_the_capture(office: Office) -> None:
    class Timed(Unwatched):
        def told(self, event: str, captured_at: datetime) -> None:
            heard.append((event, captured_at))

    heard: list[tuple[str, datetime]] = []
    office.publish(RECORDS)
    office.dispatch(watch=Timed())
    assert Counter(event for event, _ in heard) == Counter(event for _, event, _ in TOLD)
    times = {item.seen_at if isinstance(item, Sighting) else item.ended_at for _, item in INPUTS}
    assert {at for _, at in heard} <= times


def test_the_envelope_of_an_event_is_the_same_bytes_whoever_sends_it(office: Office) -> None:
    office.publish(RECORDS)
    steps = Deadly(12)
    with pytest.raises(Killed):
        office.dispatch(steps)
    waiting = {letter.id: letter.line for letter in office.store.outbox()}
    assert waiting
    office.dispatch()
    found = {
        parse_event(one).id: one.value.decode() for t in ("cases", "alerts") for one in MemoryBus(office.broker).scan(t)
    }
    assert all(found[id] == line for id, line in waiting.items())
