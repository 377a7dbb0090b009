"""Live: the joint engine as a dispatcher beside a store needs it: it hears of what offices did afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from dispatcher.area import Areas
from dispatcher.case import Anchor, Case, CaseEvent
from dispatcher.joint.case import CaseEvent as Told
from dispatcher.joint.kept import Kept
from dispatcher.joint.memory import Part
from dispatcher.work.action import Action
from dispatcher.work.rules import Rules
from models.taxonomy import Taxonomy
from vision.sighting import Pass, Sighting


class Live:
    """An engine whose every change of a case is an event, so that whoever reads the events knows each case."""

    def __init__(self, areas: Areas, taxonomy: Taxonomy) -> None:
        self._engine = Kept(areas, taxonomy)
        self._objects: set[str] = set()  # ids of those that were told of
        self._unsaid: list[Told] = []  # what followed from actions, which are stored already

    def read(self, item: Sighting | Pass, *, made_at: datetime) -> list[CaseEvent]:
        """Take one sighting or pass. Repeats change nothing. Raises ValueError for one that makes no sense."""
        self._unsaid.clear()  # it was told in the turn in which this was stored, or before
        repeats = self._engine.repeats
        events = self._engine.read(item, made_at=made_at)
        return [] if self._engine.repeats > repeats else [*events, *self._engine.restated(item, events)]

    def act(self, action: Action) -> None:
        """Take what an office did with a case; its event is told already. What the engine cannot follow is nothing.

        That is an action on a case that it does not know, and a merge or split of what it holds to be one, or two:
        cases stay as the desk has told them until they are seen again.
        """
        try:
            events = self._engine.read(action, made_at=action.at)
        except ValueError:
            return
        self._unsaid += [*events, *self._engine.restated(action, events)]

    def judged(self) -> list[CaseEvent]:
        """What followed from actions; told once. Of cases as they stand now: more was done with them since, perhaps."""
        unsaid, self._unsaid = self._unsaid, []
        return [self._engine.standing(event) for event in unsaid]

    def cases(self) -> Sequence[Case]:
        """Every case, candidates and closed ones included, oldest first."""
        return self._engine.cases()

    def objects(self) -> Sequence[Anchor]:
        """The permanent objects, in the order they were first seen."""
        return self._engine.objects()

    def objects_of(self, sighting_id: str) -> list[Anchor]:
        """The object that the input read last is of, and those that it made; without sightings those that it ended."""
        found = self._engine.object_with(sighting_id)
        return [*self._engine.objects_changed(self._objects), *([] if found is None else [found])]

    # What is kept of it in the store

    def about(self) -> dict[str, Any]:
        """What it knows, but for things and cases."""
        return self._engine.about() | {"objects": sorted(self._objects)}

    def changed(self, texts: dict[Part, int]) -> dict[Part, str | None]:
        """Things and cases that are others than `texts` has it, which is brought up to date; None for those gone."""
        found: dict[Part, str | None] = {}
        before, now = set(texts), set[Part]()
        for part, text in self._engine.parts():
            now.add(part)
            if texts.get(part) != hash(text):
                found[part], texts[part] = text, hash(text)
        for part in before - now:
            found[part] = None
            del texts[part]
        return found | dict(self._engine.rested())

    def recall(self, about: dict[str, Any], parts: Iterable[tuple[Part, str]]) -> None:
        """Bring a fresh one to where another one was; `know_passes` is to follow."""
        self._engine.recall(about, parts)
        self._objects = set(about["objects"])

    def know_passes(self, passes: Iterable[Pass]) -> None:
        """The passes that `about` named."""
        self._engine.know_passes(passes)

    @property
    def rules(self) -> Rules:
        """Of communities and campaigns, as imported last."""
        return self._engine.rules

    @rules.setter
    def rules(self, rules: Rules) -> None:
        self._engine.rules = rules

    @property
    def repeats(self) -> int:
        """Inputs that were read before."""
        return self._engine.repeats

    @repeats.setter
    def repeats(self, repeats: int) -> None:
        self._engine.repeats = repeats
