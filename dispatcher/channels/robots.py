"""What the robots of the three chat programs have in common: a code in the body says how it went, not the status."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from dispatcher.channels.message import Answer
from dispatcher.channels.outcome import Again, Outcome, Unknown
from dispatcher.channels.webhook import asked_s

JSON_HEADERS = {"content-type": "application/json; charset=utf-8", "user-agent": "jiexun"}
NOT_TAKEN = (408, 425, 429, 503)


@dataclass(frozen=True, slots=True)
class Code:
    """What a robot's server answered."""

    number: int
    said: str

    def __str__(self) -> str:
        return f"{self.number} {self.said}".strip()[:300]


def read_code(answer: Answer, number: str, said: str) -> Code | None:
    """The code of an answer with status 2xx or 4xx; None when there is none."""
    if not (200 <= answer.status < 300 or 400 <= answer.status < 500):
        return None
    try:
        body = json.loads(answer.body)
    except ValueError:
        return None
    if not isinstance(body, dict) or not isinstance(body.get(number), int):
        return None
    return Code(body[number], str(body.get(said, "")))


def unclear(answer: Answer, now: datetime) -> Outcome:
    """An answer without a code: not taken where the status says so, else nobody knows."""
    said = f"HTTP {answer.status} without a code"
    if answer.status in NOT_TAKEN or 300 <= answer.status < 500:
        return Again(said, asked_s(answer, now))
    return Unknown(said)
