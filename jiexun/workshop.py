"""Workshop: a worker's loop, put together with its model, its cameras and its evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Protocol

from ingest.reader import Reader
from ingest.record import Record
from ingest.watch import Watch
from jiexun.privacy import gate
from jiexun.settings import Settings
from models.taxonomy import Taxonomy
from vision.camera import Cameras, read_cameras
from vision.evidence import EvidenceMaker
from vision.foreign import open_card
from vision.pictures import EvidenceStore, PatientEvidence
from vision.sight import open_sight
from vision.stream import FrameLoop
from vision.worker import Worker


class Patient(Protocol):
    """Waits when a picture cannot be stored, and hears when one was."""

    def __call__(self, error: OSError) -> None: ...

    def over(self) -> None: ...


class _Told:
    """An evidence store that says after each picture that it was kept."""

    def __init__(self, store: EvidenceStore, kept: Callable[[], None]) -> None:
        self._store = store
        self._kept = kept

    def put(self, jpeg: bytes) -> str:
        name = self._store.put(jpeg)
        self._kept()
        return name

    def get(self, name: str) -> bytes | None:
        return self._store.get(name)


def open_worker(
    settings: Settings,
    reader: Reader,
    cameras: Path | None,
    evidence: EvidenceStore,
    patient: Patient,
    watch: Watch,
    *,
    scan: Callable[[str], Iterator[Record]],
    hold: timedelta,
) -> FrameLoop:
    """The loop, its model loaded and warm. Raises ModelUnusable, or ValueError for a wrong cameras.toml."""
    seeing = open_sight(
        [open_card(model) for model in settings.models], settings.engine, no_parking=settings.no_parking
    )
    known = Cameras() if cameras is None else read_cameras(cameras)
    maker = EvidenceMaker(PatientEvidence(_Told(evidence, patient.over), patient), gate(settings))
    worker = Worker(
        seeing.detect,
        known,
        Taxonomy.read(),
        maker,
        model=seeing.model,
        recall=seeing.recall,
        judged=seeing.judged,
    )
    return FrameLoop(
        reader,
        worker,
        known,
        watch,
        scan=scan,
        now=partial(datetime.now, UTC),
        batch=settings.batch,
        hold=hold,
    )
