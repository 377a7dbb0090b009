"""Stores, receivers and senders that are real."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alerts import LOOPBACK, SECRET

from benchmarks.receivers import Machine, Server
from dispatcher.channels.courier import Courier
from dispatcher.channels.sender import Sender
from dispatcher.store.lease import Right
from dispatcher.store.store import Store


@pytest.fixture
def store(sqlite_tables: Path, tmp_path: Path) -> Iterator[Store]:
    shutil.copy(sqlite_tables, tmp_path / "store.db")
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as opened:
        yield opened


@pytest.fixture
def courier() -> Iterator[Courier]:
    with Courier(LOOPBACK, lambda: datetime.now(UTC)) as opened:
        yield opened


@pytest.fixture
def machine() -> Machine:
    return Machine(SECRET)


@pytest.fixture
def receiver(machine: Machine) -> Iterator[Server]:
    with Server(machine) as server:
        yield server


@pytest.fixture
def sender_of(courier: Courier) -> Iterator[Callable[..., Sender]]:
    """A sender of a store, closed at the end."""
    made = []

    def make(store: Store, **options: Any) -> Sender:
        lease = store.lease(Right.SEND)
        assert lease is not None
        sender = Sender(store, lease, courier.post, **({"now": lambda: datetime.now(UTC)} | options))
        made.append((sender, lease))
        return sender

    yield make
    for sender, lease in made:
        sender.close()
        lease.release()


@pytest.fixture
def url(store_url: str) -> str:
    """A database of either kind, without anything in its tables."""
    return store_url
