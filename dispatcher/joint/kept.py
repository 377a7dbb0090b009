"""Kept: the joint engine beside a store, which knows cases and objects by what is told of them, and keeps the rest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from dispatcher.joint.case import Anchor, CaseEvent
from dispatcher.joint.engine import Engine, Input, object_id, object_of
from dispatcher.joint.memory import RESTING, Part, parts_of, recall
from dispatcher.joint.shown import case_of
from dispatcher.joint.view import View
from vision.sighting import Pass

AT_ONCE: Final = 1000  # things that are laid on the shelf together


class Kept(Engine):
    """An engine that says what a store needs to know, and what it needs itself to go on where another one ended."""

    def restated(self, item: Input, events: Iterable[CaseEvent]) -> list[CaseEvent]:
        """What `events`, of the input that was read last, leave unsaid of cases that changed with it.

        For a store, which knows cases by their events: `merged` of a case that goes on with another one's sightings and
        alerts, `judged` of one whose sightings were regrouped otherwise, and `reported` of the one that a citizen's
        report is of.
        """
        said: set[str] = set()
        heirs: dict[str, None] = {}
        for event in events:
            said.add(event.case.id)
            if event.into is not None:
                heirs[event.into] = None
        found = []
        for id in heirs:
            if id in self._docket.records:
                said.add(id)
                found.append(self._docket.restated(self._docket.records[id], "merged", at=self._clock, cause=item.id))
        for id, record in self._docket.regrouped.items():
            if id not in said and record.logged and id in self._docket.records:
                said.add(id)
                found.append(self._docket.restated(record, "judged", at=self._clock, cause=item.id))
        seen = self._seen.get(item.id)
        if seen is not None and seen.by_person and seen.record is not None and seen.record.id not in said:
            found.append(self._docket.restated(seen.record, "reported", at=self._clock, cause=item.id))
        return found

    def standing(self, event: CaseEvent) -> CaseEvent:
        """An event, with its case as it stands now; of a case that is no more, as it stood."""
        record = self._docket.records.get(event.case.id)
        return event if record is None or event.into is not None else replace(event, case=case_of(record))

    def objects_changed(self, known: set[str]) -> list[Anchor]:
        """The objects that the last input made, without sightings those that it ended. `known`: ids of all before."""
        found = []
        for thing in self._regrouped:
            id = object_id(thing)
            if thing.plain and id not in known:
                known.add(id)
                found.append(object_of(thing, self._atlas.surveyed(thing)))
            elif not thing.plain and id in known:
                known.remove(id)
                lat, lon, covariance = thing.lat, thing.lon, thing.covariance
                found.append(Anchor(id=id, kind="", lat=lat, lon=lon, covariance_m2=covariance, sightings=()))
        return found

    # What is kept of it

    def about(self) -> dict[str, Any]:
        """What it knows, but for things and cases. `passes`: ids of those that `know_passes` is to be given."""
        rest = [] if self._rest is None else self._rest.state()
        atlas = self._atlas.state()
        return {
            "clock": self._clock.isoformat(),
            "count": self._count,
            "others": list(self._others.items()),
            "atlas": atlas,
            "docket": self._docket.state(),
            "rest": rest,
            "passes": atlas[-1][0],
        }

    def parts(self) -> Iterator[tuple[Part, str]]:
        """Each thing and case in memory, as JSON."""
        return parts_of(self._atlas, self._docket)

    def rested(self) -> Iterator[tuple[Part, str | None]]:
        """Each thing that was put on disk since it was last asked, as JSON; None for one that was fetched."""
        if self._rest is None:
            return
        shelf = self._rest.shelf
        for number in shelf.moved_since():
            yield (RESTING, str(number)), shelf.body(number)

    def recall(self, about: dict[str, Any], parts: Iterable[tuple[Part, str]]) -> None:
        """Bring a fresh engine to where another one was; `know_passes` is to follow."""
        resting: list[str] = []
        memory: list[tuple[Part, str]] = []
        for part, text in parts:
            if part[0] != RESTING:
                memory.append((part, text))
                continue
            resting.append(text)
            if len(resting) >= AT_ONCE and self._rest is not None:
                self._rest.lay(resting)
                resting = []
        recall(self._atlas, self._docket, self._seen, memory)
        self._atlas.recall(about["atlas"])
        self._docket.recall(about["docket"])
        if self._rest is not None:
            self._rest.lay(resting)
            self._rest.recall(about["rest"])
        self._clock = datetime.fromisoformat(about["clock"])
        self._count = about["count"]
        self._others = dict(about["others"])

    def know_passes(self, passes: Iterable[Pass]) -> None:
        """The passes that `about` named; it decides from here as the other one would have."""
        for item in passes:
            self._atlas.views.put(View(item))
