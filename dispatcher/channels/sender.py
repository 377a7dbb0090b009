"""Sender: the loop that delivers. One at a time on a store; what it does is stored before it is done.

An attempt becomes durable (`sending`), then it is made, then its outcome becomes durable. Whoever finds `sending` at
its start knows that a sender ended in between: a webhook gets the same message again, with the same `webhook-id`; a
robot does not, since nobody could tell the two apart, and a person sees that the outcome is unknown.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from dispatcher.channels.channel import Channel, Kind, Parcel, Progress
from dispatcher.channels.courier import DIALECTS
from dispatcher.channels.outcome import Again, Delivered, Gone, Outcome, Refused, Unknown
from dispatcher.channels.pace import RATES, taken, tokens, wait_s
from dispatcher.store.deliveries import Begun, Settled
from dispatcher.store.lease import Lease
from dispatcher.store.store import Store
from ingest.frame import parse_rfc3339, rfc3339

POLL_S = 0.2  # how often the store is asked when nothing happens here
CHANNELS_S = 1.0  # how often channels are read again, and the lease is looked at
AT_ONCE = 16  # messages under way on one webhook
THREADS = 64
ENDED = "the sender ended while it was sent: whether it arrived is unknown"
GIVE_UP = timedelta(hours=24)


class Heard(Protocol):
    """Told from the sender's thread; must return at once."""

    def turned(self) -> None:
        """The loop is alive."""

    def attempted(self, channel: Channel, outcome: str, parcels: int, seconds: float) -> None:
        """One message was sent, of so many alerts; `outcome` is the name of its class in lower case."""

    def ended(self, channel: Channel, state: Progress, parcels: int, delay_s: float) -> None:
        """So many alerts came to their end on a channel, so long after their event was stored."""


