"""View: what one principal may read. Every route that reads a store goes through it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

import shapely

from dispatcher.access.principal import Principal
from dispatcher.access.scope import EVERYTHING, Scope
from dispatcher.api.names import AreaNames
from dispatcher.heat import FINE, Covered, Warm, coverage, heat, owners_of, tiles
from dispatcher.store.maps import Box, MapFilter, MapPage
from dispatcher.store.rows import CaseFilter, Document, Listing, StoredCase, StoredEvent, Summary
from dispatcher.store.statistics import Tally, statistics
from dispatcher.store.store import Store
from ingest.envelope import parse_envelope
from ingest.frame import rfc3339
from vision.sighting import Sighting, parse_sighting


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
        return cls(store, areas, _scope(principal.areas, areas))

    def log(self) -> str:
        """The name of the log that every number counts in."""
        return self.store.log

    def cases(self, where: CaseFilter) -> Listing:
        return self.store.cases(replace(where, scope=self.scope))

    def case(self, id: str) -> tuple[StoredCase, list[StoredEvent]] | None:
        """None also for a case of others: that it exists is theirs to know."""
        return self.store.case(id, self.scope)

    def sightings(self, id: str) -> list[Sighting] | None:
        """What a case is made of, in its order; None also for a case of others."""
        lines = self.store.sightings(id, self.scope)
        return None if lines is None else [parse_sighting(parse_envelope(line).data) for line in lines]

    def listen(self, after: int, limit: int) -> tuple[list[StoredEvent], int]:
        return self.store.listen(after, limit, self.scope)

    def summary(self, since: datetime) -> Summary:
        return self.store.summary(since, self.scope)

    def statistics(self, since: str, until: str, now: datetime) -> dict[str | None, Tally]:
        """By owner, what came of the cases that were opened in a time."""
        with self.store.reading() as connection:
            return statistics(connection, since, until, rfc3339(now), self.scope)

    def picture(self, name: str) -> bool:
        """Whether a picture of that name may be shown."""
        return self.store.picture_in(name, self.scope)

    def objects(self) -> list[Document]:
        """Permanent objects that stand in an area of the scope."""
        found = self.store.objects()
        if self.scope == EVERYTHING:
            return found
        return [thing for thing in found if self._stands_in(thing)]

    def heat(self, resolution: int, since_day: str, matter: str | None) -> list[Warm]:
        """The heat map of the scope: its ground, and whatever cases are shown. Raises TooFine."""
        ground = [cell for cell, area in tiles(self.areas, resolution).items() if self.scope.covers(area)]
        cases = self.store.maps.unsettled(self.scope, matter)
        return heat(ground, self._own(self.store.maps.looks(since_day)), cases, resolution)

    def coverage(self, since_day: str) -> list[Covered]:
        """How much of each area of the scope was looked at. Raises TooFine."""
        ground = {cell: area for cell, area in tiles(self.areas, FINE).items() if self.scope.covers(area)}
        return coverage(ground, self.store.maps.looks(since_day), self.store.maps.last_looked())

    def bounds(self) -> Box | None:
        """What the areas of the scope lie in; None without any."""
        layer = self.areas.routing_layer
        mine = [] if layer is None else [a.polygon for a in self.areas.of_layer(layer) if self.scope.covers(a.code)]
        west, south, east, north = shapely.total_bounds(mine).tolist() if mine else (0.0, 0.0, 0.0, 0.0)
        return (west, south, east, north) if mine else None

    def map_page(self, where: MapFilter) -> MapPage:
        return self.store.maps.page(replace(where, scope=self.scope))

    def _own(self, looks: Mapping[int, float]) -> Mapping[int, float]:
        """Looks at ground of the scope."""
        if self.scope == EVERYTHING:
            return looks
        owners = zip(looks.items(), owners_of(self.areas, list(looks)), strict=True)
        return {cell: n for (cell, n), area in owners if area is not None and self.scope.covers(area)}

    def features(self) -> dict[str, Any]:
        """The areas of the scope as GeoJSON. What they lie in is named by no more than a code."""
        collection = self.areas.features()
        if self.scope == EVERYTHING:
            return collection
        features = [found for found in collection["features"] if self.scope.covers(_code(found))]
        return collection | {"features": features}

    def _stands_in(self, thing: Mapping[str, Any]) -> bool:
        return any(self.scope.covers(area.code) for area in self.areas.covering(thing["lat"], thing["lon"]))


@lru_cache(maxsize=1000)
def _scope(codes: frozenset[str], areas: AreaNames) -> Scope:
    """What lies below these codes, by them and by the file of areas, all of which is gone through."""
    return Scope.of(codes, areas.parents())


def _code(feature: Mapping[str, Any]) -> str:
    return str(feature["properties"]["code"])
