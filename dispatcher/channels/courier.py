"""Courier: posts a message, and says what became of it. The only file here that uses the network."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Self

import httpx

from dispatcher.channels.channel import Channel, Kind, Parcel
from dispatcher.channels.dingtalk import DingTalk
from dispatcher.channels.feishu import Feishu
from dispatcher.channels.guard import Forbidden, Guard, GuardedTransport
from dispatcher.channels.message import Answer, Dialect, Message
from dispatcher.channels.outcome import Again, Outcome, Unknown
from dispatcher.channels.webhook import Webhook
from dispatcher.channels.wecom import WeCom

DIALECTS: dict[Kind, Dialect] = {
    Kind.WEBHOOK: Webhook(),
    Kind.WECOM: WeCom(),
    Kind.DINGTALK: DingTalk(),
    Kind.FEISHU: Feishu(),
}
CONNECT_S = 5.0
SILENCE_S = 10.0  # without a byte of the answer
WHOLE_S = 20.0  # for all of the answer
MOST_BYTES = 65_536
CONNECTIONS = 64


class Courier:
    """Posts messages. Any number of threads may use one."""

    def __init__(self, guard: Guard, now: Callable[[], datetime]) -> None:
        self._now = now
        for name in ("httpx", "httpcore"):  # they would log addresses, and that of a robot holds its key
            logging.getLogger(name).setLevel(logging.WARNING)
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        inner = httpx.HTTPTransport(limits=limits, trust_env=False)
        self._client = httpx.Client(
            transport=GuardedTransport(guard, inner),
            timeout=httpx.Timeout(SILENCE_S, connect=CONNECT_S),
            follow_redirects=False,
            trust_env=False,
        )

    def post(self, channel: Channel, parcels: tuple[Parcel, ...]) -> Outcome:
        """Send one message that tells of these."""
        dialect = DIALECTS[channel.kind]
        try:
            answer = self._exchange(dialect.message(channel, parcels, self._now()))
        except Forbidden as refusal:
            return Again(str(refusal))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            return Again(f"no connection: {_reason(error)}")  # nothing was sent
        except httpx.TransportError as error:
            said = f"no answer: {_reason(error)}"
            return Again(said) if channel.kind.idempotent else Unknown(said)
        return dialect.outcome(answer, self._now())

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _exchange(self, message: Message) -> Answer:
        give_up, body = time.monotonic() + WHOLE_S, b""
        with self._client.stream("POST", message.url, headers=message.headers, content=message.body) as response:
            for part in response.iter_raw():
                body += part
                if len(body) >= MOST_BYTES:
                    break
                if time.monotonic() > give_up:
                    raise httpx.ReadTimeout(f"the answer takes longer than {WHOLE_S:g} s")
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status_code, headers, body[:MOST_BYTES])


def _reason(error: httpx.TransportError) -> str:
    """Without the address, which may be secret: httpx does not name it, but what it wraps could."""
    return f"{type(error).__name__} {error}".strip().partition("://")[0][:200]
