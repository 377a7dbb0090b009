"""Pages: a list of cases as the bytes of its JSON. What a case looks like is said in `schemas.py`, and only there.

A case is written once for as long as it stands as it does: what it is written from is the key by which it is found
again, the document as it is stored and whether it is overdue among it. So nothing that is found can be out of date, and
scopes have no part in it: which cases a page holds, the store says each time.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache

from dispatcher.api.names import Names
from dispatcher.api.schemas import CaseOut, CasesOut
from dispatcher.store.rows import Line, Listing
from ingest.frame import rfc3339

KEPT = 10_000  # cases, some 3 kB each
NONE = b'"cases":[]'


class Pages:
    """Any number of threads may ask. The names of areas and matters are those it was made with."""

    def __init__(self, names: Names, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._names = names
        self._case = lru_cache(KEPT)(self._written)

    def written(self, listing: Listing) -> bytes:
        """What `CasesOut` says of a listing, as JSON."""
        now = rfc3339(self._now())
        around = CasesOut.around(listing, []).model_dump_json().encode()
        cases = b",".join([self._case(line, line.due.overdue(now)) for line in listing.lines])
        return around.replace(NONE, NONE[:-1] + cases + b"]", 1)

    def _written(self, line: Line, overdue: bool) -> bytes:
        return CaseOut.of(line.case(), self._names, overdue).model_dump_json().encode()
