"""Shelf: things where nobody has looked for a day, in a database on disk until somebody looks there again."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

NO_THING: Final = -1
SCHEMA: Final = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -65536;
CREATE TABLE things (number INTEGER PRIMARY KEY, block INTEGER NOT NULL, body TEXT NOT NULL);
CREATE INDEX things_by_block ON things (block);
CREATE TABLE inputs (id TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE cases (id TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
"""
# Not needed again after a crash: whoever made it reads its lines again, so that nothing need be safe against one.


@dataclass(frozen=True, slots=True)
class Parcel:
    """A thing as it is put away."""

    number: int
    block: int
    sightings: list[str]  # ids
    cases: list[str]
    body: str


class Shelf:
    """A private database that ends with its process. What it holds is nowhere else."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)  # SQLite's own temporary file
        self._db.executescript(SCHEMA)
        self._moved: dict[int, None] | None = None  # things that came or went, once somebody wants to know
        self._held = 0
        self._used = False

    def __len__(self) -> int:
        """Things that lie here."""
        return self._held

    @property
    def bytes(self) -> int:
        """How large it is, on disk for the most part."""
        (pages,) = self._db.execute("PRAGMA page_count").fetchone()
        (size,) = self._db.execute("PRAGMA page_size").fetchone()
        return int(pages) * int(size)

    def put(self, parcels: Sequence[Parcel], others: Iterable[str]) -> None:
        """Put things away, and the ids of inputs that are of no thing."""
        things = [(parcel.number, parcel.block, parcel.body) for parcel in parcels]
        inputs = [(id, parcel.number) for parcel in parcels for id in parcel.sightings]
        inputs += [(id, NO_THING) for id in others]
        cases = [(id, parcel.number) for parcel in parcels for id in parcel.cases]
        self._db.execute("BEGIN")
        self._db.executemany("INSERT INTO things VALUES (?, ?, ?)", things)
        self._db.executemany("INSERT OR REPLACE INTO inputs VALUES (?, ?)", inputs)
        self._db.executemany("INSERT OR REPLACE INTO cases VALUES (?, ?)", cases)
        self._db.execute("COMMIT")
        self._held += len(parcels)
        if self._moved is not None:
            self._moved |= dict.fromkeys([parcel.number for parcel in parcels])
        self._used = self._used or bool(things or inputs)

    def take(self, blocks: Iterable[int]) -> list[str]:
        """The things that lie in some blocks, in the order of their founding; they are here no longer."""
        if not self._held:
            return []
        found: list[tuple[int, str]] = []
        for block in blocks:
            found += self._db.execute("SELECT number, body FROM things WHERE block = ?", (block,)).fetchall()
        return self._taken(found)

    def take_thing(self, number: int) -> list[str]:
        """The same of one thing, by its number."""
        return self._taken(self._db.execute("SELECT number, body FROM things WHERE number = ?", (number,)).fetchall())

    def _taken(self, found: list[tuple[int, str]]) -> list[str]:
        if not found:
            return []
        self._db.execute("BEGIN")
        self._db.executemany("DELETE FROM things WHERE number = ?", [(number,) for number, _ in found])
        self._db.execute("COMMIT")
        self._held -= len(found)
        if self._moved is not None:
            self._moved |= dict.fromkeys([number for number, _ in found])
        return [body for _, body in sorted(found)]

    def knows(self, id: str) -> bool:
        """Whether a sighting, pass or command was read that is no longer remembered elsewhere."""
        return self._used and self._number("SELECT number FROM inputs WHERE id = ?", id) is not None

    def thing_of_sighting(self, id: str) -> int | None:
        """The thing that a sighting was put away with; it may have been taken since."""
        return self._number("SELECT number FROM inputs WHERE id = ?", id)

    def thing_of_case(self, id: str) -> int | None:
        """The same for a case."""
        return self._number("SELECT number FROM cases WHERE id = ?", id)

    def _number(self, query: str, id: str) -> int | None:
        row = self._db.execute(query, (id,)).fetchone()
        return None if row is None else int(row[0])

    def moved_since(self) -> list[int]:
        """The things by number that came or went since this was asked last; at first all that lie here."""
        moved, self._moved = self._moved, {}
        if moved is not None:
            return list(moved)
        return [number for (number,) in self._db.execute("SELECT number FROM things ORDER BY number")]

    def body(self, number: int) -> str | None:
        """A thing as it lies here; None when it does not."""
        row = self._db.execute("SELECT body FROM things WHERE number = ?", (number,)).fetchone()
        return None if row is None else str(row[0])

    def all(self) -> Iterator[str]:
        """Everything that lies here, in the order of founding; it stays."""
        for (body,) in self._db.execute("SELECT body FROM things ORDER BY number"):
            yield body
