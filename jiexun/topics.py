"""What `topics check` says: the table of topics beside what the brokers have."""

from __future__ import annotations

from dataclasses import dataclass

from ingest.cluster import Cluster
from ingest.clusterwide import FoundTopic, found_topics
from ingest.topics import FRAMES, PASSES, SIGHTINGS, TOPICS, Topic


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One topic: what it should be, what is wrong, what is worth knowing."""

    name: str
    key: str
    kept: str  # "24 h or 50 GiB"
    max_message_bytes: int
    partitions: int  # 0: missing
    replicas: int
    faults: tuple[str, ...]
    notes: tuple[str, ...]


def report(cluster: Cluster) -> list[Report]:
    """Every topic of the table. Raises BrokerAway or Refused."""
    found = found_topics(cluster)
    return [_of(topic, found) for topic in TOPICS]


def _of(topic: Topic, found: dict[str, FoundTopic]) -> Report:
    there = found.get(topic.name)
    return Report(
        name=topic.name,
        key=topic.key,
        kept=_kept(topic),
        max_message_bytes=topic.max_message_bytes,
        partitions=0 if there is None else there.partitions,
        replicas=0 if there is None else there.replicas,
        faults=("missing: `jiexun topics create` makes it",) if there is None else _faults(topic, there, found),
        notes=() if there is None else _notes(topic, there),
    )


def _faults(topic: Topic, there: FoundTopic, found: dict[str, FoundTopic]) -> tuple[str, ...]:
    faults = [
        f"{name} is {there.config.get(name)}, should be {value}"
        for name, value in topic.config.items()
        if there.config.get(name) != value
    ]
    other = found.get(PASSES.name)
    if topic is SIGHTINGS and other is not None and other.partitions != there.partitions:
        faults.append(f"has {there.partitions} partitions, passes {other.partitions}: a place must be in one of both")
    return tuple(faults)


def _notes(topic: Topic, there: FoundTopic) -> tuple[str, ...]:
    notes = []
    if there.partitions != topic.partitions:
        most = " (so many workers at most)" if topic is FRAMES else ""
        notes.append(f"{there.partitions} partitions{most}, the table says {topic.partitions}")
    if there.replicas == 1:
        notes.append("one copy: what is not read yet is lost with its broker's disk")
    elif int(there.config.get("min.insync.replicas", "1")) < 2:
        notes.append("min.insync.replicas is 1: an acknowledged record may be lost with one broker")
    return tuple(notes)


def _kept(topic: Topic) -> str:
    hours = f"{topic.retention_hours} h" if topic.retention_hours > 0 else "the last of each key"
    return hours if topic.retention_bytes < 0 else f"{hours} or {topic.retention_bytes >> 30} GiB"
