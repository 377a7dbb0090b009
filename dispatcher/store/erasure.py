"""Erasure in the store: what is to be erased, and doing it. What stays of an input is `dispatcher.erasure`'s to say."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from dispatcher.engine import Engine
from dispatcher.erasure import Selection, erased, left_of, left_of_pass, left_of_sighting, spots
from dispatcher.store import reports, snapshots, tables
from dispatcher.store.bulk import update_rows, upsert_rows
from dispatcher.store.database import zero_freed
from dispatcher.store.gone_tables import erased_looks
from dispatcher.store.maps import looks_of
from dispatcher.store.rows import Document
from dispatcher.work.action import ACTION_TYPE, parsed_action
from dispatcher.work.rules import RULES_TYPE, Rules
from ingest.envelope import Envelope, parse_envelope
from vision.sighting import PASS_TYPE, SIGHTING_TYPE, parse_pass, parse_sighting

PAGE = 500


@dataclass(slots=True)
class Plan:
    """What will be done."""

    sightings: set[str] = field(default_factory=set)  # ids
    passes: dict[str, frozenset[str]] = field(default_factory=dict)  # id -> cells that stay
    pictures: set[str] = field(default_factory=set)  # names
    reports: set[str] = field(default_factory=set)  # ids: of citizens

    def __bool__(self) -> bool:
        return bool(self.sightings or self.passes or self.reports)


def planned(lines: Iterable[str], engines: Sequence[Engine], selection: Selection) -> Plan:
    """Read all stored inputs, in order, and say what a selection takes of them.

    `engines` are fresh ones, of each kind that may read this store again: what any of them needs, stays.
    """
    plan = Plan()
    for line in lines:
        envelope = parse_envelope(line)
        if envelope.type == PASS_TYPE and selection.takes(envelope):
            item = parse_pass(envelope.data)
            cells = frozenset(cell for engine in engines for cell in spots(engine, item))
            if left_of_pass(envelope, cells, "") != envelope:
                plan.passes[envelope.id] = cells
        elif selection.takes(envelope) and left_of_sighting(envelope, "") != envelope:
            plan.sightings.add(envelope.id)
            name = (envelope.data.get("evidence") or {}).get("uri")
            plan.pictures |= {name} if name else set()
        for engine in engines:
            _know(engine, envelope)
    return plan


def overwrite(connection: Connection, plan: Plan, day: str) -> None:
    """Leave of the planned inputs, also where an engine's memory is kept, what may stay. The write lock is held."""
    zero_freed(connection)
    _overwrite_inputs(connection, plan, day)
    _overwrite_snapshot(connection, plan.sightings, day)
    reports.forget(connection, plan.reports)


def _know(engine: Engine, envelope: Envelope) -> None:
    """As a dispatcher that recovers."""
    if envelope.type == ACTION_TYPE:
        engine.act(parsed_action(envelope))
    elif envelope.type == RULES_TYPE:
        engine.rules = Rules.of(envelope.data["pages"])
    elif envelope.type == SIGHTING_TYPE:
        engine.read(parse_sighting(envelope.data), made_at=envelope.time)
    elif envelope.type == PASS_TYPE:
        engine.read(parse_pass(envelope.data), made_at=envelope.time)


def _overwrite_inputs(connection: Connection, plan: Plan, day: str) -> None:
    ids = sorted(plan.sightings | plan.passes.keys())
    looks: Counter[tuple[str, int]] = Counter()
    for start in range(0, len(ids), PAGE):
        query = select(tables.inputs.c.line).where(tables.inputs.c.id.in_(ids[start : start + PAGE]))
        found = [parse_envelope(line) for line in connection.scalars(query)]
        for envelope in found:
            if envelope.type == PASS_TYPE and not erased(envelope):
                looks.update(dict(looks_of(envelope)))
        left = [_left(envelope, plan, day) for envelope in found]
        update_rows(connection, tables.inputs, [{"id": one.id, "line": one.dumps()} for one in left], ["id"])
    _keep_looks(connection, looks)


def _left(envelope: Envelope, plan: Plan, day: str) -> Envelope:
    if envelope.type == PASS_TYPE:
        return left_of_pass(envelope, plan.passes[envelope.id], day)
    return left_of_sighting(envelope, day)


def _keep_looks(connection: Connection, looks: Counter[tuple[str, int]]) -> None:
    """The heat map counts who looked where; it must come out the same without the passes."""
    rows = [{"day": day, "cell": cell, "milli": milli} for (day, cell), milli in sorted(looks.items())]
    kept = erased_looks.c.milli
    upsert_rows(connection, erased_looks, rows, ["day", "cell"], lambda given: {"milli": kept + given.milli})


def _overwrite_snapshot(connection: Connection, sightings: Collection[str], day: str) -> None:
    """An engine's memory holds sightings too."""
    for rows in snapshots.pages(connection) if sightings else ():
        changed = {}
        for n, text in rows:
            before = json.loads(text)
            after = _part(before, sightings, day)
            if after != before:
                changed[n] = after
        snapshots.rewrite(connection, changed)


def _part(part: Any, sightings: Collection[str], day: str) -> Any:
    """A place, or the sightings of an object."""
    if isinstance(part, list):
        return [_remembered(data, sightings, day) for data in part]
    episodes = [
        episode | {"sightings": [_remembered(data, sightings, day) for data in episode["sightings"]]}
        for episode in part["episodes"]
    ]
    return part | {"episodes": episodes}


def _remembered(data: Document, sightings: Collection[str], day: str) -> Document:
    return left_of(data, day) if data["id"] in sightings else data
