"""DingTalk (钉钉) group robot: https://open.dingtalk.com/document/robots/custom-robot-access.

Markdown of at most 20,000 bytes; signed by `timestamp` (milliseconds) and `sign` in the query; who is called is named
in the text and in `at`. An error comes with HTTP 200 and an `errcode`. More than 20 messages in a minute lock the robot
out for ten.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import datetime
from urllib.parse import quote_plus

from dispatcher.channels import words
from dispatcher.channels.channel import Channel, Parcel
from dispatcher.channels.message import Answer, Message
from dispatcher.channels.outcome import Again, Delivered, Outcome, Refused
from dispatcher.channels.robots import JSON_HEADERS, read_code, unclear

BODY_BYTES = 20_000
LOCKED_S = 600.0
TOO_FAST = {130101, 410100, 90018}
BAD_MESSAGE = {40035, 43004, 400105, 430101, 430102, 430103, 430104, 460101}  # wrong, improper or too long content


class DingTalk:
    """The dialect of DingTalk's group robots."""

    def message(self, channel: Channel, parcels: tuple[Parcel, ...], now: datetime) -> Message:
        return Message(_signed(channel, now), dict(JSON_HEADERS), _body(channel, parcels))

    def fits(self, channel: Channel, parcels: tuple[Parcel, ...]) -> int:
        return words.as_many(parcels, lambda some: len(_body(channel, some)), BODY_BYTES)

    def outcome(self, answer: Answer, now: datetime) -> Outcome:
        if (code := read_code(answer, "errcode", "errmsg")) is None:
            return unclear(answer, now)
        if code.number == 0:
            return Delivered()
        if code.number in TOO_FAST:
            return Again(str(code), LOCKED_S)
        if code.number in BAD_MESSAGE:
            return Refused(str(code))
        return Again(str(code))


def sign(secret: str, timestamp_ms: int) -> str:
    """Base64 of HMAC-SHA256 of "timestamp\\nsecret" under the secret."""
    digest = hmac.new(secret.encode(), f"{timestamp_ms}\n{secret}".encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def _signed(channel: Channel, now: datetime) -> str:
    if not channel.secret:
        return channel.url
    timestamp_ms = int(now.timestamp() * 1000)
    joint = "&" if "?" in channel.url else "?"
    return f"{channel.url}{joint}timestamp={timestamp_ms}&sign={quote_plus(sign(channel.secret, timestamp_ms))}"


def _body(channel: Channel, parcels: tuple[Parcel, ...]) -> bytes:
    notices = [words.notice(channel, parcel) for parcel in parcels]
    title = notices[0].title if len(notices) == 1 else words.digest_title(len(notices))
    called = " ".join(f"@{mobile}" for mobile in channel.mentions)
    text = "\n\n".join([f"#### {title}", *_lines(notices), *([called] if called else [])])
    body = {
        "msgtype": "markdown",
        "markdown": {"title": title, "text": text},
        "at": {"atMobiles": list(channel.mentions), "isAtAll": False},
    }
    return json.dumps(body, ensure_ascii=False).encode()


def _lines(notices: list[words.Notice]) -> list[str]:
    if len(notices) > 1:
        return [f"{n}. {one.line()}{f' [查看]({one.link})' if one.link else ''}" for n, one in enumerate(notices, 1)]
    (one,) = notices
    facts = [f"> **{label}**：{value}" for label, value in one.facts()]
    return [*facts, *([f"[查看案件和证据]({one.link})"] if one.link else [])]
