"""Channel: one way an alert reaches somebody, and how far each alert has come on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from dispatcher.access.scope import lies_in


class Kind(StrEnum):
    """What listens at the other end."""

    WEBHOOK = "webhook"  # a machine, by the Standard Webhooks spec
    WECOM = "wecom"  # group robots of chat programs
    DINGTALK = "dingtalk"
    FEISHU = "feishu"

    @property
    def idempotent(self) -> bool:
        """True when a message that arrives twice is handled once, so that it may be sent again when in doubt."""
        return self is Kind.WEBHOOK


class Progress(StrEnum):
    """How far an alert has come on a channel. Never mixed with the state of the case."""

    PENDING = "pending"  # to be sent, not before `next_at`
    SENDING = "sending"  # an attempt is stored, its outcome is not
    DELIVERED = "delivered"
    DIGESTED = "digested"  # delivered as one line of a message that lists several
    FAILED = "failed"  # given up; `error` says why
    UNKNOWN = "unknown"  # it may have arrived, and sending it again would tell it twice: a person decides


# Nothing more happens to these by itself, and nobody has to look at them.
ENDED = (Progress.DELIVERED, Progress.DIGESTED, Progress.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """Where alerts go, which ones, and with what secret. An empty tuple of `recipients` or `events` is all."""

    id: str
    name: str
    kind: Kind
    url: str = field(repr=False)  # of a robot it holds the key: as secret as the secret
    secret: str = field(default="", repr=False)
    secret_before: str = field(default="", repr=False)  # signs too until `before_until`
    before_until: str = ""  # RFC 3339
    recipients: tuple[str, ...] = ()  # area codes; those below them are meant too
    events: tuple[str, ...] = ()
    mentions: tuple[str, ...] = field(default=(), repr=False)  # mobiles (WeCom, DingTalk) or open_ids (Feishu)
    page: str = ""  # address of the console, for links
    created_at: str = ""
    held_until: str = ""  # nothing is sent before: it is away, or it asked for that
    failures: int = 0  # attempts in a row that did not get through
    next_free: str = ""  # the token bucket, as one time: see dispatcher.channels.pace
    stopped: str = ""  # why nothing more is sent; a person starts it again

    def wants(self, recipient: str, event: str) -> bool:
        """True when an alert of that event, told to that area, is to go this way."""
        return (not self.events or event in self.events) and (
            not self.recipients or any(lies_in(recipient, code) for code in self.recipients)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One alert on one channel."""

    seq: int
    alert: str  # id of the envelope; `webhook-id`
    channel: str
    state: Progress
    attempts: int
    created_at: str  # RFC 3339
    next_at: str
    ended_at: str
    error: str
    digest: str  # id of the message that it is one line of; empty: a message of its own
    line: str  # the envelope
