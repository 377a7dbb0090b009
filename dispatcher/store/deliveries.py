"""Deliveries in the store: one row for each alert on each channel, written with the event that caused it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, and_, delete, func, insert, select, update

from dispatcher.channels.channel import ENDED, Channel, Parcel, Progress
from dispatcher.store.channel_tables import channels, deliveries
from dispatcher.store.channels import standing
from dispatcher.store.database import writer
from dispatcher.store.rows import Letter
from ingest.frame import rfc3339
from ingest.topics import ALERTS

PAGE = 500
FORGOTTEN_AT_ONCE = 2_000  # rows; meanwhile nobody else writes
GIVEN_UP = "given up: it could not be delivered in time"


@dataclass(frozen=True, slots=True)
class Begun:
    """An attempt that is about to be made: these rows, in one message."""

    channel: Channel
    parcels: tuple[Parcel, ...]
    digest: str = ""  # id of the message when it is to list several
    next_free: str = ""  # the channel's token bucket afterwards


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of rows that were being sent."""

    seqs: tuple[int, ...]
    state: Progress
    at: str
    error: str = ""
    next_at: str = ""  # of those that are to be sent again


@dataclass(frozen=True, slots=True)
class Count:
    """How many deliveries of a channel are in a state, and when the oldest was made of those that wait."""

    channel: str
    state: Progress
    n: int
    oldest: str


def post(connection: Connection, letters: Sequence[Letter]) -> None:
    """Give alerts to the channels that want them, inside the transaction that stores their event."""
    alerts = [letter for letter in letters if letter.topic == ALERTS.name]
    wanted = [channel for channel in standing(connection) if not channel.stopped] if alerts else []
    if not wanted:
        return
    now = rfc3339(datetime.now(UTC))
    for letter in alerts:
        event = json.loads(letter.line)["data"]["event"]
        for channel in wanted:
            if channel.wants(letter.key, event):
                values = {
                    "alert": letter.id,
                    "channel": channel.id,
                    "state": str(Progress.PENDING),
                    "created_at": now,
                    "next_at": now,
                    "line": letter.line,
                }
                connection.execute(insert(deliveries).values(values))


