"""Looked: what passes saw of a thing, as looks in order of time, and where a person cut them."""

from __future__ import annotations

from typing import Final

from dispatcher.case import State
from dispatcher.joint.belief import Look
from dispatcher.joint.episode import Episode
from dispatcher.joint.record import Record, home, in_time
from dispatcher.joint.seen import Seen, pass_of
from dispatcher.joint.thing import Thing

MOST_OF_ONE_FRAME: Final = 0.88  # so that one frame alone opens no case
IN_ORDER: Final = 0.8  # how surely a pass that saw a bin in order would have told it from one that overflows
PERMANENT: Final = 2  # passes that saw a thing in order, from which on one that saw nothing of it says nothing


def looks_of(thing: Thing) -> tuple[list[Look], dict[str, list[Seen]]]:
    """The looks at a thing in order of time, and its sightings by pass; of a bin, those of its disorder.

    A pass that saw the bin in order saw no disorder, however it looked; one that saw no bin at all did not see whether
    it overflows.
    """
    by_pass = {id: found for id, seens in thing.passes.items() if (found := [s for s in seens if not s.plain])}
    in_order = {id: seens for id, seens in thing.passes.items() if id not in by_pass}
    if len(in_order) >= PERMANENT:
        looks = [_look(id, seens, None, IN_ORDER) for id, seens in in_order.items()]
    else:
        saw = {pass_of(id) for id in by_pass}
        looks = [look for id, look in thing.looks.items() if id not in saw]
    for id, seens in by_pass.items():
        looks.append(_look(id, seens, max([trusted(s) for s in seens]), 1.0))
    looks.sort(key=_look_in_time)
    return looks, by_pass


def ends(thing: Thing, by_pass: dict[str, list[Seen]]) -> list[tuple[float, Record]]:
    """When a person ended cases of a thing, by closing them or until when they refused them; in order of time.

    What was refused while an older case is open was a double of that one, and ends nothing.
    """
    found: dict[str, Record] = {}
    for seens in by_pass.values():
        for seen in seens:
            record = seen.record
            if record is not None and (record.ended_at is not None or record.refused_until is not None):
                found[record.id] = record
    out: list[tuple[float, Record]] = []
    for record in found.values():
        if home(record) is not thing:
            continue
        if record.ended_at is not None:
            out.append((record.ended_at.timestamp(), record))
        elif record.refused_until is not None and not _doubles(record, by_pass):
            out.append((record.refused_until, record))
    return sorted(out, key=lambda end: (end[0], end[1].number))


def _doubles(record: Record, by_pass: dict[str, list[Seen]]) -> bool:
    """Whether an older case at the same thing is open."""
    for seens in by_pass.values():
        for seen in seens:
            other = seen.record
            if other is not None and other.number < record.number and other.state in (State.OPEN, State.HANDLED):
                return True
    return False


def _look(id: str, seens: list[Seen], seen: float | None, detectable: float) -> Look:
    """A look that saw something: a disorder, or that there is none."""
    first = min(seens, key=in_time)
    return Look(first.sighting.seen_at, id, seen, detectable, in_order=seen is None, time=first.at)


def trusted(seen: Seen) -> float:
    """A ghost lasts one frame: what a single frame says is believed less, however sure it claims to be."""
    once = seen.sighting.frames == 1 and not seen.by_person
    return min(seen.confidence, MOST_OF_ONE_FRAME) if once else seen.confidence


def first_odds(by_pass: dict[str, list[Seen]], odds: float) -> float:
    """How far the first report of a thing is to be believed; a person is fooled by nothing that fools a detector."""
    for seens in by_pass.values():
        for seen in seens:
            if seen.by_person:
                return 1.0
    return odds


def kind_of(by_pass: dict[str, list[Seen]]) -> str:
    return next((seens[0].sighting.kind for seens in by_pass.values()), "")


def _look_in_time(look: Look) -> tuple[float, str]:
    return look.time, look.pass_id


def leftover(record: Record, piece: Episode) -> bool:
    """What one pass saw, was told as a part of another case, and is over: news for nobody."""
    once = len({seen.look for seen in record.seens}) == 1
    return once and piece.closed_at is not None and all(seen.told for seen in record.seens)
