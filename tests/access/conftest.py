"""A console over the street in Futian that the tests of the dispatcher know, with accounts of its two sides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import futian
import httpx
import pytest
from fastapi import FastAPI
from futian import WEST
from passwords import PASSWORD, QUICK

from dispatcher.access.account import Account, Key
from dispatcher.access.principal import Reach, Role
from dispatcher.access.tokens import hashed, new_key
from dispatcher.api.app import create_app
from dispatcher.api.serve import serve
from dispatcher.store.store import Store
from vision.pictures import FolderEvidence

areas_file, areas, store = futian.areas_file, futian.areas, futian.store  # fixtures
make_case, make_event = futian.make_case, futian.make_event


@pytest.fixture
def add_account(store: Store) -> Callable[..., Account]:
    def add(login: str = "li.ming", **changes: Any) -> Account:
        now = datetime.now(UTC)
        values: dict[str, Any] = {
            "login": login,
            "name": "李明",
            "role": Role.OFFICER,
            "areas": frozenset({WEST}),
            "password_hash": QUICK.hash(PASSWORD),
            "created_at": now,
            "changed_at": now,
        }
        account = Account(**(values | changes))
        store.accounts.add(account)
        return account

    return add


@pytest.fixture
def add_key(store: Store) -> Callable[..., str]:
    """Keeps a key and gives its token."""

    def add(**changes: Any) -> str:
        id, token = new_key()
        now = datetime.now(UTC)
        values: dict[str, Any] = {
            "id": id,
            "name": "a machine",
            "role": Role.ADMIN,
            "areas": None,
            "reach": frozenset(Reach),
            "created_at": now,
            "expires_at": now.replace(year=now.year + 1, day=1),
        }
        store.keys.add(Key(**(values | changes)), hashed(token))
        return token

    return add


@pytest.fixture
def app(store: Store, areas: Any, tmp_path: Path) -> FastAPI:
    (tmp_path / "evidence").mkdir(exist_ok=True)
    made = create_app(store, areas, evidence=FolderEvidence(tmp_path / "evidence"))
    made.state.desk.gate.passwords = QUICK
    return made


@pytest.fixture
def url(app: FastAPI) -> Iterator[str]:
    with serve(app, port=0) as serving:
        yield serving.url


@pytest.fixture
def browser(url: str) -> Iterator[Callable[..., httpx.Client]]:
    """Opens a browser of its own: cookies, and the header that every browser sends with a change."""
    opened = []

    def open(**headers: str) -> httpx.Client:
        client = httpx.Client(base_url=url, trust_env=False, headers={"origin": url} | headers)
        opened.append(client)
        return client

    yield open
    for client in opened:
        client.close()


@pytest.fixture
def signed_in(browser: Callable[..., httpx.Client]) -> Callable[[str], httpx.Client]:
    def sign_in(login: str) -> httpx.Client:
        client = browser()
        answer = client.post("/api/signin", json={"login": login, "password": PASSWORD})
        assert answer.status_code == 204, answer.text
        return client

    return sign_in
