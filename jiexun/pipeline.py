"""The embedded mode: ingest, vision and dispatcher in one process, on one folder of results."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from dispatcher.area import Areas
from dispatcher.case import CaseEvent
from dispatcher.dispatch import Dispatcher
from dispatcher.engines import remembering
from dispatcher.store.store import Store
from ingest.envelope import Envelope
from ingest.frame import Frame
from ingest.quality import CameraHealth, Health
from ingest.rejected import Rejected
from jiexun.privacy import gate
from jiexun.settings import Settings
from models.taxonomy import Taxonomy
from vision.camera import Camera
from vision.evidence import EvidenceMaker
from vision.foreign import open_card
from vision.pictures import EvidenceStore
from vision.reel import Output
from vision.sight import open_sight
from vision.sighting import enveloped
from vision.worker import Dropped, Worker


@dataclass(slots=True)
class Summary:
    """What became of everything that went in. It adds up."""

    frames: int = 0  # looked at
    rejected: list[Rejected] = field(default_factory=list)
    repeats: int = 0
    left_out: int = 0  # by sampling
    unlisted: int = 0  # pictures of the drive that no row names
    sightings: int = 0
    passes: int = 0
    dropped: int = 0  # by the quality gate: dark, covered, blurred
    too_far: int = 0  # boxes that were too far away to place
    evidence_stored: int = 0
    evidence_failures: dict[str, int] = field(default_factory=dict)

    def document(self) -> dict[str, object]:
        return {
            "frames": self.frames,
            "rejected": len(self.rejected),
            "repeats": self.repeats,
            "left_out": self.left_out,
            "dropped": self.dropped,
            "unlisted": self.unlisted,
            "sightings": self.sightings,
            "passes": self.passes,
            "too_far": self.too_far,
            "evidence_stored": self.evidence_stored,
            "evidence_failures": self.evidence_failures,
        }


class Embedded:
    """Everything in one process. `run` may be called again with more frames; `finish` ends the open passes."""

    def __init__(
        self,
        settings: Settings,
        *,
        areas: Areas,
        cameras: Mapping[str, Camera],
        store: Store,
        evidence: EvidenceStore,
    ) -> None:
        taxonomy = Taxonomy.read()
        self._batch = settings.batch
        self._maker = EvidenceMaker(evidence, gate(settings))
        self._cameras = cameras
        self._health = Health()
        seeing = open_sight(
            [open_card(model) for model in settings.models], settings.engine, no_parking=settings.no_parking
        )
        self._worker = Worker(
            seeing.detect,
            cameras,
            taxonomy,
            self._maker,
            model=seeing.model,
            recall=seeing.recall,
            judged=seeing.judged,
        )
        self.store = store
        self.engine = remembering(store, areas, taxonomy)
        self.dispatcher = Dispatcher(self.engine, store)
        self.dispatcher.recover(store.inputs())
        self.summary = Summary()

    def run(
        self,
        frames: Iterable[Frame | Rejected],
        *,
        on_frame: Callable[[Frame | Rejected], None] = lambda _: None,
        on_event: Callable[[CaseEvent], None] = lambda _: None,
    ) -> None:
        """Work through frames in batches; what cannot be used is rejected and the run goes on."""
        batch: list[Frame] = []
        for frame in frames:
            if isinstance(frame, Rejected):
                self.reject(frame)
            else:
                batch.append(frame)
                if len(batch) == self._batch:
                    self._step(batch, on_event)
                    batch = []
            on_frame(frame)
        if batch:
            self._step(batch, on_event)

    def camera_health(self) -> list[CameraHealth]:
        """Of each camera, how many of its pictures showed nothing, and why."""
        return self._health.health()

    def finish(self, *, on_event: Callable[[CaseEvent], None] = lambda _: None) -> None:
        """End every open pass."""
        self._take(self._worker.flush(), on_event)

    def reject(self, rejected: Rejected) -> None:
        """Count an input that could not be used and keep it for inspection."""
        self.summary.rejected.append(rejected)
        self.store.reject(rejected)

    def _step(self, batch: list[Frame], on_event: Callable[[CaseEvent], None]) -> None:
        output = self._worker.work(batch)
        faults = {item.frame.id: item.fault for item in output if isinstance(item, Dropped)}
        for frame in batch:
            if frame.camera in self._cameras:  # the worker refuses unknown ones
                self._health.note(frame.vehicle, frame.camera, faults.get(frame.id))
        self.summary.dropped += len(faults)
        self._take([item for item in output if not isinstance(item, Dropped)], on_event)

    def _take(self, output: Sequence[Output | Rejected], on_event: Callable[[CaseEvent], None]) -> None:
        for item in output:
            if isinstance(item, Rejected):
                self.reject(item)
                continue
            made_at, thing = item
            for event in self._told(enveloped(thing, made_at=made_at)):
                on_event(event)
        self.summary.frames = self._worker.frames
        self.summary.too_far = self._worker.too_far
        self.summary.evidence_stored = self._maker.stored
        self.summary.evidence_failures = dict(self._maker.failures)

    def _told(self, envelope: Envelope) -> list[CaseEvent]:
        if envelope.type.endswith("sighting.v1"):
            self.summary.sightings += 1
        else:
            self.summary.passes += 1
        return self.dispatcher.read(envelope)


def new_folder(settings: Settings, command: str) -> Path:
    """A fresh folder for the results of one run, named by command and time. Raises OSError when none can be made."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    folder = settings.data / f"{command}-{stamp}-{os.getpid()}"
    folder.mkdir(parents=True)
    return folder
