"""Stream: the worker's loop. Frames from topic `frames`; sightings and passes to theirs; what cannot be used, rejected.

Read, work, write, then commit. The thread of the loop reads, keeps the cameras and writes; the detector runs beside it,
so that however long it takes the member stays in its group. The committed offset lies behind the oldest frame of any
open pass: whoever reads on from there builds the same passes again, and what it sends again has the same ids.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ingest.binding import event_record, parse_before, parse_frame
from ingest.deadletter import dead_letter
from ingest.frame import Frame
from ingest.mounting import parse_mounting
from ingest.quality import Fault
from ingest.reader import Reader, Stopped
from ingest.record import Change, Partition, Record
from ingest.topics import FRAMES, PASSES, PROGRESS, SIGHTINGS
from ingest.watch import Watch
from vision.arrival import Arrival, named
from vision.camera import Camera, camera_of
from vision.fleet import Fleet, Key
from vision.order import Looked
from vision.place import place_of
from vision.progress import parse_progress
from vision.reel import Output
from vision.sighting import Sighting, enveloped
from vision.worker import Shown, Worker

GROUP = "worker"
AT_ONCE = 64  # records asked for in one poll
QUEUED_BYTES = 64 << 20  # of frames read and not worked on; beyond it reading pauses
BATCHES = 3  # given to the detector: it never waits for the loop
TICK_S = 0.2  # how often cameras that fell silent are looked for
COMMIT_S = 0.5
BUSY_S = 0.05  # how long the loop listens while the detector works: it has work for longer
FREE_S = 0.1  # and while it does not


@dataclass(frozen=True, slots=True)
class _Running:
    arrivals: list[Arrival]
    results: Future[tuple[list[Shown], float]]


class FrameLoop:
    """One worker. `scan` reads a whole topic, `now` is the wall clock."""

    def __init__(
        self,
        reader: Reader,
        worker: Worker,
        cameras: Mapping[str, Camera],
        watch: Watch,
        *,
        scan: Callable[[str], Iterator[Record]],
        now: Callable[[], datetime],
        batch: int = 8,
        hold: timedelta = timedelta(0),
        pool: Executor | None = None,
    ) -> None:
        """`pool` runs the detector, one call at a time unless it can do several."""
        self._reader = reader
        self._worker = worker
        self._cameras = cameras
        self._watch = watch
        self._scan = scan
        self._now = now
        self._batch = batch
        self._fleet = Fleet(worker.reel, hold=hold)
        self._pool = pool or ThreadPoolExecutor(
            2, thread_name_prefix="detector"
        )  # one batch's end is the next one's start
        self._shares: dict[Partition, object] = {}
        self._inbox: deque[Arrival] = deque()
        self._running: deque[_Running] = deque()
        self._next: dict[Partition, int] = {}  # offset after the last record read
        self._committed: dict[Partition, int] = {}
        self._unflushed = False
        self._ticked_s = self._committed_s = reader.now_s()

    def run(self, until_idle_s: float | None = None) -> None:
        """Work until the reader is stopped, or nothing came for so long; then the open passes are ended, too."""
        try:
            while not self._reader.stopping:
                self.turn()
                if until_idle_s is not None and self._reader.idle_s >= until_idle_s and not self._busy():
                    self._emit(self._fleet.finish(), None)
                    break
            self._finish_batches()
            self._settle()
            self._commit()
        except Stopped as late:
            self._watch.blocked(str(late))
        finally:
            self._reader.close()
            self._pool.shutdown(wait=False, cancel_futures=True)

    def turn(self) -> None:
        """One turn: read what is there, take and give the detector's work, send, commit."""
        queued = sum(len(arrival.frame.jpeg) for arrival in self._queue())
        self._watch.queued(sum(1 for _ in self._queue()), queued)
        self._reader.hold(queued > QUEUED_BYTES)
        records = self._reader.read(AT_ONCE, BUSY_S if self._running else FREE_S)
        for change in self._reader.changes():
            self._deal(change)
        for record in records:
            self._arrive(record)
        self._collect()
        self._begin()
        now = self._reader.now_s()
        if now - self._ticked_s >= TICK_S:
            self._ticked_s = now
            busy = {arrival.key for arrival in self._queue()}
            self._emit(self._fleet.tick(self._clock, busy), None)
        self._settle()
        if now - self._committed_s >= COMMIT_S:
            self._committed_s = now
            self._commit()

    @property
    def open_passes(self) -> int:
        """Of how many cameras a pass is open."""
        return self._fleet.open

    # Reading

    def _deal(self, change: Change) -> None:
        """Forget what others read now, and learn what others have finished of what is ours now."""
        for place in change.lost:
            self._shares.pop(place, None)
            self._next.pop(place, None)
            self._committed.pop(place, None)
            self._fleet.drop(place.number)
        self._inbox = deque(arrival for arrival in self._inbox if self._ours(arrival))
        for place in change.gained:
            self._shares[place] = object()
        if change.gained:
            self._reader.insist(lambda: self._learn({place.number for place in change.gained}))

    def _learn(self, partitions: set[int]) -> None:
        for record in self._scan(PROGRESS.name):
            try:
                progress = parse_progress(record.value)
            except ValueError:
                continue  # of a later version: passes that it would tell of are then made anew
            if progress.partition in partitions:
                self._fleet.learn(progress)

    def _arrive(self, record: Record) -> None:
        """Queue a frame; reject it, or let it be when it is known."""
        share = self._shares.get(record.place)
        if share is None:
            return
        self._next[record.place] = record.offset + 1
        key, time = named(record)
        if key is not None and time is not None and self._fleet.repeats(key, time):
            self._watch.repeated(record.topic)
            return
        try:
            frame = parse_frame(record, now=self._now())
            camera = camera_of(frame.vehicle, frame.camera, parse_mounting(record), self._cameras)
        except ValueError as error:
            self._reject(record, str(error))
            self._skip(record, key, time)
            return
        key = Key(record.partition, frame.vehicle, frame.camera)
        lean = replace(record, value=b"")
        at_s = self._clock(record.partition)
        self._inbox.append(Arrival(key, frame, camera, parse_before(record), lean, at_s, share))

    def _skip(self, record: Record, key: Key | None, time: datetime | None) -> None:
        """Let nobody wait for a frame that cannot be used, where it can be said which one it is."""
        if key is None or time is None:
            return
        try:
            camera = camera_of(key.vehicle, key.camera, parse_mounting(record), self._cameras)
        except ValueError:
            return
        self._emit(self._fleet.skip(key, camera, time, self._clock(record.partition)), record)

    # Working

    def _begin(self) -> None:
        """Give the detector work: whole batches, and less when it would have none."""
        if self._reader.stopping:
            return
        while self._inbox and len(self._running) < BATCHES and (len(self._inbox) >= self._batch or not self._running):
            arrivals = [self._inbox.popleft() for _ in range(min(self._batch, len(self._inbox)))]
            frames = [arrival.frame for arrival in arrivals]
            self._running.append(_Running(arrivals, self._pool.submit(self._timed, frames)))

    def _timed(self, frames: list[Frame]) -> tuple[list[Shown], float]:
        began = time.perf_counter()
        return self._worker.look(frames), time.perf_counter() - began

    def _collect(self) -> None:
        """Take what the detector is done with, in the order it was given."""
        while self._running and self._running[0].results.done():
            done = self._running.popleft()
            results, seconds = done.results.result()
            self._watch.batch(len(results), self._batch, seconds)
            self._begin()  # the detector goes on while the loop does the rest
            mine = [(a, result) for a, result in zip(done.arrivals, results, strict=True) if self._ours(a)]
            taken = [(self._take(arrival, result), arrival.record) for arrival, result in mine]
            for out, cause in taken:  # only now: evidence of the whole batch is in the making meanwhile
                self._emit(out, cause)

    def _take(self, arrival: Arrival, result: Shown) -> list[Output]:
        now_s = self._clock(arrival.key.partition)
        if isinstance(result, ValueError | Fault):
            if isinstance(result, Fault):
                self._watch.dropped(result)
            else:
                self._reject(replace(arrival.record, value=arrival.frame.jpeg), str(result))
            return self._fleet.skip(arrival.key, arrival.camera, arrival.frame.time, now_s)
        looked = Looked(
            frame=arrival.frame,
            things=result,
            offset=arrival.record.offset,
            before=arrival.before,
            camera=arrival.camera,
            at_s=arrival.at_s,
        )
        return self._fleet.put(arrival.key, looked, now_s)

    def _finish_batches(self) -> None:
        """Before a stop: what the detector has begun is done and sent; what waits is left to the next reader."""
        while self._running:
            self._collect()
            self._reader.stand_by(BUSY_S, "the last batch is worked on")

    # Writing

    def _emit(self, out: list[Output], cause: Record | None) -> None:
        for _, item in out:
            topic = SIGHTINGS if isinstance(item, Sighting) else PASSES
            record = event_record(topic.name, place_of(item), enveloped(item, made_at=self._now()))
            self._send(self._watch.sending(record, cause))

    def _reject(self, record: Record, reason: str) -> None:
        self._watch.rejected(record.topic, reason)
        self._send(dead_letter(record, reason, now=self._now()))

    def _send(self, record: Record) -> None:
        self._reader.send(record)
        self._unflushed = True

    def _settle(self) -> None:
        """Make what was sent durable, and then tell which passes are over."""
        if self._unflushed:
            self._reader.flush()
            self._unflushed = False
        told = list(self._fleet.progress(lambda n: self._committed.get(Partition(FRAMES.name, n), 0)))
        for progress in told:
            self._reader.send(progress.record(self._now()))
        if told:
            self._reader.flush()

    def _commit(self) -> None:
        """Everything before these offsets is done for good: sent, and not needed to build an open pass again."""
        oldest = self._fleet.needed_from()
        for arrival in self._queue():
            number = arrival.key.partition
            oldest[number] = min(arrival.record.offset, oldest.get(number, arrival.record.offset))
        offsets = {place: min(oldest.get(place.number, after), after) for place, after in self._next.items()}
        new = {place: offset for place, offset in offsets.items() if offset > self._committed.get(place, -1)}
        if new and self._reader.commit(new):
            self._committed.update(new)

    # What there is

    def _ours(self, arrival: Arrival) -> bool:
        return self._shares.get(arrival.record.place) is arrival.share

    def _queue(self) -> Iterator[Arrival]:
        for running in self._running:
            yield from running.arrivals
        yield from self._inbox

    def _busy(self) -> bool:
        return bool(self._inbox or self._running)

    def _clock(self, partition: int) -> float:
        return self._reader.attended_s(Partition(FRAMES.name, partition))
