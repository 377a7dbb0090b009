"""Snapshots: what an engine knows, a row for each place and object, so that keeping it costs what has changed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select

from dispatcher.store import tables
from dispatcher.store.bulk import insert_rows, one_of, rows_with, update_rows
from dispatcher.store.rows import Document
from dispatcher.store.snapshot_tables import known
from ingest.envelope import dumps

SNAPSHOT = "snapshot"  # what is not of a place or object, in `kept`, with the mark and the last input
PARTS = ("places", "anchors", "things", "cases", "resting")  # of the shipped engine, and of the joint one
PAGE = 500
Part = tuple[str, str]  # of which of PARTS, and its id
Parts = Iterator[tuple[Part, Any]]


def keep(connection: Connection, mark: str, about: Document, parts: Mapping[Part, Any], seq: int) -> None:
    """Be the snapshot under a mark, up to an input. Parts that are None are gone; all others stay as they were kept.

    Another mark than the last one's begins anew. What has changed is written anew under the number that it had:
    PostgreSQL takes new rows for a fraction of what changing them costs. The write lock is held.
    """
    row = connection.execute(select(tables.kept.c.mark).where(tables.kept.c.name == SNAPSHOT)).one_or_none()
    if row is None or row.mark != mark:
        forget(connection)
    before = {(row.part, row.id): row.n for row in _rows(connection, parts)}
    last = connection.scalar(select(func.max(known.c.n))) or 0
    fresh = count(last + 1)
    numbers, names = list(before.values()), list(parts)
    for start in range(0, len(numbers), PAGE):
        connection.execute(delete(known).where(one_of(connection, known.c.n, numbers[start : start + PAGE])))
    for start in range(0, len(names), PAGE):
        some = [(part, parts[part]) for part in names[start : start + PAGE]]
        rows = [
            {"n": before.get(part) or next(fresh), "part": part[0], "id": part[1], "document": dumps(document)}
            for part, document in some
            if document is not None
        ]
        insert_rows(connection, known, rows)
    connection.execute(delete(tables.kept).where(tables.kept.c.name == SNAPSHOT))
    connection.execute(insert(tables.kept).values(name=SNAPSHOT, document=dumps(about), mark=mark, seq=seq))


def _rows(connection: Connection, parts: Mapping[Part, Any]) -> Iterator[Any]:
    """Where these parts are kept, of those that are."""
    query = select(known.c.n, known.c.part, known.c.id)
    for name in PARTS:
        ids = [id for part, id in parts if part == name]
        yield from rows_with(connection, query.where(known.c.part == name), known.c.id, ids)


def forget(connection: Connection) -> None:
    connection.execute(delete(known))
    connection.execute(delete(tables.kept).where(tables.kept.c.name == SNAPSHOT))


def kept(connection: Connection, mark: str) -> tuple[int, Document, Parts] | None:
    """What was kept last under a mark: the number of the last input in it, what is of no part, and each part.

    Parts come in the order of their first appearance, and are read as they are asked for, in the same transaction.
    """
    query = select(tables.kept).where(tables.kept.c.name == SNAPSHOT, tables.kept.c.mark == mark)
    row = connection.execute(query).one_or_none()
    return None if row is None else (row.seq, json.loads(row.document), _parts(connection))


def _parts(connection: Connection) -> Parts:
    with connection.execute(select(known).order_by(known.c.n), execution_options={"yield_per": PAGE}) as rows:
        for row in rows:
            yield (row.part, row.id), json.loads(row.document)


def pages(connection: Connection) -> Iterable[list[tuple[int, str]]]:
    """Number and document of every part, page by page, for whoever rewrites some."""
    after = 0
    while True:
        query = select(known.c.n, known.c.document).where(known.c.n > after).order_by(known.c.n).limit(PAGE)
        rows = [(row.n, row.document) for row in connection.execute(query)]
        if not rows:
            return
        yield rows
        after = rows[-1][0]


def rewrite(connection: Connection, documents: Mapping[int, Any]) -> None:
    """Other documents for some parts, by their numbers."""
    update_rows(connection, known, [{"n": n, "document": dumps(one)} for n, one in documents.items()], ["n"])