class Deliveries:
    """What was and is to be delivered. One sender changes it; anybody may look."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = writer(engine)

    # For the sender

    def due(self, channel: str, now: str, limit: int = PAGE) -> list[Parcel]:
        """What may be sent on a channel now, what is due longest first."""
        c = deliveries.c
        wanted = and_(c.channel == channel, c.state == str(Progress.PENDING), c.next_at <= now)
        query = select(deliveries).where(wanted).order_by(c.next_at, c.seq).limit(limit)
        with self._engine.begin() as connection:
            return [_parcel(row) for row in connection.execute(query)]

    def begin(self, attempts: Sequence[Begun]) -> bool:
        """Store attempts before they are made, all or none. False when a row is not waiting any more."""
        together: dict[str, list[int]] = {}  # digest -> rows: one statement for all that go alone
        for attempt in attempts:
            together.setdefault(attempt.digest, []).extend(parcel.seq for parcel in attempt.parcels)
        paced = {attempt.channel.id: attempt.next_free for attempt in attempts}  # the last of a channel counts
        with self._writer.connect() as connection, connection.begin() as transaction:
            for digest, seqs in together.items():
                waiting = and_(deliveries.c.seq.in_(seqs), deliveries.c.state == str(Progress.PENDING))
                sending = {
                    "state": str(Progress.SENDING),
                    "attempts": deliveries.c.attempts + 1,
                    "digest": digest,
                }
                if connection.execute(update(deliveries).where(waiting).values(sending)).rowcount != len(seqs):
                    transaction.rollback()
                    return False
            for id, next_free in paced.items():
                connection.execute(update(channels).where(channels.c.id == id).values(next_free=next_free))
        return True

    def settle(self, settled: Sequence[Settled], touched: Collection[Channel] = ()) -> None:
        """Store what became of attempts, and how the channels fare: whether they rest or are stopped."""
        with self._writer.begin() as connection:
            for one in settled:
                _settle(connection, one)
            for channel in touched:
                fares = {"failures": channel.failures, "held_until": channel.held_until, "stopped": channel.stopped}
                connection.execute(update(channels).where(channels.c.id == channel.id).values(fares))

    def sending(self) -> list[Parcel]:
        """What a sender that ended had begun and not settled."""
        query = select(deliveries).where(deliveries.c.state == str(Progress.SENDING)).order_by(deliveries.c.seq)
        with self._engine.begin() as connection:
            return [_parcel(row) for row in connection.execute(query)]

    def expire(self, channel: str, *, before: str, now: str, reason: str = GIVEN_UP) -> int:
        """Give up what has waited on a channel since before a time."""
        c = deliveries.c
        old = and_(c.channel == channel, c.state == str(Progress.PENDING), c.created_at < before)
        with self._engine.begin() as connection:
            if not connection.scalar(select(func.count()).select_from(deliveries).where(old)):
                return 0
        with self._writer.begin() as connection:
            told = reason + func.coalesce(func.nullif("; " + c.error, "; "), "")
            failed = {"state": str(Progress.FAILED), "ended_at": now, "error": told}
            return connection.execute(update(deliveries).where(old).values(failed)).rowcount

    # For people

    def listing(
        self, *, state: Progress | None = None, channel: str | None = None, alert: str | None = None, limit: int = PAGE
    ) -> list[Parcel]:
        """Deliveries, the last first."""
        c = deliveries.c
        asked = ((c.state, state), (c.channel, channel), (c.alert, alert))
        wanted = and_(c.seq > 0, *(column == str(value) for column, value in asked if value is not None))
        query = select(deliveries).where(wanted).order_by(c.seq.desc()).limit(limit)
        with self._engine.begin() as connection:
            return [_parcel(row) for row in connection.execute(query)]

    def send_again(self, seqs: Collection[int], *, now: str) -> int:
        """A person decided that these, which failed or whose outcome is unknown, be sent. Returns how many are."""
        ended = deliveries.c.state.in_((str(Progress.FAILED), str(Progress.UNKNOWN)))
        # The age at which it is given up counts anew.
        waiting = {"state": str(Progress.PENDING), "next_at": now, "created_at": now, "ended_at": "", "digest": ""}
        standing_ones = select(channels.c.id).where(channels.c.removed_at == "")
        wanted = and_(deliveries.c.seq.in_(seqs), ended, deliveries.c.channel.in_(standing_ones))
        with self._writer.begin() as connection:
            return connection.execute(update(deliveries).where(wanted).values(waiting)).rowcount

    def purge(self, *, before: str) -> dict[Progress, int]:
        """Forget what was told, or failed for good, before a time. Returns how many of each.

        What waits, is being sent or may have arrived stays, however old. An event is stored once, so what is forgotten
        here is not posted again.
        """
        c, gone, last = deliveries.c, Counter(dict.fromkeys(ENDED, 0)), 0
        old = and_(c.state.in_([str(state) for state in ENDED]), c.ended_at != "", c.ended_at < before)
        while True:
            query = select(c.seq, c.state).where(old, c.seq > last).order_by(c.seq).limit(FORGOTTEN_AT_ONCE)
            with self._writer.begin() as connection:
                rows = connection.execute(query).all()
                if not rows:
                    return dict(gone)
                connection.execute(delete(deliveries).where(old, c.seq.between(rows[0].seq, rows[-1].seq)))
            gone.update(Progress(row.state) for row in rows)
            last = rows[-1].seq

    def counts(self) -> list[Count]:
        """By channel and state."""
        c, waits = deliveries.c, str(Progress.PENDING)
        count = select(c.channel, c.state, func.count().label("n")).group_by(c.channel, c.state)
        since = select(c.channel, func.min(c.created_at).label("first")).where(c.state == waits).group_by(c.channel)
        with self._engine.begin() as connection:
            rows = connection.execute(count.order_by(c.channel, c.state)).all()
            oldest = {row.channel: row.first for row in connection.execute(since)}
        return [
            Count(row.channel, Progress(row.state), row.n, oldest.get(row.channel, "") if row.state == waits else "")
            for row in rows
        ]


def _settle(connection: Connection, one: Settled) -> None:
    values: dict[str, Any] = {"state": str(one.state), "error": one.error}
    if one.state is Progress.PENDING:
        values |= {"next_at": one.next_at, "digest": ""}
    else:
        values |= {"ended_at": one.at}
    sending = and_(deliveries.c.seq.in_(one.seqs), deliveries.c.state == str(Progress.SENDING))
    connection.execute(update(deliveries).where(sending).values(values))


def _parcel(row: Any) -> Parcel:
    values = {name: getattr(row, name) for name in Parcel.__dataclass_fields__}
    return Parcel(**(values | {"state": Progress(row.state)}))
