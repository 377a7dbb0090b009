"""Desk: what every route works with, and how it gets hold of it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol

from fastapi import Depends, Request

from dispatcher.access.gate import Gate
from dispatcher.access.oidc import Provider
from dispatcher.api.names import Names
from dispatcher.api.page import Pages
from dispatcher.api.view import View
from dispatcher.store.store import Store


class Pictures(Protocol):
    """Where evidence is read: any of the stores that vision writes."""

    def get(self, name: str) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class Desk:
    """What every route works with."""

    store: Store
    names: Names
    evidence: Pictures
    stopping: threading.Event  # set when the server goes down: open streams end
    gate: Gate
    provider: Provider | None  # of identities
    console: Path  # the files of the page
    public_url: str  # under which browsers reach the page; "" where it does not matter
    pages: Pages


async def _desk(request: Request) -> Desk:
    """`async` as all that asks nobody: a plain function would be sent through a thread of its own."""
    desk: Desk = request.app.state.desk
    return desk


DeskDep = Annotated[Desk, Depends(_desk)]


async def _view(request: Request, desk: DeskDep) -> View:
    return View.of(request.state.principal, desk.store, desk.names.areas)


ViewDep = Annotated[View, Depends(_view)]
