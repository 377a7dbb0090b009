"""What the processes of the distributed mode share: how they join a group, how they are stopped, where they keep."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dispatcher.access.scope import lies_in
from dispatcher.area import Areas, areas_text, parse_areas
from ingest.cluster import Cluster
from ingest.record import BrokerAway, Bus
from jiexun.report import warn
from jiexun.settings import Settings

if TYPE_CHECKING:
    from dispatcher.store.store import Store  # a worker has none

UntilIdle = Annotated[
    float | None, typer.Option("--until-idle", min=0.5, help="End when nothing came for so many seconds.")
]
MetricsPort = Annotated[
    int | None, typer.Option("--metrics-port", help="Serve /metrics, /healthz and /readyz there (0: none).")
]
STAND_BY_S = 1.0  # how often a dispatcher that waits for its turn asks for it
AWAY_S = 60.0  # how long a broker is waited for before a process gives up to start


def default_store(settings: Settings) -> str:
    """Where cases go when nobody says: beside the other data of this machine."""
    settings.data.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{settings.data / 'jiexun.db'}"


@contextmanager
def stopping(stop: Callable[[], None]) -> Iterator[None]:
    """SIGTERM and Ctrl+C ask the block to end by `stop`; a second Ctrl+C ends it at once."""

    def asked(number: int, _frame: object) -> None:
        stop()
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, asked) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def areas_of(store: Store, named: Path | None) -> tuple[Areas, list[str]]:
    """The areas of the file that was named, else those that the store keeps, and what is to be said about them."""
    if named is not None:
        return parse_areas(areas_text(named), str(named))
    kept = store.areas()
    if kept is None:
        return Areas.none(), ["no areas: every case is unowned (name a file with --areas; the store keeps it)"]
    return parse_areas(kept, "in the store")


def strange_areas(store: Store, codes: Iterable[str]) -> list[str]:
    """Codes that no area in the store has or lies below; none while it keeps no areas."""
    known = [area.code for area in areas_of(store, None)[0]]
    return sorted(code for code in codes if known and not any(lies_in(area, code) for area in known))


def member(cluster: Cluster, read: tuple[str, ...], group: str) -> Bus:
    """A member of a group; a broker that is away is waited for. Raises BrokerAway when it stays away."""
    from ingest.bus import KafkaBus  # the client takes a quarter of a second to load

    give_up = time.monotonic() + AWAY_S
    while True:
        try:
            return KafkaBus(cluster, read=read, group=group)
        except BrokerAway as refusal:
            if time.monotonic() >= give_up:
                raise
            warn(f"waiting: {refusal}")
            time.sleep(refusal.retry_after_s)
