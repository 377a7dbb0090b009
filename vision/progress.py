"""Progress: which passes of a camera are over, so that whoever reads its frames again does not make them anew.

A committed offset is one number a partition, but cameras begin and end their passes at different offsets: it lies
behind the oldest frame of any open pass, and so in the middle of passes of other cameras that are over. Read from
there, those would be passes with another first frame, and other ids. Travels on topic `progress`, which keeps the last
record of each camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ingest.envelope import Envelope, parse_envelope
from ingest.frame import derived_id, parse_rfc3339, rfc3339
from ingest.record import Record
from vision.reel import Span

PROGRESS_TYPE = "cn.jiexun.progress.v1"
TOPIC = "progress"
JSON_HEADERS = (("content-type", b"application/cloudevents+json; charset=UTF-8"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The passes of one camera that are over and that a committed offset may lie in."""

    vehicle: str
    camera: str
    partition: int  # of topic frames
    over: tuple[Span, ...]

    def record(self, made_at: datetime) -> Record:
        """As it travels. The key is the camera: only the last one counts."""
        data: dict[str, Any] = {
            "vehicle": self.vehicle,
            "camera": self.camera,
            "partition": self.partition,
            "over": [
                {"begun": rfc3339(span.begun), "ended": rfc3339(span.ended), "offset": span.offset}
                for span in self.over
            ],
        }
        id = derived_id("progress", self.vehicle, self.camera, *(rfc3339(span.ended) for span in self.over))
        envelope = Envelope(id=id, type=PROGRESS_TYPE, source=f"/vision/{self.vehicle}", time=made_at, data=data)
        key = f"{self.vehicle}/{self.camera}".encode()
        return Record(topic=TOPIC, key=key, value=envelope.dumps().encode(), headers=JSON_HEADERS)


def parse_progress(value: bytes) -> Progress:
    """Read one. Raises ValueError, also for another type or major version."""
    envelope = parse_envelope(value)
    if envelope.type != PROGRESS_TYPE:
        raise ValueError(f"type {envelope.type!r} is not {PROGRESS_TYPE}")
    data = envelope.data
    try:
        spans = [
            Span(parse_rfc3339(span["begun"]), parse_rfc3339(span["ended"]), int(span["offset"]))
            for span in data["over"]
        ]
        return Progress(
            vehicle=str(data["vehicle"]),
            camera=str(data["camera"]),
            partition=int(data["partition"]),
            over=tuple(spans),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not a progress: {error!r}") from None


def still_needed(spans: Sequence[Span], committed: int) -> tuple[Span, ...]:
    """Those that a restart from a committed offset could meet again."""
    return tuple(span for span in spans if span.offset >= committed)
