"""Stores, receivers and senders that are real."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from alerts import LOOPBACK, SECRET

from benchmarks.receivers import Machine, Server
from dispatcher.channels.courier import Courier
from dispatcher.channels.sender import Sender
from dispatcher.store.lease import Right
from dispatcher.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
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


BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL of this test run's own, as `postgresql://…` without a database. JIEXUN_POSTGRESQL names another."""
    if given := os.environ.get("JIEXUN_POSTGRESQL"):
        yield given.rstrip("/")
        return
    if not BINARIES or not shutil.which("runuser"):
        why = "NO REAL POSTGRESQL, NOT TESTED: install postgresql, or name one by JIEXUN_POSTGRESQL"
        pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)
    home = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())  # where the user postgres may go
    shutil.chown(home, "postgres")
    password = secrets.token_hex(8)
    (home / "pw").write_text(password)
    shutil.chown(home / "pw", "postgres")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])

    def do(name: str, *words: str) -> None:
        command = ["runuser", "-u", "postgres", "--", BINARIES[-1] / name, "-D", home / "data", *words]
        subprocess.run(command, cwd="/", check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    do("initdb", "-U", "postgres", "--auth=scram-sha-256", f"--pwfile={home / 'pw'}", "-E", "UTF8", "-N")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={home} -c fsync=off"
    do("pg_ctl", "-w", "-l", str(home / "log"), "-o", options, "start")
    try:
        yield f"postgresql://postgres:{quote(password)}@127.0.0.1:{port}"
    finally:
        do("pg_ctl", "-m", "fast", "stop")
        shutil.rmtree(home)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'either.db'}"
    server: str = request.getfixturevalue("server")
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"create database {name}")  # type: ignore[call-overload]  # the name is ours
    return f"{server}/{name}"
