"""The offices' work in the store: the chain of actions, and what it comes to. Each call is inside a transaction."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

from sqlalchemy import Connection, delete, func, insert, select, update

from dispatcher.store import seen_by, shelf, tables, tally
from dispatcher.store.project import stored_event
from dispatcher.store.rows import StoredCase, StoredEvent
from dispatcher.store.work_tables import actions, book, work
from dispatcher.work.entry import START, Entry, Kept, canonical, parsed_entry
from dispatcher.work.step import Act
from dispatcher.work.work import Work, after, parsed_work
from ingest.frame import rfc3339

Transaction = Connection  # what a desk holds while it works
PAGE = 500
FOLLOWED = "work"  # up to which event the desk has followed the case log


def chained(connection: Connection, entry: Entry) -> Entry:
    """Append an entry as the next one, and bring the work on its case up to it. The write lock is held."""
    row = connection.execute(select(actions.c.seq, actions.c.hash).order_by(actions.c.seq.desc()).limit(1)).first()
    seq, prev = (0, START) if row is None else (row.seq, row.hash)
    done = replace(entry, seq=seq + 1, prev=prev).sealed()
    values = {
        "seq": done.seq,
        "case": done.case,
        "act": str(done.act),
        "actor": done.actor,
        "at": rfc3339(done.at),
        "event": done.event,
        "key": done.key,
        "document": canonical(done.document()),
        "hash": done.hash,
    }
    connection.execute(insert(actions).values(values))
    _project(connection, done)
    return done


def work_of(connection: Connection, case: str) -> Work | None:
    text = connection.scalar(select(work.c.document).where(work.c.case == case))
    return None if text is None else parsed_work(json.loads(text))


def works_of(connection: Connection, cases: list[str]) -> dict[str, Work]:
    """The work on many cases."""
    found: dict[str, Work] = {}
    for start in range(0, len(cases), PAGE):
        query = select(work.c.case, work.c.document).where(work.c.case.in_(cases[start : start + PAGE]))
        found |= {row.case: parsed_work(json.loads(row.document)) for row in connection.execute(query)}
    return found


def entries_of(connection: Connection, case: str) -> list[Entry]:
    """What was done with a case, oldest first."""
    query = select(actions).where(actions.c.case == case).order_by(actions.c.seq)
    return [parsed_entry(row.document, row.hash) for row in connection.execute(query)]


def entry_with(connection: Connection, actor: str, key: str) -> Entry | None:
    """What an actor did under an Idempotency-Key."""
    query = select(actions).where(actions.c.actor == actor, actions.c.key == key)
    row = connection.execute(query).one_or_none()
    return None if row is None else parsed_entry(row.document, row.hash)


def unacknowledged(connection: Connection, now: str, limit: int = PAGE) -> list[str]:
    """Cases that the next level must hear of now."""
    query = select(work.c.case).where(work.c.escalates_at <= now).order_by(work.c.escalates_at, work.c.case)
    return list(connection.scalars(query.limit(limit)))


def log_rows(connection: Connection, after_seq: int = 0) -> list[Kept]:
    """A page of the chain as it lies there, for whoever verifies it."""
    query = select(actions).where(actions.c.seq > after_seq).order_by(actions.c.seq).limit(PAGE)
    return [Kept(**row._mapping) for row in connection.execute(query)]


def rebuild(connection: Connection) -> int:
    """Make `work` anew from the chain. Returns how many entries were read."""
    connection.execute(delete(work))
    read = 0
    for entry in _entries(connection):
        _project(connection, entry)
        read += 1
    return read


def _entries(connection: Connection) -> Iterator[Entry]:
    seq = 0
    while rows := log_rows(connection, seq):
        for row in rows:
            yield parsed_entry(row.document, row.hash)
        seq = rows[-1].seq


def _project(connection: Connection, entry: Entry) -> None:
    if entry.act is Act.ERASE:
        return  # of no case
    done = after(work_of(connection, entry.case), entry)
    case = case_of(connection, entry.case)
    owner = None if case is None else case.area
    sight = seen_by.show(connection, {entry.case: set(done.offices)}, {entry.case: owner})[entry.case]
    if case is not None and case.late_from != done.late_from:
        connection.execute(update(tables.cases).where(tables.cases.c.id == case.id).values(late_from=done.late_from))
        if sight.before == sight.after:
            shelf.due(connection, case.raised, sight.after, done.late_from)
    if case is not None and sight.before != sight.after:
        facts = shelf.Facts.of(case.document, case.raised, case.area, done.late_from)
        shelf.place(connection, [shelf.Move((case.raised, sight.before), facts, sight.after)])
        before, now = (
            tally.Tallied(facts.state, facts.matter, case.area, areas) for areas in (sight.before, sight.after)
        )
        tally.count(connection, [(before, now)])
    values = {
        "version": done.version,
        "step": str(done.step),
        "outcome": done.outcome,
        "office": done.office,
        "due_at": done.due_at,
        "escalates_at": done.escalates_at,
        "level": done.level,
        "priority": done.priority,
        "document": canonical(done.document()),  # in one order, however the details came
    }
    if not connection.execute(update(work).where(work.c.case == done.case).values(values)).rowcount:
        connection.execute(insert(work).values(values | {"case": done.case}))


# The case log, which the desk follows


def followed(connection: Connection) -> int:
    return connection.scalar(select(tables.kept.c.seq).where(tables.kept.c.name == FOLLOWED)) or 0


def follow(connection: Connection, seq: int) -> None:
    """The desk has followed the case log up to here."""
    known = update(tables.kept).where(tables.kept.c.name == FOLLOWED).values(seq=seq)
    if not connection.execute(known).rowcount:
        connection.execute(insert(tables.kept).values(name=FOLLOWED, document="", seq=seq))


def last_event(connection: Connection) -> int:
    return connection.scalar(select(func.max(tables.events.c.seq))) or 0


def events_after(connection: Connection, seq: int) -> list[StoredEvent]:
    """The next page of the case log."""
    query = select(tables.events).where(tables.events.c.seq > seq).order_by(tables.events.c.seq).limit(PAGE)
    return [stored_event(row) for row in connection.execute(query)]


def of_actions(connection: Connection, events: list[str]) -> set[str]:
    """Which of these events tell of actions, and were not the engine's."""
    return set(connection.scalars(select(actions.c.event).where(actions.c.event.in_(events))))


