"""Webhooks: signed as the spec says, tried again, never told twice."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import standardwebhooks
from alerts import EAST, NOON, SECRET, WEST, alert, drive, make_channel, make_event, parcel_of, tell

from benchmarks.receivers import Machine, Server
from dispatcher.channels.channel import Kind, Parcel, Progress
from dispatcher.channels.courier import Courier
from dispatcher.channels.guard import Forbidden, Guard
from dispatcher.channels.message import Answer
from dispatcher.channels.outcome import Again
from dispatcher.channels.webhook import Webhook, asked_s, secrets_at
from dispatcher.store.store import Store
from ingest.envelope import parse_envelope
from ingest.frame import rfc3339

NEW = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


def states(store: Store) -> list[Progress]:
    return [parcel.state for parcel in reversed(store.deliveries.listing())]


def one() -> Parcel:
    return parcel_of(alert(make_event(1), WEST))


def test_an_alert_arrives_signed_and_says_what_the_topic_says(store, receiver, machine, sender_of) -> None:
    store.channels.add(make_channel(f"{receiver.url}/hook"))
    tell(store, make_event(1))
    drive(sender_of(store), lambda: states(store) == [Progress.DELIVERED])
    (path, headers, body), (document,) = receiver.requests[0], machine.data
    assert path == "/hook"
    assert headers["host"] == receiver.url.removeprefix("http://")
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    envelope = parse_envelope(body)
    assert (envelope.id, envelope.type) == (headers["webhook-id"], "cn.jiexun.alert.v1")
    assert document["timestamp"] == document["time"]
    assert document["data"]["recipient_name"] == "彩田社区"


def test_the_signature_is_that_of_the_spec_s_own_example() -> None:
    parcel = replace(one(), alert="msg_p5jXN8AQM9LWM0D4loKWxJek", line='{"time":"x"}')
    now = datetime.fromtimestamp(1614265330, UTC)
    message = Webhook().message(make_channel("http://127.0.0.1"), (parcel,), now)
    expected = standardwebhooks.Webhook(SECRET).sign(parcel.alert, now, message.body.decode())
    assert message.headers["webhook-signature"] == expected
    # From the documentation of the spec's libraries: this id, time, secret and body.
    known = standardwebhooks.Webhook(SECRET).sign("msg_p5jXN8AQM9LWM0D4loKWxJek", now, '{"test": 2432232314}')
    assert known == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_while_two_secrets_are_valid_a_receiver_that_knows_either_accepts() -> None:
    until = NOON + timedelta(hours=24)
    channel = make_channel("http://127.0.0.1", secret=NEW, secret_before=SECRET, before_until=rfc3339(until))
    assert secrets_at(channel, NOON) == [NEW, SECRET]
    assert secrets_at(channel, until) == [NEW]
    message = Webhook().message(channel, (one(),), datetime.now(UTC))
    assert secrets_at(channel, datetime.now(UTC)) == [NEW]
    later = replace(channel, before_until=rfc3339(datetime.now(UTC) + timedelta(hours=1)))
    message = Webhook().message(later, (one(),), datetime.now(UTC))
    for secret in (SECRET, NEW):
        standardwebhooks.Webhook(secret).verify(message.body, message.headers)


def test_a_channel_gets_the_areas_and_events_it_is_bound_to(store, receiver, machine, sender_of) -> None:
    store.channels.add(make_channel(receiver.url, recipients=("440304008000",), events=("opened",)))
    tell(store, make_event(1, recipients=(WEST, EAST)), make_event(2, "closed"), make_event(3, recipients=(EAST,)))
    drive(sender_of(store), lambda: states(store) == [Progress.DELIVERED])
    assert set(machine.handled) == {f"alert-case-1:opened-{WEST}"}


@pytest.mark.parametrize("code", ["440300", "440304", "440304000000", "440304008", "440304008000", WEST])
def test_a_channel_of_an_area_gets_what_lies_below_it_however_the_code_is_written(code) -> None:
    channel = make_channel("http://127.0.0.1", recipients=(code,))
    assert channel.wants(WEST, "opened")
    assert not channel.wants("440205001001", "opened")


def test_a_channel_starts_with_the_events_after_it_and_a_repeated_append_tells_nothing(store, receiver) -> None:
    tell(store, make_event(1))
    store.channels.add(make_channel(receiver.url))
    tell(store, make_event(1), make_event(2))
    tell(store, make_event(2))
    assert [parcel.alert for parcel in store.deliveries.listing()] == [f"alert-case-2:opened-{WEST}"]


def test_an_event_that_cannot_be_stored_leaves_no_delivery(store, receiver) -> None:
    store.channels.add(make_channel(receiver.url))
    bad = make_event(2)
    with pytest.raises(ValueError, match="JSON"):
        tell(store, make_event(1), replace(bad, case=replace(bad.case, probability=float("nan"))))
    assert store.deliveries.listing() == []


@pytest.mark.parametrize("status", [400, 401, 404, 408, 429, 500, 503, 302])
def test_what_is_not_accepted_is_tried_again_with_the_same_id_until_it_is(
    store, receiver, machine, sender_of, status
) -> None:
    store.channels.add(make_channel(receiver.url))
    tell(store, make_event(1))
    machine.verdict = (status, {"location": "http://127.0.0.1:1/"}, b"")
    sender = sender_of(store)
    drive(sender, lambda: len(receiver.requests) >= 2)
    assert sum(machine.handled.values()) == 0
    machine.verdict = (200, {}, b"{}")
    drive(sender, lambda: states(store) == [Progress.DELIVERED], 30.0)
    assert len({headers["webhook-id"] for _, headers, _ in receiver.requests}) == 1
    assert len({body for _, _, body in receiver.requests}) == 1
    (parcel,) = store.deliveries.listing()
    assert parcel.attempts == len(receiver.requests)
    assert parcel.error == ""


def test_retry_after_is_honoured_for_the_whole_channel(store, receiver, machine, sender_of) -> None:
    store.channels.add(make_channel(receiver.url))
    machine.verdict = (503, {"retry-after": "120"}, b"")
    tell(store, make_event(1))
    sender = sender_of(store)
    before = datetime.now(UTC)
    drive(sender, lambda: states(store) == [Progress.PENDING] and store.deliveries.listing()[0].attempts == 1)
    (parcel,), (channel,) = store.deliveries.listing(), store.channels.all()
    for told in (parcel.next_at, channel.held_until):
        assert timedelta(seconds=119) < datetime.fromisoformat(told) - before < timedelta(seconds=130)
    tell(store, make_event(2))
    for _ in range(50):
        sender.turn()
        time.sleep(0.01)
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [("7", 7.0), ("Fri, 20 Nov 2026 04:02:00 GMT", 120.0), ("Fri, 20 Nov 2026 03:00:00 GMT", 0.0)]
    + [(bad, None) for bad in ("", "soon", "-1", "1e3", "٣", "Fri, 99 Nov 2026 04:02:00 GMT")],
)
def test_retry_after_is_a_number_or_a_date(text: str, expected: float | None) -> None:
    assert asked_s(Answer(503, {"retry-after": text}, b""), NOON) == expected


def test_410_stops_the_channel_and_a_person_starts_it_again(store, receiver, machine, sender_of) -> None:
    store.channels.add(make_channel(receiver.url, name="city"))
    machine.verdict = (410, {}, b"")
    tell(store, make_event(1))
    sender = sender_of(store)
    drive(sender, lambda: states(store) == [Progress.FAILED])
    assert "410" in store.channels.named("city").stopped
    tell(store, make_event(2))
    assert len(store.deliveries.listing()) == 1
    store.channels.start_again("city")
    machine.verdict = (200, {}, b"")
    assert store.deliveries.send_again([store.deliveries.listing()[0].seq], now=rfc3339(datetime.now(UTC))) == 1
    drive(sender, lambda: states(store) == [Progress.DELIVERED])


def test_a_receiver_that_is_away_gets_everything_once_it_is_back(store, machine, sender_of) -> None:
    with Server(machine) as gone:
        url = gone.url
    store.channels.add(make_channel(url))
    tell(store, *(make_event(n) for n in range(30)))
    sender = sender_of(store)
    drive(sender, lambda: store.channels.all()[0].failures == 2)
    assert sum(parcel.attempts for parcel in store.deliveries.listing()) < 20  # 16, then one at a time while it is away
    back = Server(machine)
    store.channels.start_again(store.channels.all()[0].name)
    with back:
        moved = replace(store.channels.all()[0], url=back.url)
        sender._post = lambda channel, parcels, post=sender._post: post(moved, parcels)
        drive(sender, lambda: set(states(store)) == {Progress.DELIVERED}, 30.0)
    assert machine.handled.total() == 30


def test_what_is_too_old_is_given_up_and_says_why(store, receiver, machine, sender_of) -> None:
    store.channels.add(make_channel(receiver.url))
    machine.verdict = (500, {}, b"")
    tell(store, make_event(1))
    drive(sender_of(store, give_up=timedelta(seconds=1.5)), lambda: states(store) == [Progress.FAILED])
    (parcel,) = store.deliveries.listing()
    assert parcel.error == "given up: it could not be delivered in time; HTTP 500"
    assert parcel.ended_at


def test_a_slow_receiver_holds_up_nobody_else(store, receiver, machine, sender_of) -> None:
    slow = Machine(SECRET)
    with Server(lambda request: (time.sleep(1.0), slow(request))[1]) as tortoise:
        store.channels.add(make_channel(tortoise.url))
        store.channels.add(make_channel(receiver.url))
        tell(store, *(make_event(n) for n in range(20)))
        sender = sender_of(store)
        began = time.monotonic()
        drive(sender, lambda: machine.handled.total() == 20)
        assert time.monotonic() - began < 3.0
        drive(sender, lambda: set(states(store)) == {Progress.DELIVERED})


def test_a_removed_channel_forgets_its_secrets_and_its_deliveries_fail(store, receiver) -> None:
    store.channels.add(make_channel(receiver.url, name="city"))
    tell(store, make_event(1))
    assert store.channels.remove("city", now=rfc3339(NOON)) == 1
    assert [(parcel.state, parcel.error) for parcel in store.deliveries.listing()] == [
        (Progress.FAILED, "the channel was removed")
    ]
    assert store.channels.all() == []
    with store._engine.connect() as connection:
        (row,) = connection.exec_driver_sql("select url, secret, secret_before, mentions from channels").all()
    assert tuple(row) == ("", "", "", "[]")
    store.channels.add(make_channel(receiver.url, name="city"))


# Where a webhook may lead


ODD = """
https://127.0.0.1/ https://10.1.2.3/ https://169.254.169.254/latest https://[::1]/ https://0.0.0.0/ https://localhost/
https://[::ffff:10.0.0.1]/ https://[64:ff9b::a00:1]/ https://2130706433/ https://0x7f.1/ https://224.0.0.1/
http://8.8.8.8/ ftp://8.8.8.8/ https://a:b@8.8.8.8/ x
"""


@pytest.mark.parametrize("url", ODD.split())
def test_private_and_odd_addresses_are_refused(url: str) -> None:
    with pytest.raises(Forbidden):
        Guard().check(url)


def test_a_network_that_is_allowed_is_reached_also_without_tls() -> None:
    guard = Guard.parse("10.20.0.0/16, ::1/128")
    assert guard.check("http://10.20.1.2:8080/x") == "10.20.1.2"
    assert guard.check("https://8.8.8.8/") == "8.8.8.8"
    with pytest.raises(Forbidden, match="allow its network"):
        guard.check("http://10.21.1.2/")
    with pytest.raises(ValueError):
        Guard.parse("10.20.0.1/16")


def test_a_forbidden_address_is_never_connected_to_and_the_delivery_says_why(store, receiver, machine, courier) -> None:
    with Courier(Guard(), lambda: datetime.now(UTC)) as strict:
        outcome = strict.post(make_channel(receiver.url), (one(),))
    assert isinstance(outcome, Again)
    assert "JIEXUN_CHANNELS_ALLOW" in outcome.error
    assert receiver.requests == []


def test_neither_the_address_nor_a_secret_is_in_the_repr_of_a_channel() -> None:
    channel = make_channel("https://qyapi.weixin.qq.com/x?key=VERYSECRET", Kind.WECOM, mentions=("13800000000",))
    channel = replace(channel, secret="SEC-VERYSECRET", secret_before="VERYSECRET")
    assert "VERYSECRET" not in repr(channel)
    assert "13800000000" not in repr(channel)
