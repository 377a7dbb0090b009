"""Served: a `jiexun serve` of one's own over a stocked store, and keys to ask it with."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from dispatcher.access.account import Key
from dispatcher.access.principal import Reach, Role
from dispatcher.access.tokens import hashed, new_key
from dispatcher.store.store import Store

COMES_UP_S = 120.0
FILES = 8192  # open at once: a connection is one


def keys(store: Store, areas: Iterable[str | None]) -> dict[str | None, str]:
    """A viewer's key for each of these areas; None is every area."""
    now = datetime.now(UTC)
    made = {}
    for area in areas:
        id, token = new_key()
        key = Key(
            id=id,
            name=f"bench {area}",
            role=Role.VIEWER,
            areas=None if area is None else frozenset({area}),
            reach=frozenset({Reach.READ}),
            created_at=now,
            expires_at=now + timedelta(days=1),
        )
        store.keys.add(key, hashed(token))
        made[area] = token
    return made


def more_files() -> None:
    """As many connections as a benchmark needs; the server inherits it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, most), most))


@contextmanager
def server(url: str) -> Iterator[int]:
    """The shipped command over a store; gives its port. It ends with the block."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="jiexun-serve-") as folder:
        environment = os.environ | {"JIEXUN_STORE": url, "JIEXUN_DATA": folder}
        command = [str(Path(sys.executable).with_name("jiexun")), "serve", "--port", str(port), "--metrics-port", "0"]
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        try:
            _wait(port, process)
            yield port
        finally:
            process.terminate()
            process.wait()


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + COMES_UP_S
    with httpx.Client(trust_env=False) as client:
        while time.monotonic() < give_up and process.poll() is None:
            try:
                if client.get(f"http://127.0.0.1:{port}/healthz").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
    raise OSError("`jiexun serve` did not come up")


def quantile(values: list[float], q: float) -> float:
    """The smallest value that at least this part of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(q * len(ordered) + 0.5) - 1))]
