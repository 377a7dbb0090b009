"""WeCom (企业微信) group robot: https://developer.work.weixin.qq.com/document/path/91770.

Markdown of at most 4,096 bytes; who is to be called by mobile can only be called in a text message, of at most 2,048.
An error comes with HTTP 200 and an `errcode`. 20 messages a minute.
"""

from __future__ import annotations

import json
from datetime import datetime

from dispatcher.channels import words
from dispatcher.channels.channel import Channel, Parcel
from dispatcher.channels.message import Answer, Message
from dispatcher.channels.outcome import Again, Delivered, Outcome, Refused
from dispatcher.channels.robots import JSON_HEADERS, read_code, unclear

MARKDOWN_BYTES, TEXT_BYTES = 4096, 2048
TOO_FAST = 45009
BUSY = -1
BAD_MESSAGE = {40008, 40058, 44004}  # wrong type, wrong or too long content, empty content


class WeCom:
    """The dialect of WeCom's group robots."""

    def message(self, channel: Channel, parcels: tuple[Parcel, ...], now: datetime) -> Message:
        limit = TEXT_BYTES if channel.mentions else MARKDOWN_BYTES
        content = words.cut("\n".join(_lines(channel, parcels)), limit)
        body: dict[str, object] = {"msgtype": "markdown", "markdown": {"content": content}}
        if channel.mentions:
            text = {"content": content, "mentioned_mobile_list": list(channel.mentions)}
            body = {"msgtype": "text", "text": text}
        return Message(channel.url, dict(JSON_HEADERS), json.dumps(body, ensure_ascii=False).encode())

    def fits(self, channel: Channel, parcels: tuple[Parcel, ...]) -> int:
        limit = TEXT_BYTES if channel.mentions else MARKDOWN_BYTES
        return words.as_many(parcels, lambda some: words.utf8(_lines(channel, some)), limit)

    def outcome(self, answer: Answer, now: datetime) -> Outcome:
        if (code := read_code(answer, "errcode", "errmsg")) is None:
            return unclear(answer, now)
        if code.number == 0:
            return Delivered()
        if code.number == TOO_FAST:
            return Again(str(code), 60.0)
        if code.number in BAD_MESSAGE:
            return Refused(str(code))
        return Again(str(code))


def _lines(channel: Channel, parcels: tuple[Parcel, ...]) -> list[str]:
    notices = [words.notice(channel, parcel) for parcel in parcels]
    if len(notices) > 1:
        title = words.digest_title(len(notices))
        listed = [_listed(n, one, marked=not channel.mentions) for n, one in enumerate(notices, 1)]
        return [title if channel.mentions else f"**{title}**", *listed]
    (one,) = notices
    if channel.mentions:
        link = [f"查看：{one.link}"] if one.link else []
        return [one.title, *(f"{label}：{value}" for label, value in one.facts()), *link]
    facts = [f'> {label}：<font color="{_colour(label)}">{value}</font>' for label, value in one.facts()]
    return [f"**{one.title}**", *facts, *([f"[查看案件和证据]({one.link})"] if one.link else [])]


def _listed(n: int, one: words.Notice, *, marked: bool) -> str:
    link = "" if not one.link else f" [查看]({one.link})" if marked else f" {one.link}"
    return f"{n}. {one.line()}{link}"


def _colour(label: str) -> str:
    return "warning" if label == "处置时限" else "comment"
