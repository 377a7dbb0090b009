"""The plan of a run: its frames as Kafka records, round by round, and what they must lead to."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.outcome import Outcome, outcome
from benchmarks.street import ROUNDS, write_run
from dispatcher.area import read_areas
from dispatcher.store.store import Store
from ingest.drive import open_drive
from ingest.frame import Frame, rfc3339
from ingest.memory import MemoryBroker, MemoryBus
from ingest.record import Record
from jiexun.pipeline import Embedded
from jiexun.publish import Publisher
from jiexun.settings import Settings
from vision.camera import read_cameras
from vision.pictures import FolderEvidence

Drive = tuple[int, str]  # round, vehicle


@dataclass(frozen=True, slots=True)
class Parcel:
    """Records to send in this order, and the ids of the sightings and passes that must follow."""

    records: list[Record]
    expected: set[str]


@dataclass(frozen=True, slots=True)
class Sent:
    """A frame and its record."""

    frame: Frame
    record: Record
    round: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A run that was not made yet."""

    folder: Path  # the drive, as `jiexun replay` and `jiexun publish` read it
    frames: list[Sent]  # in order of time
    ids: dict[Drive, set[str]]  # what each drive of each vehicle leads to
    embedded: Outcome  # of the same frames in one process
    expected: set[str] = field(default_factory=set)
    pictures_bytes: int = 0  # of its evidence

    def parcel(self, frames: list[Sent], extra: tuple[Record, ...] = ()) -> Parcel:
        """These frames in this order."""
        drives = {(sent.round, sent.frame.vehicle) for sent in frames}
        return Parcel([*(sent.record for sent in frames), *extra], set().union(*(self.ids[d] for d in drives)))

    def rounds(self) -> list[list[Sent]]:
        """The frames of each round, in order of time."""
        return [[sent for sent in self.frames if sent.round == number] for number in range(len(ROUNDS))]


def make_plan(folder: Path, seed: int, *, vehicles: int, rounds: int = len(ROUNDS)) -> Plan:
    """Write the drive, and work it through in one process."""
    write_run(folder, seed, vehicles=vehicles, rounds=rounds)
    cameras = read_cameras(folder / "cameras.toml")
    drive = open_drive(folder, now=datetime.now(UTC), zone=UTC, every_m=0.0)
    broker = MemoryBroker()
    Publisher(MemoryBus(broker), mounted=cameras.of).publish(drive.frames(), drive)
    records = {(record.header("ce_id") or b"").decode(): record for log in broker.logs.values() for record in log}
    frames = [Sent(frame, records[frame.id], _round(frame)) for frame in drive.frames() if isinstance(frame, Frame)]
    ids, embedded = _embedded(folder, frames)
    kept = sum(file.stat().st_size for file in (folder / "evidence").iterdir())
    return Plan(folder, frames, ids, embedded, set().union(*ids.values()), kept)


def _round(frame: Frame) -> int:
    return max(number for number, begin in enumerate(ROUNDS) if frame.time >= begin - timedelta(minutes=1))


def _embedded(folder: Path, frames: list[Sent]) -> tuple[dict[Drive, set[str]], Outcome]:
    """Ids that each drive leads to, and the end, with everything in one process."""
    areas = folder / "areas.geojson"
    url = f"sqlite:///{folder / 'embedded.db'}"
    ids: dict[Drive, set[str]] = defaultdict(set)
    known: set[str] = set()
    resting = _resting(frames)
    with Store.open(url) as store:
        embedded = Embedded(
            Settings(),
            areas=read_areas(areas)[0],
            cameras=read_cameras(folder / "cameras.toml"),
            store=store,
            evidence=FolderEvidence(folder / "evidence"),
        )
        for number in range(len(ROUNDS)):
            embedded.run(sent.frame for sent in frames if sent.round == number)
            for line in map(json.loads, store.inputs()):
                if line["id"] not in known and not _rests(line["data"], resting):
                    ids[number, line["data"]["vehicle"]].add(line["id"])
                known.add(line["id"])
    return ids, outcome(url, areas, None)


def _resting(frames: list[Sent]) -> set[tuple[str, str]]:
    """Vehicle and capture time of each drive's last frame, which is taken at rest."""
    last: dict[Drive, datetime] = {}
    for sent in frames:
        drive = sent.round, sent.frame.vehicle
        last[drive] = max(sent.frame.time, last.get(drive, sent.frame.time))
    return {(vehicle, rfc3339(time)) for (_, vehicle), time in last.items()}


def _rests(data: dict[str, Any], resting: set[tuple[str, str]]) -> bool:
    """True for what a vehicle sees at rest after its drive: it may leave only when the next drive begins."""
    return (data["vehicle"], data.get("started_at", data.get("seen_at"))) in resting
