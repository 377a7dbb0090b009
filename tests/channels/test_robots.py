"""Group robots: the vendors' formats, limits and errors, against servers that enforce them; and what people read."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from alerts import EAST, NOON, WEST, alert, drive, make_channel, make_event, parcel_of, tell
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.receivers import HANG_UP, DingTalkRobot, FeishuRobot, Robot, Server, WeComRobot
from dispatcher.channels import dingtalk, feishu
from dispatcher.channels.channel import Channel, Kind, Progress
from dispatcher.channels.courier import DIALECTS
from dispatcher.channels.message import Answer
from dispatcher.channels.outcome import Again, Delivered, Refused, Unknown
from dispatcher.channels.sender import ENDED, Sender
from dispatcher.channels.words import beijing, cut, notice, plain
from dispatcher.store.deliveries import Begun
from dispatcher.store.lease import Right
from dispatcher.store.store import Store
from ingest.frame import rfc3339

ROBOTS: dict[Kind, tuple[type[Robot], str, str]] = {
    Kind.WECOM: (WeComRobot, "/cgi-bin/webhook/send?key=693a91f6-7xxx", ""),
    Kind.DINGTALK: (DingTalkRobot, "/robot/send?access_token=abc", "SECthis is secret"),
    Kind.FEISHU: (FeishuRobot, "/open-apis/bot/v2/hook/abc", "feishu secret"),
}
MOBILE = "13800001111"


@pytest.fixture(params=list(ROBOTS))
def kind(request: pytest.FixtureRequest) -> Kind:
    return Kind(request.param)


class Hurried:
    """A clock that runs so much faster than time, for sender and vendor alike."""

    def __init__(self, times: float) -> None:
        self._times, self._began = times, time.time()

    def __call__(self) -> float:
        return self._began + (time.time() - self._began) * self._times

    def now(self) -> datetime:
        return datetime.fromtimestamp(self(), UTC)


@pytest.fixture
def robot(kind: Kind) -> Robot:
    return ROBOTS[kind][0](ROBOTS[kind][2])


@pytest.fixture
def vendor(robot: Robot) -> Iterator[Server]:
    with Server(robot) as opened:
        yield opened


def channel_of(kind: Kind, vendor: Server, **values: Any) -> Channel:
    _, path, secret = ROBOTS[kind]
    return make_channel(vendor.url + path, kind, **({"secret": secret, "name": "群"} | values))


def settled(store: Store) -> bool:
    return all(one.state not in (Progress.PENDING, Progress.SENDING) for one in store.deliveries.listing())


def words_of(kind: Kind, message: dict[str, Any]) -> str:
    """The text that a group reads."""
    if kind is Kind.WECOM:
        return str(message[message["msgtype"]]["content"])
    if kind is Kind.DINGTALK:
        return str(message["markdown"]["text"])
    return json.dumps(message["card"], ensure_ascii=False)


def test_a_group_reads_what_where_when_by_when_and_finds_the_evidence(kind, robot, vendor, store, sender_of) -> None:
    store.channels.add(channel_of(kind, vendor, page="https://city.example/"))
    tell(store, make_event(1), due_at="2026-11-20T08:00:00.000Z")
    drive(sender_of(store), lambda: settled(store))
    assert store.deliveries.listing()[0].state is Progress.DELIVERED
    (message,) = robot.messages
    text = words_of(kind, message)
    for said in ("【立案】垃圾箱满溢 · 彩田社区", "北纬 22.54010，东经 114.04530", "11-20 12:00", "11-20 16:00"):
        assert said in text
    for said in ("处置时限", "可信度 99.7%", "有现场图片（人脸、车牌已遮挡）", "https://city.example/#case/case-1"):
        assert said in text
    assert robot.refused.total() == 0


def test_without_deadline_page_or_picture_nothing_is_made_up(kind, robot, vendor, store, sender_of) -> None:
    store.channels.add(channel_of(kind, vendor))
    tell(store, make_event(1), evidence=None)
    drive(sender_of(store), lambda: settled(store))
    text = words_of(kind, robot.messages[0])
    assert "处置时限" not in text
    assert "http" not in text
    assert "无图片" in text


def test_people_are_called_as_each_vendor_wants_it(kind, robot, vendor, store, sender_of) -> None:
    called = "ou_abc123" if kind is Kind.FEISHU else MOBILE
    store.channels.add(channel_of(kind, vendor, mentions=(called,)))
    tell(store, make_event(1))
    drive(sender_of(store), lambda: settled(store))
    (message,) = robot.messages
    if kind is Kind.WECOM:  # only a text message can call by mobile
        assert (message["msgtype"], message["text"]["mentioned_mobile_list"]) == ("text", [MOBILE])
        assert "<font" not in message["text"]["content"]
    elif kind is Kind.DINGTALK:
        assert message["at"] == {"atMobiles": [MOBILE], "isAtAll": False}
        assert f"@{MOBILE}" in message["markdown"]["text"]
    else:
        assert "<at id=ou_abc123></at>" in message["card"]["elements"][0]["text"]["content"]


# What exceeds the rate goes out as one message


@pytest.mark.parametrize("mentions", [(), ("call",)])
def test_a_burst_becomes_digests_that_list_every_case_once_within_the_limits(
    kind, robot, vendor, store, courier, sender_of, mentions
) -> None:
    hurried = Hurried(30.0)
    robot._clock = hurried
    called = ("ou_1" if kind is Kind.FEISHU else MOBILE,) if mentions else ()
    store.channels.add(channel_of(kind, vendor, mentions=called, page="https://city.example"))
    tell(store, *(make_event(n, recipients=(WEST, EAST)) for n in range(100)))
    signing_now = courier._now  # signatures are of the real time, rates of the hurried one
    drive(sender_of(store, now=hurried.now), lambda: settled(store), 60.0)
    assert courier._now is signing_now
    assert robot.refused.total() == 0
    assert {one.state for one in store.deliveries.listing()} <= {Progress.DIGESTED, Progress.DELIVERED}
    text = "\n".join(words_of(kind, message) for message in robot.messages)
    for n in range(100):
        assert text.count(f"#case/case-{n})") + text.count(f"#case/case-{n}\n") + text.count(f'#case/case-{n}"') >= 1
    listed = sum(text.count(f"，{office}，") for office in ("彩田社区", "岗厦社区"))
    digested = sum(one.state is Progress.DIGESTED for one in store.deliveries.listing(limit=1000))
    assert listed == digested > 100
    assert len(robot.messages) < 60
    assert "条推送合并为一条" in text


def test_after_a_restart_no_more_is_sent_than_the_rate_allows(store, courier) -> None:
    robot = WeComRobot()
    with Server(robot) as vendor:
        store.channels.add(channel_of(Kind.WECOM, vendor))
        for n in range(30):  # each time a new sender, as after a crash
            tell(store, make_event(n))
            lease = store.lease(Right.SEND)
            assert lease is not None
            sender = Sender(store, lease, courier.post, now=lambda: datetime.now(UTC))
            sender.recover()
            for _ in range(3):
                sender.turn()
                time.sleep(0.01)
            sender.close()
            lease.release()
    assert robot.refused.total() == 0
    assert 8 <= len(robot.messages) <= 18


@settings(deadline=None, max_examples=40)
@given(n=st.integers(2, 400), name=st.text(min_size=1, max_size=60), kind=st.sampled_from(list(ROBOTS)))
def test_a_digest_holds_as_many_as_fit_and_never_more_bytes_than_allowed(n: int, name: str, kind: Kind) -> None:
    letter = alert(make_event(1), WEST, recipient_name=name)
    parcels = tuple(parcel_of(letter, k) for k in range(n))
    channel = make_channel("https://x.example/?k=1", kind, secret="s", page="https://city.example")
    fits = DIALECTS[kind].fits(channel, parcels)
    assert 1 <= fits <= n
    message = DIALECTS[kind].message(channel, parcels[:fits], NOON)
    body = json.loads(message.body)
    size = len(body["markdown"]["content"].encode()) if kind is Kind.WECOM else len(message.body)
    most = {Kind.WECOM: 4096, Kind.DINGTALK: 20_000, Kind.FEISHU: 20 * 1024}[kind]
    assert size <= most
    if fits < n:
        assert size > most - 1200  # one more would not have fitted


# Errors come with HTTP 200


def test_a_robot_that_is_told_too_fast_rests_and_then_goes_on(kind, robot, vendor, store, sender_of) -> None:
    robot.limits = ((0, 60.0),)
    store.channels.add(channel_of(kind, vendor))
    tell(store, make_event(1))
    sender = sender_of(store)
    before = datetime.now(UTC)
    drive(sender, lambda: store.channels.all()[0].held_until != "")
    rest = datetime.fromisoformat(store.channels.all()[0].held_until) - before
    assert rest >= timedelta(seconds=600 if kind is Kind.DINGTALK else 60)
    assert store.deliveries.listing()[0].state is Progress.PENDING
    for _ in range(20):
        sender.turn()
        time.sleep(0.01)
    assert robot.refused.total() == 1


def test_a_wrong_secret_is_said_and_the_alert_waits_for_a_right_one(store, sender_of) -> None:
    robot = DingTalkRobot("SECright")
    with Server(robot) as vendor:
        store.channels.add(channel_of(Kind.DINGTALK, vendor, secret="SECwrong"))
        tell(store, make_event(1))
        sender = sender_of(store)
        drive(sender, lambda: "310000 sign not match" in store.deliveries.listing()[0].error)
        store.channels.rotate("群", "SECright", until=rfc3339(NOON))
        store.channels.start_again("群")
        drive(sender, lambda: store.deliveries.listing()[0].state is Progress.DELIVERED)
    assert len(robot.messages) == 1


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        (Kind.WECOM, {"errcode": 0, "errmsg": "ok"}, Delivered),
        (Kind.WECOM, {"errcode": -1, "errmsg": "system busy"}, Again),
        (Kind.WECOM, {"errcode": 93000, "errmsg": "invalid webhook url"}, Again),
        (Kind.WECOM, {"errcode": 40058, "errmsg": "exceed max length 4096"}, Refused),
        (Kind.DINGTALK, {"errcode": 0, "errmsg": "ok"}, Delivered),
        (Kind.DINGTALK, {"errcode": 310000, "errmsg": "keywords not in content"}, Again),
        (Kind.DINGTALK, {"errcode": 460101, "errmsg": "message too long"}, Refused),
        (Kind.FEISHU, {"code": 0, "msg": "success", "StatusCode": 0, "StatusMessage": "success"}, Delivered),
        (Kind.FEISHU, {"code": 19024, "msg": "Key Words Not Found"}, Again),
        (Kind.FEISHU, {"code": 9499, "msg": "Bad Request"}, Refused),
        (Kind.FEISHU, {"code": 9499, "msg": "too many request"}, Again),
        (Kind.FEISHU, ["no object"], Unknown),
        (Kind.WECOM, {"errcode": "0"}, Unknown),
    ],
)
def test_a_code_means_what_the_vendor_says(kind: Kind, body: Any, expected: type) -> None:
    assert isinstance(DIALECTS[kind].outcome(Answer(200, {}, json.dumps(body).encode()), NOON), expected)


@pytest.mark.parametrize(
    ("status", "expected"), [(200, Unknown), (429, Again), (503, Again), (500, Unknown), (502, Unknown), (404, Again)]
)
def test_an_answer_without_a_code_is_unknown_unless_the_status_says_that_nothing_was_taken(kind, status, expected):
    assert isinstance(DIALECTS[kind].outcome(Answer(status, {}, b"<html>"), NOON), expected)


# Never twice


def test_a_message_whose_answer_never_comes_is_unknown_and_not_sent_again(kind, robot, vendor, store, sender_of):
    vendor.answer = lambda request: (robot(request), HANG_UP)[1]
    store.channels.add(channel_of(kind, vendor))
    tell(store, make_event(1))
    sender = sender_of(store)
    drive(sender, lambda: settled(store))
    (one,) = store.deliveries.listing()
    assert one.state is Progress.UNKNOWN
    assert "no answer" in one.error
    for _ in range(20):
        sender.turn()
        time.sleep(0.01)
    assert len(robot.messages) == 1
    vendor.answer = robot
    assert store.deliveries.send_again([one.seq], now=rfc3339(datetime.now(UTC))) == 1  # a person decided it
    drive(sender, lambda: store.deliveries.listing()[0].state is Progress.DELIVERED)
    assert len(robot.messages) == 2


def test_a_message_that_no_connection_carried_is_sent_once_there_is_one(kind, robot, store, courier, sender_of) -> None:
    with Server(robot) as gone:
        pass
    store.channels.add(channel_of(kind, gone))
    tell(store, make_event(1))
    drive(sender_of(store), lambda: store.deliveries.listing()[0].attempts >= 2)
    one = store.deliveries.listing()[0]
    assert (one.state, one.error.partition(":")[0]) in (
        (Progress.PENDING, "no connection"),
        (Progress.SENDING, "no connection"),
    )


def test_what_was_being_sent_when_the_sender_ended_is_unknown_for_a_robot(kind, robot, vendor, store, courier) -> None:
    store.channels.add(channel_of(kind, vendor))
    tell(store, make_event(1), make_event(2))
    (channel,) = store.channels.all()
    waiting = store.deliveries.due(channel.id, "9")
    assert store.deliveries.begin([Begun(channel, tuple(waiting), "digest-1")])
    assert not store.deliveries.begin([Begun(channel, tuple(waiting), "digest-2")])  # somebody has them
    lease = store.lease(Right.SEND)
    assert lease is not None
    sender = Sender(store, lease, courier.post, now=lambda: datetime.now(UTC))
    assert sender.recover() == 2
    for _ in range(5):
        sender.turn()
    sender.close()
    lease.release()
    assert [(one.state, one.error) for one in store.deliveries.listing()] == [(Progress.UNKNOWN, ENDED)] * 2
    assert robot.messages == []


# Words and signatures


def test_signatures_are_those_of_the_vendors_examples() -> None:
    # Computed with openssl from the vendors' description, not with this code:
    # printf '1600000000000\nSECabc' | openssl dgst -sha256 -hmac SECabc -binary | base64
    assert dingtalk.sign("SECabc", 1600000000000) == DINGTALK_EXAMPLE
    # printf '' | openssl dgst -sha256 -hmac $'1600000000\nabc' -binary | base64
    assert feishu.sign("abc", 1600000000) == FEISHU_EXAMPLE


DINGTALK_EXAMPLE = "ABcUcMOwyGGKmiNbHqEbhvKpuIGkMXqT1gAGfAAmnk8="
FEISHU_EXAMPLE = "6L6POH2rt4SuqaKjbCNoZ7H6Z3R3OevLdHc4Q+A+cEY="


@pytest.mark.parametrize(
    "odd", ["<@all>", "[点我](http://evil.example)", "<font color='x'>", "**粗**", "<at id=all></at>", "a\nb"]
)
def test_no_name_of_a_place_becomes_markup_or_calls_anybody(kind, robot, vendor, store, sender_of, odd: str) -> None:
    store.channels.add(channel_of(kind, vendor))
    tell(store, make_event(1), recipient_name=odd)
    drive(sender_of(store), lambda: settled(store))
    text = words_of(kind, robot.messages[0])
    assert odd not in text
    assert plain(odd) in text
    assert not set(plain(odd)) & set("<>[]*@")


def test_times_are_of_beijing_and_nonsense_stays_readable() -> None:
    assert beijing("2026-11-20T16:30:00.000Z") == "11-21 00:30"
    assert (beijing(None), beijing("今天下班前")) == ("", "今天下班前")


@given(text=st.text(max_size=200), limit=st.integers(3, 100))
def test_cutting_breaks_no_character(text: str, limit: int) -> None:
    found = cut(text, limit)
    assert len(found.encode()) <= limit
    assert found == text or (found.endswith("…") and text.startswith(found[:-1]))


def test_an_event_of_a_later_version_is_still_told() -> None:
    letter = alert(make_event(1), WEST, event="surveyed")
    told = notice(make_channel("https://x.example", Kind.WECOM), parcel_of(letter))
    assert told.event == "surveyed"
