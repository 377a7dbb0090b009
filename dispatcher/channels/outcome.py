"""Outcome: what became of one attempt to send. A channel reads it from an answer; the sender acts on it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Delivered:
    """The other side has it."""


@dataclass(frozen=True, slots=True)
class Again:
    """It was not taken. Not before `after_s` if that is given; `hold` when the whole channel should rest meanwhile."""

    error: str
    after_s: float | None = None
    hold: bool = True


@dataclass(frozen=True, slots=True)
class Refused:
    """This message will never be taken; others may be."""

    error: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """It was sent, and no answer says whether it was taken."""

    error: str


@dataclass(frozen=True, slots=True)
class Gone:
    """The other side wants nothing more on this channel."""

    error: str


Outcome = Delivered | Again | Refused | Unknown | Gone
