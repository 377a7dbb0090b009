"""Snapshot: what an engine knows, as JSON, so that a dispatcher with a long history need not read all of it to start.

Positions, beliefs and indexes follow from it and are made anew. Numbers come back exactly as they were.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from dispatcher.belief import Look
from dispatcher.case import Alert, Share, State
from dispatcher.engine import Engine
from dispatcher.place import Episode, Located, Place
from dispatcher.store.store import Store
from dispatcher.work.rules import Rules
from ingest.frame import parse_rfc3339, rfc3339
from vision.sighting import Sighting, parse_sighting

PLACES, ANCHORS = "places", "anchors"
Part = tuple[str, str]  # of the one or the other, and its id
FORMAT = "2"  # raised when an engine decides otherwise: then the inputs are read again


def mark(areas: str | None) -> str:
    """Under what a snapshot was taken: one of another format, or of other areas, is of no use."""
    return f"{FORMAT}-{hashlib.sha256((areas or '').encode()).hexdigest()[:24]}"


def about(engine: Engine) -> dict[str, Any]:
    """What of a snapshot is of no place or object."""
    return {
        "clock": None if engine.clock is None else rfc3339(engine.clock),
        "rules": dict(engine.rules.pages),
    }


class Changed(Mapping[Part, Any]):
    """The places and objects that changed since this was made last, None for those that are gone.

    Of an engine that was never asked that is all there is. What it costs goes with what changed. Each is written when
    it is asked for, and none is kept: so it is for here and now, while the engine stands still.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        places, anchors = engine.changes.taken()
        self._parts: dict[Part, None] = dict.fromkeys((PLACES, id) for id in places)
        self._parts |= dict.fromkeys((ANCHORS, id) for id in anchors)

    def __getitem__(self, part: Part) -> Any:
        return part_of(self._engine, part)

    def __iter__(self) -> Iterator[Part]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)


class Kept:
    """The snapshot of an engine in a store."""

    def __init__(self, engine: Engine, store: Store) -> None:
        self._engine = engine
        self._store = store
        self._mark = mark(store.areas())

    @property
    def changes(self) -> int:
        """Places and objects that have changed since it was kept."""
        return len(self._engine.changes)

    def recall(self) -> int:
        """Bring the fresh engine there. Returns the number of the last input in it; 0 when there is none."""
        return self._store.recall(self._mark, partial(recall, self._engine)) or 0

    def amend(self, seq: int) -> None:
        """Keep what has changed, up to an input. What it costs goes with that, and not with what is known."""
        self._store.amend_snapshot(self._mark, about(self._engine), Changed(self._engine), seq)


def part_of(engine: Engine, part: Part) -> Any:
    """The document of a place or object; None when the engine does not know it."""
    name, id = part
    if name == ANCHORS:
        sightings = engine.anchors().get(id)
        return None if sightings is None else [one.document() for one in sightings]
    place = engine.place(id)
    return None if place is None else _place(place)


def recall(engine: Engine, about: dict[str, Any], parts: Iterable[tuple[Part, Any]]) -> None:
    """Bring a fresh engine to where another one was. Raises ValueError or KeyError for what is no snapshot.

    One part after another: the documents of all would take more memory than what is made of them.
    """
    places: list[Place] = []
    anchors: dict[str, list[Sighting]] = {}
    for (name, id), found in parts:
        if name == PLACES:
            places.append(_place_of(found))
        else:
            anchors[id] = [parse_sighting(data) for data in found]
    engine.adopt(places, anchors, _time_of(about["clock"]))
    engine.rules = Rules.of(about.get("rules", {}))


def _place(place: Place) -> dict[str, Any]:
    return {
        "id": place.id,
        "kind": place.kind,
        "matter": place.matter,
        "episodes": [_episode(episode) for episode in place.episodes],
        "parts": [_located(part) for part in place.parts],
        "retired": place.retired,
    }


def _place_of(doc: dict[str, Any]) -> Place:
    return Place(
        doc["id"],
        doc["kind"],
        doc["matter"],
        [_episode_of(episode) for episode in doc["episodes"]],
        parts=[_located_of(part) for part in doc.get("parts", ())],
        retired=doc.get("retired", False),
    )


def _episode(episode: Episode) -> dict[str, Any]:
    return {
        "id": episode.id,
        "number": episode.number,
        "previous": episode.previous,
        "state": str(episode.state),
        "sightings": [sighting.document() for sighting in episode.sightings],
        "looks": [[rfc3339(look.at), look.pass_id, look.seen, look.detectable] for look in episode.looks],
        "opened_at": _text(episode.opened_at),
        "closed_at": _text(episode.closed_at),
        "probability": episode.probability,
        "alerts": [alert.document() for alert in episode.alerts],
        "owners": [share.document() for share in episode.owners],
        "position": _located(episode.position),
        "handled_at": _text(episode.handled_at),
        "refused_until": _text(episode.refused_until),
    }


def _episode_of(doc: dict[str, Any]) -> Episode:
    return Episode(
        id=doc["id"],
        number=doc["number"],
        previous=doc["previous"],
        state=State(doc["state"]),
        sightings=[parse_sighting(data) for data in doc["sightings"]],
        looks=[Look(parse_rfc3339(at), pass_id, seen, clear) for at, pass_id, seen, clear in doc["looks"]],
        opened_at=_time_of(doc["opened_at"]),
        closed_at=_time_of(doc["closed_at"]),
        probability=doc["probability"],
        alerts=[Alert(told["recipient"], told["event"], parse_rfc3339(told["at"])) for told in doc["alerts"]],
        owners=tuple(Share(share["area"], share["p"]) for share in doc["owners"]),
        position=_located_of(doc["position"]),
        handled_at=_time_of(doc.get("handled_at")),
        refused_until=_time_of(doc.get("refused_until")),
    )


def _located(position: Located) -> list[Any]:
    return [*position[:2], list(position[2])]


def _located_of(doc: list[Any]) -> Located:
    lat, lon, (ee, en, nn) = doc
    return lat, lon, (ee, en, nn)


def _text(time: datetime | None) -> str | None:
    return None if time is None else rfc3339(time)


def _time_of(text: str | None) -> datetime | None:
    return None if text is None else parse_rfc3339(text)
