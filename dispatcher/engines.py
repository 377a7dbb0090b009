"""Engines: which case engine decides on a store. One does, from its first input on: another would decide otherwise."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from dispatcher.area import Areas
from dispatcher.dispatch import REMEMBERED, CaseEngine
from dispatcher.engine import Engine
from dispatcher.joint.live import Live
from dispatcher.joint.snapshot import Snapshot as JointSnapshot
from dispatcher.snapshot import Kept
from dispatcher.store.decider import decider, keep_decider
from dispatcher.store.reading import last_event
from dispatcher.store.store import Store
from models.taxonomy import Taxonomy


class Which(StrEnum):
    """What decides cases."""

    JOINT = "joint"  # places all of a vehicle's sightings together
    SHIPPED = "shipped"


class Snapshot(Protocol):
    """Where the next dispatcher starts from."""

    @property
    def changes(self) -> int:
        """Places and objects that have changed since it was kept."""

    def recall(self) -> int:
        """Bring the fresh engine there. Returns the number of the last input in it; 0 when there is none."""

    def amend(self, seq: int) -> None:
        """Keep what has changed, up to an input."""


def begun(store: Store, areas: Areas, taxonomy: Taxonomy, which: Which | None = None) -> tuple[CaseEngine, Snapshot]:
    """A fresh engine for a store, and where it may start from. `which`: None is the one that decides there already.

    Raises ValueError where another one does.
    """
    if claimed(store, which) is Which.JOINT:
        live = Live(areas, taxonomy)
        return live, JointSnapshot(live, store)
    engine = Engine(areas, taxonomy, remembered=REMEMBERED)
    return engine, Kept(engine, store)


def remembering(store: Store, areas: Areas, taxonomy: Taxonomy, which: Which | None = None) -> CaseEngine:
    """A fresh engine for whoever reads all inputs of a store, and knows each of them again.

    Raises ValueError where another one than `which` decides.
    """
    return Live(areas, taxonomy) if claimed(store, which) is Which.JOINT else Engine(areas, taxonomy)


def decides(store: Store) -> Which:
    """The engine that decides on a store; the shipped one where nobody has said."""
    with store.reading() as connection:
        found = decider(connection)
    return Which.SHIPPED if found is None else Which(found)


def claimed(store: Store, which: Which | None) -> Which:
    """Say which engine decides from now on. Raises ValueError where another one has decided."""
    before = decides(store)
    if which is None or which is before:
        return before
    with store.writing() as connection:
        if last_event(connection):  # inputs alone, as imported rules are, bind to no engine
            raise ValueError(
                f"on this store the {before} engine decides: the {which} one would tell its cases again as others. "
                f"Take a new store, or leave out --engine"
            )
        keep_decider(connection, str(which))
    return which