def case_of(connection: Connection, id: str) -> StoredCase | None:
    row = connection.execute(select(tables.cases).where(tables.cases.c.id == id)).one_or_none()
    if row is None:
        return None
    return StoredCase(
        id=row.id,
        area=row.area,
        raised=row.raised,
        updated=row.updated,
        document=json.loads(row.document),
        late_from=row.late_from,
    )


def last_event_of(connection: Connection, case: str) -> StoredEvent | None:
    query = select(tables.events).where(tables.events.c.case == case).order_by(tables.events.c.seq.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return None if row is None else stored_event(row)


def input_lines(connection: Connection, ids: list[str]) -> dict[str, str]:
    """Stored inputs by their ids; those that are not there are left out."""
    found: dict[str, str] = {}
    for start in range(0, len(ids), PAGE):
        query = select(tables.inputs.c.id, tables.inputs.c.line).where(
            tables.inputs.c.id.in_(ids[start : start + PAGE])
        )
        found |= {row.id: row.line for row in connection.execute(query)}
    return found


def earlier_near(connection: Connection, case: StoredCase, matter: str) -> list[StoredCase]:
    """Cases of one matter with the same owner, this one left out: for who asks whether it is the first."""
    query = select(tables.cases).where(
        tables.cases.c.matter == matter, tables.cases.c.area == case.area, tables.cases.c.id != case.id
    )
    rows = connection.execute(query.order_by(tables.cases.c.first.desc()).limit(PAGE))
    return [
        StoredCase(id=row.id, area=row.area, raised=row.raised, updated=row.updated, document=json.loads(row.document))
        for row in rows
    ]


# What an operator imported


def keep_book(connection: Connection, name: str, text: str, at: str) -> None:
    connection.execute(delete(book).where(book.c.name == name))
    connection.execute(insert(book).values(name=name, document=text, imported_at=at))


def books(connection: Connection) -> dict[str, str]:
    return {row.name: row.document for row in connection.execute(select(book))}
