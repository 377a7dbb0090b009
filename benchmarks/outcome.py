"""What became of a run: its cases and what was told about them, and how two runs compare."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dispatcher.area import read_areas
from dispatcher.dispatch import Dispatcher
from dispatcher.engine import Engine
from dispatcher.store.rows import CaseFilter
from dispatcher.store.store import Store
from ingest.bus import KafkaBus
from ingest.cluster import Cluster
from ingest.topics import ALERTS
from models.taxonomy import Taxonomy

Told = tuple[str, str, str]  # case, event, recipient
LARGEST = 100_000  # cases listed


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run's end: what its store decided, and what topic `alerts` holds."""

    states: dict[str, str]  # case -> state
    members: dict[str, frozenset[str]]  # case -> its sightings
    told: Counter[Told]  # how often each was read from the topic
    without_picture: int  # sightings of disorders whose evidence could not be kept
    on_border: int  # cases told to two offices when they opened
    faults: tuple[str, ...] = ()  # where the run contradicts itself


def outcome(store_url: str, areas: Path, cluster: Cluster | None) -> Outcome:
    """Read a finished run. Without a cluster the store's own alerts are what was told."""
    with Store.open(store_url) as store:
        inputs = [json.loads(line) for line in store.inputs()]
        engine = Engine(read_areas(areas)[0], Taxonomy.read())
        Dispatcher(engine, store).recover(json.dumps(line) for line in inputs)
        cases = engine.cases()
        listed = {case.id: case.document for case in store.cases(CaseFilter(limit=LARGEST)).cases}
    kept = Counter((c["id"], a["event"], a["recipient"]) for c in listed.values() for a in c["alerts"])
    told = kept if cluster is None else Counter(read_alerts(cluster))
    states = {case.id: str(case.state) for case in cases}
    faults = []
    if {id: document["state"] for id, document in listed.items()} != states:
        faults.append("the store's cases are not those that its inputs give")
    if set(kept) != set(told):
        faults.append(f"store and topic differ in {len(set(kept) ^ set(told))} alerts")
    opened = Counter((case, event) for case, event, _ in told if event in ("opened", "rebounded"))
    return Outcome(
        states=states,
        members={case.id: frozenset(case.sightings) for case in cases},
        told=told,
        without_picture=sum(_lacks_picture(line["data"]) for line in inputs),
        on_border=sum(count > 1 for count in opened.values()),
        faults=tuple(faults),
    )


def read_alerts(cluster: Cluster) -> Iterator[Told]:
    """Everything that topic `alerts` holds."""
    with closing(KafkaBus(cluster)) as bus:
        for record in bus.scan(ALERTS.name):
            data = json.loads(record.value)["data"]
            yield data["case"], data["event"], data["recipient"]


def differences(found: Outcome, expected: Outcome, *, by_id: bool) -> list[str]:
    """How a run differs from the fault-free one; empty where it is what the fault allows.

    By id: the same cases with the same sightings in the same states, and the same told. Otherwise cases with the same
    sightings. In both, nothing told twice, and every picture kept.
    """
    said = list(found.faults)
    twice = sum(count > 1 for count in found.told.values())
    if twice:
        said.append(f"{twice} alerts told more than once")
    if found.without_picture:
        said.append(f"{found.without_picture} sightings without their picture")
    if not by_id:
        apart = Counter(found.members.values()), Counter(expected.members.values())
        more, fewer = (apart[0] - apart[1]).total(), (apart[1] - apart[0]).total()
        return [*said, f"{more} cases with other sightings, {fewer} missing"] if more or fewer else said
    said += _differ("cases", set(found.states), set(expected.states))
    said += _differ("alerts", set(found.told), set(expected.told))
    both = found.states.keys() & expected.states.keys()
    for name, mine, theirs in (
        ("states", found.states, expected.states),
        ("sightings", found.members, expected.members),
    ):
        others = sum(mine[id] != theirs[id] for id in both)
        if others:
            said.append(f"{others} cases with other {name}")
    return said


def _differ(name: str, found: set[Any], expected: set[Any]) -> list[str]:
    if found == expected:
        return []
    return [f"{len(found - expected)} {name} too many, {len(expected - found)} too few"]


def _lacks_picture(data: dict[str, Any]) -> bool:
    return data.get("matter") is not None and (data.get("evidence") or {}).get("uri") is None
