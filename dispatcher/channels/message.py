"""Message: one HTTP request of a channel, and the answer to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from dispatcher.channels.channel import Channel, Parcel
from dispatcher.channels.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Message:
    """To be posted. The address of a robot holds its key: neither is ever printed."""

    url: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes  # its first 64 KiB


class Dialect(Protocol):
    """How a kind of channel is spoken to. Pure: no clock, no network."""

    def message(self, channel: Channel, parcels: tuple[Parcel, ...], now: datetime) -> Message:
        """One alert, or several as a list."""

    def fits(self, channel: Channel, parcels: tuple[Parcel, ...]) -> int:
        """How many of these one message can list; at least 1."""

    def outcome(self, answer: Answer, now: datetime) -> Outcome:
        """What an answer means."""
