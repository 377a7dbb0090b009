"""Words: an alert as a duty officer reads it in a chat group. Chinese, Beijing time, the most needed first."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta, timezone
from typing import Any
from urllib.parse import quote

from dispatcher.api.names import EVENT_ZH
from dispatcher.channels.channel import Channel, Parcel
from ingest.frame import parse_rfc3339

CHINA = timezone(timedelta(hours=8))  # one time zone, no summer time
SIGNATURE = "街巡"
TEST = "test"  # the event of a message that a person sends to see whether a channel works
MOST_BYTES = 300  # of one value: whatever a file of areas calls a place, a message stays one
# Chat programs read these as markup, and none has a way to escape them: their wide forms look alike and mean nothing.
_WIDE = str.maketrans({c: chr(ord(c) + 0xFEE0) for c in "<>[]*_`#&@|~\\"} | {"\n": " ", "\r": " "})


@dataclass(frozen=True, slots=True)
class Notice:
    """What an alert says."""

    event: str  # 立案
    matter: str  # 垃圾箱满溢
    office: str  # 彩田社区
    place: str  # 北纬 22.54010，东经 114.04530
    seen: str  # 11-20 12:25
    due: str  # 11-20 16:00, or nothing
    evidence: str  # 有现场图片 or why there is none
    doubt: str  # 可信度 99.7%，2 次经过
    link: str  # the case on the console, or nothing

    @property
    def title(self) -> str:
        return f"【{self.event}】{self.matter} · {self.office}"

    def facts(self) -> list[tuple[str, str]]:
        """Label and value of each line but the link."""
        told = [
            ("事项", self.matter),
            ("属地", self.office),
            ("位置", self.place),
            ("最近发现", self.seen),
            ("处置时限", self.due),
            ("依据", self.doubt),
            ("证据", self.evidence),
        ]
        return [(label, value) for label, value in told if value]

    def line(self) -> str:
        """All of it in one line, without the link."""
        due = f"，时限 {self.due}" if self.due else ""
        return f"【{self.event}】{self.matter}，{self.office}，{self.place}，{self.seen} 发现{due}"


def notice(channel: Channel, parcel: Parcel) -> Notice:
    """What a parcel's alert says. A field that the alert lacks is left out."""
    data: dict[str, Any] = json.loads(parcel.line)["data"]
    event = str(data["event"])
    return Notice(
        event="测试" if event == TEST else EVENT_ZH.get(event, plain(event)),
        matter=plain(data.get("matter_zh") or data.get("matter") or "事项不明"),
        office=plain(data.get("recipient_name") or data["recipient"]),
        place=_place(data),
        seen=beijing(data.get("last_seen_at")),
        due=beijing(data.get("due_at")),
        evidence=_evidence(data.get("evidence")),
        doubt=_doubt(data),
        link=f"{channel.page.rstrip('/')}/#case/{quote(str(data['case']))}" if channel.page else "",
    )


def digest_title(n: int) -> str:
    return f"【{SIGNATURE}】{n} 条推送合并为一条"


def plain(text: Any) -> str:
    """Text that a chat program takes for nothing but text."""
    return cut(str(text).translate(_WIDE).strip(), MOST_BYTES)


def beijing(text: Any) -> str:
    """ "11-20 16:15"; nothing for none, and what is no time stays what it is."""
    if not text:
        return ""
    try:
        return f"{parse_rfc3339(str(text)).astimezone(CHINA):%m-%d %H:%M}"
    except ValueError:
        return plain(text)


def as_many(parcels: tuple[Parcel, ...], size: Callable[[tuple[Parcel, ...]], int], limit: int) -> int:
    """How many of these, from the first on, make a message of at most `limit` bytes; at least 1."""
    low, high = 1, len(parcels)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if size(parcels[:middle]) <= limit else (low, middle - 1)
    return low


def cut(text: str, limit: int) -> str:
    """The text in at most so many bytes of UTF-8, no character broken."""
    raw = text.encode()
    return text if len(raw) <= limit else raw[: limit - 3].decode(errors="ignore") + "…"


def utf8(lines: Iterable[str]) -> int:
    return len("\n".join(lines).encode())


def _place(data: dict[str, Any]) -> str:
    lat, lon = data.get("lat"), data.get("lon")
    return "" if lat is None or lon is None else f"北纬 {lat:.5f}，东经 {lon:.5f}"


def _doubt(data: dict[str, Any]) -> str:
    told = []
    if (p := data.get("probability")) is not None:
        percent = 100 * float(p)
        told.append("可信度 " + (">99.9%" if 99.9 < percent < 100 else f"{percent:.1f}%"))
    if (passes := data.get("passes")) is not None:
        told.append(f"{passes} 次经过目击")
    return "，".join(told)


DELETED = {"expired": "保存期满，已删除", "erased": "已按要求清除"}


def _evidence(evidence: Any) -> str:
    if not isinstance(evidence, dict):
        return "无图片"
    if evidence.get("uri"):
        return "有现场图片（人脸、车牌已遮挡）"
    why = str(evidence.get("missing") or "原因不明")
    code, _, day = why.partition(": ")
    return f"无图片（{plain(f'{DELETED[code]}，{day}' if code in DELETED else why)}）"
