"""What a Bus promises, on the bus in memory and on a real Kafka."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from traffic import EVERY, PATIENCE_S, Buses, deal, drain, ends, fill, record, values

from ingest.bus import KafkaBus
from ingest.cluster import Cluster
from ingest.record import NoTopic, Partition, Record, TooLarge


@pytest.mark.parametrize(
    "sent",
    [
        Record(topic="frames", key="粤B-0417".encode(), value=bytes(range(256)) * 2000),
        Record(topic="sightings", key=None, value=b"{}", headers=(("content-type", b"application/json"),)),
        Record(topic="passes", key=b"\xff\xfe", value=b""),
        Record(topic="cases", key=b"", value=b"x", headers=(("a", b"1"), ("b", b""), ("a", b"2"))),
    ],
    ids=lambda sent: sent.topic,
)
def test_what_is_sent_is_read_as_it_was(bus: Buses, sent: Record) -> None:
    writer, reader = bus(), bus(read=[sent.topic], group="g")
    writer.send(sent)
    writer.flush()
    (got,) = drain(reader, 1)
    assert (got.topic, got.key, got.value, got.headers) == (sent.topic, sent.key, sent.value, sent.headers)
    assert got.offset == 0
    assert 0 <= got.partition < 4
    assert got.timestamp is not None
    assert abs(got.timestamp.timestamp() - time.time()) < 600


def test_records_of_a_key_stay_in_order_in_one_partition(bus: Buses) -> None:
    writer, reader = bus(), bus(read=["frames"], group="g")
    fill(writer, 400)
    found = drain(reader, 400)
    assert len({got.partition for got in found}) > 1
    for key in {got.key for got in found}:
        own = [got for got in found if got.key == key]
        assert len({got.partition for got in own}) == 1
        assert [int(got.value) for got in own] == values(own)
    assert values(found) == list(range(400))


def test_a_poll_gives_no_more_than_was_asked_for(bus: Buses) -> None:
    writer, reader = bus(), bus(read=["frames"], group="g")
    fill(writer, 50)
    sizes: list[int] = []
    while sum(sizes) < 50:
        sizes.append(len(reader.poll(7, 1.0)))
    assert max(sizes) <= 7


def test_nothing_there_gives_nothing(bus: Buses) -> None:
    reader = bus(read=["frames"], group="g")
    assert drain(reader, 0) == []
    bus().flush()


def test_a_new_member_goes_on_where_the_group_had_committed(bus: Buses) -> None:
    fill(bus(), 40)
    first = bus(read=["frames"], group="g")
    found = drain(first, 40)
    committed = {place: end - 2 for place, end in ends(found).items()}  # behind what was read
    first.commit(committed)
    first.close()
    repeated = drain(bus(read=["frames"], group="g"), 2 * len(committed))
    assert {(r.place, r.offset) for r in repeated} == {(p, o + more) for p, o in committed.items() for more in (0, 1)}
    assert len(drain(bus(read=["frames"], group="another"), 40)) == 40


def test_a_commit_may_go_back(bus: Buses) -> None:
    fill(bus(), 8, vehicles=1)
    first = bus(read=["frames"], group="g")
    found = drain(first, 8)
    first.commit({found[0].place: 8})
    first.commit({found[0].place: 3})
    first.commit({})
    first.close()
    assert values(drain(bus(read=["frames"], group="g"), 5)) == [3, 4, 5, 6, 7]


def test_two_members_share_what_there_is(bus: Buses) -> None:
    members = [bus(read=["frames"], group="g") for _ in range(2)]
    deal(members)
    fill(bus(), 200)
    parts = [drain(member, 1) for member in members]
    assert values(parts[0] + parts[1]) == list(range(200))
    for member, part in zip(members, parts, strict=True):
        assert {got.place for got in part} <= member.assignment()


def test_what_is_gained_and_lost_is_told_and_what_is_kept_goes_on(bus: Buses) -> None:
    one = bus(read=["frames"], group="g")
    deal([one])
    assert [(change.gained, change.lost) for change in one.changes()] == [(EVERY, frozenset())]
    fill(bus(), 100)
    found = drain(one, 100)
    two = bus(read=["frames"], group="g")  # nothing is committed: what it gains it reads from the beginning
    give_up = time.monotonic() + PATIENCE_S
    again: list[Record] = []
    while len(one.assignment()) == 4 and time.monotonic() < give_up:
        again += two.poll(1000, 0.1)
        assert one.poll(1000, 0.1) == []
    gained = one.assignment() ^ EVERY
    assert len(gained) == 2
    again += drain(two, sum(got.place in gained for got in found) - len(again))
    assert values(again) == values([got for got in found if got.place in gained])
    assert drain(one, 0) == []
    (change,) = one.changes()
    assert (change.gained, change.lost) == (frozenset(), gained)
    assert [(change.gained, change.lost) for change in two.changes()] == [(gained, frozenset())]
    two.close()
    back = drain(one, len(again))
    assert values(back) == values(again)
    (change,) = one.changes()
    assert (change.gained, change.lost) == (gained, frozenset())


def test_offsets_of_lost_partitions_are_not_committed(bus: Buses) -> None:
    members = [bus(read=["frames"], group="g") for _ in range(2)]
    deal(members)
    fill(bus(), 100)
    found = drain(members[0], 1)
    members[0].commit(dict.fromkeys(EVERY, 1))
    for member in members:
        member.close()
    rest = drain(bus(read=["frames"], group="g"), 100 - len({got.place for got in found}))
    begins = {place: min(got.offset for got in rest if got.place == place) for place in EVERY}
    assert begins == {place: 1 if place in {r.place for r in found} else 0 for place in EVERY}


def test_a_paused_partition_gives_nothing_until_it_is_resumed(bus: Buses) -> None:
    reader = bus(read=["frames"], group="g")
    deal([reader])
    held = frozenset(list(EVERY)[:2])
    reader.pause([*held, Partition("frames", 99)])
    fill(bus(), 100)
    found = drain(reader, 1)
    assert found
    assert not held & {got.place for got in found}
    reader.resume([*held, Partition("frames", 99)])
    rest = drain(reader, 100 - len(found))
    assert {got.place for got in rest} <= held
    assert values(found + rest) == list(range(100))


def test_the_lag_is_what_is_still_to_be_read(bus: Buses) -> None:
    reader = bus(read=["frames"], group="g")
    deal([reader])
    assert reader.lag() == dict.fromkeys(EVERY, 0)
    writer = bus()
    fill(writer, 30)
    assert sum(reader.lag().values()) == 30
    got = reader.poll(5, 2.0)
    assert sum(reader.lag().values()) == 30 - len(got)
    drain(reader, 30 - len(got))
    assert reader.lag() == dict.fromkeys(EVERY, 0)


def test_a_record_too_large_is_refused_and_harms_no_other(bus: Buses) -> None:
    writer = bus()
    writer.send(record(0))
    with pytest.raises(TooLarge, match="topic sightings takes up to 1048576"):
        writer.send(Record(topic="sightings", key=b"k", value=bytes(1 << 20)))
    writer.send(Record(topic="sightings", key=b"k", value=bytes((1 << 20) - 200)))
    writer.send(record(1))
    writer.flush()
    assert values(list(writer.scan("frames"))) == [0, 1]
    assert len(list(writer.scan("sightings"))) == 1


def test_the_largest_frame_passes(bus: Buses) -> None:
    writer = bus()
    largest = 8 * (1 << 20) - 5 - 128  # key and overhead
    writer.send(Record(topic="frames", key=b"bus-1", value=bytes(largest)))
    writer.flush()
    assert [len(got.value) for got in drain(bus(read=["frames"], group="g"), 1)] == [largest]


def test_more_than_may_be_in_flight_is_sent_all_the_same(bus: Buses) -> None:
    writer = bus(max_in_flight=1 << 20)
    for n in range(40):
        writer.send(Record(topic="frames", key=b"%d" % n, value=bytes(100_000)))
    writer.send(Record(topic="frames", key=b"alone", value=bytes(3 << 20)))  # larger than all that may be
    writer.flush()
    assert len(list(writer.scan("frames"))) == 41


@pytest.mark.parametrize("topic", ["frame", "frames.rejectedd"])
def test_a_topic_that_is_not_there_is_said_to_be(bus: Buses, topic: str) -> None:
    with pytest.raises(NoTopic, match=topic):
        bus().send(record(0, topic=topic))
    with pytest.raises(NoTopic, match=topic):
        bus(read=["frames", topic], group="g")
    with pytest.raises(NoTopic, match=topic):
        list(bus().scan(topic))


def test_a_scan_reads_what_is_there_and_leaves_the_group_alone(bus: Buses) -> None:
    writer = bus()
    assert list(writer.scan("frames")) == []
    fill(writer, 60)
    found = list(writer.scan("frames"))
    assert values(found) == list(range(60))
    assert [r.partition for r in found] == sorted(r.partition for r in found)
    place = found[-1].place
    own = [r for r in found if r.place == place]
    assert list(writer.scan("frames", place.number, 2)) == own[2:]
    assert list(writer.scan("frames", place.number, len(own))) == []
    assert list(writer.scan("frames", 99)) == []
    assert values(drain(bus(read=["frames"], group="g"), 60)) == list(range(60))


def test_a_member_that_lost_its_heartbeat_joins_the_group_anew_and_says_what_it_lost(cluster: Cluster) -> None:
    impatient = replace(cluster, session_s=6.0, max_poll_s=4.0)
    with closing(KafkaBus(impatient, read=["frames"], group="g")) as reader, closing(KafkaBus(cluster)) as writer:
        fill(writer, 20)
        held = ends(drain(reader, 20))
        reader.commit(held)
        assert reader.changes()
        library: Any = reader
        library._consumer._coordinator._disable_heartbeat()  # what a machine with far too much to do does to it
        changes, give_up = [], time.monotonic() + PATIENCE_S
        while not any(change.gained for change in changes):
            assert time.monotonic() < give_up
            assert reader.poll(10, 0.2) == []  # what was committed does not come again
            changes += reader.changes()
        assert changes[0].lost >= held.keys()
        fill(writer, 10)
        assert len(drain(reader, 10)) == 10
