"""Memory: things and cases that an engine has in memory, as texts that are kept beside a store; and back, exactly.

`packing.py` packs one thing whose cases are its own. Here things and cases go apart, since a case may be of several
things, or of one that is no more, until it is looked at again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from dispatcher.joint.atlas import Atlas
from dispatcher.joint.docket import Docket
from dispatcher.joint.packing import (
    Placed,
    looks_again,
    looks_row,
    message_again,
    message_row,
    record_again,
    record_row,
    seen_again,
    seen_row,
    thing_again,
    thing_row,
)
from dispatcher.joint.record import Record
from dispatcher.joint.seen import Seen
from dispatcher.joint.thing import Thing

THINGS: Final = "things"  # parts, by number
CASES: Final = "cases"
RESTING: Final = "resting"  # things that lie on the shelf, packed
NOWHERE: Placed = (0.0, 0.0, (0.0, 0.0, 0.0), ())  # where a case is follows from its thing

Part = tuple[str, str]


def parts_of(atlas: Atlas, docket: Docket) -> Iterator[tuple[Part, str]]:
    """Each thing and each case, as JSON."""
    things = dict(atlas.things)
    for record in docket.records.values():
        if record.thing is not None:
            things.setdefault(record.thing.number, record.thing)
    itself: dict[int, int] = {}
    records = {record.number: record for record in docket.records.values()}
    for number, thing in things.items():
        for record in thing.records:  # some may be no more, until it is looked at again
            records.setdefault(record.number, record)
        for seen in thing.seens:
            itself[seen.number] = seen.number
            if seen.record is not None:
                records.setdefault(seen.record.number, seen.record)
        yield (THINGS, str(number)), _text(_thing(thing))
    for number, record in records.items():
        live = docket.records.get(record.id) is record
        of = None if record.thing is None else record.thing.number
        yield (CASES, str(number)), _text([live, of if of in things else None, record_row(record, itself, NOWHERE)])


def recall(atlas: Atlas, docket: Docket, known: dict[str, Seen], parts: Iterable[tuple[Part, str]]) -> None:
    """Put things and cases where they were, and into `known` all that was seen of them."""
    rows: dict[int, list[Any]] = {}
    cases: list[list[Any]] = []
    for (name, id), text in parts:
        if name == THINGS:
            rows[int(id)] = json.loads(text)
        else:
            cases.append(json.loads(text))
    things = {number: thing_again(rows[number][0]) for number in sorted(rows)}
    seens: dict[int, Seen] = {}
    for number, thing in things.items():
        for row in rows[number][1]:
            seen = seen_again(row, thing)
            seens[seen.number] = seen
    records: dict[int, Record] = {}
    for live, of, row in sorted(cases, key=lambda case: int(case[2][1])):
        record = record_again(row, seens, None if of is None else things[of])
        records[record.number] = record
        if live:
            docket.records[record.id] = record
    for number, thing in things.items():
        _fill(thing, rows[number], seens, records)
        if thing.runs:  # else it is no more
            atlas.bring(thing)
    for number in sorted(seens):
        known[seens[number].sighting.id] = seens[number]


def _thing(thing: Thing) -> list[Any]:
    """With its sightings and cases by number."""
    return [
        thing_row(thing),
        [seen_row(seen, None if seen.record is None else seen.record.number) for seen in thing.seens],
        [[run, [seen.number for seen in found]] for run, found in thing.runs.items()],
        [[run, message_row(message)] for run, message in thing.messages.items()],
        [[look, [seen.number for seen in found]] for look, found in thing.passes.items()],
        looks_row(thing),
        [record.number for record in thing.records],
    ]


def _fill(thing: Thing, row: list[Any], seens: dict[int, Seen], records: dict[int, Record]) -> None:
    _, seens_, runs, messages, passes, looks, cases = row
    thing.runs = {run: [seens[n] for n in found] for run, found in runs}
    thing.messages = {run: message_again(message) for run, message in messages}
    thing.passes = {look: [seens[n] for n in found] for look, found in passes}
    thing.looks = looks_again(looks)
    thing.records = [records[n] for n in cases]
    for one in seens_:
        if one[1] is not None:
            seens[one[2]].record = records[one[1]]


def _text(body: list[Any]) -> str:
    return json.dumps(body, separators=(",", ":"))
