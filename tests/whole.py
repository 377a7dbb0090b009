"""A snapshot in one piece, as tests compare engines by: the product keeps and reads one part after another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dispatcher.engine import Engine
from dispatcher.snapshot import ANCHORS, PLACES, Part, about, part_of, recall
from dispatcher.store.store import Store

Whole = dict[str, Any]


def dumped(engine: Engine) -> Whole:
    """Everything an engine knows, but for which inputs it has read."""
    places = [part_of(engine, (PLACES, place.id)) for place in engine.places()]
    return about(engine) | {PLACES: places, ANCHORS: {id: part_of(engine, (ANCHORS, id)) for id in engine.anchors()}}


def load(engine: Engine, whole: Whole) -> None:
    """Bring a fresh engine to where `dumped` left the other."""
    recall(engine, whole, parts(whole))


def parts(whole: Whole) -> Iterator[tuple[Part, Any]]:
    yield from (((PLACES, place["id"]), place) for place in whole[PLACES])
    yield from (((ANCHORS, id), sightings) for id, sightings in whole[ANCHORS].items())


def keep_whole(store: Store, mark: str, whole: Whole, seq: int) -> None:
    """Keep it under a mark that was not the last one."""
    said = {name: value for name, value in whole.items() if name not in (PLACES, ANCHORS)}
    store.amend_snapshot(mark, said, dict(parts(whole)), seq)


def whole_in(store: Store, mark: str) -> tuple[int, Whole] | None:
    """What was kept last under a mark, and the number of the last input in it."""
    found: Whole = {PLACES: [], ANCHORS: {}}

    def take(said: Whole, pieces: Iterator[tuple[Part, Any]]) -> None:
        found.update(said)
        for (part, id), piece in pieces:
            if part == PLACES:
                found[PLACES].append(piece)
            else:
                found[ANCHORS][id] = piece

    seq = store.recall(mark, take)
    return None if seq is None else (seq, found)
