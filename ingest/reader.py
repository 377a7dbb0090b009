"""Reader: a bus that is read and written with patience, and the clocks that only run while the broker is heard.

What must happen "when nothing came for so long" must not happen because the broker was away, this process was frozen,
or it lies behind: time counts only while polls succeed and everything there is has been read.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TypeVar

from ingest.record import Bus, Change, Partition, Rebalancing, Record, Retry
from ingest.watch import Watch

PROBE_S = 0.3  # how often the broker is asked how much there is still to be read ...
BUSY_PROBE_S = 1.0  # ... and while records come: the answer takes time, and that it is heard is seen anyway
SLICE_S = 0.25  # waiting is done in slices, so that a stop is heard
JUMP_S = 1.0  # more than this between two polls is time in which nobody listened
SETTLE_S = 8.0  # after an outage senders take a while to find the broker again, too: nobody is silent yet
JOINING_S = 30.0  # a group may take so long to deal its partitions
GRACE_S = 20.0  # after a stop, how long what was begun is tried on

T = TypeVar("T")


class Stopped(RuntimeError):
    """The process was to end, and what it waited for did not come in time. Nothing is lost: it was not committed."""


class Reader:
    """One member of a group. One thread uses it; `stop` may come from a signal."""

    def __init__(
        self,
        bus: Bus,
        watch: Watch,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.stopping = False
        self.idle_s = 0.0  # how long nothing came, and nothing was there
        self._bus = bus
        self._watch = watch
        self._clock = clock
        self._sleep = sleep
        self._began = self._polled = clock()
        self._probed = -PROBE_S
        self._heard = False
        self._settled_at = -SETTLE_S  # until then time does not count
        self._dealt = False
        self._lag: dict[Partition, int] = {}
        self._near: set[Partition] = set()  # read to less than a probe's interval from their ends
        self._recent: Counter[Partition] = Counter()  # records since the probe before
        self._attended: dict[Partition, float] = {}
        self._early: list[Record] = []
        self._stop_at: float | None = None

    def now_s(self) -> float:
        """The clock that everything here goes by."""
        return self._clock()

    def stop(self) -> None:
        """End soon: finish what was begun."""
        self.stopping = True

    def read(self, most: int, wait_s: float) -> list[Record]:
        """Up to `most` records, waited for up to `wait_s`. Afterwards look at `changes`, before these records."""
        before = self._clock()
        early, self._early = self._early, []
        try:
            records = early + self._bus.poll(most, 0.0 if early else wait_s)
        except Retry as refusal:
            records = early
            self._unheard(refusal)
        spent = self._clock() - before
        if not records and spent < wait_s:
            self._sleep(wait_s - spent)  # a bus that does not wait
        self._recent.update(record.place for record in records)
        if self._clock() - self._probed >= (BUSY_PROBE_S if records else PROBE_S):
            self._probe()
        self._count(records)
        self._watch.turned()
        if records:
            self._watch.read(records)
        return records

    def changes(self) -> list[Change]:
        """What was gained and lost, in order, up to the last `read`."""
        changes = self._bus.changes()
        for change in changes:
            self._dealt = True
            self.idle_s = 0.0
            for place in change.lost:
                self._attended.pop(place, None)
                self._early = [record for record in self._early if record.place != place]
            self._attended.update(dict.fromkeys(change.gained, 0.0))
        if changes:
            self._watch.assigned(self._bus.assignment())
        return changes

    def attended_s(self, place: Partition) -> float:
        """A clock of a partition that runs only while everything there is of it has been read."""
        return self._attended.get(place, 0.0)

    def behind(self, place: Partition) -> bool:
        """True while a partition is known to hold more than was read of it."""
        return self._lag.get(place, 0) > self._recent[place]

    def hold(self, held: bool) -> None:
        """Read no more for now, or go on."""
        places = self._bus.assignment()
        if held:
            self._bus.pause(places)
        else:
            self._bus.resume(places)

    def send(self, record: Record) -> None:
        self.insist(lambda: self._bus.send(record))

    def flush(self) -> None:
        """Return when everything sent is durable."""
        self.insist(self._bus.flush)

    def commit(self, offsets: Mapping[Partition, int]) -> bool:
        """False when the group is dealt again: the offsets of what is still ours can be committed later."""
        try:
            self.insist(lambda: self._bus.commit(offsets))
        except Rebalancing:
            return False
        return True

    def insist(self, call: Callable[[], T]) -> T:
        """Make a call until it is done. Raises Stopped when the process is to end and it cannot be done in time."""
        blocked = False
        while True:
            try:
                result = call()
            except Rebalancing:
                raise
            except Retry as refusal:
                blocked = True
                self._unheard(refusal)
                self.stand_by(refusal.retry_after_s, str(refusal))
            else:
                if blocked:
                    self._watch.blocked(None)
                return result

    def stand_by(self, wait_s: float, reason: str) -> None:
        """Wait as a living member of the group that reads nothing. Raises Stopped after a stop and its grace."""
        self._watch.blocked(reason)
        until = self._clock() + wait_s
        while True:
            self._watch.turned()
            self._check_stop(reason)
            now = self._clock()
            piece = min(SLICE_S, until - now)
            if piece <= 0:
                return
            try:
                self.hold(True)
                self._early += self._bus.poll(1, piece)  # partitions that were just given are not held yet
            except Retry:
                pass  # it is waited out here anyway
            spent = self._clock() - now
            if spent < piece:
                self._sleep(piece - spent)

    def close(self) -> None:
        self._bus.close()

    def _check_stop(self, reason: str) -> None:
        if not self.stopping:
            return
        if self._stop_at is None:
            self._stop_at = self._clock() + GRACE_S
        if self._clock() >= self._stop_at:
            raise Stopped(f"stopped while waiting: {reason}")

    def _probe(self) -> None:
        self._probed = self._clock()
        try:
            self._lag = self._bus.lag()
        except Retry as refusal:
            self._unheard(refusal)
            return
        if not self._heard:
            self._watch.blocked(None)
        self._heard = True
        self._watch.lag(self._lag)
        self._near = {place for place, behind in self._lag.items() if behind <= self._recent[place]}
        self._recent.clear()

    def _unheard(self, refusal: Retry) -> None:
        self._heard = False
        self._settled_at = self._clock() + SETTLE_S
        self.idle_s = 0.0
        self._watch.blocked(str(refusal))

    def _count(self, records: list[Record]) -> None:
        now = self._clock()
        passed, self._polled = min(now - self._polled, JUMP_S), now
        if records:
            self.idle_s = 0.0
        if not self._heard or now < self._settled_at:
            return
        for place in self._attended:
            if place in self._near:
                self._attended[place] += passed
        dealt = self._dealt or now - self._began >= JOINING_S
        if dealt and not self._dealt:  # a member that is left over: it stands by
            self._dealt = True
            self._watch.assigned(frozenset())
        if not records and dealt and not any(self._lag.values()):
            self.idle_s += passed
