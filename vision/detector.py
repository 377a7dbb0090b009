"""Detector: JPEG bytes or pictures in, boxes out. The hot path.

Pictures wait in one bounded queue. As many lanes as suit the engine take them out, each a thread with a session of
its own: it decodes into memory it has, letterboxes into its canvas, runs the net and reads the boxes. Lanes wait
neither for each other nor, on a CPU, for a full batch: there a lane takes one picture at a time, so that a picture's
scores do not depend on the batch it happens to be in, and replays and restarts see the very same numbers. On a GPU a
lane fills its largest bucket as long as pictures come, but keeps none of them waiting longer than `max_wait_s`.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Condition, Thread
from time import monotonic
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ingest.quality import Fault, first_look, look_at_pixels
from models.card import Card
from vision.batch import bucket_for
from vision.detections import Detections
from vision.engine import Engine, Session, cores
from vision.engines import AUTO, open_engine
from vision.heads import HEADS
from vision.jpeg import UPRIGHT, Image, JpegDecoder, PictureUnreadable, Placed, facts_of
from vision.letterbox import Letterbox
from vision.postprocess import one_picture

MAX_WAIT_S = 0.05
PENDING = 64  # pictures that may wait: more would only wait longer

Picture = bytes | Placed
Outcome = Detections | PictureUnreadable
Gated = Outcome | Fault
Floor = NDArray[np.float32]  # (C,), by class: scores above it are reported


class Busy(RuntimeError):
    """The queue is full: the offered load is above what the machine can do. Try again after `retry_after_s`."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"{PENDING} pictures are waiting already; try again in {retry_after_s:.2f} s")
        self.retry_after_s = retry_after_s


class Detector:
    """A released model, loaded, compared with its card and warm. Safe to call from several threads."""

    def __init__(
        self,
        card: Card,
        *,
        engine: Engine | str = AUTO,
        max_wait_s: float = MAX_WAIT_S,
        pending: int = PENDING,
    ) -> None:
        """Load the model and warm it up. Raises ModelUnusable, or EngineUnavailable."""
        self.card = card
        self.classes = card.classes
        self.engine = open_engine(card, engine) if isinstance(engine, str) else engine
        self._thresholds = np.array(card.thresholds, np.float32)
        self._queue = _Queue(pending, self.engine.buckets[-1], max_wait_s)
        cv2.setNumThreads(1)  # the lanes are the threads: more of them would only take cores from each other
        lanes = [_Lane(card, self.engine.session(), self.engine.buckets) for _ in range(self.engine.lanes)]
        threads = [Thread(target=lane.work, args=(self._queue,), name="lane", daemon=True) for lane in lanes]
        for lane in lanes:
            lane.warm_up()
        for thread in threads:
            thread.start()
        self.close = weakref.finalize(self, _stop, self._queue, threads)

    @property
    def version(self) -> str:
        """What sightings and passes carry as `model`: name and sha256 of the file that looks."""
        return self.card.version_of(self.engine.precision)

    @property
    def provider(self) -> str:
        """Runtime, device and precision, for people."""
        return f"{self.engine.name} {self.engine.device} {self.engine.precision}"

    def submit(
        self, picture: Picture, *, floor: float | None = None, timeout_s: float | None = None
    ) -> Future[Outcome]:
        """Queue one picture; its boxes, or why it does not decode, come when a lane has looked.

        Waits for room up to `timeout_s` (for ever when None), then raises Busy.
        """
        future: Future[Outcome] = Future()
        self._queue.put(_Job(picture, self._floors(floor), future, gated=False), timeout_s)
        return future

    def submit_gated(self, jpeg: bytes) -> Future[Gated]:
        """As `submit`, with a look at its quality first: for a picture that shows nothing comes its fault."""
        future: Future[Gated] = Future()
        self._queue.put(_Job(jpeg, self._thresholds, future, gated=True), None)
        return future

    def _floors(self, floor: float | None) -> Floor:
        return self._thresholds if floor is None else np.full(len(self.classes), floor, np.float32)

    def detect_jpegs(self, jpegs: Sequence[bytes], *, floor: float | None = None) -> list[Outcome]:
        """Boxes in pictures, in pixels of the source; scores above the card's thresholds, or above `floor`.

        In the place of a picture that does not decode stands why. The others go on.
        """
        return [future.result() for future in [self.submit(jpeg, floor=floor) for jpeg in jpegs]]

    def detect(self, images: Sequence[Image], *, floor: float | None = None) -> list[Detections]:
        """As `detect_jpegs`, in pictures (H, W, 3), BGR, of any size."""
        shape = self.card.shape_hw
        return self.detect_placed([(i, Letterbox.fit((i.shape[1], i.shape[0]), shape)) for i in images], floor=floor)

    def detect_placed(self, pictures: Sequence[Placed], *, floor: float | None = None) -> list[Detections]:
        """As `detect`, in pictures decoded already."""
        outcomes = [future.result() for future in [self.submit(one, floor=floor) for one in pictures]]
        return [one for one in outcomes if isinstance(one, Detections)]  # all: there was nothing to decode


