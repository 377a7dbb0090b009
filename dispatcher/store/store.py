"""Store: everything the dispatcher decided. The event log is the truth; the rest follows from it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any, Self, TypeVar

from sqlalchemy import Connection, Engine, Table, delete, func, insert, select

from dispatcher.access.scope import EVERYTHING, Scope
from dispatcher.case import Anchor, CaseEvent
from dispatcher.store import leaf, maps, reading, seen_by, snapshots, tables
from dispatcher.store.access_tables import marks
from dispatcher.store.accounts import Accounts
from dispatcher.store.areas import AreaVersions
from dispatcher.store.areas import keep as keep_version
from dispatcher.store.attempts import Attempts
from dispatcher.store.bulk import delete_rows, insert_rows, one_of, rows_with
from dispatcher.store.channels import Channels
from dispatcher.store.database import at_once, connect, writer
from dispatcher.store.deliveries import Deliveries, post
from dispatcher.store.keys import Keys
from dispatcher.store.lease import Lease, Right, take
from dispatcher.store.project import project, stored_event
from dispatcher.store.rebuild import Rebuilt, rebuilt
from dispatcher.store.reports import Reports
from dispatcher.store.rows import CaseFilter, Document, Letter, Listing, StoredCase, StoredEvent, Summary
from ingest.envelope import Envelope, dumps
from ingest.frame import rfc3339
from ingest.rejected import Rejected

PAGE = 500  # rows read or ids asked for in one statement
AREAS = "areas"
NO_LETTERS: Mapping[str, Letter] = MappingProxyType({})
PROJECTED = ("shelf", "maps", "tally")  # that a store has these projections: a store without one gets all made anew

Identified = TypeVar("Identified", Envelope, CaseEvent)


class Store:
    """One database. Any number of threads and processes may read it while one of them writes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = writer(engine)
        self._at_once = at_once(engine)
        self.accounts = Accounts(engine)
        self.keys = Keys(engine)
        self.attempts = Attempts(engine)
        self._held = threading.local()  # the transaction that this thread is in
        self.channels = Channels(engine)
        self.deliveries = Deliveries(engine)
        self.area_versions = AreaVersions(engine)
        self.maps = maps.Maps(engine)
        self.reports = Reports(engine)

    @classmethod
    def open(cls, url: str) -> Self:
        """Open or create `sqlite:///path.db`, `sqlite://` in memory, or `postgresql://…`. Raises StoreUnavailable."""
        store = cls(connect(url))
        store._catch_up()
        return store

    def close(self) -> None:
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(
        self,
        inputs: Sequence[Envelope] = (),
        events: Sequence[CaseEvent] = (),
        anchors: Sequence[Anchor] = (),
        letters: Callable[[CaseEvent], Iterable[Letter]] = lambda _: (),
    ) -> int:
        """Keep inputs and what followed from them, all or nothing; on return they are on disk.

        Inputs and events whose id is already stored change nothing, so a repeated batch is harmless. An anchor replaces
        the one with the same key; one without sightings is no more. `letters` gives what is to be sent of a new event:
        it goes into the outbox with it, and alerts to the channels that want them. Returns how many events were new.
        """
        with self.writing() as connection:
            fresh = _new(connection, tables.inputs, inputs, absent=self._held.absent)
            self._held.absent.difference_update(envelope.id for envelope in fresh)
            maps.looked(connection, fresh)
            rows = [{"id": envelope.id, "line": envelope.line} for envelope in fresh]
            insert_rows(connection, tables.inputs, rows)
            new = _new(connection, tables.events, events)
            project(connection, _logged(connection, new))
            posted = [letter for event in new for letter in letters(event)]
            insert_rows(connection, tables.outbox, [_posted(letter) for letter in posted])
            post(connection, posted)
            _keep_anchors(connection, anchors)
        return len(new)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction in which nobody else writes; what this thread appends in the block is part of it."""
        held: Connection | None = getattr(self._held, "connection", None)
        if held is not None:
            yield held
            return
        with self._writer.begin() as connection:
            self._held.connection, self._held.absent = connection, set()
            try:
                yield connection
            finally:
                self._held.connection = None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one moment of the store."""
        with self._engine.begin() as connection:
            yield connection

    @contextmanager
    def turn(self, after: int) -> Iterator[list[str]]:
        """While the block lasts nobody else writes. Gives the inputs that are stored after a number."""
        query = select(tables.inputs.c.line).where(tables.inputs.c.seq > after).order_by(tables.inputs.c.seq)
        with self.writing() as connection:
            yield list(connection.scalars(query))

    def last_input(self) -> int:
        """The number of the last input stored, those of the block that this thread is in with them; 0 for none."""
        held: Connection | None = getattr(self._held, "connection", None)
        if held is not None:
            return last_input(held)
        with self._engine.begin() as connection:
            return last_input(connection)

    def reject(self, rejected: Rejected) -> None:
        """Keep an input that was refused, with its reason, for inspection."""
        with self._writer.begin() as connection:
            connection.execute(insert(tables.rejected).values(document=dumps(rejected.document())))

    def known(self, ids: Collection[str]) -> set[str]:
        """Which of these inputs are stored, those of the block that this thread is in with them."""
        held: Connection | None = getattr(self._held, "connection", None)
        if held is not None:
            found = _stored(held, tables.inputs, list(ids))
            self._held.absent |= {id for id in ids if id not in found}
            return found
        with self._engine.begin() as connection:
            return _stored(connection, tables.inputs, list(ids))

    def outbox(self, limit: int = PAGE, written: Mapping[str, Letter] = NO_LETTERS) -> list[Letter]:
        """What is still to be sent, oldest first. `written`: those that the caller has, by id, and need not be read."""
        c = tables.outbox.c
        with self._engine.begin() as connection:
            rows = connection.execute(select(c.seq, c.id).order_by(c.seq).limit(limit)).all()
            asked = [row.seq for row in rows if row.id not in written]
            read = {row.seq: row for row in rows_with(connection, select(tables.outbox), c.seq, asked)}
        found = ((row.seq, read.get(row.seq) or written[row.id]) for row in rows)
        return [Letter(id=one.id, topic=one.topic, key=one.key, line=one.line, seq=seq) for seq, one in found]

    def sent(self, letters: Collection[Letter]) -> None:
        """These are durable where they were sent to."""
        seqs = [letter.seq for letter in letters]
        with self._writer.begin() as connection:
            for start in range(0, len(seqs), PAGE):
                some = one_of(connection, tables.outbox.c.seq, seqs[start : start + PAGE])
                connection.execute(delete(tables.outbox).where(some))

    def keep_areas(self, text: str, about: Mapping[str, Any] | None = None, now: datetime | None = None) -> None:
        """Keep an areas file, for whoever opens the store later, as a version of its own."""
        with self._writer.begin() as connection:
            keep_version(connection, text, about or {}, now or datetime.now(UTC))
            connection.execute(delete(tables.kept).where(tables.kept.c.name == AREAS))
            connection.execute(insert(tables.kept).values(name=AREAS, document=text))

    def areas(self) -> str | None:
        """The areas file that was kept last."""
        with self._engine.begin() as connection:
            text = connection.scalar(select(tables.kept.c.document).where(tables.kept.c.name == AREAS))
        return None if text is None else str(text)

    def amend_snapshot(self, mark: str, about: Document, changed: Mapping[snapshots.Part, Any], seq: int) -> None:
        """Keep what has changed since, None for what is gone; all, where the one before is under another mark."""
        with self._writer.begin() as connection:
            snapshots.keep(connection, mark, about, changed, seq)

    def recall(self, mark: str, take: Callable[[Document, snapshots.Parts], None]) -> int | None:
        """Give what was kept last under that mark, part by part; the number of the last input in it. None: nothing."""
        with self._engine.begin() as connection:
            found = snapshots.kept(connection, mark)
            if found is None:
                return None
            seq, about, parts = found
            take(about, parts)
        return seq

    def lease(self, right: Right = Right.DECIDE) -> Lease | None:
        """The right to decide on this store, or to send for it; None while another process has it."""
        return take(self._engine, right)

    def cases(self, where: CaseFilter | None = None) -> Listing:
        """The cases as they stand, the last raised first."""
        log, asked = self.log, where or CaseFilter()
        stems = leaf.stems_of(asked)
        if stems is not None:
            with self._at_once.connect() as connection:
                return leaf.listing(connection, asked, stems, log)
        with self._engine.begin() as connection:
            return reading.listing(connection, asked, log)

    @cached_property
    def log(self) -> str:
        """The name of the log; another store has another one."""
        with self._engine.begin() as connection:
            return reading.log(connection)

    def last_event(self) -> int:
        """The number of the last event; 0 for none."""
        with self._engine.begin() as connection:
            return reading.last_event(connection)

    def case(self, id: str, scope: Scope = EVERYTHING) -> tuple[StoredCase, list[StoredEvent]] | None:
        """One case and what happened to it, oldest first; None when there is none in the scope."""
        with self._engine.begin() as connection:
            return reading.case(connection, id, scope)

    def sightings(self, id: str, scope: Scope = EVERYTHING) -> list[str] | None:
        """The inputs that a case is made of, a JSON line each; None when there is no such case in the scope."""
        with self._engine.begin() as connection:
            return reading.sightings(connection, id, scope)

    def picture_in(self, name: str, scope: Scope) -> bool:
        """Whether an evidence picture belongs to a case in the scope."""
        with self._engine.begin() as connection:
            return seen_by.picture_in(connection, name, scope)

    def listen(self, after: int, limit: int = PAGE, scope: Scope = EVERYTHING) -> tuple[list[StoredEvent], int]:
        """The events of a scope among the next `limit` of the log, and the number to go on from."""
        with self._engine.begin() as connection:
            return reading.listen(connection, after, limit, scope)

    def follow(self, after: int, limit: int = PAGE) -> list[tuple[StoredEvent, set[str]]]:
        """The next events of the log, each with the areas to which its case is shown now."""
        with self._engine.begin() as connection:
            return reading.follow(connection, after, limit)

    def events_after(self, seq: int, limit: int = PAGE) -> list[StoredEvent]:
        """The next entries of the log. `seq` 0 is its start."""
        query = select(tables.events).where(tables.events.c.seq > seq).order_by(tables.events.c.seq).limit(limit)
        with self._engine.begin() as connection:
            return [stored_event(row) for row in connection.execute(query)]

    def inputs(self, after: int = 0) -> Iterator[str]:
        """Every accepted input in the order of arrival, one JSON line each: replaying them gives every decision again.

        Those after a number, or all. Reads page by page, so a long replay holds no transaction open and may write
        meanwhile.
        """
        seq = after
        while True:
            query = select(tables.inputs).where(tables.inputs.c.seq > seq).order_by(tables.inputs.c.seq).limit(PAGE)
            with self._engine.begin() as connection:
                rows = connection.execute(query).all()
            for row in rows:
                yield row.line
            if len(rows) < PAGE:
                return
            seq = rows[-1].seq

    def objects(self) -> list[Document]:
        """The permanent objects, as appended."""
        with self._engine.begin() as connection:
            rows = connection.execute(select(tables.objects.c.document).order_by(tables.objects.c.id))
            return [json.loads(document) for (document,) in rows]

    def summary(self, since: datetime, scope: Scope = EVERYTHING) -> Summary:
        """Counts by state, matter and owner; `opened_since` counts from `since` on."""
        with self._engine.begin() as connection:
            return reading.summary(connection, rfc3339(since), scope)

    def rebuild(self) -> Rebuilt:
        """Make every projection anew, from the log of events and the chain of actions; see `rebuild.py`."""
        with self._writer.begin() as connection:
            return rebuilt(connection)

    def _catch_up(self) -> None:
        """A store from before there was a projection gets it made, once."""
        with self._engine.begin() as connection:
            done = set(connection.scalars(select(marks.c.name)))
        if not done.issuperset(PROJECTED):
            self.rebuild()
            with self._writer.begin() as connection:
                connection.execute(delete(marks).where(marks.c.name.in_(PROJECTED)))
                connection.execute(insert(marks), [{"name": name, "value": 1} for name in PROJECTED])


