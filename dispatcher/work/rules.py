"""Rules: what the case engine must know of policies, zones and campaigns before it tells of a case.

They are imported while vehicles drive, so they are inputs of the engine like any other: kept in order of arrival, and a
case that was judged by the old rules is judged by them again when the inputs are read once more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from dispatcher.work.book import Book, Page
from dispatcher.work.policy import Bar, bar
from ingest.envelope import Envelope
from ingest.frame import derived_id, rfc3339

RULES_TYPE = "cn.jiexun.rules.v1"
SOURCE = "/desk"
PAGES = (Page.CALENDAR, Page.POLICY, Page.ZONES)


@dataclass(frozen=True, slots=True)
class Rules:
    """The pages, and what they say."""

    pages: Mapping[str, str] = field(default_factory=dict)
    book: Book = field(default_factory=Book)

    @classmethod
    def of(cls, texts: Mapping[str, str]) -> Rules:
        """From imported texts, of which it keeps what the engine needs."""
        pages = {str(page): texts[page] for page in PAGES if page in texts}
        return cls(pages, Book.of(pages)) if pages else NONE

    def bar(self, *, matter: str, area: str | None, lat: float, lon: float, at: datetime) -> Bar:
        """What a case must pass to be told."""
        if not self.pages:
            return USUAL
        calendar = self.book.clock.calendar
        return bar(self.book.policies, calendar, matter=matter, area=area, lat=lat, lon=lon, at=at)

    def envelope(self, at: datetime) -> Envelope:
        """As an input. The same pages at another time are another one: what came between must not be skipped."""
        id = derived_id("rules", rfc3339(at), *(text for page in sorted(self.pages.items()) for text in page))
        return Envelope(id=id, type=RULES_TYPE, source=SOURCE, time=at, data={"id": id, "pages": dict(self.pages)})


USUAL = Bar(None)
NONE = Rules()
