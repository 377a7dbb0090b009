"""Channels in the store: who is told through what. Secrets are kept as they are given; nothing here prints them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update

from dispatcher.channels.channel import Channel, Kind, Progress
from dispatcher.store.channel_tables import channels, deliveries
from dispatcher.store.database import writer

LISTS = ("recipients", "events", "mentions")
REMOVED = "the channel was removed"


class NoChannel(ValueError):
    """There is no channel of that name."""


class Channels:
    """The channels of one store."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = writer(engine)

    def add(self, channel: Channel) -> None:
        """Alerts go there from the next event on. Raises ValueError when the name is taken."""
        values = asdict(channel) | {name: json.dumps(getattr(channel, name)) for name in LISTS}
        with self._writer.begin() as connection:
            if any(other.name == channel.name for other in standing(connection)):
                raise ValueError(f"there is a channel {channel.name!r} already")
            connection.execute(insert(channels).values(values))

    def all(self) -> list[Channel]:
        """Those that are not removed, by name."""
        with self._engine.begin() as connection:
            return list(standing(connection))

    def named(self, name: str) -> Channel:
        """Raises NoChannel."""
        for channel in self.all():
            if channel.name == name:
                return channel
        raise NoChannel(f"there is no channel {name!r}")

    def rotate(self, name: str, secret: str, *, until: str) -> Channel:
        """Sign with a new secret from now on, and until then with the one before as well. Raises NoChannel."""
        old = self.named(name)
        new = replace(old, secret=secret, secret_before=old.secret, before_until=until)
        values = {"secret": secret, "secret_before": old.secret, "before_until": until}
        self._change(old.id, values)
        return new

    def start_again(self, name: str) -> None:
        """Send through a channel that was stopped, or that rests after failures. Raises NoChannel."""
        self._change(self.named(name).id, {"stopped": "", "held_until": "", "failures": 0})

    def paced(self, id: str, next_free: str) -> None:
        """A message was sent that is no delivery: it counts for the rate."""
        self._change(id, {"next_free": next_free})

    def remove(self, name: str, *, now: str) -> int:
        """Forget a channel and its secrets. What still waited fails; returns how many. Raises NoChannel."""
        id = self.named(name).id
        gone = {"removed_at": now, "url": "", "secret": "", "secret_before": "", "mentions": "[]"}  # nosec B105
        waiting = (deliveries.c.channel == id) & (deliveries.c.state == str(Progress.PENDING))
        failed = {"state": str(Progress.FAILED), "ended_at": now, "error": REMOVED}
        with self._writer.begin() as connection:
            connection.execute(update(channels).where(channels.c.id == id).values(gone))
            return connection.execute(update(deliveries).where(waiting).values(failed)).rowcount

    def names(self) -> dict[str, str]:
        """Id -> name, of removed channels too."""
        with self._engine.begin() as connection:
            return {row.id: row.name for row in connection.execute(select(channels.c.id, channels.c.name))}

    def _change(self, id: str, values: dict[str, Any]) -> None:
        with self._writer.begin() as connection:
            connection.execute(update(channels).where(channels.c.id == id).values(values))


def standing(connection: Connection) -> Iterator[Channel]:
    """The channels that are not removed."""
    for row in connection.execute(select(channels).where(channels.c.removed_at == "").order_by(channels.c.name)):
        values = {name: getattr(row, name) for name in Channel.__dataclass_fields__}
        lists = {name: tuple(json.loads(values[name])) for name in LISTS}
        yield Channel(**(values | lists | {"kind": Kind(row.kind)}))
