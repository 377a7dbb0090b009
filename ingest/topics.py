"""Topics: the one table of what travels where, under which key, and for how long it is kept."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20
GIB = 1 << 30
REJECTED = ".rejected"
REJECTED_MORE_BYTES = 64 * 1024  # what a dead letter is larger than the record it keeps, at most
SEGMENT_HOURS = 1  # whole segments expire: the age at which something goes is exact to this


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One topic. Retention ends with whichever of hours and bytes is reached first."""

    name: str
    type: str  # CloudEvents type of what is on it; "<event>" stands for the name of the event
    key: str  # what records of one key, which stay in order, have in common
    partitions: int
    retention_hours: int  # -1 is no limit
    retention_bytes: int  # of each partition; -1 is no limit
    max_message_bytes: int
    compacted: bool = False  # the last record of each key stays for ever, those before it may go

    @property
    def rejected(self) -> Topic:
        """Where records of this topic go that could not be used: same key and type, one partition."""
        return Topic(
            name=self.name + REJECTED,
            type=self.type,
            key=self.key,
            partitions=1,
            retention_hours=REJECTED_HOURS.get(self.name, 30 * 24),
            retention_bytes=10 * GIB,
            max_message_bytes=self.max_message_bytes + REJECTED_MORE_BYTES,
        )

    @property
    def config(self) -> dict[str, str]:
        """The broker's own settings of the topic."""
        return {
            "cleanup.policy": "compact" if self.compacted else "delete",
            "max.message.bytes": str(self.max_message_bytes),
            "retention.bytes": str(self.retention_bytes),
            "retention.ms": str(self.retention_hours * 3_600_000 if self.retention_hours > 0 else -1),
            "segment.ms": str(SEGMENT_HOURS * 3_600_000),
            # A producer's wrong clock must not make pictures stay, or go.
            "message.timestamp.type": "LogAppendTime",
        }


FRAMES = Topic(
    name="frames",
    type="cn.jiexun.frame.v1",
    key="vehicle",
    partitions=12,
    retention_hours=24,  # raw pictures: long enough to mend what broke, no longer
    retention_bytes=50 * GIB,
    max_message_bytes=8 * MIB,
)
SIGHTINGS = Topic(
    name="sightings",
    type="cn.jiexun.sighting.v1",
    key="place",
    partitions=6,
    retention_hours=7 * 24,
    retention_bytes=10 * GIB,
    max_message_bytes=MIB,
)
PASSES = Topic(
    name="passes",
    type="cn.jiexun.pass.v1",
    key="place",
    partitions=6,  # as many as sightings: one member of a group then reads both of a place
    retention_hours=7 * 24,
    retention_bytes=10 * GIB,
    max_message_bytes=2 * MIB,
)
CASES = Topic(
    name="cases",
    type="cn.jiexun.case.<event>.v1",
    key="case",
    partitions=6,
    retention_hours=30 * 24,
    retention_bytes=10 * GIB,
    max_message_bytes=2 * MIB,
)
ALERTS = Topic(
    name="alerts",
    type="cn.jiexun.alert.v1",
    key="recipient area",
    partitions=6,
    retention_hours=30 * 24,
    retention_bytes=10 * GIB,
    max_message_bytes=2 * MIB,
)
PROGRESS = Topic(
    name="progress",
    type="cn.jiexun.progress.v1",
    key="camera",
    partitions=1,
    retention_hours=-1,
    retention_bytes=-1,
    max_message_bytes=MIB,
    compacted=True,
)
REJECTED_HOURS = {FRAMES.name: 72}  # they are pictures of people and plates; other topics have none
READ = (FRAMES, SIGHTINGS, PASSES)  # what Jiexun reads, and so may have to reject
TOPICS = (FRAMES, SIGHTINGS, PASSES, CASES, ALERTS, PROGRESS, *(topic.rejected for topic in READ))
BY_NAME = {topic.name: topic for topic in TOPICS}