def last_input(connection: Connection) -> int:
    return connection.scalar(select(func.max(tables.inputs.c.seq))) or 0


def _new(
    connection: Connection, table: Table, items: Sequence[Identified], absent: Set[str] = frozenset()
) -> list[Identified]:
    """The items whose id is not stored yet, each id once, in order. The write lock keeps the answer true.

    `absent`: ids of which this transaction knows it already.
    """
    first: dict[str, Identified] = {}
    for item in items:
        first.setdefault(item.id, item)
    for id in _stored(connection, table, [id for id in first if id not in absent]):
        del first[id]
    return list(first.values())


def _stored(connection: Connection, table: Table, ids: Sequence[str]) -> set[str]:
    return {row.id for row in rows_with(connection, select(table.c.id), table.c.id, ids)}


def _posted(letter: Letter) -> dict[str, str]:
    return {"id": letter.id, "topic": letter.topic, "key": letter.key, "line": letter.line}


def _logged(connection: Connection, events: Sequence[CaseEvent]) -> list[StoredEvent]:
    """Append to the log. The write lock keeps the numbers in a row; they are asked for, not guessed."""
    if not events:
        return []
    rows: list[dict[str, Any]] = [
        {
            "id": event.id,
            "case": event.case.id,
            "event": event.event,
            "at": rfc3339(event.at),
            "recipients": dumps(list(event.recipients)),
            "document": event.text,
        }
        for event in events
    ]
    before = reading.last_event(connection)
    insert_rows(connection, tables.events, rows)
    asked = select(tables.events.c.id, tables.events.c.seq).where(tables.events.c.seq > before)
    seqs = {row.id: row.seq for row in connection.execute(asked)}
    return [
        StoredEvent(
            seq=seqs[event.id],
            id=event.id,
            case=event.case.id,
            event=event.event,
            at=row["at"],
            recipients=event.recipients,
            document=event.document(),
            text=event.text,
        )
        for row, event in zip(rows, events, strict=True)
    ]


def _keep_anchors(connection: Connection, anchors: Sequence[Anchor]) -> None:
    last = {anchor.key: anchor for anchor in anchors}
    there = [(id, anchor) for id, anchor in last.items() if anchor.sightings]
    rows = [{"id": id, "kind": anchor.kind, "document": dumps(anchor.document())} for id, anchor in there]
    delete_rows(connection, tables.objects, [{"id": id} for id in last])
    insert_rows(connection, tables.objects, rows)
