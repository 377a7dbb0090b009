"""A PostgreSQL of this test run's own, and an empty database on either kind of store."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """As `postgresql://…` without a database. JIEXUN_POSTGRESQL names another."""
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
        port = listener.getsockname()[1]

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
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    server: str = request.getfixturevalue("postgresql")
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"create database {name}")  # type: ignore[call-overload]  # the name is ours
    return f"{server}/{name}"