class Unheard:
    """Nobody listens."""

    def turned(self) -> None: ...

    def attempted(self, channel: Channel, outcome: str, parcels: int, seconds: float) -> None: ...

    def ended(self, channel: Channel, state: Progress, parcels: int, delay_s: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that is under way, or was."""

    begun: Begun
    outcome: Outcome
    seconds: float


class Sender:
    """The one sender of a store, which holds its lease to send. `post` makes an attempt; threads of its own call it."""

    def __init__(
        self,
        store: Store,
        lease: Lease,
        post: Callable[[Channel, tuple[Parcel, ...]], Outcome],
        *,
        now: Callable[[], datetime],
        heard: Heard | None = None,
        give_up: timedelta = GIVE_UP,
        chance: random.Random | None = None,
    ) -> None:
        self._store = store
        self._lease = lease
        self._post = post
        self._now = now
        self._heard = heard or Unheard()
        self._give_up = give_up
        self._chance = chance or random.Random()  # nosec B311
        self._channels: dict[str, Channel] = {}
        self._read_s = -CHANNELS_S
        self._flying: dict[str, int] = {}  # channel -> messages under way
        self._done: list[Sent] = []
        self._broken: BaseException | None = None  # a mistake of ours in a thread: it ends the sender
        self._wake = threading.Condition()
        self._pool = ThreadPoolExecutor(THREADS, "deliver")

    def recover(self) -> int:
        """Settle what a sender before this one left. Call it once, before `run`. Returns how many alerts that were."""
        left = self._store.deliveries.sending()
        kinds = {channel.id: channel.kind for channel in self._store.channels.all()}
        now = rfc3339(self._now())
        again = tuple(p.seq for p in left if (kind := kinds.get(p.channel)) is not None and kind.idempotent)
        doubt = tuple(p.seq for p in left if p.seq not in set(again))
        self._store.deliveries.settle(
            [
                *(Settled(some, Progress.PENDING, now, "sent again after a crash", now) for some in _pages(again)),
                *(Settled(some, Progress.UNKNOWN, now, ENDED) for some in _pages(doubt)),
            ]
        )
        return len(left)

    def run(self, stop: threading.Event, until_idle_s: float | None = None) -> None:
        """Deliver until told to stop, or until there was nothing to do for so long. What is under way is waited for."""
        idle_since = time.monotonic()
        try:
            while not stop.is_set():
                if self.turn() or self._flying:
                    idle_since = time.monotonic()
                elif until_idle_s is not None and time.monotonic() - idle_since >= until_idle_s:
                    if not self._waiting():
                        break
                    idle_since = time.monotonic()
                with self._wake:
                    if not self._done:
                        self._wake.wait(POLL_S)
        finally:
            self.close()

    def turn(self) -> int:
        """One turn: store what came back, begin what is due. Returns how many messages were settled or begun."""
        self._heard.turned()
        self._look()
        settled = self._settle()
        begun = [one for channel in self._channels.values() for one in self._next(channel)]
        if not begun:
            return settled
        self._lease.check()  # never send without it: another sender would take what is begun for left behind
        if not self._store.deliveries.begin(begun):
            self._read_s = -CHANNELS_S  # somebody changed the channels
            return settled
        for one in begun:
            self._channels[one.channel.id] = replace(self._channels[one.channel.id], next_free=one.next_free)
            self._flying[one.channel.id] = self._flying.get(one.channel.id, 0) + 1
            self._pool.submit(self._fly, one)
        return settled + len(begun)

    def close(self) -> None:
        """Wait for what is under way, and store what became of it."""
        self._pool.shutdown(wait=True)
        self._settle()

    # What to send

    def _look(self) -> None:
        """Read the channels again; give up what is too old."""
        if time.monotonic() - self._read_s < CHANNELS_S:
            return
        self._read_s = time.monotonic()
        self._lease.check()
        self._channels = {channel.id: channel for channel in self._store.channels.all()}
        now = self._now()
        for channel in self._channels.values():
            given_up = self._store.deliveries.expire(channel.id, before=rfc3339(now - self._give_up), now=rfc3339(now))
            if given_up:
                self._heard.ended(channel, Progress.FAILED, given_up, self._give_up.total_seconds())

    def _next(self, channel: Channel) -> list[Begun]:
        """The messages that this channel may send now."""
        now = self._now()
        if channel.stopped or rfc3339(now) < channel.held_until:
            return []
        webhook = channel.kind is Kind.WEBHOOK
        most = AT_ONCE if webhook and not channel.failures else 1  # one, until it is known to be back
        most -= self._flying.get(channel.id, 0)
        rate, free = RATES[channel.kind], _time(channel.next_free)
        allowed = tokens(rate, free, now)
        if most <= 0 or allowed <= 0:
            return []
        due = self._store.deliveries.due(channel.id, rfc3339(now), limit=min(most, allowed) if webhook else 500)
        groups = [(parcel,) for parcel in due[: min(most, allowed)]] if webhook else _grouped(channel, due, allowed)
        begun = []
        for parcels in groups[:most]:
            free = taken(rate, free, now, 1)
            digest = secrets.token_hex(8) if len(parcels) > 1 else ""
            begun.append(Begun(channel, parcels, digest, rfc3339(free)))
        return begun

    def _fly(self, one: Begun) -> None:
        """In a thread of the pool."""
        before = time.monotonic()
        broken: BaseException | None = None
        try:
            outcome = self._post(one.channel, one.parcels)
        except BaseException as error:
            broken = error
        with self._wake:
            if broken is None:
                self._done.append(Sent(one, outcome, time.monotonic() - before))
            else:
                self._broken = broken
            self._wake.notify()

    # What became of it

    def _settle(self) -> int:
        with self._wake:
            done, self._done = self._done, []
            if self._broken is not None:
                raise self._broken
        if not done:
            return 0
        now = self._now()
        touched: dict[str, Channel] = {}
        settled = []
        for sent in done:
            id = sent.begun.channel.id
            self._flying[id] -= 1
            if not self._flying[id]:
                del self._flying[id]
            before = touched.get(id) or self._channels.get(id) or sent.begun.channel
            settled.append(self._settled(sent, now))
            after = self._fares(before, sent, now)
            if after != before:
                touched[id] = self._channels[id] = after
            self._tell(sent, settled[-1].state, now)
        self._store.deliveries.settle(_joined(settled), touched.values())
        return len(done)

    def _settled(self, sent: Sent, now: datetime) -> Settled:
        seqs, at = tuple(parcel.seq for parcel in sent.begun.parcels), rfc3339(now)
        match sent.outcome:
            case Delivered():
                return Settled(seqs, Progress.DIGESTED if sent.begun.digest else Progress.DELIVERED, at)
            case Unknown(error):
                return Settled(seqs, Progress.UNKNOWN, at, error)
            case Refused(error) | Gone(error):
                return Settled(seqs, Progress.FAILED, at, error)
            case Again(error, asked_s):
                attempts = min(parcel.attempts for parcel in sent.begun.parcels)
                later = now + timedelta(seconds=wait_s(attempts, self._chance, asked_s))
                return Settled(seqs, Progress.PENDING, at, error, rfc3339(later))

    def _fares(self, channel: Channel, sent: Sent, now: datetime) -> Channel:
        """Whether the channel rests now, or is stopped."""
        outcome, failures = sent.outcome, sent.begun.channel.failures
        if isinstance(outcome, Gone):
            return replace(channel, stopped=outcome.error)
        if isinstance(outcome, Again) and outcome.hold:
            if channel.failures > failures and outcome.after_s is None:
                return channel  # one of several that were under way together: one failure, not several in a row
            wait = timedelta(seconds=wait_s(failures, self._chance, outcome.after_s))
            return replace(channel, failures=failures + 1, held_until=max(channel.held_until, rfc3339(now + wait)))
        if isinstance(outcome, Delivered) and channel.failures:
            return replace(channel, failures=0, held_until="")
        return channel

    def _tell(self, sent: Sent, state: Progress, now: datetime) -> None:
        channel, parcels = sent.begun.channel, sent.begun.parcels
        self._heard.attempted(channel, type(sent.outcome).__name__.lower(), len(parcels), sent.seconds)
        if state is not Progress.PENDING:
            delay = now - min(parse_rfc3339(parcel.created_at) for parcel in parcels)
            self._heard.ended(channel, state, len(parcels), delay.total_seconds())

    def _waiting(self) -> bool:
        """True while something is to be sent later on a channel that is not stopped."""
        standing = {channel.id for channel in self._channels.values() if not channel.stopped}
        return any(c.state is Progress.PENDING and c.channel in standing for c in self._store.deliveries.counts())


def _grouped(channel: Channel, due: list[Parcel], allowed: int) -> list[tuple[Parcel, ...]]:
    """For people: one message each as long as the rate has room for all; else one that lists as many as it holds."""
    if len(due) <= allowed:
        return [(parcel,) for parcel in due]
    everything = tuple(due)
    return [everything[: DIALECTS[channel.kind].fits(channel, everything)]]


def _joined(settled: list[Settled]) -> list[Settled]:
    """Those that differ in nothing but their rows as one: one statement each."""
    groups: dict[Settled, list[int]] = {}
    for one in settled:
        groups.setdefault(replace(one, seqs=()), []).extend(one.seqs)
    return [replace(one, seqs=tuple(seqs)) for one, seqs in groups.items()]


def _pages(seqs: tuple[int, ...], size: int = 500) -> Iterable[tuple[int, ...]]:
    return (seqs[start : start + size] for start in range(0, len(seqs), size))


def _time(text: str) -> datetime | None:
    return parse_rfc3339(text) if text else None
