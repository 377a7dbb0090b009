"""Webhook: an alert for a machine, by the Standard Webhooks spec.

The body is the alert's envelope as topic `alerts` carries it, with the member `timestamp` that the spec recommends: it
is both a CloudEvent and a Standard Webhooks payload. `webhook-id` is the alert's id and the same at every attempt,
`webhook-timestamp` is that of the attempt, so that a receiver can refuse what is replayed later.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import standardwebhooks

from dispatcher.channels.channel import Channel, Parcel
from dispatcher.channels.message import Answer, Message
from dispatcher.channels.outcome import Again, Delivered, Gone, Outcome
from ingest.frame import parse_rfc3339

GONE = 410
BUSY = (429, 502, 503, 504)  # the spec asks to slow down at these


class Webhook:
    """The dialect of the spec."""

    def message(self, channel: Channel, parcels: tuple[Parcel, ...], now: datetime) -> Message:
        (parcel,) = parcels
        body = payload(parcel.line)
        at = now.astimezone(UTC).replace(microsecond=0)
        signatures = [
            standardwebhooks.Webhook(secret).sign(msg_id=parcel.alert, timestamp=at, data=body)
            for secret in secrets_at(channel, now)
        ]
        headers = {
            "content-type": "application/json",
            "user-agent": "jiexun",
            "webhook-id": parcel.alert,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": " ".join(signatures),
        }
        return Message(channel.url, headers, body.encode())

    def fits(self, channel: Channel, parcels: tuple[Parcel, ...]) -> int:
        """Machines are told one by one."""
        return 1

    def outcome(self, answer: Answer, now: datetime) -> Outcome:
        if 200 <= answer.status < 300:
            return Delivered()
        if answer.status == GONE:
            return Gone("HTTP 410: the receiver wants no more")
        if 300 <= answer.status < 400:
            return Again(f"HTTP {answer.status}: redirects are not followed; name the address it leads to")
        hold = answer.status in BUSY or answer.status >= 500
        return Again(f"HTTP {answer.status}", asked_s(answer, now), hold=hold)


def payload(line: str) -> str:
    """What is sent of an envelope: the same bytes at every attempt."""
    envelope = json.loads(line)
    return json.dumps(envelope | {"timestamp": envelope["time"]}, ensure_ascii=False, separators=(",", ":"))


def secrets_at(channel: Channel, now: datetime) -> list[str]:
    """Those to sign with: the new one first, the one before as long as it is valid."""
    valid = bool(channel.secret_before) and now < parse_rfc3339(channel.before_until)
    return [channel.secret, channel.secret_before] if valid else [channel.secret]


def asked_s(answer: Answer, now: datetime) -> float | None:
    """Seconds of Retry-After, which is a number or a date; None when there is none that makes sense."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        then = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    then = then if then.tzinfo is not None else then.replace(tzinfo=UTC)
    return max(0.0, (then - now).total_seconds())