class _Job:
    """One picture on its way."""

    __slots__ = ("came_at", "floor", "future", "gated", "picture")

    def __init__(self, picture: Picture, floor: Floor, future: Future[Any], *, gated: bool) -> None:
        self.picture, self.floor, self.future, self.gated = picture, floor, future, gated
        self.came_at = monotonic()


class _Queue:
    """Pictures that wait. Bounded; lanes take one batch at a time."""

    def __init__(self, limit: int, batch: int, max_wait_s: float) -> None:
        self._jobs: deque[_Job] = deque()
        self._limit, self._batch, self._max_wait_s = max(limit, batch), batch, max_wait_s
        self._changed = Condition()
        self._closed = False
        self._pace_s = 0.0  # seconds a picture, lately

    def put(self, job: _Job, timeout_s: float | None) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: self._closed or len(self._jobs) < self._limit, timeout_s):
                raise Busy(max(self._pace_s * self._limit / 2, 0.001))
            if self._closed:
                raise RuntimeError("the detector is closed")
            job.came_at = monotonic()
            self._jobs.append(job)
            self._changed.notify_all()

    def take(self) -> list[_Job]:
        """A full batch, or what there is when the oldest has waited long enough; empty when closed."""
        with self._changed:
            while not self._closed:
                if len(self._jobs) >= self._batch:
                    break
                left = self._jobs[0].came_at + self._max_wait_s - monotonic() if self._jobs else None
                if left is not None and left <= 0:
                    break
                self._changed.wait(left)
            jobs = [self._jobs.popleft() for _ in range(min(self._batch, len(self._jobs)))]
            self._changed.notify_all()
            return jobs

    def done(self, count: int, took_s: float) -> None:
        self._pace_s = 0.9 * self._pace_s + 0.1 * took_s / count

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class _Lane:
    """One session and the memory that its pictures pass through."""

    def __init__(self, card: Card, session: Session, buckets: tuple[int, ...]) -> None:
        self._card, self._session, self._buckets = card, session, buckets
        self._head = HEADS[card.head]
        self._decoders = [JpegDecoder() for _ in range(buckets[-1])]  # one a slot: they work side by side
        self._pool = ThreadPoolExecutor(cores(), "decode") if buckets[-1] > 1 else None

    def warm_up(self) -> None:
        """Run every batch size once, so that no picture pays for the first time."""
        for bucket in self._buckets:
            self._session.run(bucket)

    def work(self, queue: _Queue) -> None:
        """Take pictures until the queue is closed."""
        while jobs := queue.take():
            start = monotonic()
            self._look(jobs)
            queue.done(len(jobs), monotonic() - start)

    def _look(self, jobs: list[_Job]) -> None:
        """One batch. Whatever happens, every picture gets its answer."""
        jobs = [job for job in jobs if job.future.set_running_or_notify_cancel()]
        try:
            slots = range(len(jobs))
            placed = [*(map if self._pool is None else self._pool.map)(self._place, slots, jobs)]
            if self._session.jpegs is not None:
                for slot in self._session.jpegs.decode():
                    placed[slot] = self._place(slot, jobs[slot], on_host=True)
            if any(isinstance(one, Letterbox) for one in placed):
                raw = self._session.run(bucket_for(len(jobs), self._buckets))
            for slot, (job, one) in enumerate(zip(jobs, placed, strict=True)):
                if isinstance(one, Letterbox):
                    found = one_picture(raw[slot], one, job.floor, self._head, self._card.shape_hw)
                    job.future.set_result(found)
                else:
                    job.future.set_result(one)
        except BaseException as error:  # the caller, who waits, must hear of it; the lane itself has no one to tell
            for job in jobs:
                if not job.future.done():
                    job.future.set_exception(error)

    def _place(self, slot: int, job: _Job, *, on_host: bool = False) -> Letterbox | PictureUnreadable | Fault:
        """Put one picture into the canvas, or where the device decodes; where it lies, or why it is not worth it."""
        if not isinstance(job.picture, bytes):
            image, letterbox = job.picture
            letterbox.place(image, self._session.canvas[slot])
            return letterbox
        try:
            return self._decoded(slot, job.picture, gated=job.gated, on_host=on_host)
        except PictureUnreadable as error:
            return error

    def _decoded(self, slot: int, jpeg: bytes, *, gated: bool, on_host: bool) -> Letterbox | Fault:
        shape_hw, canvas = self._card.shape_hw, self._session.canvas[slot]
        facts = facts_of(jpeg)
        fault, settled = first_look(jpeg, facts.size_wh) if gated else (None, True)
        if fault is not None:
            return fault
        if settled and not on_host and self._session.jpegs is not None and facts.orientation == UPRIGHT:
            letterbox = Letterbox.fit(facts.size_wh, shape_hw)
            self._session.jpegs.want(slot, jpeg, letterbox)
            return letterbox
        image, letterbox = self._decoders[slot].decode(jpeg, facts, shape_hw)
        letterbox.place(image, canvas)
        if not settled:
            fault = look_at_pixels(letterbox.inner(canvas)).fault
        return letterbox if fault is None else fault


def _stop(queue: _Queue, threads: list[Thread]) -> None:
    """Let the lanes finish what they have and end."""
    queue.close()
    for thread in threads:
        thread.join()
