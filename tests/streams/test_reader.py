"""The clocks of a reader run only while there is somebody to hear, and it waits as a living member."""

from __future__ import annotations

from dataclasses import replace

import pytest
from world import Clock, Heard, drive, records

from ingest.memory import MemoryBroker, MemoryBus
from ingest.reader import GRACE_S, SETTLE_S, Reader, Stopped
from ingest.record import BrokerAway, Partition, Rebalancing
from ingest.topics import TOPICS

HERE = Partition("frames", 0)


class Room:
    def __init__(self) -> None:
        self.broker = MemoryBroker([replace(topic, partitions=1) for topic in TOPICS])
        self.clock = Clock()
        self.watch = Heard()
        self.bus = MemoryBus(self.broker, read=["frames"], group="g")
        self.reader = Reader(self.bus, self.watch, clock=self.clock, sleep=self.clock.sleep)

    def publish(self, count: int) -> None:
        bus = MemoryBus(self.broker)
        for record in records(drive("bus-1"))[:count]:
            bus.send(record)
        bus.flush()

    def listen(self, seconds: float) -> int:
        """Read what comes; how many records did."""
        until = self.clock.now_s + seconds
        count = 0
        while self.clock.now_s < until:
            count += len(self.reader.read(2, 0.1))
            self.reader.changes()
        return count


@pytest.fixture
def room() -> Room:
    return Room()


def test_idle_time_counts_from_the_last_record(room: Room) -> None:
    room.publish(5)
    assert room.listen(4.0) == 5
    assert room.reader.idle_s == pytest.approx(4.0, abs=0.7)
    room.publish(0)
    bus = MemoryBus(room.broker)
    bus.send(records(drive("bus-2"))[0])
    bus.flush()
    room.listen(1.0)
    assert room.reader.idle_s < 1.1


def test_no_time_counts_while_the_broker_is_away_and_idle_time_begins_anew(room: Room) -> None:
    room.listen(5.0)
    attended = room.reader.attended_s(HERE)
    room.broker.answers = False
    room.listen(60.0)
    assert room.reader.idle_s == 0.0
    assert room.reader.attended_s(HERE) == pytest.approx(attended, abs=0.7)
    room.broker.answers = True
    room.listen(SETTLE_S - 1.0)
    assert room.reader.idle_s == 0.0  # its senders are still looking for it
    room.listen(4.0)
    assert 1.5 < room.reader.idle_s < 3.6
    assert room.watch.blocks
    assert room.watch.blocks[-1] is None


def test_time_in_which_the_process_was_frozen_does_not_count(room: Room) -> None:
    room.listen(5.0)
    before = room.reader.attended_s(HERE)
    room.clock.now_s += 300.0
    room.listen(0.2)
    assert room.reader.attended_s(HERE) - before < 1.5


def test_a_partition_that_holds_more_than_was_read_is_not_attended(room: Room) -> None:
    room.listen(1.0)
    before = room.reader.attended_s(HERE)
    room.publish(48)
    for _ in range(10):  # more lies there than is read in half a second
        room.reader.read(1, 0.0)
        room.clock.sleep(0.5)
    assert room.reader.attended_s(HERE) - before < 1.2
    assert room.reader.behind(HERE)
    assert room.reader.idle_s == 0.0


def test_a_member_without_partitions_becomes_idle_too(room: Room) -> None:
    room.listen(1.0)
    other = Reader(
        MemoryBus(room.broker, read=["frames"], group="g"), room.watch, clock=room.clock, sleep=room.clock.sleep
    )
    for _ in range(400):
        other.read(1, 0.1)
        other.changes()
    assert other.idle_s > 5.0


def test_what_fails_for_a_while_is_made_again_until_it_is_done(room: Room) -> None:
    left = [3]

    def call() -> str:
        left[0] -= 1
        if left[0]:
            raise BrokerAway("nobody answers", 7.0)
        return "done"

    began = room.clock.now_s
    assert room.reader.insist(call) == "done"
    assert room.clock.now_s - began == pytest.approx(14.0)
    assert set(room.watch.blocks[:-1]) == {"nobody answers"}
    assert room.watch.blocks[-1] is None


def test_while_it_waits_it_reads_nothing_and_stays_in_the_group(room: Room) -> None:
    room.listen(1.0)
    polls = [0]
    poll = room.bus.poll

    def counted(most: int, wait_s: float) -> list[object]:
        polls[0] += 1
        return poll(most, wait_s)

    room.bus.poll = counted  # type: ignore[assignment,method-assign]  # to see that it goes on
    room.publish(10)
    room.reader.stand_by(30.0, "a full disk")
    assert polls[0] >= 30
    room.reader.hold(False)
    assert room.listen(2.0) == 10  # nothing was lost meanwhile


def test_a_stop_is_not_kept_waiting_for_ever(room: Room) -> None:
    def call() -> None:
        raise BrokerAway("nobody answers", 1.0)

    room.reader.stop()
    began = room.clock.now_s
    with pytest.raises(Stopped, match="nobody answers"):
        room.reader.insist(call)
    assert room.clock.now_s - began == pytest.approx(GRACE_S, abs=1.5)


def test_offsets_that_cannot_be_committed_now_are_told_and_not_insisted_on(room: Room) -> None:
    room.listen(1.0)

    def dealt(offsets: object) -> None:
        raise Rebalancing("the group is being dealt again", 0.0)

    room.bus.commit = dealt  # type: ignore[method-assign]  # as after a long pause
    assert room.reader.commit({HERE: 3}) is False
