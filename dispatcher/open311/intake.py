"""Intake: reports reach the case engine, which decides whether they are of a case that is known.

Whoever decides on the store takes them: a dispatcher that runs, else the server that they were sent to. A report that
was taken is an input like a sighting: it lies in the log of inputs where it counted, and is decided the same again.
"""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from dispatcher.alert import letters
from dispatcher.area import Areas
from dispatcher.case import CaseEvent
from dispatcher.dispatch import Dispatcher, Letters
from dispatcher.engines import begun
from dispatcher.open311.limits import Limits
from dispatcher.open311.posted import Filed
from dispatcher.open311.report import Taking
from dispatcher.store import reports
from models.taxonomy import Taxonomy
from vision.sighting import parse_sighting

if TYPE_CHECKING:
    from dispatcher.store.reports import Standing
    from dispatcher.store.store import Store

AT_ONCE = 100  # reports that are taken in one transaction
WAIT_S = 2.0  # how long a sender waits for a dispatcher before it gets a token
LOOK_S = 0.05


def take(store: Store, dispatcher: Dispatcher, taxonomy: Taxonomy, told_by: Letters) -> list[CaseEvent]:
    """Let the engine decide on the reports that wait. What follows becomes durable with them, all or nothing."""
    if not store.reports.any_waiting():
        return []
    told: list[CaseEvent] = []
    with dispatcher.turn(), store.writing() as connection:
        for report in reports.waiting(connection, AT_ONCE):
            try:
                envelope = report.envelope(taxonomy)
                decided = dispatcher.decide(envelope, parse_sighting(envelope.data))
            except (ValueError, KeyError) as error:  # KeyError: a matter that was struck off the list meanwhile
                reports.taken(connection, report.id, str(error))
                continue
            if decided is not None:
                store.append([decided.input], decided.events, (), told_by)
                told += decided.events
            reports.taken(connection, report.id)
    return told


class Intake:
    """Where a server puts reports. Its engine is made when the first one comes and nobody else decides."""

    def __init__(self, store: Store, areas: Areas, taxonomy: Taxonomy, limits: Limits | None = None) -> None:
        self._store = store
        self._limits = limits or Limits()
        self._areas = areas
        self._taxonomy = taxonomy
        self._letters: Letters = partial(letters, areas=areas, taxonomy=taxonomy)
        self._lock = threading.Lock()
        self._dispatcher: Dispatcher | None = None

    def post(self, filed: Filed, key: str | None, asked: str | None) -> Standing:
        """Keep a report and see it taken, if that is soon; else it waits. Raises TooMany."""
        kept = self._store.reports.add(filed.report, filed.contact, key, asked, self._limits)
        give_up = time.monotonic() + WAIT_S
        while kept.taking is Taking.WAITING and time.monotonic() < give_up:
            if not self.decide():
                time.sleep(LOOK_S)
            found = self._store.reports.find(kept.report.id, kept.report.sender)
            assert found is not None  # reports stay
            kept = found
        return kept

    def decide(self) -> bool:
        """Take what waits, unless a dispatcher runs, who will. False when it is left to them."""
        if not self._store.reports.any_waiting():
            return True
        with self._lock:
            lease = self._store.lease()
            if lease is None:
                return False
            try:
                take(self._store, self._caught_up(), self._taxonomy, self._letters)
            except BaseException:
                self._dispatcher = None  # it may know what was not stored
                raise
            finally:
                lease.release()
        return True

    def _caught_up(self) -> Dispatcher:
        """Read what was stored meanwhile before the write lock is taken: then it is held for a moment only."""
        made = self._dispatcher
        if made is None:
            engine, snapshot = begun(self._store, self._areas, self._taxonomy)
            made = Dispatcher(engine, self._store, self._letters)
            made.seq = snapshot.recall()
        made.recover(self._store.inputs(made.seq))
        self._dispatcher = made
        return made
