"""Feishu (飞书) custom robot: https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot.

A card; at most 20 KB for the whole body; signed by `timestamp` (seconds) and `sign` in the body. Its robots cannot call
by mobile, only by open_id. An error comes with HTTP 200 and a `code`. 100 messages a minute and 5 a second.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import datetime
from typing import Any

from dispatcher.channels import words
from dispatcher.channels.channel import Channel, Parcel
from dispatcher.channels.message import Answer, Message
from dispatcher.channels.outcome import Again, Delivered, Outcome, Refused
from dispatcher.channels.robots import JSON_HEADERS, read_code, unclear

BODY_BYTES = 20 * 1024
SIGNED_BYTES = 128  # timestamp and sign
TOO_FAST = 11232
BAD_REQUEST = 9499  # also "too many request"
BAD_CARD = {11246, 19002, 230099}
COLOURS = {"立案": "red", "反弹": "red", "核查结案": "green", "已核查": "green"}


class Feishu:
    """The dialect of Feishu's custom robots."""

    def message(self, channel: Channel, parcels: tuple[Parcel, ...], now: datetime) -> Message:
        body = _body(channel, parcels)
        if channel.secret:
            timestamp_s = int(now.timestamp())
            body = {"timestamp": str(timestamp_s), "sign": sign(channel.secret, timestamp_s)} | body
        return Message(channel.url, dict(JSON_HEADERS), _dumps(body))

    def fits(self, channel: Channel, parcels: tuple[Parcel, ...]) -> int:
        return words.as_many(parcels, lambda some: len(_dumps(_body(channel, some))), BODY_BYTES - SIGNED_BYTES)

    def outcome(self, answer: Answer, now: datetime) -> Outcome:
        if (code := read_code(answer, "code", "msg")) is None:
            return unclear(answer, now)
        if code.number == 0:
            return Delivered()
        if code.number == TOO_FAST or (code.number == BAD_REQUEST and "too many" in code.said.lower()):
            return Again(str(code), 60.0)
        if code.number in BAD_CARD or code.number == BAD_REQUEST:
            return Refused(str(code))
        return Again(str(code))


def sign(secret: str, timestamp_s: int) -> str:
    """Base64 of HMAC-SHA256 of nothing under "timestamp\\nsecret": not as DingTalk does it."""
    return base64.b64encode(hmac.new(f"{timestamp_s}\n{secret}".encode(), b"", hashlib.sha256).digest()).decode()


def _body(channel: Channel, parcels: tuple[Parcel, ...]) -> dict[str, Any]:
    notices = [words.notice(channel, parcel) for parcel in parcels]
    one = notices[0] if len(notices) == 1 else None
    title = one.title if one else words.digest_title(len(notices))
    called = "".join(f"<at id={id}></at>" for id in channel.mentions)
    text = "\n".join([*_lines(notices), *([called] if called else [])])
    elements: list[dict[str, Any]] = [{"tag": "div", "text": {"tag": "lark_md", "content": text}}]
    if one and one.link:
        named = {"tag": "plain_text", "content": "查看案件和证据"}
        elements.append(
            {"tag": "action", "actions": [{"tag": "button", "text": named, "url": one.link, "type": "primary"}]}
        )
    header = {
        "title": {"tag": "plain_text", "content": title},
        "template": COLOURS.get(one.event, "blue") if one else "orange",
    }
    return {
        "msg_type": "interactive",
        "card": {"config": {"wide_screen_mode": True}, "header": header, "elements": elements},
    }


def _lines(notices: list[words.Notice]) -> list[str]:
    if len(notices) > 1:
        return [f"{n}. {one.line()}{f' [查看]({one.link})' if one.link else ''}" for n, one in enumerate(notices, 1)]
    return [f"**{label}**：{value}" for label, value in notices[0].facts()]


def _dumps(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()
