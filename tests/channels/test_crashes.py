"""Senders that are killed, on SQLite and on a real PostgreSQL: nothing is lost, nothing is told twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alerts import EAST, LOOPBACK, SECRET, WEST, drive, make_channel, make_event, tell

from benchmarks.receivers import DingTalkRobot, Machine, Server
from dispatcher.channels.channel import Kind, Progress
from dispatcher.channels.courier import Courier
from dispatcher.channels.sender import ENDED, Sender
from dispatcher.store.database import StoreUnavailable
from dispatcher.store.deliveries import Begun, Settled
from dispatcher.store.lease import Right
from dispatcher.store.store import Store
from ingest.frame import rfc3339


@pytest.fixture
def either(url: str) -> Iterator[Store]:
    with Store.open(url) as opened:
        yield opened


class Command:
    """`jiexun deliver`, as it ships."""

    def __init__(self, url: str, folder: Path) -> None:
        self._environment = os.environ | {
            "JIEXUN_STORE": url,
            "JIEXUN_DATA": str(folder),
            "JIEXUN_CHANNELS_ALLOW": "127.0.0.0/8",
        }
        self.process: subprocess.Popen[str] | None = None

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = [Path(sys.executable).with_name("jiexun"), "deliver", *words]
        self.process = subprocess.Popen(command, env=self._environment, stderr=subprocess.PIPE, text=True)
        return self.process

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def command(url: str, tmp_path: Path) -> Iterator[Command]:
    made = Command(url, tmp_path)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.kill()


def wait(until: Callable[[], bool], patience_s: float = 60.0) -> None:
    give_up = time.monotonic() + patience_s
    while not until():
        assert time.monotonic() < give_up, "it did not come to that"
        time.sleep(0.02)


def test_a_killed_sender_s_webhook_is_sent_again_and_handled_once_and_its_robot_s_is_unknown(either, command) -> None:
    machine, robot, hold = Machine(SECRET), DingTalkRobot(), threading.Event()
    came = threading.Semaphore(0)

    def slow(handle: Callable) -> Callable:
        def answer(request):
            found = handle(request)  # it is handled, but the sender is killed before it hears of it
            came.release()
            hold.wait(60.0)
            return found

        return answer

    with Server(slow(machine)) as receiver, Server(slow(robot)) as group:
        either.channels.add(make_channel(receiver.url, name="machine"))
        robot_url = f"{group.url}/robot/send?access_token=x"
        either.channels.add(make_channel(robot_url, Kind.DINGTALK, name="group"))
        tell(either, make_event(1))
        command.start()
        for _ in range(2):
            assert came.acquire(timeout=60.0)
        command.kill()
        assert {one.state for one in either.deliveries.listing()} == {Progress.SENDING}
        hold.set()
        process = command.start("--until-idle", "1")
        said = process.communicate()[1]
        assert process.returncode == 0, said
        assert "2 were left" in said
    names = either.channels.names()
    ended = {names[one.channel]: (one.state, one.error, one.attempts) for one in either.deliveries.listing()}
    assert ended == {"machine": (Progress.DELIVERED, "", 2), "group": (Progress.UNKNOWN, ENDED, 1)}
    assert (machine.handled.total(), machine.redelivered, len(robot.messages)) == (1, 1, 1)


def test_sigterm_ends_a_sender_when_what_is_under_way_has_come_back(either, command) -> None:
    machine, came = Machine(SECRET), threading.Event()

    def slow(request):
        came.set()
        time.sleep(1.0)
        return machine(request)

    with Server(slow) as receiver:
        either.channels.add(make_channel(receiver.url))
        tell(either, make_event(1))
        process = command.start()
        assert came.wait(60.0)
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=30.0)[1]
    assert process.returncode == 0
    assert "deliver: stopped" in said
    assert [one.state for one in either.deliveries.listing()] == [Progress.DELIVERED]
    assert machine.handled.total() == 1


def test_one_process_sends_for_a_store_and_a_second_one_stands_by(either, command) -> None:
    lease = either.lease(Right.SEND)
    assert lease is not None
    assert either.lease(Right.SEND) is None
    decide = either.lease()
    assert decide is not None  # deciding is another right
    decide.release()
    machine = Machine(SECRET)
    with Server(machine) as receiver:
        either.channels.add(make_channel(receiver.url))
        tell(either, make_event(1))
        process = command.start("--until-idle", "0.5")
        time.sleep(0.1)
        assert machine.handled.total() == 0
        lease.release()
        said = process.communicate(timeout=60.0)[1]
    assert machine.handled.total() == 1, said


def test_a_sender_that_lost_its_lease_sends_nothing_more(either) -> None:
    class Lost:
        def check(self) -> None:
            raise StoreUnavailable("the lease on the store is lost")

        def release(self) -> None: ...

    machine = Machine(SECRET)
    with Server(machine) as receiver, Courier(LOOPBACK, lambda: datetime.now(UTC)) as courier:
        either.channels.add(make_channel(receiver.url))
        tell(either, make_event(1))
        sender = Sender(either, Lost(), courier.post, now=lambda: datetime.now(UTC))
        with pytest.raises(StoreUnavailable):
            sender.turn()
        sender.close()
    assert machine.handled.total() == 0
    assert either.deliveries.listing()[0].state is Progress.PENDING


def test_rows_are_claimed_settled_and_counted_alike_on_either_store(either) -> None:
    either.channels.add(make_channel("https://a.example", name="a"))
    either.channels.add(make_channel("https://b.example", name="b", recipients=("440304004",)))
    tell(either, *(make_event(n, recipients=(WEST, EAST)) for n in range(3)))
    by_name = {channel.name: channel for channel in either.channels.all()}
    now = rfc3339(datetime.now(UTC))
    due = either.deliveries.due(by_name["a"].id, now)
    assert [one.seq for one in due] == sorted(one.seq for one in due)
    assert [len(either.deliveries.due(by_name[name].id, now)) for name in ("a", "b")] == [6, 3]
    assert either.deliveries.begin(
        [Begun(by_name["a"], (due[0],), "", now), Begun(by_name["a"], (due[1], due[2]), "d")]
    )
    assert not either.deliveries.begin([Begun(by_name["a"], (due[3],)), Begun(by_name["a"], (due[2],))])
    assert [one.seq for one in either.deliveries.sending()] == [one.seq for one in due[:3]]  # all or none
    assert [one.attempts for one in either.deliveries.sending()] == [1, 1, 1]
    either.deliveries.settle(
        [
            Settled((due[0].seq,), Progress.DELIVERED, now),
            Settled((due[1].seq,), Progress.PENDING, now, "HTTP 500", "2099-01-01T00:00:00.000Z"),
            Settled((due[2].seq, due[3].seq), Progress.UNKNOWN, now, "no answer"),
        ]
    )
    counts = {(either.channels.names()[c.channel], str(c.state)): c.n for c in either.deliveries.counts()}
    assert counts == {("a", "delivered"): 1, ("a", "pending"): 4, ("a", "unknown"): 1, ("b", "pending"): 3}
    assert len(either.deliveries.due(by_name["a"].id, now)) == 3  # one has to wait
    assert either.deliveries.expire(by_name["b"].id, before="2099", now=now) == 3
    assert either.deliveries.send_again([due[0].seq, due[2].seq], now=now) == 1  # what was delivered stays so
    assert either.channels.remove("a", now=now) == 5
    assert either.deliveries.send_again([due[2].seq], now=now) == 0


def test_a_secret_is_rotated_a_stopped_channel_goes_on_and_names_are_unique(either) -> None:
    either.channels.add(make_channel("https://a.example", name="a"))
    with pytest.raises(ValueError, match="already"):
        either.channels.add(make_channel("https://b.example", name="a"))
    either.channels.rotate("a", "whsec_new", until="2099")
    channel = either.channels.named("a")
    assert (channel.secret, channel.secret_before, channel.before_until) == ("whsec_new", SECRET, "2099")
    with pytest.raises(ValueError, match="no channel 'z'"):
        either.channels.named("z")


def test_a_sender_delivers_on_either_store_while_events_are_written(either) -> None:
    machine = Machine(SECRET)
    with Server(machine) as receiver, Courier(LOOPBACK, lambda: datetime.now(UTC)) as courier:
        either.channels.add(make_channel(receiver.url))
        lease = either.lease(Right.SEND)
        assert lease is not None
        sender = Sender(either, lease, courier.post, now=lambda: datetime.now(UTC))
        writer = threading.Thread(target=lambda: [tell(either, make_event(n)) for n in range(60)])
        writer.start()
        drive(sender, lambda: machine.handled.total() == 60, 60.0)
        writer.join()
        sender.close()
        lease.release()
    assert {one.state for one in either.deliveries.listing()} == {Progress.DELIVERED}
    assert machine.redelivered == 0
