"""The demo: the sample drive through the whole of Jiexun, its last part live in front of the page."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from dispatcher.area import Areas
from dispatcher.case import CaseEvent
from ingest.frame import Frame
from ingest.rejected import Rejected
from jiexun.pipeline import Embedded
from jiexun.report import console, owner_text
from models.taxonomy import Taxonomy

SAMPLE = Path(__file__).parent.parent / "datasets" / "sample"
HELD_BACK = 0.45  # this part of the drive is replayed while somebody watches the page
PAUSE_S = 1.0  # between frames of that part
WAIT_S = 4.0  # before it begins: time to open the page


def split(total: int) -> int:
    """How many frames are replayed before the page is served."""
    return total - int(total * HELD_BACK)


class Live(threading.Thread):
    """Replays the rest of a drive in the background, a frame at a time, as if the bus drove now."""

    def __init__(self, embedded: Embedded, frames: Iterator[Frame | Rejected], areas: Areas) -> None:
        super().__init__(name="live", daemon=True)
        self._embedded = embedded
        self._frames = frames
        self._areas = areas
        self._taxonomy = Taxonomy.read()
        self._ending = threading.Event()
        self.seen = 0

    def stop(self) -> None:
        self._ending.set()
        self.join()

    def run(self) -> None:
        if self._ending.wait(WAIT_S):
            return
        while batch := list(islice(self._frames, 1)):
            self._embedded.run(batch, on_event=self._say)
            self.seen += 1
            if self._ending.wait(PAUSE_S):
                return
        self._embedded.finish(on_event=self._say)
        console.print("the drive is over; the page stays up until Ctrl+C")

    def _say(self, event: CaseEvent) -> None:
        matter = self._taxonomy.by_code[event.case.matter]
        clock = time.strftime("%H:%M:%S")
        console.print(
            f"{clock} {event.event}: {matter.name} {event.case.id[:8]} → {owner_text(event.case, self._areas)}"
        )
