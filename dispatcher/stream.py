"""Stream: the dispatcher's loop. Sightings and passes become cases; case events and alerts go to their topics.

The store is the truth. What was read, what follows from it and what is to be sent of it become durable in one
transaction; then it is sent from the outbox, then the offsets are committed. A dispatcher that ended anywhere between
goes on there: inputs that are stored change nothing, and what may have been sent is looked up on its topic before it is
sent. So each case event and each alert is on its topic once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import partial
from itertools import takewhile

from dispatcher.alert import letters
from dispatcher.area import Areas
from dispatcher.case import CaseEvent
from dispatcher.dispatch import Decided, Dispatcher, parsed
from dispatcher.engines import Which, begun
from dispatcher.merge import Input, Merge
from dispatcher.open311 import intake
from dispatcher.store.lease import Lease
from dispatcher.store.rows import Letter
from dispatcher.store.store import Store
from ingest.binding import line_record, parse_event
from ingest.deadletter import dead_letter
from ingest.reader import Reader, Stopped
from ingest.record import Partition, Record
from ingest.topics import ALERTS, PASSES, SIGHTINGS
from ingest.watch import Watch
from models.taxonomy import Taxonomy

GROUP = "dispatcher"
READS = (SIGHTINGS.name, PASSES.name)
AT_ONCE = 2000  # inputs that become durable together, when so many wait; some 0.8 s of work, and of the write lock
LETTERS_AT_ONCE = 4000  # more than a batch as a rule gives rise to
FREE_S = 0.1  # how long the loop listens when there is nothing
COMMIT_S = 0.5
CHECK_S = 1.0  # how often the lease is looked at
NOTHING: tuple[str, Input | None] = ("", None)  # what caused a letter that this loop did not write
SNAPSHOT_EVERY = 50_000  # inputs at most; about half an hour of 5,000 vehicles, which a start reads in some 15 s ...
SNAPSHOT_CHANGED = 10_000  # ... and places and objects that changed: keeping so many takes a second or two


class DispatchLoop:
    """The one dispatcher of a store, which holds its lease. `scan` reads a whole topic, `now` is the wall clock."""

    def __init__(
        self,
        reader: Reader,
        store: Store,
        lease: Lease,
        areas: Areas,
        taxonomy: Taxonomy,
        watch: Watch,
        *,
        scan: Callable[[str], Iterator[Record]],
        now: Callable[[], datetime],
        tick: Callable[[datetime], object] = lambda _: None,
        which: Which | None = None,
    ) -> None:
        """`which` engine decides; None: the one that does already. Raises ValueError where it is another one."""
        self._reader = reader
        self._store = store
        self._lease = lease
        self._areas = areas
        self._taxonomy = taxonomy
        self._watch = watch
        self._scan = scan
        self._now = now
        self._tick = tick  # the desk's clocks, looked at now and then
        self.engine, self._snapshot = begun(store, areas, taxonomy, which)
        self._dispatcher = Dispatcher(self.engine, store, self._letters)
        self._merge = Merge()
        self._assigned: set[Partition] = set()
        self._next: dict[Partition, int] = {}  # offset after the last record read
        self._committed: dict[Partition, int] = {}
        self._caused: dict[str, tuple[str, Input]] = {}  # event or letter -> event, its input; until it is told
        self._written: dict[str, Letter] = {}  # by id, until they are sent: the outbox need not give them back
        self._unkept = 0  # inputs since the last snapshot
        self._unflushed = False
        self._committed_s = self._checked_s = reader.now_s()

    def recover(self) -> None:
        """Go on where the last dispatcher of this store ended. Call it once, before `run`; a stop ends it early."""
        stored = self._store.inputs(self._snapshot.recall())
        self._dispatcher.recover(takewhile(lambda _: not self._reader.stopping, stored))
        if self._reader.stopping:
            return
        waiting = {letter.id: letter for letter in self._store.outbox(limit=1_000_000)}
        for topic in {letter.topic for letter in waiting.values()}:
            self._reader.insist(partial(self._forget_sent, topic, waiting))
        self._send_outbox()

    def run(self, until_idle_s: float | None = None) -> None:
        """Work until the reader is stopped, or nothing came for so long."""
        try:
            while not self._reader.stopping:
                self.turn()
                if until_idle_s is not None and self._reader.idle_s >= until_idle_s and not len(self._merge):
                    break
            self._commit()
            with self._dispatcher.turn():
                pass  # offices may have acted since the last input
            if self._unkept:
                self._keep_snapshot()
        except Stopped as late:
            self._watch.blocked(str(late))
        finally:
            self._reader.close()

    def turn(self) -> None:
        """One turn: read what is there, decide, make it durable, send, commit."""
        self._reader.hold(False)
        records = self._reader.read(AT_ONCE, 0.0 if len(self._merge) > AT_ONCE else FREE_S)
        for change in self._reader.changes():
            self._assigned = (self._assigned - change.lost) | change.gained
            self._merge.drop(change.lost)
            for place in change.lost:
                self._next.pop(place, None)
                self._committed.pop(place, None)
        for record in records:
            self._arrive(record)
        self._watch.queued(len(self._merge), 0)
        self._decide(self._merge.take(self._assigned, self._reader.behind, self._reader.now_s(), AT_ONCE))
        now = self._reader.now_s()
        if now - self._checked_s >= CHECK_S:
            self._checked_s = now
            self._lease.check()
        if now - self._committed_s >= COMMIT_S:
            self._committed_s = now
            self._commit()
            self._tick(self._now())
            intake.take(self._store, self._dispatcher, self._taxonomy, self._letters)
            self._send_outbox()  # what offices did meanwhile goes out from here too

    # Reading

    def _arrive(self, record: Record) -> None:
        if record.place not in self._assigned:
            return
        self._next[record.place] = record.offset + 1
        try:
            envelope = parse_event(record)
            self._merge.put(Input(record, envelope, parsed(envelope), self._reader.now_s()))
        except ValueError as error:
            self._reject(record, str(error))

    def _reject(self, record: Record, reason: str) -> None:
        self._watch.rejected(record.topic, reason)
        self._reader.send(dead_letter(record, reason, now=self._now()))
        self._unflushed = True

    # Deciding

    def _decide(self, inputs: list[Input]) -> None:
        """Take a batch: all that follows from it becomes durable at once, and is sent then."""
        if not inputs:
            return
        began = time.perf_counter()
        decided: list[Decided] = []
        with self._dispatcher.turn():
            known = self._store.known([one.item.id for one in inputs])
            for one in inputs:
                new = None if one.item.id in known else self._decided(one)
                if new is None:
                    self._watch.repeated(one.record.topic)
                elif new:
                    decided += new
                    self._caused |= {event.id: (event.event, one) for event in new[0].events}
            self._store.append(
                [one.input for one in decided],
                [event for one in decided for event in one.events],
                [anchor for one in decided for anchor in one.anchors],
                self._letters,
            )
        self._watch.batch(len(inputs), AT_ONCE, time.perf_counter() - began)
        self._send_outbox()
        self._unkept += len(decided)
        if self._unkept >= SNAPSHOT_EVERY or self._snapshot.changes >= SNAPSHOT_CHANGED:
            self._keep_snapshot()

    def _keep_snapshot(self) -> None:
        """So that the next dispatcher starts from here, and not from the beginning of the history."""
        self._unkept = 0
        self._snapshot.amend(self._dispatcher.seq)

    def _decided(self, one: Input) -> list[Decided] | None:
        """None for a repeat; nothing for an input that makes no sense, which is rejected."""
        try:
            decided = self._dispatcher.decide(one.envelope, one.item)
        except ValueError as error:
            self._reject(one.record, str(error))
            return []
        return None if decided is None else [decided]

    def _letters(self, event: CaseEvent) -> Iterator[Letter]:
        """What the world is told of an event."""
        for letter in letters(event, self._areas, self._taxonomy):
            if letter.topic == ALERTS.name and event.id in self._caused:  # a report of a citizen came on no topic
                self._caused[letter.id] = self._caused[event.id]
            self._written[letter.id] = letter
            yield letter

    # Sending

    def _send_outbox(self) -> None:
        """Send what waits, oldest first; what is durable on its topic leaves the outbox."""
        full = True
        while full and (waiting := self._store.outbox(LETTERS_AT_ONCE, self._written)):
            full = len(waiting) == LETTERS_AT_ONCE
            self._lease.check()
            for letter in waiting:
                record = line_record(letter.topic, letter.key, letter.line)
                _, cause = self._caused.get(letter.id, NOTHING)
                self._reader.send(self._watch.sending(record, cause.record if cause else None))
            self._reader.flush()
            self._store.sent(waiting)
            self._report(waiting)
        self._caused.clear()
        self._written.clear()

    def _report(self, letters: Iterable[Letter]) -> None:
        for letter in letters:
            event, cause = self._caused.get(letter.id, NOTHING)
            if letter.topic == ALERTS.name and cause is not None:
                self._watch.told(event, cause.captured_at)

    def _forget_sent(self, topic: str, waiting: dict[str, Letter]) -> None:
        """Take out of the outbox what a dispatcher before this one did send."""
        found = []
        for record in self._scan(topic):
            try:
                letter = waiting.get(parse_event(record).id)
            except ValueError:
                continue  # not ours
            if letter is not None:
                found.append(letter)
        self._store.sent(found)

    def _commit(self) -> None:
        """Everything before these offsets is in the store, and told."""
        if self._unflushed:
            self._reader.flush()
            self._unflushed = False
        oldest = self._merge.oldest()
        offsets = {place: oldest.get(place, after) for place, after in self._next.items()}
        new = {place: offset for place, offset in offsets.items() if offset > self._committed.get(place, -1)}
        if new and self._reader.commit(new):
            self._committed.update(new)
