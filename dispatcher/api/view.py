"""View: what one principal may read. Every route that reads a store goes through it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from dispatcher.access.principal import Principal
from dispatcher.access.scope import EVERYTHING, Scope
from dispatcher.api.names import AreaNames
from dispatcher.store.rows import CaseFilter, Document, Listing, StoredCase, StoredEvent, Summary
from dispatcher.store.store import Store


@dataclass(frozen=True, slots=True)
class View:
    """A store and its areas through the eyes of one principal."""

    store: Store
    areas: AreaNames
    scope: Scope

    @classmethod
    def of(cls, principal: Principal | None, store: Store, areas: AreaNames) -> View:
        """Nobody sees nothing."""
        if principal is None:
            return cls(store, areas, Scope(frozenset()))
        if principal.areas is None:
            return cls(store, areas, EVERYTHING)
        return cls(store, areas, Scope.of(principal.areas, areas.parents()))

    def log(self) -> str:
        """The name of the log that every number counts in."""
        return self.store.log

    def cases(self, where: CaseFilter) -> Listing:
        return self.store.cases(replace(where, scope=self.scope))

    def case(self, id: str) -> tuple[StoredCase, list[StoredEvent]] | None:
        """None also for a case of others: that it exists is theirs to know."""
        return self.store.case(id, self.scope)

    def listen(self, after: int, limit: int) -> tuple[list[StoredEvent], int]:
        return self.store.listen(after, limit, self.scope)

    def summary(self, since: datetime) -> Summary:
        return self.store.summary(since, self.scope)

    def picture(self, name: str) -> bool:
        """Whether a picture of that name may be shown."""
        return self.store.picture_in(name, self.scope)

    def objects(self) -> list[Document]:
        """Permanent objects that stand in an area of the scope."""
        found = self.store.objects()
        if self.scope == EVERYTHING:
            return found
        return [thing for thing in found if self._stands_in(thing)]

    def features(self) -> dict[str, Any]:
        """The areas of the scope as GeoJSON. What they lie in is named by no more than a code."""
        collection = self.areas.features()
        if self.scope == EVERYTHING:
            return collection
        features = [found for found in collection["features"] if self.scope.covers(_code(found))]
        return collection | {"features": features}

    def _stands_in(self, thing: Mapping[str, Any]) -> bool:
        return any(self.scope.covers(area.code) for area in self.areas.covering(thing["lat"], thing["lon"]))


def _code(feature: Mapping[str, Any]) -> str:
    return str(feature["properties"]["code"])
